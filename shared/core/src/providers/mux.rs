//! Mux: an HMAC-SHA256 of time and body in `mux-signature`.
//!
//! Source: npm `@mux/mux-node` 15.3.0 `src/resources/webhooks/webhooks.ts` (signature) and its types, `@mux/cli`
//! 2.0.1 `mux webhooks trigger` (bodies), docs.mux.com "Listen for webhooks" (retries for 24 h). Whether a retry is
//! signed again is not documented, so a signature is valid for an hour longer than that.
//!
//! A live stream is the room: an asset and a simulcast target name it in `live_stream_id`. `connected` and
//! `disconnected` are about the encoder, `active` and `idle` about what viewers see, an asset is the recording.
//! `attempts` lists the earlier attempts to deliver, so the body differs from attempt to attempt. Types that do not fit
//! the vocabulary (uploads, tracks, renditions, robots, settings of a stream) are stored as `live.unknown`.

use data_encoding::HEXLOWER;
use http::HeaderName;
use jiff::{SignedDuration, Timestamp};

use super::timestamped_signature::TimestampedSignature;
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    Assurance, BodyHash, Data, Dedupe, Delivery, ErrorInfo, EventType, File, Ingress, Normalized, Provider,
    Recording, RecordingScope, Rejection, Room, SecretList, SigningSecrets, Stream, Verified,
};

/// The provider Mux.
#[derive(Clone, Copy, Debug)]
pub struct Mux;

const SIGNATURE: TimestampedSignature = TimestampedSignature {
    header: "mux-signature",
    encoding: HEXLOWER,
    form: "t=<seconds>,v1=<HMAC-SHA256 in lower-case hex>",
    age_max: SignedDuration::from_hours(25),
};

impl SecretList for Mux {
    const FIELD: &'static str = "signing_secrets";
    const SHAPE: &'static str = r#"{"signing_secrets": ["<secret>"]}"#;
}

impl Provider for Mux {
    const NAME: &'static str = "mux";
    type Keys = SigningSecrets<Self>;
    const SECRET_FIELDS: &'static [&'static str] = &["srt_passphrase"];
    const CHANGING_FIELDS: &'static [&'static str] = &["attempts"];
    const UNMAPPED_TYPES: &'static [&'static str] =
        &["video.asset.", "video.delivery.", "video.live_stream.", "video.upload.", "robots."];

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &Self::Keys,
        now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        SIGNATURE.verify(delivery, &keys.secrets, now)?;
        Ok(Verified::new(delivery.body, BodyHash::of(delivery.body), Assurance::Signed, None))
    }

    fn precheck(delivery: &Delivery<'_>, now: Timestamp) -> Result<(), Rejection> {
        SIGNATURE.precheck(delivery, now)
    }

    fn reads(header: &HeaderName) -> bool {
        header == SIGNATURE.header
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize(verified, received_at, |body| read(body, verified.body()))
    }
}

fn read<'a>(body: Object<'_, 'a>, bytes: &[u8]) -> Reading<'a> {
    let provider_type = body.text("type");
    let data = body.object("data");
    let (kind, resource) = classify(provider_type.as_deref().unwrap_or_default(), data);
    Reading {
        kind: Some(kind),
        provider_type,
        time: body.rfc3339("created_at"),
        account: body.object("environment").id("id"),
        dedupe: Some(Dedupe::by_id(Mux::NAME, body.id("id").as_deref(), bytes)),
        data: normalized_data(kind, resource, data),
        ..Reading::default()
    }
}

/// What `data` describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resource {
    LiveStream,
    SimulcastTarget,
    /// An asset that was made from a live stream.
    Recording,
    Other,
}

fn classify(provider_type: &str, data: Object<'_, '_>) -> (EventType, Resource) {
    use EventType::*;
    if let Some(event) = provider_type.strip_prefix("video.live_stream.simulcast_target.") {
        let kind = match event {
            "starting" => StreamStarting,
            "broadcasting" => StreamStarted,
            "idle" => StreamStopped,
            "errored" => StreamFailed,
            _ => Unknown,
        };
        return (kind, Resource::SimulcastTarget);
    }
    if let Some(event) = provider_type.strip_prefix("video.live_stream.") {
        let kind = match event {
            "created" => RoomCreated,
            "connected" => IngressStarted,
            "disconnected" => IngressEnded,
            "recording" => RecordingStarted,
            "active" => StreamPlayable,
            "idle" => StreamStopped,
            _ => Unknown,
        };
        return (kind, Resource::LiveStream);
    }
    let is_recording = data.id("live_stream_id").is_some();
    let is_live = data.bool("is_live") == Some(true);
    match provider_type {
        "video.asset.live_stream_completed" => (RecordingStopped, Resource::Recording),
        _ if !is_recording => (Unknown, Resource::Other),
        "video.asset.ready" if !is_live => (RecordingReady, Resource::Recording),
        "video.asset.errored" => (RecordingFailed, Resource::Recording),
        "video.asset.deleted" => (RecordingDeleted, Resource::Recording),
        "video.asset.created" | "video.asset.ready" | "video.asset.updated" | "video.asset.warning" => {
            (Unknown, Resource::Recording)
        }
        _ => (Unknown, Resource::Other),
    }
}

fn normalized_data<'a>(kind: EventType, resource: Resource, data: Object<'_, 'a>) -> Data<'a> {
    let id = data.id("id");
    let stream = match (resource, kind) {
        (Resource::SimulcastTarget, _) => {
            let url = data.text("url");
            let protocol = url.as_deref().and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme);
            Some(Stream {
                id: id.clone(),
                protocol: Some(if protocol == Some("srt") { "srt" } else { "rtmp" }),
                playback_urls: None,
                destinations: some(url),
            })
        }
        (Resource::LiveStream, EventType::StreamPlayable | EventType::StreamStopped) => Some(Stream {
            id: id.clone(),
            protocol: Some("hls"),
            playback_urls: some(playback_urls(data).map(Into::into)),
            destinations: None,
        }),
        _ => None,
    };
    let recording = match (resource, kind) {
        (Resource::LiveStream, EventType::RecordingStarted) => {
            Some(Recording { id: data.id("active_asset_id"), scope: Some(RecordingScope::Room), files: None })
        }
        (Resource::Recording, _) => Some(Recording {
            id: id.clone(),
            scope: Some(RecordingScope::Room),
            files: some(playback_urls(data).map(|url| File {
                url: Some(url.into()),
                duration_s: data.number("duration"),
                ..File::default()
            })),
        }),
        _ => None,
    };
    let is_ingress = matches!(kind, EventType::IngressStarted | EventType::IngressEnded);
    Data {
        room: known(Room {
            id: match resource {
                Resource::LiveStream => id.clone(),
                _ => data.id("live_stream_id"),
            },
            ..Room::default()
        }),
        recording,
        stream,
        ingress: is_ingress.then(|| Ingress { id, ..Ingress::default() }),
        error: error(data.object("errors")),
        ..Data::default()
    }
}

/// The HLS URLs of the playback ids that need no token, as Mux documents them.
fn playback_urls(data: Object<'_, '_>) -> impl Iterator<Item = String> {
    let ids = data.objects("playback_ids").into_iter();
    let public = ids.filter(|id| id.text("policy").as_deref() == Some("public"));
    public.filter_map(|id| Some(format!("https://stream.mux.com/{}.m3u8", id.id("id")?)))
}

fn error<'a>(errors: Object<'_, 'a>) -> Option<ErrorInfo<'a>> {
    let messages = errors.texts("messages");
    let message = (!messages.is_empty()).then(|| messages.join(" ").into());
    known(ErrorInfo { code: None, r#type: errors.text("type"), message })
}
