//! The event types common to all providers.

macro_rules! vocabulary {
    ($($variant:ident = $name:literal,)*) => {
        /// What happened, in the vocabulary common to all providers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $(#[doc = $name] $variant,)*
        }

        impl EventType {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The CloudEvents `type`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

vocabulary! {
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
    Unknown = "live.unknown",
}

impl serde::Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
