//! GetStream Video: an HMAC-SHA256 of the body in `x-signature`.
//!
//! Source: GetStream/getstream-go `webhook.go` and `models.go` (signature, types, bodies) and its webhook fixtures;
//! getstream.io/video/docs/api/webhooks (headers, retries). If the app compresses webhooks, the signature is over the
//! body before compression, and a proxy may have unpacked it: its first bytes decide. `x-webhook-id`,
//! `x-webhook-attempt` and `x-api-key` are not signed, so none of them counts.
//!
//! A call is the room, `<type>:<id>`. Bodies have no id, but `created_at` in nanoseconds, so a body is its own identity.
//! Times are RFC 3339 in captured deliveries, and integers of nanoseconds in getstream-go. The events of GetStream's
//! chat, feeds and moderation arrive at the same URL; these and what does not fit the vocabulary (ringing, members,
//! reactions, settings) are stored as `live.unknown`.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use http::HeaderName;
use jiff::Timestamp;

use super::signing_secrets;
use crate::event::{self, Reading, known, some};
use crate::gzip;
use crate::json::Object;
use crate::{
    Artifact, Assurance, BodyHash, Data, Delivery, ErrorInfo, EventType, File, Ingress, Normalized,
    Participant, Provider, Recording, RecordingScope, Rejection, Room, SecretList, Session, SigningSecrets,
    Stream, Transcription, Verified,
};

/// The provider GetStream Video.
#[derive(Clone, Copy, Debug)]
pub struct GetStream;

const SIGNATURE: &str = "x-signature";

impl SecretList for GetStream {
    const FIELD: &'static str = "api_secrets";
    const SHAPE: &'static str = r#"{"api_secrets": ["<secret>"]}"#;
}

impl Provider for GetStream {
    const NAME: &'static str = "getstream";
    type Keys = SigningSecrets<Self>;
    const UNMAPPED_TYPES: &'static [&'static str] = &["call.", "message."];

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &Self::Keys,
        _now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let (signature, body) = signature_and_body(delivery)?;
        signing_secrets::verify_signature(&keys.secrets, &[], &body, &[signature])?;
        let body_hash = BodyHash::of(&body);
        Ok(Verified::new(body, body_hash, Assurance::Signed, None))
    }

    fn precheck(delivery: &Delivery<'_>, _now: Timestamp) -> Result<(), Rejection> {
        signature_and_body(delivery).map(drop)
    }

    fn reads(header: &HeaderName) -> bool {
        header == SIGNATURE
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize_by_body(verified, received_at, read)
    }
}

/// The signature, and the body that it is over.
fn signature_and_body<'a>(delivery: &Delivery<'a>) -> Result<([u8; 32], Cow<'a, [u8]>), Rejection> {
    let encoded = delivery.first_header(&[SIGNATURE])?;
    let signature = HEXLOWER.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok());
    let signature = signature.ok_or_else(|| Rejection::MalformedCredential {
        expected: "an HMAC-SHA256 in lower-case hex (64 characters)",
        found: format!("{} characters that are none", encoded.len()),
    })?;
    Ok((signature, gzip::unpacked(delivery.body)?))
}

fn read<'a>(body: Object<'_, 'a>) -> Reading<'a> {
    let provider_type = body.text("type");
    let kind = event_type(provider_type.as_deref().unwrap_or_default());
    Reading {
        kind: Some(kind),
        time: time(body, "created_at"),
        data: normalized_data(provider_type.as_deref().unwrap_or_default(), kind, body),
        provider_type,
        ..Reading::default()
    }
}

fn event_type(provider_type: &str) -> EventType {
    use EventType::*;
    match provider_type {
        "call.created" => RoomCreated,
        "call.session_started" => SessionStarted,
        "call.ended" => SessionEnding,
        "call.session_ended" => SessionEnded,
        "call.session_participant_joined" => ParticipantJoined,
        "call.session_participant_left" => ParticipantLeft,
        "call.member_updated_permission" | "call.permissions_updated" => ParticipantRoleChanged,
        "call.user_muted" => TrackMuted,
        "call.recording_started" | "call.frame_recording_started" => RecordingStarted,
        "call.recording_stopped" | "call.frame_recording_stopped" => RecordingStopped,
        "call.recording_ready" => RecordingReady,
        "call.recording_failed" | "call.frame_recording_failed" => RecordingFailed,
        // One image, of a recording that goes on.
        "call.frame_recording_ready" => RecordingUpdated,
        "call.live_started" => StreamStarting,
        "call.hls_broadcasting_started" | "call.rtmp_broadcast_started" => StreamStarted,
        "call.hls_broadcasting_stopped" | "call.rtmp_broadcast_stopped" => StreamStopped,
        "call.hls_broadcasting_failed" | "call.rtmp_broadcast_failed" => StreamFailed,
        "ingress.started" => IngressStarted,
        "ingress.stopped" => IngressEnded,
        "ingress.error" => IngressFailed,
        "call.transcription_started" | "call.closed_captions_started" => TranscriptionStarted,
        "call.transcription_stopped" | "call.closed_captions_stopped" => TranscriptionStopped,
        "call.transcription_ready" => TranscriptionReady,
        "call.transcription_failed" | "call.closed_captions_failed" => TranscriptionFailed,
        "call.stats_report_ready" => AnalyticsReady,
        _ => Unknown,
    }
}

/// RFC 3339, or nanoseconds since 1970.
fn time(object: Object<'_, '_>, name: &str) -> Option<Timestamp> {
    object.rfc3339(name).or_else(|| object.unix_ns(name))
}

fn normalized_data<'a>(provider_type: &str, kind: EventType, body: Object<'_, 'a>) -> Data<'a> {
    let call = body.object("call");
    let family = kind.as_str().split('.').nth(1).unwrap_or_default();
    Data {
        room: known(Room { id: body.id("call_cid").or_else(|| call.id("cid")), ..Room::default() }),
        session: session(body, call),
        participant: participant(kind, body),
        recording: (family == "recording").then(|| recording(provider_type, body)),
        stream: (family == "stream").then(|| stream(provider_type, body, call)).and_then(known),
        ingress: (family == "ingress")
            .then(|| Ingress { id: body.id("ingress_stream_id"), ..Ingress::default() })
            .and_then(known),
        transcription: (family == "transcription")
            .then(|| transcription(provider_type, body))
            .and_then(known),
        artifact: (kind == EventType::AnalyticsReady)
            .then(|| Artifact { kind: Some("stats_report".into()), ..Artifact::default() }),
        error: kind.as_str().ends_with("failed").then(|| error(body)).and_then(known),
        ..Data::default()
    }
}

fn session<'a>(body: Object<'_, 'a>, call: Object<'_, 'a>) -> Option<Session<'a>> {
    let session = call.object("session");
    let of_file =
        ["call_recording", "call_transcription"].iter().find_map(|name| body.object(name).id("session_id"));
    known(Session {
        id: body
            .id("session_id")
            .or(of_file)
            .or_else(|| session.id("id"))
            .or_else(|| call.id("current_session_id")),
        started_at: time(session, "started_at"),
        ended_at: time(session, "ended_at"),
        duration_s: None,
    })
}

/// Whom the event is about; nobody if it is about several.
fn participant<'a>(kind: EventType, body: Object<'_, 'a>) -> Option<Participant<'a>> {
    use EventType::*;
    let participant = match kind {
        ParticipantJoined | ParticipantLeft => {
            let participant = body.object("participant");
            Participant {
                id: participant.id("user_session_id"),
                role: participant.text("role"),
                joined_at: time(participant, "joined_at"),
                reason: (kind == ParticipantLeft).then(|| body.text("reason")).flatten(),
                ..user(participant.object("user"))
            }
        }
        ParticipantRoleChanged => match body.objects("members")[..] {
            [member] => Participant { role: member.text("role"), ..user(member.object("user")) },
            [] => user(body.object("user")),
            _ => Participant::default(),
        },
        TrackMuted => match &body.texts("muted_user_ids")[..] {
            [id] => Participant { user_id: Some(id.clone()), ..Participant::default() },
            _ => Participant::default(),
        },
        IngressStarted | IngressEnded | IngressFailed => {
            Participant { user_id: body.id("user_id"), ..Participant::default() }
        }
        _ => Participant::default(),
    };
    known(participant)
}

fn user<'a>(user: Object<'_, 'a>) -> Participant<'a> {
    Participant { user_id: user.id("id"), name: user.text("name"), ..Participant::default() }
}

fn recording<'a>(provider_type: &str, body: Object<'_, 'a>) -> Recording<'a> {
    let is_of_frames = provider_type.starts_with("call.frame_recording_");
    let scope = match body.text("recording_type").as_deref() {
        _ if is_of_frames => RecordingScope::Track,
        Some("individual") => RecordingScope::Participant,
        _ => RecordingScope::Room,
    };
    let file = match is_of_frames {
        true => known(File { url: body.text("url"), ..File::default() }),
        false => file(body.object("call_recording")),
    };
    Recording { id: body.id("egress_id"), scope: Some(scope), files: some(file) }
}

fn file<'a>(object: Object<'_, 'a>) -> Option<File<'a>> {
    let times = time(object, "start_time").zip(time(object, "end_time"));
    let duration_s = times.map(|(start, end)| end.duration_since(start).as_secs_f64());
    known(File {
        url: object.text("url"),
        path: object.text("filename"),
        duration_s: duration_s.filter(|seconds| *seconds >= 0.0),
        ..File::default()
    })
}

fn stream<'a>(provider_type: &str, body: Object<'_, 'a>, call: Object<'_, 'a>) -> Stream<'a> {
    if provider_type.starts_with("call.rtmp_") {
        return Stream { id: body.id("name"), protocol: Some("rtmp"), ..Stream::default() };
    }
    let hls = call.object("egress").object("hls");
    let playlist = body.text("hls_playlist_url").or_else(|| hls.text("playlist_url"));
    let is_hls = playlist.is_some() || provider_type.starts_with("call.hls_");
    Stream { protocol: is_hls.then_some("hls"), playback_urls: some(playlist), ..Stream::default() }
}

fn transcription<'a>(provider_type: &str, body: Object<'_, 'a>) -> Transcription<'a> {
    let is_captions = provider_type.starts_with("call.closed_captions_");
    Transcription {
        id: body.id("egress_id"),
        mode: is_captions.then_some("closed_captions".into()),
        files: some(file(body.object("call_transcription"))),
    }
}

fn error<'a>(body: Object<'_, 'a>) -> ErrorInfo<'a> {
    ErrorInfo { code: body.id("code"), r#type: None, message: body.text("error") }
}
