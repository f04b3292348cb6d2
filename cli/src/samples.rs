//! Sample events, in each provider's own words and style.

use jiff::Timestamp;
use livehooks_core::EventType;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::Entry;

/// One sample: a body with places for what differs from event to event.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample<'a> {
    /// The provider's type, plus `+variant` where the content decides what it means.
    pub name: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// What is put into a sample's places.
#[derive(Clone, Debug)]
pub struct Places {
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

/// All samples of a provider, in the order of a session.
///
/// # Panics
/// Where the samples are broken, which a test excludes.
pub fn of(entry: &Entry) -> Vec<Sample<'static>> {
    let sample = |line| serde_json::from_str(line).expect("samples are JSON");
    entry.samples.lines().map(sample).collect()
}

impl Sample<'_> {
    /// The body, byte for byte as the provider would send it.
    pub fn body(&self, places: &Places) -> String {
        let values = [
            ("{{room}}", escaped(&places.room)),
            ("{{participant}}", escaped(&places.participant)),
            ("{{session}}", escaped(&places.session)),
            ("{{id}}", escaped(&places.id)),
            ("{{now}}", format!("{:.0}", places.now)),
            ("{{now_s}}", places.now.as_second().to_string()),
            ("{{now_ms}}", places.now.as_millisecond().to_string()),
        ];
        values.iter().fold(self.body.get().to_owned(), |body, (place, value)| body.replace(place, value))
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
