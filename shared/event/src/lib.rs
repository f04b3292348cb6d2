//! The events that livehooks publishes, for programs that receive them.
//!
//! ```
//! use livehooks_event::{Event, EventType};
//!
//! # let message = r#"{"specversion":"1.0","id":"EV_1","source":"/livehooks/p","type":"live.participant.joined",
//! #   "time":"2025-10-30T09:03:20Z","recordedtime":"2025-10-30T09:03:20Z","timebasis":"provider","provider":"p",
//! #   "assurance":"signed","dedupebasis":"provider-id","datacontenttype":"application/json",
//! #   "data":{"participant":{"user_id":"ann"}}}"#;
//! let event = Event::from_json(message)?;
//! match event.r#type {
//!     EventType::ParticipantJoined => println!("{:?} joined", event.participant_key()),
//!     _ => {}
//! }
//! # Ok::<(), livehooks_event::InvalidEvent>(())
//! ```
//!
//! A newer version of livehooks may add types, attributes and fields. A type or another value that this version does not
//! know is kept as `Other`, an attribute or field that it does not know is skipped. The crate neither receives events nor
//! checks who sent them.

mod data;
mod values;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use data::{
    Artifact, Data, ErrorInfo, File, Ingress, Participant, Recording, Room, Session, Stream, Track,
    Transcription, Usage,
};
pub use values::{Assurance, DedupeBasis, EventType, RecordingScope, StreamProtocol, TimeBasis};

/// A CloudEvent of livehooks, as described by `schema/event.schema.json`.
///
/// `source` and `id` together identify it: the same event may be received several times.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(expecting = "an event")]
pub struct Event {
    /// Version of the CloudEvents specification, `1.0`.
    pub specversion: String,
    /// Unique for its `source`.
    pub id: String,
    /// `/livehooks/<provider>[/<account>]`.
    pub source: String,
    /// What happened.
    pub r#type: EventType,
    /// The room's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened, by the clock that `timebasis` names.
    pub time: Timestamp,
    /// When livehooks received it.
    pub recordedtime: Timestamp,
    /// Whose clock `time` is.
    pub timebasis: TimeBasis,
    /// The provider's name.
    pub provider: String,
    /// The provider's own name for the type; absent if the body names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providertype: Option<String>,
    /// What verification has proven.
    pub assurance: Assurance,
    /// How livehooks detects duplicates of the delivery.
    pub dedupebasis: DedupeBasis,
    /// Media type of `data`, `application/json`.
    pub datacontenttype: String,
    /// Where the complete event is, if it was too large for a message:
    /// `dynamodb://<table>/<event_key, percent-encoded>/<occurrence>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataref: Option<String>,
    /// New for each replay of a stored event; absent in the first publication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayid: Option<String>,
    /// What is known about the event.
    pub data: Data,
}

impl Event {
    /// Reads an event: the body of a message with raw message delivery, else the `Message` of SNS's envelope.
    ///
    /// # Errors
    /// Names what was expected, what was found and where. May quote the input.
    pub fn from_json(json: &str) -> Result<Self, InvalidEvent> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let event = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| InvalidEvent { path: error.path().to_string(), source: error.into_inner() })?;
        deserializer.end().map_err(|source| InvalidEvent { path: ".".into(), source })?;
        Ok(event)
    }

    /// What identifies it: its source and its id.
    pub fn key(&self) -> (&str, &str) {
        (&self.source, &self.id)
    }

    /// The session's id, if the provider names one.
    pub fn session_id(&self) -> Option<&str> {
        self.data.session.as_ref()?.id.as_deref()
    }

    /// The application's id of the participant, else the provider's.
    pub fn participant_key(&self) -> Option<&str> {
        let participant = self.data.participant.as_ref()?;
        participant.user_id.as_deref().or(participant.id.as_deref())
    }

    /// The participant's name, else its key.
    pub fn participant_name(&self) -> Option<&str> {
        let participant = self.data.participant.as_ref()?;
        participant.name.as_deref().or(self.participant_key())
    }
}

/// Why JSON is not an event.
#[derive(Debug)]
pub struct InvalidEvent {
    path: String,
    source: serde_json::Error,
}

impl fmt::Display for InvalidEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "." => self.source.fmt(f),
            path => write!(f, "{path}: {}", self.source),
        }
    }
}

impl std::error::Error for InvalidEvent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"EV_1","source":"/livehooks/p/key","type":"live.recording.ready","subject":"room01","time":"2025-10-30T09:03:20Z","recordedtime":"2025-10-30T09:03:20.318Z","timebasis":"provider","provider":"p","providertype":"rec","assurance":"signed","dedupebasis":"body","datacontenttype":"application/json","dataref":"dynamodb://Events/p%231/0","replayid":"r","data":{"room":{"id":"room01"},"recording":{"scope":"room","files":[{"url":"u","size_bytes":7,"duration_s":1.5}]},"stream":{"protocol":"hls"},"raw":{ "n": 1.0e0,"n":[] }}}"#;

    fn with(old: &str, new: &str) -> String {
        assert_eq!(EVENT.matches(old).count(), 1, "{old}");
        EVENT.replace(old, new)
    }

    fn read(json: &str) -> Event {
        Event::from_json(json).unwrap()
    }

    fn written(event: &Event) -> String {
        serde_json::to_string(event).unwrap()
    }

    fn error(json: &str) -> String {
        let error = Event::from_json(json).unwrap_err().to_string();
        error.split(" at line ").next().unwrap().to_owned()
    }

    #[test]
    fn an_event_is_written_as_it_was_read() {
        let raw = r#""raw":{ "n": 1.0e0,"n":[] }"#;
        for event in [EVENT, &with(raw, r#""raw":null"#), &with(raw, r#""raw_base64":"AAE=""#)] {
            assert_eq!(written(&read(event)), event);
        }
    }

    #[test]
    fn an_unknown_value_is_kept() {
        for (old, new) in [
            (r#""live.recording.ready""#, r#""live.recording.lost""#),
            (r#""timebasis":"provider""#, r#""timebasis":"new""#),
            (r#""assurance":"signed""#, r#""assurance":"new""#),
            (r#""dedupebasis":"body""#, r#""dedupebasis":"new""#),
            (r#""scope":"room""#, r#""scope":"new""#),
            (r#""protocol":"hls""#, r#""protocol":"new""#),
        ] {
            let event = with(old, new);
            assert_eq!(written(&read(&event)), event);
        }
    }

    #[test]
    fn an_unknown_attribute_or_field_is_skipped() {
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        for place in [r#""specversion""#, r#""room":{"#, r#""id":"room01"}"#, r#""url""#] {
            let event = with(place, &format!(r#""new":{deep},{place}"#));
            assert_eq!(written(&read(&event)), EVENT, "{place}");
        }
    }

    #[test]
    fn raw_may_hold_any_json() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for raw in [&deep, r#""\ud800""#, "1e400", "12345678901234567890123"] {
            let event = read(&with(r#"{ "n": 1.0e0,"n":[] }"#, raw));
            assert_eq!(event.data.raw.unwrap().get(), raw);
        }
    }

    #[test]
    fn an_error_names_the_place_and_what_was_expected_and_found() {
        assert_eq!(error("7"), "invalid type: integer `7`, expected an event");
        assert_eq!(error(&with(r#""id":"EV_1","#, "")), "missing field `id`");
        assert_eq!(error(&with(r#""data":"#, r#""other":"#)), "missing field `data`");
        assert_eq!(error(&with(r#""EV_1""#, "7")), "id: invalid type: integer `7`, expected a string");
        assert_eq!(
            error(&with(r#""live.recording.ready""#, "null")),
            "type: invalid type: null, expected a string"
        );
        assert_eq!(
            error(&with(r#"{"id":"room01"}"#, r#""room01""#)),
            "data.room: invalid type: string \"room01\", expected an object"
        );
        assert_eq!(
            error(&with(r#""duration_s":1.5"#, r#""duration_s":"1.5""#)),
            "data.recording.files[0].duration_s: invalid type: string \"1.5\", expected f64"
        );
        assert!(error(&with("2025-10-30T09:03:20Z", "yesterday")).starts_with("time: "));
        assert_eq!(error(&format!("{EVENT}{EVENT}")), "trailing characters");
    }

    #[test]
    fn a_participant_is_known_by_the_applications_id_first() {
        let event = |participant: &str| read(&with(r#""room":{"#, &format!(r#"{participant},"room":{{"#)));
        let ann = event(r#""participant":{"id":"PA_1","user_id":"ann"}"#);
        assert_eq!((ann.participant_key(), ann.participant_name()), (Some("ann"), Some("ann")));
        let ann = event(r#""participant":{"id":"PA_1","name":"Ann"}"#);
        assert_eq!((ann.participant_key(), ann.participant_name()), (Some("PA_1"), Some("Ann")));
        assert_eq!(event(r#""participant":{}"#).participant_name(), None);
    }
}
