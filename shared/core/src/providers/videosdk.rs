//! VideoSDK: RSASSA-PKCS1-v1_5 with SHA-256 over the body, base64 in `videosdk-signature`.
//!
//! Source: npm `@videosdk.live/server-sdk` `src/resources/webhooks.ts`; VideoSDK documentation,
//! `webhook-verification` and `webhooks-list`. VideoSDK has one key for all its customers: the signature
//! proves the provider, and a token in the URL binds a delivery to this account. Bodies have neither id nor
//! time, so duplicates are detected by sequence.

use http::HeaderName;
use jiff::Timestamp;

use super::rsa_signature;
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    Artifact, BodyHash, Data, Dedupe, Delivery, ErrorInfo, EventType, File, Normalized, Participant,
    Provider, Recording, RecordingScope, Rejection, Room, RsaKeys, Session, Stream, Track, Transcription,
    Verified,
};

/// The provider VideoSDK.
#[derive(Clone, Copy, Debug)]
pub struct VideoSdk;

const SIGNATURE: &str = "videosdk-signature";

impl Provider for VideoSdk {
    const NAME: &'static str = "videosdk";
    type Keys = RsaKeys;

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &RsaKeys,
        _now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let assurance = rsa_signature::verify(delivery, &[SIGNATURE], keys)?;
        Ok(Verified::new(delivery.body, BodyHash::of(delivery.body), assurance, None))
    }

    fn precheck(delivery: &Delivery<'_>, _now: Timestamp) -> Result<(), Rejection> {
        rsa_signature::precheck(delivery, &[SIGNATURE])
    }

    fn reads(header: &HeaderName) -> bool {
        header == SIGNATURE
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize(verified, received_at, |body| read(body, verified.body()))
    }
}

fn read<'a>(body: Object<'_, 'a>, bytes: &[u8]) -> Reading<'a> {
    let provider_type = body.text("webhookType").or_else(|| body.text("type"));
    let data = body.object("data");
    let files = files(data);
    let (kind, resource) = classify(provider_type.as_deref().unwrap_or_default(), !files.is_empty());
    let time = match kind {
        EventType::SessionStarted => data.rfc3339("start"),
        EventType::SessionEnded => data.rfc3339("end"),
        _ => None,
    };
    Reading {
        kind: Some(kind),
        provider_type,
        time,
        dedupe: Some(dedupe(resource, data, bytes)),
        data: normalized_data(kind, resource, data, files),
        ..Reading::default()
    }
}

/// What an event is about. Determines its sequence and the normalized objects that it fills.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resource {
    Presence,
    Session,
    Recording(RecordingScope),
    Livestream,
    Hls,
    Transcription,
    Acquired,
    Unknown,
}

fn classify(provider_type: &str, has_file: bool) -> (EventType, Resource) {
    use EventType::*;
    let recordings = [
        ("participant-track-recording-", RecordingScope::Track),
        ("participant-recording-", RecordingScope::Participant),
        ("recording-", RecordingScope::Room),
    ];
    for (prefix, scope) in recordings {
        let kind = match provider_type.strip_prefix(prefix) {
            Some("starting") => RecordingStarting,
            Some("started") => RecordingStarted,
            Some("stopping") => RecordingStopping,
            Some("stopped") if has_file => RecordingReady,
            Some("stopped") => RecordingStopped,
            Some("failed") => RecordingFailed,
            _ => continue,
        };
        return (kind, Resource::Recording(scope));
    }
    match provider_type {
        "participant-joined" => (ParticipantJoined, Resource::Presence),
        "participant-left" => (ParticipantLeft, Resource::Presence),
        "session-started" => (SessionStarted, Resource::Session),
        "session-ended" => (SessionEnded, Resource::Session),
        "transcription-started" => (TranscriptionStarted, Resource::Transcription),
        "transcription-stopped" => (TranscriptionStopped, Resource::Transcription),
        "transcription-completed" => (TranscriptionReady, Resource::Transcription),
        "transcription-failed" => (TranscriptionFailed, Resource::Transcription),
        "livestream-starting" => (StreamStarting, Resource::Livestream),
        "livestream-started" => (StreamStarted, Resource::Livestream),
        "livestream-stopping" => (StreamStopping, Resource::Livestream),
        "livestream-stopped" => (StreamStopped, Resource::Livestream),
        "livestream-failed" => (StreamFailed, Resource::Livestream),
        "hls-starting" => (StreamStarting, Resource::Hls),
        "hls-started" => (StreamStarted, Resource::Hls),
        "hls-playable" => (StreamPlayable, Resource::Hls),
        "hls-stopping" => (StreamStopping, Resource::Hls),
        "hls-stopped" => (StreamStopped, Resource::Hls),
        "hls-failed" => (StreamFailed, Resource::Hls),
        "resource-acquired" => (ResourceAcquired, Resource::Acquired),
        _ => (Unknown, Resource::Unknown),
    }
}

fn dedupe(resource: Resource, data: Object<'_, '_>, body: &[u8]) -> Dedupe {
    let id = |name| data.id(name);
    let (session, participant) = (id("sessionId"), id("participantId"));
    let (name, parts) = match resource {
        Resource::Presence => ("presence", vec![session, participant]),
        Resource::Session => ("session", vec![session]),
        Resource::Recording(RecordingScope::Room) => ("recording", vec![session]),
        Resource::Recording(RecordingScope::Track) => ("track", vec![session, participant, id("kind")]),
        Resource::Recording(_) => ("participant", vec![session, participant]),
        Resource::Livestream => ("livestream", vec![session]),
        Resource::Hls => ("hls", vec![session]),
        Resource::Transcription => ("transcription", vec![id("id")]),
        Resource::Acquired => ("resource", vec![id("id")]),
        Resource::Unknown => ("unknown", vec![None]),
    };
    let parts: Vec<Option<&str>> = parts.iter().map(Option::as_deref).collect();
    Dedupe::by_sequence(VideoSdk::NAME, name, &parts, body)
}

fn normalized_data<'a>(
    kind: EventType,
    resource: Resource,
    data: Object<'_, 'a>,
    files: Vec<File<'a>>,
) -> Data<'a> {
    let id = data.id("id");
    let protocol = match resource {
        Resource::Hls => Some("hls"),
        Resource::Livestream => Some("rtmp"),
        _ => None,
    };
    let urls = ["playbackHlsUrl", "livestreamUrl", "downstreamUrl"];
    Data {
        room: known(Room { id: data.id("meetingId").or_else(|| data.id("roomId")), ..Room::default() }),
        session: known(Session {
            id: data.id("sessionId"),
            started_at: data.rfc3339("start"),
            ended_at: data.rfc3339("end"),
            duration_s: None,
        }),
        participant: known(Participant {
            id: data.id("participantId"),
            name: data.text("participantName"),
            reason: (kind == EventType::ParticipantLeft).then(|| data.text("reason")).flatten(),
            ..Participant::default()
        }),
        track: (resource == Resource::Recording(RecordingScope::Track))
            .then(|| Track { kind: data.text("kind"), ..Track::default() })
            .and_then(known),
        recording: match resource {
            Resource::Recording(scope) => {
                Some(Recording { id: id.clone(), scope: Some(scope), files: some(files.clone()) })
            }
            _ => None,
        },
        stream: protocol.map(|protocol| Stream {
            id: id.clone(),
            protocol: Some(protocol),
            playback_urls: some(urls.iter().filter_map(|name| data.text(name))),
            destinations: None,
        }),
        transcription: (resource == Resource::Transcription).then(|| Transcription {
            id: id.clone(),
            mode: data.text("type"),
            files: some(files),
        }),
        artifact: (resource == Resource::Acquired).then(|| Artifact {
            id,
            kind: data.text("type"),
            file: None,
        }),
        error: error(kind, data),
        ..Data::default()
    }
}

/// The files named by `filePath` and `fileUrl` in the event itself and in each of its `fileDetails`.
fn files<'a>(data: Object<'_, 'a>) -> Vec<File<'a>> {
    let file = |object: Object<'_, 'a>| {
        known(File { url: object.text("fileUrl"), path: object.text("filePath"), ..File::default() })
    };
    std::iter::once(data).chain(data.objects("fileDetails")).filter_map(file).collect()
}

fn error<'a>(kind: EventType, data: Object<'_, 'a>) -> Option<ErrorInfo<'a>> {
    let error = data.object("error");
    let message = || error.text("message").or_else(|| data.text("error")).or_else(|| data.text("message"));
    let is_failure = kind.as_str().ends_with("failed");
    (is_failure || data.raw("error").is_some())
        .then(|| ErrorInfo { code: error.id("code"), r#type: error.text("type"), message: message() })
        .and_then(known)
}
