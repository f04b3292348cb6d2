//! VideoSDK: RSASSA-PKCS1-v1_5 with SHA-256 over the body, base64 in `videosdk-signature`.
//!
//! Source: npm `@videosdk.live/server-sdk` `src/resources/webhooks.ts`; VideoSDK documentation,
//! `webhook-verification` and `webhooks-list`. VideoSDK has one key for all its customers: the signature
//! proves the provider, and a token in the URL binds a delivery to this account. Bodies have neither id nor
//! time, so duplicates are detected by sequence.

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use data_encoding::BASE64;
use http::HeaderName;
use jiff::Timestamp;
use serde_json::Value;
use subtle::{Choice, ConstantTimeEq};

use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::keys::{self, Keys, KeysError};
use crate::{
    Artifact, Assurance, BodyHash, Data, Dedupe, Delivery, ErrorInfo, EventType, File, Normalized,
    Participant, Provider, Recording, RecordingScope, Rejection, Room, Session, Stream, Track, Transcription,
    Verified, weakness,
};

/// The provider VideoSDK.
#[derive(Clone, Copy, Debug)]
pub struct VideoSdk;

/// VideoSDK's public keys, and the URL tokens of this account.
pub struct VideoSdkKeys {
    public_keys: Vec<ParsedPublicKey>,
    url_tokens: Vec<String>,
    weakness: Option<String>,
}

impl Keys for VideoSdkKeys {
    const SHAPE: &'static str = r#"{"public_keys": ["<PEM>"], "url_tokens": ["<token>"]}"#;

    fn from_json(secret: &Value) -> Result<Self, KeysError> {
        let object = keys::object(".", secret, &["public_keys", "url_tokens"])?;
        let pems = keys::strings(".", object, "public_keys")?;
        if pems.is_empty() {
            return Err(KeysError::placeholder("public_keys", "at least one public key in PEM"));
        }
        let ders: Vec<_> = pems.iter().enumerate().map(der).collect::<Result<_, _>>()?;
        let public_keys = ders.iter().enumerate().map(public_key).collect::<Result<_, _>>()?;
        let url_tokens: Vec<_> =
            keys::strings(".", object, "url_tokens")?.into_iter().map(str::to_owned).collect();
        let weak_key = ders.iter().find_map(|der| weakness::of_key("public_keys", der));
        let weak_token = url_tokens.iter().find_map(|token| weakness::of_secret("url_tokens", token));
        Ok(Self { public_keys, url_tokens, weakness: weak_key.or(weak_token) })
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }
}

/// PKCS#1 (`RSA PUBLIC KEY`, what VideoSDK serves) or SPKI (`PUBLIC KEY`).
fn der((index, text): (usize, &&str)) -> Result<Vec<u8>, KeysError> {
    let pem = pem::parse(text).map_err(|_| wrong_key(index, "a string that is not PEM"))?;
    match pem.tag() {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Ok(pem.into_contents()),
        tag => Err(wrong_key(index, &format!("a PEM of {tag:?}"))),
    }
}

fn public_key((index, der): (usize, &Vec<u8>)) -> Result<ParsedPublicKey, KeysError> {
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)
        .map_err(|_| wrong_key(index, "another kind of key"))
}

fn wrong_key(index: usize, found: &str) -> KeysError {
    KeysError::new(format!("public_keys[{index}]"), "an RSA public key of 2048 to 8192 bits in PEM", found)
}

const SIGNATURE: &str = "videosdk-signature";

impl Provider for VideoSdk {
    const NAME: &'static str = "videosdk";
    type Keys = VideoSdkKeys;

    /// If URL tokens are configured, a delivery without one is rejected: anybody with a VideoSDK account can
    /// have signed deliveries sent here.
    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &VideoSdkKeys,
        _now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        verify_signature(delivery.body, &signature(delivery)?, &keys.public_keys)?;
        let assurance = verify_url_token(delivery.url_token, &keys.url_tokens)?;
        Ok(Verified::new(delivery.body, BodyHash::of(delivery.body), assurance, None))
    }

    fn precheck(delivery: &Delivery<'_>, _now: Timestamp) -> Result<(), Rejection> {
        signature(delivery).map(drop)
    }

    fn reads(header: &HeaderName) -> bool {
        header == SIGNATURE
    }

    fn normalize<'a>(verified: &Verified<'a, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize(verified, received_at, |body| read(body, verified.body()))
    }
}

fn signature(delivery: &Delivery<'_>) -> Result<Vec<u8>, Rejection> {
    let encoded = delivery
        .header(SIGNATURE)?
        .ok_or_else(|| Rejection::MissingHeader { names: vec![SIGNATURE.to_owned()] })?;
    BASE64.decode(encoded).map_err(|_| Rejection::MalformedCredential {
        expected: "an RSA signature in base64",
        found: format!("{} characters that are not base64", encoded.len()),
    })
}

fn verify_signature(body: &[u8], signature: &[u8], keys: &[ParsedPublicKey]) -> Result<(), Rejection> {
    match keys.iter().any(|key| key.verify_sig(body, signature).is_ok()) {
        true => Ok(()),
        false => Err(Rejection::SignatureMismatch {
            keys: format!("one of {} public keys", keys.len()),
            body_bytes: body.len(),
        }),
    }
}

fn verify_url_token(found: Option<&str>, tokens: &[String]) -> Result<Assurance, Rejection> {
    if tokens.is_empty() {
        return Ok(Assurance::ProviderSigned);
    }
    let found = found.ok_or(Rejection::MissingUrlToken)?.as_bytes();
    let any = tokens.iter().fold(Choice::from(0), |any, token| any | token.as_bytes().ct_eq(found));
    if any.into() { Ok(Assurance::Signed) } else { Err(Rejection::WrongUrlToken) }
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
        account: None,
        dedupe: Some(dedupe(resource, data, bytes)),
        data: normalized_data(kind, resource, data, files),
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
