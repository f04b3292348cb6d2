//! Sample events, in each provider's own words and style.

use jiff::Timestamp;
use livehooks_core::EventType;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ProviderInfo;

/// One sample: a body with places for what differs from event to event.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample<'a> {
    /// The provider's type, plus `+variant` where the content decides what it means.
    pub name: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The values of one event that is made from a sample.
#[derive(Clone, Debug)]
pub struct SampleValues {
    /// The room's id.
    pub room: String,
    /// The participant's id.
    pub participant: String,
    /// The session's id.
    pub session: String,
    /// The event's id.
    pub id: String,
    /// When it happened.
    pub now: Timestamp,
}

impl ProviderInfo {
    /// All samples, in the order of a session.
    ///
    /// # Panics
    /// If the samples are broken, which a test excludes.
    pub fn samples(&self) -> Vec<Sample<'static>> {
        let sample = |line| serde_json::from_str(line).expect("samples are JSON");
        self.samples_ndjson.lines().map(sample).collect()
    }

    /// The sample of this name.
    pub fn sample(&self, name: &str) -> Option<Sample<'static>> {
        self.samples().into_iter().find(|sample| sample.name == name)
    }

    /// The sample in which a participant joins.
    ///
    /// # Panics
    /// If there is none, which a test excludes.
    pub fn joined(&self) -> Sample<'static> {
        self.sample(self.joined).expect("every provider has a sample of a participant who joins")
    }
}

impl Sample<'_> {
    /// The body, byte for byte as the provider would send it.
    pub fn body(&self, values: &SampleValues) -> String {
        let places = [
            ("{{room}}", escaped(&values.room)),
            ("{{participant}}", escaped(&values.participant)),
            ("{{session}}", escaped(&values.session)),
            ("{{id}}", escaped(&values.id)),
            ("{{now}}", format!("{:.0}", values.now)),
            ("{{now_s}}", values.now.as_second().to_string()),
            ("{{now_ms}}", values.now.as_millisecond().to_string()),
        ];
        places.iter().fold(self.body.get().to_owned(), |body, (place, value)| body.replace(place, value))
    }

    /// Whether `name` means this sample: by its own name or by the common type it becomes.
    pub fn is_named(&self, name: &str, kind: EventType) -> bool {
        self.name == name || kind.as_str() == name
    }
}

/// As it stands between the quotes of a JSON text.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
