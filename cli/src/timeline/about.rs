//! What an event is about, and what it does to it.

use jiff::Timestamp;
use livehooks_event::{Event, RecordingScope, StreamProtocol};

use super::LaneKind;

/// What an event does to its lane.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is about to start; a `Start` replaces it.
    Prepare,
    Start,
    End,
    Fail,
    /// Its result is available. Ends an open span, but never adds one.
    Ready,
    Note,
}

/// What an event is about.
pub(super) struct About {
    pub(super) kind: LaneKind,
    pub(super) step: Step,
    pub(super) key: Option<String>,
    pub(super) label: Option<String>,
    /// Distinguishes the spans of one lane, if the provider does.
    pub(super) instance: Option<String>,
    /// The start and end times that an end event repeats.
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

/// What an event is about; `None` if it has no lane.
pub(super) fn about(event: &Event) -> Option<About> {
    let (family, what) = event.r#type.as_str().strip_prefix("live.")?.split_once('.')?;
    let step = match what {
        "starting" => Step::Prepare,
        "started" | "joined" => Step::Start,
        "ended" | "stopped" | "left" => Step::End,
        "ready" => Step::Ready,
        "failed" => Step::Fail,
        _ => Step::Note,
    };
    let session = event.session_id().map(str::to_owned);
    let of_session = |what: &str| Some(format!("{what} of {}", session.as_deref().unwrap_or("the room")));
    let data = &event.data;
    let plain = |kind, key: Option<String>, label: Option<String>| About {
        kind,
        step,
        instance: key.clone(),
        key,
        label,
        started_at: None,
        ended_at: None,
    };
    Some(match family {
        "session" => {
            let known = data.session.as_ref();
            About {
                started_at: known.and_then(|session| session.started_at),
                ended_at: known.and_then(|session| session.ended_at),
                ..plain(LaneKind::Session, session.clone().or(Some("session".into())), session)
            }
        }
        "participant" => {
            let known = data.participant.as_ref()?;
            About {
                instance: known.sid.clone().or_else(|| known.id.clone()),
                started_at: known.joined_at,
                ended_at: known.left_at,
                ..plain(
                    LaneKind::Participant,
                    event.participant_key().or(known.sid.as_deref()).map(str::to_owned),
                    known.name.clone(),
                )
            }
        }
        "recording" => {
            let known = data.recording.as_ref()?;
            let scope = known.scope.as_ref().map(RecordingScope::as_str).unwrap_or("room");
            let who = event.participant_key().map_or(String::new(), |who| format!(" {who}"));
            let key = known.id.clone().or_else(|| of_session(&format!("{scope}{who}")));
            About {
                instance: known.id.clone(),
                ..plain(LaneKind::Recording, key, Some(format!("{scope}{who}")))
            }
        }
        "stream" => {
            let known = data.stream.as_ref()?;
            let protocol = known.protocol.as_ref().map(StreamProtocol::as_str).unwrap_or("stream");
            let key = known.id.clone().or_else(|| of_session(protocol));
            About { instance: known.id.clone(), ..plain(LaneKind::Stream, key, Some(protocol.into())) }
        }
        "ingress" => {
            let known = data.ingress.as_ref()?;
            About {
                instance: known.id.clone(),
                started_at: known.started_at,
                ended_at: known.ended_at,
                ..plain(
                    LaneKind::Ingress,
                    known.id.clone().or_else(|| of_session("ingress")),
                    known.name.clone(),
                )
            }
        }
        "transcription" => {
            let known = data.transcription.as_ref()?;
            let key = known.id.clone().or_else(|| of_session("transcription"));
            About { instance: known.id.clone(), ..plain(LaneKind::Transcription, key, None) }
        }
        _ => return None,
    })
}
