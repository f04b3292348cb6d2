//! JaaS (8x8 Jitsi as a Service): an HMAC-SHA256 of time and body in `X-Jaas-Signature`.
//!
//! Source: 8x8's developer documentation (github.com/8x8Cloud/public-developer-docs, `docs/jaas/docs`):
//! `webhooks-signatures.md` (signature), `webhooks-payload.md` (bodies) and `jaas-console-webhooks.md` (delivery). Most
//! events are made by `mod_muc_webhooks.lua` of github.com/jitsi/infra-configuration. Not documented: for how long it
//! retries, whether a retry is signed again, and whether `SETTINGS_PROVISIONING` is signed.
//!
//! The room is `fqn`, `<AppID>/<room name>`. A breakout room has the `fqn` and the `sessionId` of its meeting, but starts
//! and ends on its own, so `breakoutRoomId` is its session. A participant who calls in, or is called, joins and leaves
//! with the events of the call only. `participantId` is the user's id in some types. Types that do not fit the vocabulary
//! (polls, reactions, documents, feedback, phrases of a transcription) are stored as `live.unknown`.

use data_encoding::BASE64;
use http::HeaderName;
use jiff::{SignedDuration, Timestamp};

use super::timestamped_signature::TimestampedSignature;
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    Artifact, Assurance, BodyHash, Data, Dedupe, Delivery, EventType, File, Normalized, Participant,
    Provider, Recording, RecordingScope, Rejection, Room, SecretList, Session, SigningSecrets, Stream,
    Transcription, Usage, Verified,
};

/// The provider JaaS.
#[derive(Clone, Copy, Debug)]
pub struct Jaas;

const SIGNATURE: TimestampedSignature = TimestampedSignature {
    header: "x-jaas-signature",
    encoding: BASE64,
    form: "t=<seconds>,v1=<HMAC-SHA256 in base64>",
    age_max: SignedDuration::from_hours(25),
};

/// Asked before every meeting. The answer `{}` leaves every setting off.
const SETTINGS: &str = "SETTINGS_PROVISIONING";
const NO_SETTINGS: &str = "{}";

impl SecretList for Jaas {
    const FIELD: &'static str = "signing_secrets";
    const SHAPE: &'static str = r#"{"signing_secrets": ["whsec_<secret>"]}"#;
}

impl Provider for Jaas {
    const NAME: &'static str = "jaas";
    type Keys = SigningSecrets<Self>;
    const UNMAPPED_TYPES: &'static [&'static str] = &[
        "AGGREGATED_REACTIONS",
        "DOCUMENT_",
        "FEEDBACK",
        "POLL_",
        "REACTIONS",
        "SCREEN_SHARING_HISTORY",
        SETTINGS,
        "TRANSCRIPTION_CHUNK_RECEIVED",
        "VIDEO_SEGMENT_UPLOADED",
    ];

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
    let fqn = body.text("fqn");
    let id = body.id("idempotencyKey");
    // This type alone has neither a type nor an id.
    let asks_for_settings = fqn.is_some() && id.is_none() && body.raw("eventType").is_none();
    let provider_type = body.text("eventType").or_else(|| asks_for_settings.then_some(SETTINGS.into()));
    let type_name = provider_type.as_deref().unwrap_or_default();
    let parts = fqn.as_deref().and_then(|fqn| fqn.split_once('/'));
    let (app_id, room_name) = parts.map(|(app_id, name)| (app_id.to_owned(), name.to_owned())).unzip();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);

    let kind = kind(type_name);
    let data = body.object("data");
    let breakout = data.id("breakoutRoomId").filter(|_| data.bool("isBreakout") == Some(true));
    Reading {
        kind: Some(kind),
        time: body.unix_ms("timestamp"),
        account: filled(app_id),
        dedupe: Some(Dedupe::by_id(Jaas::NAME, id.as_deref(), bytes)),
        reply: (type_name == SETTINGS).then_some(NO_SETTINGS),
        data: Data {
            session: known(Session { id: breakout.or_else(|| body.id("sessionId")), ..Session::default() }),
            participant: known(participant(type_name, data)),
            usage: known(usage(kind, &body.objects("data"))),
            room: known(Room { id: fqn, name: filled(room_name), ..Room::default() }),
            ..results(kind, type_name, data)
        },
        provider_type,
    }
}

fn kind(type_name: &str) -> EventType {
    use EventType::*;
    match type_name {
        "ROOM_CREATED" => SessionStarted,
        "ROOM_DESTROYED" => SessionEnded,
        "PARTICIPANT_JOINED"
        | "SIP_CALL_IN_STARTED"
        | "SIP_CALL_OUT_STARTED"
        | "DIAL_IN_STARTED"
        | "DIAL_OUT_STARTED" => ParticipantJoined,
        "PARTICIPANT_LEFT" | "SIP_CALL_IN_ENDED" | "SIP_CALL_OUT_ENDED" | "DIAL_IN_ENDED"
        | "DIAL_OUT_ENDED" => ParticipantLeft,
        "PARTICIPANT_JOINED_LOBBY" => ParticipantWaiting,
        "PARTICIPANT_LEFT_LOBBY" => ParticipantWaitingLeft,
        "ROLE_CHANGED" => ParticipantRoleChanged,
        "RECORDING_STARTED" => RecordingStarted,
        "RECORDING_ENDED" => RecordingStopped,
        "RECORDING_UPLOADED" => RecordingReady,
        "LIVE_STREAM_STARTED" => StreamStarted,
        "LIVE_STREAM_ENDED" => StreamStopped,
        "TRANSCRIPTION_UPLOADED" => TranscriptionReady,
        "CHAT_UPLOADED" => ChatReady,
        "SPEAKER_STATS" | "RTCSTATS_UPLOADED" => AnalyticsReady,
        "USAGE" => UsageReported,
        _ => Unknown,
    }
}

/// Whom the event is about.
fn participant<'a>(type_name: &str, data: Object<'_, 'a>) -> Participant<'a> {
    let (person, id, user_id, name) = match type_name {
        "ROLE_CHANGED" => (data.object("grantedTo"), "participantId", "id", "name"),
        "POLL_CREATED" | "POLL_ANSWER" => (data.object("user"), "participantId", "id", "currentName"),
        "TRANSCRIPTION_CHUNK_RECEIVED" => (data.object("participant"), "id", "userId", "name"),
        // `participantId` is the user's id here.
        "REACTIONS" | "RTCSTATS_UPLOADED" => (data, "endpointId", "participantId", "participantName"),
        "FEEDBACK" => (data, "participantId", "userId", "name"),
        _ => (data, "participantId", "id", "name"),
    };
    let is_moderator = person.bool("moderator") == Some(true);
    Participant {
        id: person.id(id).or_else(|| person.id("participantJid")),
        user_id: person.id(user_id),
        // A caller has a `nick`.
        name: [name, "name", "nick"].into_iter().find_map(|name| person.text(name)),
        role: match type_name {
            "ROLE_CHANGED" => data.text("role"),
            _ => is_moderator.then_some("moderator".into()),
        },
        reason: data.text("disconnectReason"),
        ..Participant::default()
    }
}

/// The user who joined. The first report of a meeting is about two, so it names none.
fn usage<'a>(kind: EventType, users: &[Object<'_, 'a>]) -> Usage<'a> {
    match users {
        [user] if kind == EventType::UsageReported => {
            Usage { user_id: user.id("userId"), ..Usage::default() }
        }
        _ => Usage::default(),
    }
}

/// What the meeting left: recordings, streams and files.
fn results<'a>(kind: EventType, type_name: &str, data: Object<'_, 'a>) -> Data<'a> {
    use EventType::*;
    let file =
        |url| known(File { url: data.text(url), duration_s: data.number("durationSec"), ..File::default() });
    let artifact = |kind: &'static str, url| Artifact { id: None, kind: Some(kind.into()), file: file(url) };
    match kind {
        RecordingStarted | RecordingStopped | RecordingReady => Data {
            recording: Some(Recording {
                id: data.id("recordingSessionId"),
                scope: Some(RecordingScope::Room),
                files: some(file("preAuthenticatedLink")),
            }),
            ..Data::default()
        },
        StreamStarted | StreamStopped => {
            Data { stream: Some(Stream { protocol: Some("rtmp"), ..Stream::default() }), ..Data::default() }
        }
        TranscriptionReady => Data {
            transcription: known(Transcription {
                files: some(file("preAuthenticatedLink")),
                ..Transcription::default()
            }),
            ..Data::default()
        },
        ChatReady => Data { artifact: Some(artifact("chat", "preAuthenticatedLink")), ..Data::default() },
        AnalyticsReady => {
            let kind = if type_name == "SPEAKER_STATS" { "speaker_stats" } else { "rtcstats" };
            Data { artifact: Some(artifact(kind, "statsUrl")), ..Data::default() }
        }
        _ => Data::default(),
    }
}
