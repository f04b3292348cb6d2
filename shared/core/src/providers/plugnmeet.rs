//! plugNmeet: LiveKit's token scheme, bodies in protobuf's JSON with the proto's own field names.
//!
//! Source: plugnmeet-protocol `webhook/notifier.go`, `proto_files/plugnmeet_common.proto` and
//! `plugnmeet_room_artifacts.proto`; plugNmeet-server `pkg/models`. 64-bit integers are strings, enums are
//! names (unknown ones are numbers), zero values are absent. The documented format differs (`createdAt`,
//! `room.name`, numbers for enums) and is accepted too.

use http::HeaderName;
use jiff::Timestamp;

use super::{livekit_messages, livekit_token};
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    ApiKeys, Artifact, Assurance, Data, Dedupe, Delivery, EventType, File, Normalized, Participant, Provider,
    Recording, RecordingScope, Rejection, Room, Session, Stream, Transcription, Usage, Verified,
};

/// The provider plugNmeet.
#[derive(Clone, Copy, Debug)]
pub struct PlugNmeet;

/// plugNmeet sends the token twice, for servers whose proxies drop Authorization.
const TOKEN_HEADERS: [&str; 2] = ["Authorization", "Hash-Token"];

impl Provider for PlugNmeet {
    const NAME: &'static str = "plugnmeet";
    type Keys = ApiKeys;

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &ApiKeys,
        now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let (api_key, body_hash) = livekit_token::verify(delivery, &TOKEN_HEADERS, keys, now)?;
        Ok(Verified::new(delivery.body, body_hash, Assurance::Signed, Some(api_key)))
    }

    fn precheck(delivery: &Delivery<'_>, now: Timestamp) -> Result<(), Rejection> {
        livekit_token::precheck(delivery, &TOKEN_HEADERS, now)
    }

    fn reads(header: &HeaderName) -> bool {
        TOKEN_HEADERS.iter().any(|name| header == name)
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize(verified, received_at, |body| read(body, verified.body()))
    }
}

fn read<'a>(body: Object<'_, 'a>, bytes: &[u8]) -> Reading<'a> {
    use EventType::*;
    let provider_type = body.text("event");
    let artifact = body.object("room_artifact");
    let artifact_kind = livekit_messages::enum_name(artifact, "type", &ARTIFACT_KINDS);
    let kind = match provider_type.as_deref().unwrap_or_default() {
        "room_created" => RoomCreated,
        "room_started" => SessionStarted,
        "session_ended" => SessionEnding,
        "room_finished" => SessionEnded,
        "participant_joined" => ParticipantJoined,
        "participant_left" => ParticipantLeft,
        "track_published" => TrackPublished,
        "track_unpublished" => TrackUnpublished,
        "start_recording" => RecordingStarted,
        "end_recording" => RecordingStopped,
        "recording_proceeded" | "recording_transcoding_finished" => RecordingReady,
        "start_rtmp" => StreamStarted,
        "end_rtmp" => StreamStopped,
        "analytics_proceeded" => AnalyticsReady,
        "speech_to_text_session_started" => TranscriptionStarted,
        "speech_to_text_session_ended" => TranscriptionStopped,
        "speech_to_text_total_usage" => UsageReported,
        "artifact_created" => match artifact_kind.as_deref().unwrap_or_default() {
            "meeting_analytics" => AnalyticsReady,
            "meeting_summary" => SummaryReady,
            "speech_transcription" => TranscriptionReady,
            kind if kind.ends_with("_usage") => UsageReported,
            _ => Unknown,
        },
        _ => Unknown,
    };

    let room = body.object("room");
    let recorder = body.object("recording_info");
    let speech = body.object("speech_service");
    let participant =
        livekit_messages::participant(body.object("participant"), &livekit_messages::SNAKE_CASE);
    let is_stream = matches!(kind, StreamStarted | StreamStopped);
    let metadata = artifact.object("metadata");
    let file = known(file(metadata.object("file_info")));
    let data = Data {
        room: known(Room {
            id: room.id("room_id").or_else(|| room.id("name")),
            sid: room.id("sid"),
            name: room.text("name"),
        }),
        session: known(Session {
            id: room.id("sid"),
            started_at: room.unix_s("creation_time"),
            ..Session::default()
        }),
        participant: known(Participant {
            id: participant.id.or_else(|| speech.id("user_id")),
            ..participant
        }),
        track: known(livekit_messages::track(body.object("track"), &livekit_messages::SNAKE_CASE)),
        recording: (!recorder.is_empty() && !is_stream).then(|| recording(recorder)),
        stream: is_stream.then(|| Stream {
            id: recorder.id("record_id"),
            protocol: Some("rtmp"),
            ..Stream::default()
        }),
        transcription: (kind == TranscriptionReady).then(|| Transcription {
            id: artifact.id("artifact_id"),
            mode: None,
            files: some(file.clone()),
        }),
        artifact: known(Artifact {
            id: artifact.id("artifact_id").or_else(|| body.object("analytics").id("file_id")),
            kind: artifact_kind.or((kind == AnalyticsReady).then_some("meeting_analytics".into())),
            file,
        }),
        usage: known(usage(metadata, speech)),
        ..Data::default()
    };
    Reading {
        kind: Some(kind),
        provider_type,
        time: body.unix_s("created_at").or_else(|| body.unix_s("createdAt")),
        dedupe: Some(Dedupe::by_id(PlugNmeet::NAME, body.id("id").as_deref(), bytes)),
        data,
        ..Reading::default()
    }
}

/// Omits `file_size`, whose unit is not documented.
fn recording<'a>(recorder: Object<'_, 'a>) -> Recording<'a> {
    let path = recorder.text("file_path");
    Recording {
        id: recorder.id("record_id"),
        scope: Some(RecordingScope::Room),
        files: some(path.map(|path| File { path: Some(path), ..File::default() })),
    }
}

fn file<'a>(info: Object<'_, 'a>) -> File<'a> {
    File {
        path: info.text("file_path"),
        size_bytes: info.int("file_size"),
        mime_type: info.text("mime_type"),
        ..File::default()
    }
}

fn usage<'a>(metadata: Object<'_, 'a>, speech: Object<'_, 'a>) -> Usage<'a> {
    let tokens = metadata.object("token_usage");
    let duration = metadata.object("duration_usage");
    let characters = metadata.object("character_count_usage");
    Usage {
        user_id: metadata.object("user_info").id("user_id").or_else(|| speech.id("user_id")),
        total: speech.int("total_usage"),
        prompt_tokens: tokens.int("prompt_tokens"),
        completion_tokens: tokens.int("completion_tokens"),
        total_tokens: tokens.int("total_tokens"),
        total_characters: characters.int("total_characters"),
        duration_s: duration.number("duration_sec"),
        estimated_cost: tokens
            .number("total_tokens_estimated_cost")
            .or_else(|| duration.number("duration_sec_estimated_cost"))
            .or_else(|| characters.number("total_characters_estimated_cost")),
    }
}

/// Indexed by protobuf number.
const ARTIFACT_KINDS: [&str; 10] = [
    "unknown_artifact",
    "meeting_analytics",
    "meeting_summary",
    "meeting_summary_usage",
    "speech_transcription",
    "speech_transcription_usage",
    "synthesized_speech_usage",
    "chat_translation_usage",
    "ai_text_chat_interaction_usage",
    "ai_text_chat_summarization_usage",
];
