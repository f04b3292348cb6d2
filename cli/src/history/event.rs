//! A stored event, read back: the attributes, and of the data what a picture of a room needs.

use jiff::Timestamp;
use serde::Deserialize;

/// A CloudEvent of livehooks. The provider's raw JSON is not in it.
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
    /// Where it happened.
    Room { id: String, sid: String, name: String, }
    /// The stretch of the room's use in which it happened.
    Session { id: String, started_at: Timestamp, ended_at: Timestamp, }
    /// Who it was.
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
    /// What was recorded.
    Recording { id: String, scope: String, }
    /// What was streamed.
    Stream { id: String, protocol: String, }
    /// What was streamed into the room.
    Ingress { id: String, name: String, started_at: Timestamp, ended_at: Timestamp, }
    /// What was transcribed.
    Transcription { id: String, }
    /// Why something failed.
    ErrorInfo { code: String, r#type: String, message: String, }
}

impl Event {
    /// The session's id, where the provider names one.
    pub fn session_id(&self) -> Option<&str> {
        self.data.session.as_ref()?.id.as_deref()
    }

    /// The application's id of the participant, else the provider's.
    pub fn participant_key(&self) -> Option<&str> {
        let participant = self.data.participant.as_ref()?;
        participant.user_id.as_deref().or(participant.id.as_deref())
    }
}
