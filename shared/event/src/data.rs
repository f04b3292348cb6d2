//! What an event contains: normalized objects and the provider's own JSON.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{RecordingScope, StreamProtocol};

/// Normalized objects, each present only if known, and the provider's own JSON.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, expecting = "an object")]
#[expect(missing_docs, reason = "the types have the documentation")]
pub struct Data {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<Participant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcription: Option<Transcription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
    /// The provider's JSON, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub raw: Option<Box<RawValue>>,
    /// The body in base64, if it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
}

/// A provider's JSON may be `null`.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
            #[serde(default, expecting = "an object")]
            #[expect(missing_docs, reason = "the names are the documentation; details are in schema/")]
            pub struct $name {
                $(#[serde(skip_serializing_if = "is_unknown")] pub $field: $kind,)*
            }
        )*
    };
}

fn is_unknown<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

objects! {
    /// The room in which it happened. A room outlives its sessions.
    Room { id: Option<String>, sid: Option<String>, name: Option<String>, }
    /// One use of a room, from the first join to the last leave.
    Session { id: Option<String>, started_at: Option<Timestamp>, ended_at: Option<Timestamp>, duration_s: Option<f64>, }
    /// The participant. `id` is assigned by the provider, `user_id` by the application.
    Participant {
        id: Option<String>,
        sid: Option<String>,
        user_id: Option<String>,
        name: Option<String>,
        role: Option<String>,
        joined_at: Option<Timestamp>,
        left_at: Option<Timestamp>,
        reason: Option<String>,
    }
    /// A media track. `kind` and `source` are in lower case.
    Track { id: Option<String>, kind: Option<String>, source: Option<String>, mime_type: Option<String>, }
    /// A recording; `scope` says of what.
    Recording { id: Option<String>, scope: Option<RecordingScope>, files: Vec<File>, }
    /// A file that the provider made. Its `url` may be presigned, which makes it a secret until it expires.
    File {
        url: Option<String>,
        path: Option<String>,
        size_bytes: Option<i64>,
        duration_s: Option<f64>,
        mime_type: Option<String>,
    }
    /// A stream to viewers (HLS) or to other services (RTMP).
    Stream {
        id: Option<String>,
        protocol: Option<StreamProtocol>,
        playback_urls: Vec<String>,
        destinations: Vec<String>,
    }
    /// An external stream into the room.
    Ingress {
        id: Option<String>,
        name: Option<String>,
        started_at: Option<Timestamp>,
        ended_at: Option<Timestamp>,
        duration_s: Option<f64>,
        reason: Option<String>,
    }
    /// A transcription, live or after the session.
    Transcription { id: Option<String>, mode: Option<String>, files: Vec<File>, }
    /// Anything else that the provider made from the session.
    Artifact { id: Option<String>, kind: Option<String>, file: Option<File>, }
    /// Billable usage. `total` is in the provider's own unit.
    Usage {
        user_id: Option<String>,
        total: Option<i64>,
        prompt_tokens: Option<i64>,
        completion_tokens: Option<i64>,
        total_tokens: Option<i64>,
        total_characters: Option<i64>,
        duration_s: Option<f64>,
        estimated_cost: Option<f64>,
    }
    /// The reason for a failure.
    ErrorInfo { code: Option<String>, r#type: Option<String>, message: Option<String>, }
}
