//! Values that a newer version may add to.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

macro_rules! values {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
            #[serde(from = "String")]
            #[non_exhaustive]
            pub enum $name {
                $($(#[$variant_doc])* #[doc = ""] #[doc = concat!("`", $text, "`")] $variant,)*
                /// A value that this version does not know.
                Other(String),
            }

            impl $name {
                /// All known values.
                pub const KNOWN: &[Self] = &[$(Self::$variant,)*];

                /// The value in JSON.
                pub fn as_str(&self) -> &str {
                    match self {
                        $(Self::$variant => $text,)*
                        Self::Other(text) => text,
                    }
                }
            }

            impl From<String> for $name {
                fn from(text: String) -> Self {
                    match text.as_str() {
                        $($text => Self::$variant,)*
                        _ => Self::Other(text),
                    }
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(self.as_str())
                }
            }
        )*
    };
}

values! {
    /// What happened, in the vocabulary common to all providers.
    EventType {
        RoomCreated = "live.room.created",
        SessionStarted = "live.session.started",
        SessionEnding = "live.session.ending",
        SessionEndFailed = "live.session.end_failed",
        SessionEnded = "live.session.ended",
        ParticipantJoined = "live.participant.joined",
        ParticipantWaiting = "live.participant.waiting",
        ParticipantWaitingLeft = "live.participant.waiting_left",
        ParticipantJoinFailed = "live.participant.join_failed",
        ParticipantLeft = "live.participant.left",
        ParticipantLeaveFailed = "live.participant.leave_failed",
        ParticipantRoleChanged = "live.participant.role_changed",
        ParticipantRoleChangeFailed = "live.participant.role_change_failed",
        TrackPublished = "live.track.published",
        TrackUnpublished = "live.track.unpublished",
        TrackMuted = "live.track.muted",
        TrackUnmuted = "live.track.unmuted",
        RecordingStarting = "live.recording.starting",
        RecordingStarted = "live.recording.started",
        RecordingStopping = "live.recording.stopping",
        RecordingStopped = "live.recording.stopped",
        RecordingReady = "live.recording.ready",
        RecordingFailed = "live.recording.failed",
        RecordingUpdated = "live.recording.updated",
        RecordingDeleted = "live.recording.deleted",
        StreamStarting = "live.stream.starting",
        StreamStarted = "live.stream.started",
        StreamPlayable = "live.stream.playable",
        StreamStopping = "live.stream.stopping",
        StreamStopped = "live.stream.stopped",
        StreamFailed = "live.stream.failed",
        IngressStarted = "live.ingress.started",
        IngressEnded = "live.ingress.ended",
        IngressFailed = "live.ingress.failed",
        TranscriptionStarted = "live.transcription.started",
        TranscriptionStopped = "live.transcription.stopped",
        TranscriptionReady = "live.transcription.ready",
        TranscriptionFailed = "live.transcription.failed",
        ChatReady = "live.chat.ready",
        SummaryReady = "live.summary.ready",
        AnalyticsReady = "live.analytics.ready",
        UsageReported = "live.usage.reported",
        PolicyUpdated = "live.policy.updated",
        ResourceAcquired = "live.resource.acquired",
        /// The provider's type has no common equivalent.
        Unknown = "live.unknown",
    }
    /// Whose clock an event's `time` is.
    TimeBasis {
        /// The provider's.
        Provider = "provider",
        /// livehooks' own: the provider gave no time.
        Received = "received",
    }
    /// What verification has proven.
    Assurance {
        /// A key of this account signed the body.
        Signed = "signed",
        /// The provider signed the body, for any of its accounts.
        ProviderSigned = "provider-signed",
        /// The delivery had a static header that only the provider should know. The body is not covered.
        SharedSecret = "shared-secret",
    }
    /// How livehooks detects duplicates.
    DedupeBasis {
        /// By the provider's event id.
        ProviderId = "provider-id",
        /// By the body's hash.
        Body = "body",
        /// By the event directly before or after it.
        Sequence = "sequence",
    }
    /// What a recording is of.
    RecordingScope {
        Room = "room",
        Participant = "participant",
        Track = "track",
        Stream = "stream",
    }
    /// How a stream is transmitted.
    StreamProtocol {
        Hls = "hls",
        Rtmp = "rtmp",
        Srt = "srt",
        Websocket = "websocket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written() {
        for known in EventType::KNOWN {
            let json = serde_json::to_string(known).unwrap();
            let read: EventType = serde_json::from_str(&json).unwrap();
            assert_eq!(&read, known);
            assert_eq!(json, format!("\"{known}\""));
        }
        assert_eq!(EventType::from("live.other".to_owned()), EventType::Other("live.other".into()));
    }
}
