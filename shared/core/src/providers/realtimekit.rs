//! Cloudflare RealtimeKit, formerly Dyte: RSASSA-PKCS1-v1_5 with SHA-256 over the body, base64 in `rtk-signature`
//! (Dyte: `dyte-signature`).
//!
//! Source: cloudflare/cloudflare-docs `realtime/realtimekit/webhooks.mdx` (signature, bodies, retries) and
//! `recording-guide/monitor-status.mdx`; dyte-io/docs (the older headers and times). RealtimeKit has one key for all its
//! customers: the signature proves the provider, and a token in the URL binds a delivery to this account. `rtk-uuid` and
//! `rtk-webhook-id` are not signed, so neither counts; whether a retry keeps its `rtk-uuid` is not documented.
//!
//! Bodies have no id, and no time of their own; those of the meeting, the participant or the recording distinguish
//! events, so a body is its own identity. A livestream's bodies hold none of these: each time it goes live, the body is
//! the same, so its events form a sequence. `meeting.status` says `LIVE` in every event.

use http::HeaderName;
use jiff::Timestamp;
use std::borrow::Cow;

use super::rsa_signature;
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    Artifact, BodyHash, Data, Dedupe, Delivery, EventType, File, Normalized, Participant, Provider,
    Recording, RecordingScope, Rejection, Room, RsaKeys, Session, Stream, Transcription, Verified,
};

/// The provider Cloudflare RealtimeKit.
#[derive(Clone, Copy, Debug)]
pub struct RealtimeKit;

const SIGNATURES: &[&str] = &["rtk-signature", "dyte-signature"];

const LIVESTREAM: &str = "livestreaming.statusUpdate";

impl Provider for RealtimeKit {
    const NAME: &'static str = "realtimekit";
    type Keys = RsaKeys;
    const SECRET_FIELDS: &'static [&'static str] = &["ingestServer"];

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &RsaKeys,
        _now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let assurance = rsa_signature::verify(delivery, SIGNATURES, keys)?;
        Ok(Verified::new(delivery.body, BodyHash::of(delivery.body), assurance, None))
    }

    fn precheck(delivery: &Delivery<'_>, _now: Timestamp) -> Result<(), Rejection> {
        rsa_signature::precheck(delivery, SIGNATURES)
    }

    fn reads(header: &HeaderName) -> bool {
        SIGNATURES.contains(&header.as_str())
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize_by_body(verified, received_at, |body| read(body, verified.body()))
    }
}

fn read<'a>(body: Object<'_, 'a>, bytes: &[u8]) -> Reading<'a> {
    let provider_type = body.text("event");
    let meeting = body.object("meeting");
    let recording = body.object("recording");
    let kind = event_type(provider_type.as_deref().unwrap_or_default(), body, recording);
    let organization = [meeting, body].into_iter().find_map(|of| of.object("organizedBy").id("id"));
    Reading {
        kind: Some(kind),
        time: time(kind, body),
        account: organization.or_else(|| recording.id("organizationId")),
        data: normalized_data(kind, body),
        dedupe: (provider_type.as_deref() == Some(LIVESTREAM)).then(|| {
            let parts = [meeting.id("id"), body.id("streamId")];
            let parts = parts.each_ref().map(|part| part.as_deref());
            Dedupe::by_sequence(RealtimeKit::NAME, "livestream", &parts, bytes)
        }),
        provider_type,
        ..Reading::default()
    }
}

fn event_type(provider_type: &str, body: Object<'_, '_>, recording: Object<'_, '_>) -> EventType {
    use EventType::*;
    match provider_type {
        "meeting.started" => SessionStarted,
        "meeting.ended" => SessionEnded,
        "meeting.participantJoined" => ParticipantJoined,
        "meeting.participantLeft" => ParticipantLeft,
        "meeting.transcript" => TranscriptionReady,
        "meeting.summary" => SummaryReady,
        "meeting.chatSynced" => ChatReady,
        "recording.statusUpdate" => match recording.text("status").as_deref() {
            Some("INVOKED") => RecordingStarting,
            Some("RECORDING") => RecordingStarted,
            Some("UPLOADING") => RecordingStopped,
            Some("UPLOADED") => RecordingReady,
            Some("ERRORED") => RecordingFailed,
            _ => Unknown,
        },
        LIVESTREAM => match body.text("status").as_deref() {
            Some("IDLE") => StreamStarting,
            Some("LIVE") => StreamStarted,
            Some("OFFLINE") => StreamStopped,
            _ => Unknown,
        },
        _ => Unknown,
    }
}

/// The time of the change that the event reports, if the body holds it.
fn time(kind: EventType, body: Object<'_, '_>) -> Option<Timestamp> {
    let (meeting, participant) = (body.object("meeting"), body.object("participant"));
    let recording = body.object("recording");
    match kind {
        EventType::SessionStarted => meeting.rfc3339("startedAt"),
        EventType::SessionEnded => meeting.rfc3339("endedAt"),
        EventType::ParticipantJoined => participant.rfc3339("joinedAt"),
        EventType::ParticipantLeft => participant.rfc3339("leftAt"),
        EventType::RecordingStarted => recording.rfc3339("startedTime"),
        EventType::RecordingStopped => recording.rfc3339("stoppedTime"),
        _ => None,
    }
}

fn normalized_data<'a>(kind: EventType, body: Object<'_, 'a>) -> Data<'a> {
    // A chat export names its meeting at the root, the other events in an object of its own.
    let nested = body.object("meeting");
    let meeting = if nested.is_empty() { body } else { nested };
    let participant = body.object("participant");
    let recording = body.object("recording");
    let url = |name| body.text(name).map(|url| File { url: Some(url), ..File::default() });
    Data {
        room: known(Room {
            id: nested.id("id").or_else(|| body.id("meetingId")).or_else(|| recording.id("meetingId")),
            name: meeting.text("title"),
            ..Room::default()
        }),
        session: known(Session {
            id: meeting.id("sessionId").or_else(|| recording.id("roomUUID")),
            started_at: meeting.rfc3339("startedAt"),
            ended_at: meeting.rfc3339("endedAt"),
            duration_s: None,
        }),
        participant: known(Participant {
            id: participant.id("peerId"),
            user_id: participant.id("customParticipantId").or_else(|| participant.id("clientSpecificId")),
            name: participant.text("userDisplayName"),
            joined_at: participant.rfc3339("joinedAt"),
            left_at: participant.rfc3339("leftAt"),
            ..Participant::default()
        }),
        recording: (!recording.is_empty()).then(|| Recording {
            id: recording.id("recordingId").or_else(|| recording.id("id")),
            scope: Some(RecordingScope::Room),
            files: some(recording_files(recording)),
        }),
        stream: stream(body),
        transcription: (kind == EventType::TranscriptionReady)
            .then(|| Transcription { files: some(url("transcriptDownloadUrl")), ..Transcription::default() })
            .and_then(known),
        artifact: match kind {
            EventType::SummaryReady => Some(artifact("meeting_summary", url("summaryDownloadUrl"))),
            EventType::ChatReady => Some(artifact("chat", url("chatDownloadUrl"))),
            _ => None,
        },
        ..Data::default()
    }
}

/// The recording, and its sound alone. Size, length and name are the recording's.
fn recording_files<'a>(recording: Object<'_, 'a>) -> impl Iterator<Item = File<'a>> {
    let file = recording.text("downloadUrl").map(|url| File {
        url: Some(url),
        path: recording.text("outputFileName"),
        size_bytes: recording.int("fileSize"),
        duration_s: recording.number("recordingDuration"),
        ..File::default()
    });
    let sound = recording.text("audioDownloadUrl").map(|url| File { url: Some(url), ..File::default() });
    file.into_iter().chain(sound)
}

fn stream<'a>(body: Object<'_, 'a>) -> Option<Stream<'a>> {
    let id = body.id("streamId")?;
    let playback_urls = some(body.text("playbackUrl"));
    Some(Stream { id: Some(id), protocol: Some("hls"), playback_urls, destinations: None })
}

fn artifact<'a>(kind: &'static str, file: Option<File<'a>>) -> Artifact<'a> {
    Artifact { id: None, kind: Some(Cow::Borrowed(kind)), file }
}
