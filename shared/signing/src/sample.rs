//! Sample events, as each provider writes them.

use jiff::Timestamp;
use livehooks_core::EventType;
use serde::Deserialize;
use serde_json::value::RawValue;

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
    /// The session's id.
    pub session: String,
    /// The event's id.
    pub id: String,
    /// When it happened.
    pub now: Timestamp,
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
        let placeholders = [
            ("{{room}}", escaped(&values.room)),
            ("{{participant}}", escaped(&values.participant)),
            ("{{session}}", escaped(&values.session)),
            ("{{id}}", escaped(&values.id)),
            ("{{now}}", format!("{:.0}", values.now)),
            ("{{now_s}}", values.now.as_second().to_string()),
            ("{{now_ms}}", values.now.as_millisecond().to_string()),
            ("\"{{#now_s}}\"", values.now.as_second().to_string()),
            ("\"{{#now_ms}}\"", values.now.as_millisecond().to_string()),
        ];
        placeholders.iter().fold(self.body.get().to_owned(), |body, (name, value)| body.replace(name, value))
    }

    /// Whether `name` is this sample's name, or the common type that it becomes.
    pub fn is_named(&self, name: &str, kind: EventType) -> bool {
        self.name == name || kind.as_str() == name
    }
}

/// Escapes text for use inside a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
