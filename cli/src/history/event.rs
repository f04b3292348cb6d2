//! A stored event, read back: its attributes, and the data that a timeline needs.

use jiff::Timestamp;
use serde::Deserialize;

/// A CloudEvent of livehooks, without the provider's raw JSON.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are those of schema/event.schema.json")]
pub struct Event {
    pub id: String,
    pub source: String,
    pub r#type: String,
    pub subject: Option<String>,
    pub time: Timestamp,
    pub recordedtime: Timestamp,
    pub timebasis: String,
    pub provider: String,
    pub providertype: Option<String>,
    pub assurance: String,
    pub dedupebasis: String,
    #[serde(default)]
    pub data: Data,
}

/// The normalized objects of an event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of schema/event.schema.json")]
pub struct Data {
    pub room: Option<Room>,
    pub session: Option<Session>,
    pub participant: Option<Participant>,
    pub recording: Option<Recording>,
    pub stream: Option<Stream>,
    pub ingress: Option<Ingress>,
    pub transcription: Option<Transcription>,
    pub error: Option<ErrorInfo>,
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(default)]
            #[expect(missing_docs, reason = "the names are those of schema/event.schema.json")]
            pub struct $name {
                $(pub $field: Option<$kind>,)*
            }
        )*
    };
}

objects! {
    /// The room.
    Room { id: String, sid: String, name: String, }
    /// The room's session.
    Session { id: String, started_at: Timestamp, ended_at: Timestamp, }
    /// The participant.
    Participant {
        id: String,
        sid: String,
        user_id: String,
        name: String,
        role: String,
        joined_at: Timestamp,
        left_at: Timestamp,
        reason: String,
    }
    /// The recording.
    Recording { id: String, scope: String, }
    /// The outgoing stream.
    Stream { id: String, protocol: String, }
    /// The stream into the room.
    Ingress { id: String, name: String, started_at: Timestamp, ended_at: Timestamp, }
    /// The transcription.
    Transcription { id: String, }
    /// Why something failed.
    ErrorInfo { code: String, r#type: String, message: String, }
}

impl Event {
    /// What identifies it.
    pub fn key(&self) -> (&str, &str) {
        (&self.source, &self.id)
    }

    /// The session's id, if the provider names one.
    pub fn session_id(&self) -> Option<&str> {
        self.data.session.as_ref()?.id.as_deref()
    }

    /// The participant's name, else its id.
    pub fn participant_name(&self) -> Option<&str> {
        let participant = self.data.participant.as_ref()?;
        participant.name.as_deref().or(self.participant_key())
    }

    /// The application's id of the participant, else the provider's.
    pub fn participant_key(&self) -> Option<&str> {
        let participant = self.data.participant.as_ref()?;
        participant.user_id.as_deref().or(participant.id.as_deref())
    }
}
