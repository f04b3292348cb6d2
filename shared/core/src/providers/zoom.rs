//! Zoom (Meetings, Webinars, Video SDK): an HMAC-SHA256 of time and body in `x-zm-signature`, the time in
//! `x-zm-request-timestamp`.
//!
//! Source: developers.zoom.us "Using webhooks" (signature, url validation, retries) and the events' references (bodies),
//! zoom/webhook-sample `index.js`, npm `@zoom/rivet` 0.4.0, zoom/arlo. The last two verify the body as re-serialized JSON,
//! which for Zoom's compact JSON is the same. Zoom retries after 5, 25 and 85 minutes; whether a retry is signed again is
//! not documented, so a signature is valid for an hour longer than that. Zoom sends no id, but every body has the time
//! of the event in milliseconds, so the body identifies the event. Whether a retry has a new `download_token` is unknown.
//!
//! A meeting's or webinar's number is the room, its `uuid` the session. A Video SDK session's name is the room. Zoom
//! addresses recordings by the session, so that is the recording's id. A participant's `user_id` (in this session)
//! is the id; their user is the application's `customer_key` or `user_key`, or else the Zoom account's user. Types that do
//! not fit the vocabulary (registrations, callouts, breakout rooms, chat, statistics, trash) are stored as `live.unknown`.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use hmac::Mac;
use http::HeaderName;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{freshness, signing_secrets};
use crate::event::{self, Reading, known, some};
use crate::json::{Document, Object};
use crate::{
    Artifact, Assurance, BodyHash, Data, Delivery, EventType, File, Ingress, Normalized, Participant,
    Provider, Recording, RecordingScope, Rejection, Room, SecretList, Session, SigningSecrets, Stream, Track,
    Transcription, Verified,
};

/// The provider Zoom.
#[derive(Clone, Copy, Debug)]
pub struct Zoom;

const SIGNATURE: &str = "x-zm-signature";
const TIME: &str = "x-zm-request-timestamp";

/// What every signed message begins with, and every signature.
const VERSION: &str = "v0";

const AGE_MAX: SignedDuration = SignedDuration::from_mins(150);

/// Zoom's question whether this endpoint knows the secret.
const URL_VALIDATION: &str = "endpoint.url_validation";

impl SecretList for Zoom {
    const FIELD: &'static str = "secret_tokens";
    const SHAPE: &'static str = r#"{"secret_tokens": ["<secret token>"]}"#;
}

impl Provider for Zoom {
    const NAME: &'static str = "zoom";
    type Keys = SigningSecrets<Self>;
    const SECRET_FIELDS: &'static [&'static str] =
        &["download_token", "participant_pin_code", "password", "recording_play_passcode", "session_key"];
    const CHANGING_FIELDS: &'static [&'static str] = &["download_token"];
    const UNMAPPED_TYPES: &'static [&'static str] = &["meeting.", "recording.", "session.", "webinar."];

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &Self::Keys,
        now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let Credential { time, signed_s, signature } = Credential::of(delivery)?;
        let prefix = [VERSION.as_bytes(), b":", time, b":"];
        let secret = signing_secrets::verify_signature(&keys.secrets, &prefix, delivery.body, &[signature])?;
        freshness::check(signed_s, now, AGE_MAX)?;
        let verified = Verified::new(delivery.body, BodyHash::of(delivery.body), Assurance::Signed, None);
        Ok(match question(delivery.body)? {
            Some(token) => {
                let encrypted = secret.clone().chain_update(token.as_bytes()).finalize().into_bytes();
                let encrypted = HEXLOWER.encode(&encrypted);
                verified
                    .answered_with(json!({ "plainToken": token, "encryptedToken": encrypted }).to_string())
            }
            None => verified,
        })
    }

    fn precheck(delivery: &Delivery<'_>, now: Timestamp) -> Result<(), Rejection> {
        freshness::check(Credential::of(delivery)?.signed_s, now, AGE_MAX)?;
        question(delivery.body).map(drop)
    }

    fn reads(header: &HeaderName) -> bool {
        header == SIGNATURE || header == TIME
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize_by_body(verified, received_at, read)
    }
}

struct Credential<'a> {
    /// As signed: the digits themselves.
    time: &'a [u8],
    signed_s: i64,
    signature: [u8; 32],
}

impl<'a> Credential<'a> {
    fn of(delivery: &Delivery<'a>) -> Result<Self, Rejection> {
        let value = delivery.first_header(&[SIGNATURE])?;
        let time = delivery.first_header(&[TIME])?;
        let malformed = |expected, found| Rejection::MalformedCredential { expected, found };
        let encoded = value.strip_prefix(VERSION.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let signature = encoded.and_then(|hex| HEXLOWER.decode(hex).ok()?.try_into().ok());
        Ok(Self {
            time,
            signed_s: freshness::seconds(time).ok_or_else(|| {
                malformed(
                    "a time in seconds in x-zm-request-timestamp",
                    "one that is not a whole number".into(),
                )
            })?,
            signature: signature.ok_or_else(|| {
                malformed(
                    "v0=<HMAC-SHA256 in lower-case hex> in x-zm-signature",
                    format!("{} characters of another form", value.len()),
                )
            })?,
        })
    }
}

/// The token that Zoom wants to have signed, if this is its question. Never one that would make the answer the
/// signature of a delivery.
fn question(body: &[u8]) -> Result<Option<Cow<'_, str>>, Rejection> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains(URL_VALIDATION));
    let document = text.and_then(Document::parse);
    let object = document.as_ref().and_then(Document::object);
    let asked = object.filter(|object| object.text("event").as_deref() == Some(URL_VALIDATION));
    let token = asked.and_then(|object| object.object("payload").text("plainToken"));
    let is_message = |token: &str| token.strip_prefix(VERSION).is_some_and(|rest| rest.starts_with(':'));
    match token {
        Some(token) if is_message(&token) => Err(Rejection::UnsafeQuestion),
        token => Ok(token),
    }
}

fn read<'a>(body: Object<'_, 'a>) -> Reading<'a> {
    let provider_type = body.text("event");
    let payload = body.object("payload");
    let name = provider_type.as_deref().unwrap_or_default();
    let (family, event) = name.split_once('.').unwrap_or_default();
    let kind = event_type(family, event, payload.object("object"));
    Reading {
        kind: Some(kind),
        time: body.unix_ms("event_ts"),
        account: payload.id("account_id"),
        data: normalized_data(family, kind, payload),
        provider_type,
        ..Reading::default()
    }
}

fn event_type(family: &str, event: &str, object: Object<'_, '_>) -> EventType {
    use EventType::*;
    match (family, event) {
        ("meeting" | "webinar", "created") => RoomCreated,
        ("meeting" | "webinar" | "session", "started") => SessionStarted,
        ("meeting" | "webinar" | "session", "ended") => SessionEnded,
        ("meeting" | "webinar", "participant_joined") | ("session", "user_joined") => ParticipantJoined,
        ("meeting" | "webinar", "participant_left") | ("session", "user_left") => ParticipantLeft,
        ("meeting" | "webinar", "participant_role_changed") => ParticipantRoleChanged,
        (
            "meeting",
            "participant_joined_waiting_room" | "participant_put_in_waiting_room" | "participant_jbh_waiting",
        ) => ParticipantWaiting,
        ("meeting", "participant_left_waiting_room" | "participant_jbh_waiting_left") => {
            ParticipantWaitingLeft
        }
        ("meeting" | "webinar" | "session", "sharing_started") => TrackPublished,
        ("meeting" | "webinar" | "session", "sharing_ended") => TrackUnpublished,
        ("recording", "started" | "resumed") | ("session", "recording_started" | "recording_resumed") => {
            RecordingStarted
        }
        ("recording", "paused") | ("session", "recording_paused") => RecordingUpdated,
        ("recording", "stopped") | ("session", "recording_stopped") => RecordingStopped,
        ("recording", "completed") | ("session", "recording_completed") => RecordingReady,
        ("recording", "deleted") | ("session", "recording_deleted") => RecordingDeleted,
        // The documented body of the failure has this type, too, and no files.
        ("session", "recording_transcript_completed") if object.objects("recording_files").is_empty() => {
            TranscriptionFailed
        }
        ("session", "recording_transcript_failed") => TranscriptionFailed,
        ("recording", "transcript_completed")
        | ("session", "recording_transcript_completed")
        | ("meeting", "aic_transcript_completed") => TranscriptionReady,
        ("meeting", "summary_completed") | ("session", "recording_summary_completed") => SummaryReady,
        ("meeting" | "session", "live_streaming_started") => StreamStarted,
        ("meeting" | "session", "live_streaming_stopped") => StreamStopped,
        ("session", "stream_ingestion_connected") => IngressStarted,
        ("session", "stream_ingestion_disconnected") => IngressEnded,
        _ => Unknown,
    }
}

fn normalized_data<'a>(family: &str, kind: EventType, payload: Object<'_, 'a>) -> Data<'a> {
    let object = payload.object("object");
    let first = |names: &[&str]| names.iter().find_map(|name| object.id(name).or_else(|| payload.id(name)));
    let (room, session_id) = match family {
        "session" => {
            let name = object.text("session_name");
            (Room { id: name.clone(), name, ..Room::default() }, first(&["session_id", "id"]))
        }
        "meeting" | "webinar" | "recording" => {
            let id = ["id", "meeting_id", "webinar_id", "meeting_number"];
            let id = id.iter().find_map(|name| object.id(name));
            let name = object.text("topic").or_else(|| object.text("meeting_topic"));
            (Room { id, name, ..Room::default() }, first(&["uuid", "meeting_uuid", "webinar_uuid"]))
        }
        _ => (Room::default(), None),
    };
    let (family_of_kind, _) = kind.as_str().trim_start_matches("live.").split_once('.').unwrap_or_default();
    Data {
        room: known(room),
        // A planned meeting has an id and a time that its session need not have.
        session: (kind != EventType::RoomCreated)
            .then(|| session(kind, session_id.clone(), object))
            .and_then(known),
        participant: known(match family {
            "session" => participant(object.object("user"), &["user_key"]),
            _ => participant(object.object("participant"), &["customer_key", "id", "participant_user_id"]),
        }),
        track: (family_of_kind == "track")
            .then(|| Track { source: Some("screen_share".into()), ..Track::default() }),
        recording: (family_of_kind == "recording").then(|| Recording {
            id: session_id,
            scope: Some(RecordingScope::Room),
            files: files(object),
        }),
        stream: (family_of_kind == "stream").then(|| stream(object.object("live_streaming"))),
        ingress: known(ingress(object.object("stream_ingestion"))),
        transcription: (family_of_kind == "transcription")
            .then(|| Transcription { id: object.id("file_id"), mode: None, files: files(object) })
            .and_then(known),
        artifact: (kind == EventType::SummaryReady).then(|| summary(object)),
        ..Data::default()
    }
}

fn session<'a>(kind: EventType, id: Option<Cow<'a, str>>, object: Object<'_, 'a>) -> Session<'a> {
    let time = |names: [&str; 2]| names.iter().find_map(|name| object.rfc3339(name));
    // Types without a common equivalent may be about a session that is only planned.
    let is_real = kind != EventType::Unknown;
    Session {
        id,
        started_at: is_real.then(|| time(["start_time", "meeting_start_time"])).flatten(),
        ended_at: is_real.then(|| time(["end_time", "meeting_end_time"])).flatten(),
        duration_s: None,
    }
}

fn participant<'a>(person: Object<'_, 'a>, user_ids: &[&str]) -> Participant<'a> {
    let first = |names: &[&str]| names.iter().find_map(|name| person.id(name));
    Participant {
        id: first(&["user_id", "participant_id", "id"]),
        sid: person.id("participant_uuid"),
        user_id: first(user_ids),
        name: person.text("user_name").or_else(|| person.text("name")),
        role: person.text("new_role"),
        joined_at: person.rfc3339("join_time"),
        left_at: person.rfc3339("leave_time"),
        reason: person.text("leave_reason"),
    }
}

fn files<'a>(object: Object<'_, 'a>) -> Option<Vec<File<'a>>> {
    let lists = ["recording_files", "participant_audio_files", "participant_video_files"];
    some(lists.iter().flat_map(|name| object.objects(name)).filter_map(file))
}

fn file<'a>(file: Object<'_, 'a>) -> Option<File<'a>> {
    let length = || Some(file.rfc3339("recording_end")?.duration_since(file.rfc3339("recording_start")?));
    let located = known(File {
        url: file.text("download_url").or_else(|| file.text("play_url")),
        path: file.text("file_path").or_else(|| file.text("file_name")),
        ..File::default()
    })?;
    Some(File {
        size_bytes: file.int("file_size"),
        duration_s: length().filter(|length| length.is_positive()).map(|length| length.as_secs_f64()),
        mime_type: file.text("file_extension").and_then(|extension| mime_type(&extension)).map(Into::into),
        ..located
    })
}

fn mime_type(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "MP4" => "video/mp4",
        "M4A" => "audio/mp4",
        "VTT" => "text/vtt",
        "TXT" => "text/plain",
        "CSV" => "text/csv",
        "JSON" => "application/json",
        _ => return None,
    })
}

fn stream<'a>(streaming: Object<'_, 'a>) -> Stream<'a> {
    let settings = streaming.object("custom_live_streaming_settings");
    Stream {
        id: None,
        protocol: Some("rtmp"),
        playback_urls: some(settings.text("page_url")),
        destinations: some(settings.text("stream_url")),
    }
}

fn ingress<'a>(ingestion: Object<'_, 'a>) -> Ingress<'a> {
    Ingress { id: ingestion.id("stream_id"), name: ingestion.text("stream_name"), ..Ingress::default() }
}

fn summary<'a>(object: Object<'_, 'a>) -> Artifact<'a> {
    let files = object.objects("recording_files");
    let written = known(File { url: object.text("summary_doc_url"), ..File::default() });
    Artifact {
        id: files.first().and_then(|file| file.id("id")),
        kind: Some("meeting_summary".into()),
        file: written.or_else(|| files.first().copied().and_then(file)),
    }
}
