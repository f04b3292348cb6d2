//! LiveKit: a JWT over the body's hash, bodies in protobuf's JSON.
//!
//! Source: livekit/protocol `webhook/consts.go`, `protobufs/livekit_webhook.proto`, `livekit_egress.proto` and
//! `livekit_ingress.proto`. 64-bit integers are strings, enums are names (unknown ones are numbers), zero values are
//! absent. `createdAt` is in seconds, the times of egress and ingress are in nanoseconds. A room's name outlives its
//! sessions, so the name is the room's id; its `sid` identifies the session.
//!
//! `room.turnPassword` and `ingressInfo.streamKey` are secrets that stay in the raw part only. So do the URLs that an
//! egress was asked to stream to: LiveKit redacts the stream keys in its results, but not in every request.

use std::borrow::Cow;

use http::HeaderName;
use jiff::Timestamp;

use super::{livekit_messages, livekit_token};
use crate::event::{self, Reading, known, some};
use crate::json::Object;
use crate::{
    ApiKeys, Assurance, Data, Dedupe, Delivery, ErrorInfo, EventType, File, Ingress, Normalized, Participant,
    Provider, Recording, RecordingScope, Rejection, Room, Session, Stream, Track, Verified,
};

/// The provider LiveKit.
#[derive(Clone, Copy, Debug)]
pub struct LiveKit;

const TOKEN_HEADER: &str = "Authorization";

impl Provider for LiveKit {
    const NAME: &'static str = "livekit";
    type Keys = ApiKeys;
    const UNMAPPED_TYPES: &'static [&'static str] = &["agent_job_"];

    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &ApiKeys,
        now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection> {
        let (api_key, body_hash) = livekit_token::verify(delivery, &[TOKEN_HEADER], keys, now)?;
        Ok(Verified::new(delivery.body, body_hash, Assurance::Signed, Some(api_key)))
    }

    fn precheck(delivery: &Delivery<'_>, now: Timestamp) -> Result<(), Rejection> {
        livekit_token::precheck(delivery, &[TOKEN_HEADER], now)
    }

    fn reads(header: &HeaderName) -> bool {
        header == TOKEN_HEADER
    }

    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
        event::normalize(verified, received_at, |body| read(body, verified.body()))
    }
}

fn read<'a>(body: Object<'_, 'a>, bytes: &[u8]) -> Reading<'a> {
    use EventType::*;
    let provider_type = body.text("event");
    let egress = Egress::of(body.object("egressInfo"));
    let kind = match provider_type.as_deref().unwrap_or_default() {
        "room_started" => SessionStarted,
        "room_finished" => SessionEnded,
        "participant_joined" => ParticipantJoined,
        "participant_left" => ParticipantLeft,
        "participant_connection_aborted" => ParticipantJoinFailed,
        "track_published" => TrackPublished,
        "track_unpublished" => TrackUnpublished,
        "egress_started" if egress.only_streams() => StreamStarted,
        "egress_started" => RecordingStarted,
        "egress_updated" => RecordingUpdated,
        "egress_ended" => egress.end(),
        "ingress_started" => IngressStarted,
        "ingress_ended" => IngressEnded,
        _ => Unknown,
    };

    let room = body.object("room");
    let ingress = body.object("ingressInfo");
    let ingress_state = ingress.object("state");
    let sid =
        [room.id("sid"), egress.info.id("roomId"), ingress_state.id("roomId")].into_iter().flatten().next();
    let name =
        room.text("name").or_else(|| egress.info.text("roomName")).or_else(|| ingress.text("roomName"));
    let participant =
        livekit_messages::participant(body.object("participant"), &livekit_messages::CAMEL_CASE);
    let track = livekit_messages::track(body.object("track"), &livekit_messages::CAMEL_CASE);
    let data = Data {
        room: known(Room { id: room.id("name").or_else(|| name.clone()), sid: sid.clone(), name }),
        session: known(Session {
            id: sid,
            started_at: room.unix_ms("creationTimeMs").or_else(|| room.unix_s("creationTime")),
            ..Session::default()
        }),
        participant: known(Participant {
            id: participant
                .id
                .or_else(|| egress.request.id("identity"))
                .or_else(|| ingress.id("participantIdentity")),
            name: participant.name.or_else(|| ingress.text("participantName")),
            ..participant
        }),
        track: known(Track { id: track.id.or_else(|| egress.request.id("trackId")), ..track }),
        recording: egress.recording(),
        stream: egress.stream(),
        ingress: (!ingress.is_empty()).then(|| Ingress {
            id: ingress.id("ingressId"),
            name: ingress.text("name"),
            started_at: ingress_state.unix_ns("startedAt"),
            ended_at: ingress_state.unix_ns("endedAt"),
            ..Ingress::default()
        }),
        error: egress
            .error()
            .or_else(|| known(ErrorInfo { message: ingress_state.text("error"), ..ErrorInfo::default() })),
        ..Data::default()
    };
    Reading {
        kind: Some(kind),
        provider_type,
        time: body.unix_s("createdAt"),
        dedupe: Some(Dedupe::by_id(LiveKit::NAME, body.id("id").as_deref(), bytes)),
        data,
        ..Reading::default()
    }
}

/// Media that leaves a room: to files, to other services, or both. Both counts as a recording.
#[derive(Default)]
struct Egress<'d, 'a> {
    info: Object<'d, 'a>,
    request: Object<'d, 'a>,
    status: Cow<'a, str>,
    scope: Option<RecordingScope>,
    to_files: bool,
    to_streams: bool,
    files: Vec<File<'a>>,
    streams: Vec<Object<'d, 'a>>,
}

impl<'d, 'a> Egress<'d, 'a> {
    fn of(info: Object<'d, 'a>) -> Self {
        if info.is_empty() {
            return Self::default();
        }
        let kind = REQUESTS.into_iter().find(|name| info.raw(name).is_some()).unwrap_or_default();
        let request = info.object(kind);
        let outputs = request.objects("outputs");
        let objects = || [info, request].into_iter().chain(outputs.iter().copied());
        let any = |names: &[&str]| names.iter().any(|name| objects().any(|object| is_filled(object, name)));
        Self {
            status: livekit_messages::enum_name(info, "status", &STATUSES).unwrap_or_default(),
            scope: Some(scope(kind, request)),
            to_files: any(&FILES),
            to_streams: any(&STREAMS),
            files: files(info),
            streams: match info.objects("streamResults") {
                none if none.is_empty() => info.object("stream").objects("info"),
                streams => streams,
            },
            request,
            info,
        }
    }

    fn only_streams(&self) -> bool {
        self.to_streams && !self.to_files
    }

    fn end(&self) -> EventType {
        use EventType::*;
        let failed = match &*self.status {
            "egress_failed" | "egress_aborted" => true,
            // The recording was cut off at the limit and kept.
            "egress_complete" | "egress_limit_reached" => false,
            _ => self.info.text("error").is_some(),
        };
        match (self.only_streams(), failed) {
            (true, true) => StreamFailed,
            (true, false) => StreamStopped,
            (false, true) => RecordingFailed,
            (false, false) if self.files.is_empty() => RecordingStopped,
            (false, false) => RecordingReady,
        }
    }

    fn recording(&self) -> Option<Recording<'a>> {
        (!self.info.is_empty() && !self.only_streams()).then(|| Recording {
            id: self.info.id("egressId"),
            scope: self.scope,
            files: some(self.files.iter().cloned()),
        })
    }

    fn stream(&self) -> Option<Stream<'a>> {
        let destinations = some(self.streams.iter().filter_map(|stream| stream.text("url")));
        let url = destinations.iter().flatten().next().cloned().or_else(|| self.request.text("websocketUrl"));
        self.to_streams.then(|| Stream {
            id: self.info.id("egressId"),
            protocol: Some(protocol(url.as_deref().unwrap_or_default())),
            destinations,
            ..Stream::default()
        })
    }

    fn error(&self) -> Option<ErrorInfo<'a>> {
        let is_cause = matches!(&*self.status, "egress_failed" | "egress_aborted" | "egress_limit_reached");
        let stream_error = || self.streams.iter().find_map(|stream| stream.text("error"));
        known(ErrorInfo {
            code: self.info.id("errorCode").filter(|code| code != "0"),
            r#type: is_cause.then(|| self.status.clone()),
            message: self.info.text("error").or_else(stream_error),
        })
    }
}

fn is_filled(object: Object<'_, '_>, name: &str) -> bool {
    object.raw(name).is_some_and(|json| json != "[]" && json != "\"\"")
}

fn scope(kind: &str, request: Object<'_, '_>) -> RecordingScope {
    let media = request.object("media");
    match kind {
        "participant" => RecordingScope::Participant,
        "track" | "trackComposite" => RecordingScope::Track,
        _ if media.raw("participantVideo").is_some() => RecordingScope::Participant,
        _ if media.raw("videoTrackId").is_some() => RecordingScope::Track,
        _ => RecordingScope::Room,
    }
}

fn files<'a>(info: Object<'_, 'a>) -> Vec<File<'a>> {
    // The single results are deprecated, but older versions send nothing else.
    let results = |array, single| match info.objects(array) {
        none if none.is_empty() => vec![info.object(single)],
        results => results,
    };
    let recorded = results("fileResults", "file");
    let segments = results("segmentResults", "segments");
    let images = info.objects("imageResults");
    let images = images.iter().filter(|images| images.int("imageCount") > Some(0));
    [
        recorded.into_iter().filter_map(|result| file(result, "filename", "location")).collect::<Vec<_>>(),
        segments.into_iter().filter_map(|result| file(result, "playlistName", "playlistLocation")).collect(),
        images
            .filter_map(|images| known(File { path: images.text("filenamePrefix"), ..File::default() }))
            .collect(),
    ]
    .concat()
}

fn file<'a>(result: Object<'_, 'a>, path: &str, url: &str) -> Option<File<'a>> {
    let file = known(File { path: result.text(path), url: result.text(url), ..File::default() })?;
    // If the end is missing, LiveKit sends the negated start.
    let duration_ns = result.int("duration").filter(|nanoseconds| *nanoseconds > 0);
    Some(File {
        size_bytes: result.int("size"),
        duration_s: duration_ns.map(|nanoseconds| nanoseconds as f64 / 1e9),
        ..file
    })
}

fn protocol(url: &str) -> &'static str {
    match url.split_once("://") {
        Some(("srt", _)) => "srt",
        Some(("ws" | "wss", _)) => "websocket",
        _ => "rtmp",
    }
}

/// The fields that hold an egress request: the first two in current versions, the others in older ones.
const REQUESTS: [&str; 7] =
    ["egress", "replay", "roomComposite", "web", "participant", "trackComposite", "track"];

/// The fields of results, requests and outputs that mean files, in current and older versions.
const FILES: [&str; 9] = [
    "fileResults",
    "segmentResults",
    "imageResults",
    "fileOutputs",
    "segmentOutputs",
    "imageOutputs",
    "file",
    "segments",
    "images",
];

/// The fields that mean streams.
const STREAMS: [&str; 4] = ["streamResults", "streamOutputs", "stream", "websocketUrl"];

/// Indexed by protobuf number.
const STATUSES: [&str; 7] = [
    "egress_starting",
    "egress_active",
    "egress_ending",
    "egress_complete",
    "egress_failed",
    "egress_aborted",
    "egress_limit_reached",
];
