//! 100ms: a static secret header, or an HMAC-SHA256 of the body in `X-100ms-Signature`.
//!
//! Source: 100ms documentation, `configure-webhooks/secure-webhooks` (secret headers) and
//! `configure-webhooks/webhook` (bodies). The signature scheme comes from third-party schemas; 100ms has not
//! confirmed it. Times are RFC 3339, Go's zero time means "never", durations are in seconds, sizes in bytes.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use subtle::{Choice, ConstantTimeEq};

use super::signing_secrets;
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    Artifact, Assurance, BodyHash, Data, Dedupe, Delivery, ErrorInfo, EventType, File, Ingress, Normalized,
    Participant, Provider, Recording, RecordingScope, Rejection, Room, Session, Stream, Track, Transcription,
    Verified,
};

mod keys;

pub use keys::HmsKeys;

/// The provider 100ms.
#[derive(Clone, Copy, Debug)]
pub struct Hms;

const SIGNATURE: &str = "X-100ms-Signature";

impl Provider for Hms {
    const NAME: &'static str = "100ms";
    type Keys = HmsKeys;

    /// Verifies the signature if there is one and a signing secret is configured; otherwise the secret header.
    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &HmsKeys,
        _now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let assurance = match signature(delivery)? {
            Some(signature) if !keys.signing_secrets.is_empty() => {
                let signatures = [decode(signature)?];
                signing_secrets::verify_signature(&keys.signing_secrets, &[], delivery.body, &signatures)?;
                Assurance::Signed
            }
            _ => {
                verify_headers(delivery, keys)?;
                Assurance::SharedSecret
            }
        };
        Ok(Verified::new(delivery.body, BodyHash::of(delivery.body), assurance, None))
    }

    /// The keys choose the headers, and without a signing secret signatures are ignored, so only a repeated
    /// signature can be rejected here.
    fn precheck(delivery: &Delivery<'_>, _now: Timestamp) -> Result<(), Rejection> {
        signature(delivery).map(drop)
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize(verified, received_at, |body| read(body, verified.body()))
    }
}

fn signature<'a>(delivery: &Delivery<'a>) -> Result<Option<&'a [u8]>, Rejection> {
    delivery.header(SIGNATURE)
}

fn decode(signature: &[u8]) -> Result<[u8; 32], Rejection> {
    let encoded = signature.strip_prefix(b"sha256=").unwrap_or(signature);
    let decoded = match encoded.len() {
        64 => HEXLOWER_PERMISSIVE.decode(encoded),
        _ => BASE64.decode(encoded),
    };
    decoded.ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Rejection::MalformedCredential {
        expected: "an HMAC-SHA256 in hex (64 characters) or base64 (44)",
        found: format!("{} characters that are neither", encoded.len()),
    })
}

fn verify_headers(delivery: &Delivery<'_>, keys: &HmsKeys) -> Result<(), Rejection> {
    let mut mismatched = None;
    for header in &keys.headers {
        let mut values = delivery.headers.get_all(&header.name).iter();
        let Some(found) = values.next() else { continue };
        let more = values.count();
        if more > 0 {
            return Err(Rejection::RepeatedHeader { name: header.name.to_string(), found: more + 1 });
        }
        let equal = |value: &String| value.as_bytes().ct_eq(found.as_bytes());
        let any = header.values.iter().fold(Choice::from(0), |any, value| any | equal(value));
        if bool::from(any) {
            return Ok(());
        }
        mismatched = Some(header.name.to_string());
    }
    Err(match mismatched {
        Some(name) => Rejection::WrongHeaderValue { name },
        None => {
            let signature = (!keys.signing_secrets.is_empty()).then(|| SIGNATURE.to_owned());
            let headers = keys.headers.iter().map(|header| header.name.to_string());
            Rejection::MissingHeader { names: signature.into_iter().chain(headers).collect() }
        }
    })
}

fn read<'a>(body: Object<'_, 'a>, bytes: &[u8]) -> Reading<'a> {
    let provider_type = body.text("type");
    let data = body.object("data");
    let kind = event_type(provider_type.as_deref().unwrap_or_default(), data);
    let id = body.id("id");
    Reading {
        kind: Some(kind),
        time: body.rfc3339("timestamp"),
        account: body.id("account_id"),
        dedupe: Some(Dedupe::by_id(Hms::NAME, id.as_deref(), bytes)),
        data: normalized_data(provider_type.as_deref().unwrap_or_default(), kind, data),
        provider_type,
        ..Reading::default()
    }
}

fn event_type(provider_type: &str, data: Object<'_, '_>) -> EventType {
    use EventType::*;
    // A beam is a bot in the room that records it, streams it, or both.
    let beam = |recording, stream| match data.bool("recording_enabled") {
        Some(true) => recording,
        _ => stream,
    };
    match provider_type {
        "session.open.success" => SessionStarted,
        "session.close.success" => SessionEnded,
        "room.end.success" => SessionEnding,
        "room.end.failure" => SessionEndFailed,
        "peer.join.success" => ParticipantJoined,
        "peer.join.failure" => ParticipantJoinFailed,
        "peer.leave.success" => ParticipantLeft,
        "peer.leave.failure" => ParticipantLeaveFailed,
        "role.change.success" => ParticipantRoleChanged,
        "role.change.failure" => ParticipantRoleChangeFailed,
        "track.add.success" => TrackPublished,
        "track.remove.success" => TrackUnpublished,
        "track.recording.started.success" => RecordingStarted,
        "beam.started.success" => beam(RecordingStarted, StreamStarted),
        "beam.stopped.success" => beam(RecordingStopped, StreamStopped),
        "beam.failure" => beam(RecordingFailed, StreamFailed),
        "recording.success"
        | "beam.recording.success"
        | "track.recording.success"
        | "stream.recording.success"
        | "hls.recording.success" => RecordingReady,
        "recording.failed" | "track.recording.failure" | "stream.recording.failure" => RecordingFailed,
        "hls.started.success" | "rtmp.started.success" => StreamStarted,
        "hls.stopped.success" => StreamStopped,
        "hls.failure" | "rtmp.failure" => StreamFailed,
        "ingest.start.success" => IngressStarted,
        "ingest.end.success" => IngressEnded,
        "ingest.failure" | "ingest.start.failure" => IngressFailed,
        "transcription.started.success" => TranscriptionStarted,
        "transcription.success" => TranscriptionReady,
        "transcription.failure" | "transcription.failed" => TranscriptionFailed,
        "summary.success" => SummaryReady,
        "policy.update" => PolicyUpdated,
        _ => Unknown,
    }
}

fn normalized_data<'a>(provider_type: &str, kind: EventType, data: Object<'_, 'a>) -> Data<'a> {
    let (family, _) = provider_type.split_once('.').unwrap_or((provider_type, ""));
    let kind = kind.as_str();
    let is_recording = kind.starts_with("live.recording.");
    // The peer of a beam or an HLS stream is the provider's bot.
    let is_about_peer = matches!(family, "peer" | "role" | "room" | "track" | "stream");
    Data {
        room: known(Room { id: data.id("room_id"), name: data.text("room_name"), ..Room::default() }),
        session: known(Session {
            id: data.id("session_id"),
            started_at: data.rfc3339("session_started_at"),
            ended_at: data.rfc3339("session_stopped_at"),
            duration_s: data.number("session_duration"),
        }),
        participant: is_about_peer.then(|| participant(data)).and_then(known),
        track: known(Track {
            id: data.id("track_id"),
            kind: data.text("track_type"),
            source: data.text("track_source"),
            ..Track::default()
        }),
        recording: is_recording.then(|| recording(family, data)),
        stream: kind.starts_with("live.stream.").then(|| stream(family, data)),
        ingress: kind
            .starts_with("live.ingress.")
            .then(|| Ingress {
                id: data.id("ingest_id"),
                started_at: data.rfc3339("started_at"),
                ended_at: data.rfc3339("completed_at"),
                duration_s: data.number("duration"),
                reason: data.text("reason"),
                name: None,
            })
            .and_then(known),
        transcription: kind.starts_with("live.transcription.").then(|| Transcription {
            id: data.id("transcription_id"),
            mode: None,
            files: some(
                ["transcript_json", "transcript_srt", "transcript_txt", "summary_json"]
                    .map(|prefix| file(data, prefix))
                    .into_iter()
                    .flatten(),
            ),
        }),
        artifact: (kind == "live.summary.ready").then(|| Artifact {
            id: data.id("summary_id").or_else(|| data.id("transcription_id")),
            kind: Some("meeting_summary".into()),
            file: file(data, "summary_json"),
        }),
        error: kind
            .ends_with("failed")
            .then(|| ErrorInfo {
                code: data.id("error_code"),
                r#type: data.text("error_type"),
                message: data.text("error_message").or_else(|| data.text("error")),
            })
            .and_then(known),
        ..Data::default()
    }
}

fn participant<'a>(data: Object<'_, 'a>) -> Participant<'a> {
    Participant {
        id: data.id("peer_id"),
        sid: None,
        user_id: data.id("user_id"),
        name: data.text("user_name"),
        role: data.text("role"),
        joined_at: data.rfc3339("joined_at"),
        left_at: data.rfc3339("left_at"),
        reason: data.text("reason"),
    }
}

fn recording<'a>(family: &str, data: Object<'_, 'a>) -> Recording<'a> {
    let recorded = |file: File<'a>| File {
        size_bytes: file.size_bytes.or_else(|| data.int("size")),
        duration_s: data.number("duration"),
        ..file
    };
    let files = [
        file(data, "recording").map(recorded),
        file(data, "hls_vod_recording").map(|file| File { duration_s: data.number("duration"), ..file }),
        file(data, "chat_recording"),
    ];
    let layers = data.objects("recording_single_files").into_iter().filter_map(|layer| {
        file(layer, "recording").map(|file| File { size_bytes: layer.int("size"), ..file })
    });
    Recording {
        id: ["recording_id", "beam_id", "job_id"].iter().find_map(|name| data.id(name)),
        scope: Some(match family {
            "track" => RecordingScope::Track,
            "stream" => RecordingScope::Stream,
            _ => RecordingScope::Room,
        }),
        files: some(files.into_iter().flatten().chain(layers)),
    }
}

/// The file whose fields start with `prefix`: `…_path`, `…_presigned_url`, `…_size`.
fn file<'a>(data: Object<'_, 'a>, prefix: &str) -> Option<File<'a>> {
    let file = File {
        url: data.text(&format!("{prefix}_presigned_url")),
        path: data.text(&format!("{prefix}_path")),
        ..File::default()
    };
    known(file).map(|file| File { size_bytes: data.int(&format!("{prefix}_size")), ..file })
}

fn stream<'a>(family: &str, data: Object<'_, 'a>) -> Stream<'a> {
    let url = |object: Object<'_, 'a>| object.text("url");
    Stream {
        id: ["beam_id", "stream_id", "job_id"].iter().find_map(|name| data.id(name)),
        protocol: Some(if family == "hls" { "hls" } else { "rtmp" }),
        playback_urls: some((family == "hls").then(|| url(data)).flatten()),
        destinations: some(data.objects("rtmp").into_iter().filter_map(url)),
    }
}
