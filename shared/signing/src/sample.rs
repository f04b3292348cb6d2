//! Sample events, as each provider writes them.

use jiff::{SignedDuration, Timestamp};
use livehooks_core::EventType;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::ProviderInfo;

/// A sample: a body with placeholders for the values that differ from event to event.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample<'a> {
    /// The provider's type, plus `+variant` if the meaning depends on the content.
    pub name: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(default, rename = "question")]
    is_question: bool,
}

/// The values for the placeholders of a sample.
#[derive(Clone, Debug)]
pub struct SampleValues {
    /// The room's id.
    pub room: String,
    /// The participant's id.
    pub participant: String,
    /// The participant's name.
    pub name: String,
    /// The participant's stay: from joining to leaving.
    pub connection: Uuid,
    /// The session's id.
    pub session: String,
    /// The recording, stream, track, ingress or transcription.
    pub resource: Uuid,
    /// The event's id.
    pub id: String,
    /// When it happened.
    pub now: Timestamp,
    /// When the stay, recording, stream, … began that the event is about.
    pub started: Timestamp,
    /// When the session began.
    pub session_started: Timestamp,
}

impl SampleValues {
    /// The values of one event: its id and its time. Everything else is the same for all events, so that they belong
    /// together.
    pub fn of(id: impl Into<String>, now: Timestamp) -> Self {
        let started = now - SignedDuration::from_mins(30);
        Self {
            room: "room01".into(),
            participant: "user-42".into(),
            name: "Zoë <b>".into(),
            connection: Uuid::from_u128(0x3988_218d_a6ef_40cf_8b1b_f509_7f46_fbf7),
            session: "5f9edc6bd238215aec7700df".into(),
            resource: Uuid::from_u128(0x97cb_480d_5840_4528_ace3_919b_5e38_6c68),
            id: id.into(),
            now,
            started,
            session_started: started,
        }
    }

    /// The value of a placeholder. Uuids are shortened to their first 8 digits, or `…_uuid`. Times are RFC 3339, or
    /// numbers: `…_s`, `…_ms`.
    fn value(&self, placeholder: &str) -> Option<String> {
        let text = match placeholder {
            "room" => &self.room,
            "participant" => &self.participant,
            "name" => &self.name,
            "session" => &self.session,
            "id" => &self.id,
            "connection" => return Some(short(self.connection)),
            "connection_uuid" => return Some(self.connection.to_string()),
            "resource" => return Some(short(self.resource)),
            "resource_uuid" => return Some(self.resource.to_string()),
            "duration_s" => return Some(self.duration().as_secs().to_string()),
            "duration_ms" => return Some(self.duration().as_millis().to_string()),
            _ => return self.time(placeholder),
        };
        Some(escaped(text))
    }

    fn duration(&self) -> SignedDuration {
        self.now.duration_since(self.started)
    }

    fn time(&self, placeholder: &str) -> Option<String> {
        let (name, unit) = match placeholder.rsplit_once('_') {
            Some((name, unit @ ("s" | "ms"))) => (name, unit),
            _ => (placeholder, ""),
        };
        let time = match name {
            "now" => self.now,
            "started" => self.started,
            "session_started" => self.session_started,
            _ => return None,
        };
        Some(match unit {
            "s" => time.as_second().to_string(),
            "ms" => time.as_millisecond().to_string(),
            _ => format!("{time:.0}"),
        })
    }
}

impl ProviderInfo {
    /// The samples of all events, in the order of a session.
    ///
    /// # Panics
    /// If the samples are invalid; a test checks them.
    pub fn samples(&self) -> Vec<Sample<'static>> {
        self.lines().filter(|sample| !sample.is_question).collect()
    }

    /// The samples of all questions: deliveries that are answered and not stored.
    ///
    /// # Panics
    /// If the samples are invalid; a test checks them.
    pub fn questions(&self) -> Vec<Sample<'static>> {
        self.lines().filter(|sample| sample.is_question).collect()
    }

    fn lines(&self) -> impl Iterator<Item = Sample<'static>> {
        self.samples_ndjson.lines().map(|line| serde_json::from_str(line).expect("samples are JSON"))
    }

    /// The sample of this name.
    pub fn sample(&self, name: &str) -> Option<Sample<'static>> {
        self.samples().into_iter().find(|sample| sample.name == name)
    }

    /// The sample that stands for all of them where one is enough.
    ///
    /// # Panics
    /// If there is none; a test checks this.
    pub fn typical(&self) -> Sample<'static> {
        self.sample(self.typical).expect("every provider has this sample")
    }
}

impl Sample<'_> {
    /// The body, byte for byte as the provider would send it.
    pub fn body(&self, values: &SampleValues) -> String {
        let mut body = String::with_capacity(self.body.get().len());
        let mut rest = self.body.get();
        while let Some((before, after)) = rest.split_once("{{") {
            let (placeholder, after) = after.split_once("}}").unwrap_or((after, ""));
            // A number is written as a string, so that the samples are JSON.
            let (before, number, after) = match placeholder.strip_prefix('#') {
                Some(number) => (
                    before.strip_suffix('"').unwrap_or(before),
                    number,
                    after.strip_prefix('"').unwrap_or(after),
                ),
                None => (before, placeholder, after),
            };
            body.push_str(before);
            body.push_str(&values.value(number).unwrap_or_else(|| format!("{{{{{placeholder}}}}}")));
            rest = after;
        }
        body + rest
    }

    /// Whether `name` is this sample's name, or the common type that it becomes.
    pub fn is_named(&self, name: &str, kind: EventType) -> bool {
        self.name == name || kind.as_str() == name
    }
}

/// The first 8 digits.
fn short(id: Uuid) -> String {
    format!("{:08x}", id.as_fields().0)
}

/// Escapes text for use inside a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROVIDERS;

    #[test]
    fn every_placeholder_of_every_sample_has_a_value() {
        let values =
            SampleValues { room: "a \"room\"".into(), ..SampleValues::of("1", Timestamp::UNIX_EPOCH) };
        for provider in PROVIDERS {
            for sample in provider.samples().into_iter().chain(provider.questions()) {
                let body = sample.body(&values);
                assert!(!body.contains("{{"), "{}: {}: {body}", provider.name, sample.name);
                serde_json::from_str::<serde_json::Value>(&body).unwrap();
            }
        }
    }
}
