//! A room's timeline: a lane for each session, participant, recording, stream, ingress and
//! transcription, built from normalized events alone, so that it is the same for every provider.
//!
//! Pure: events in whichever order, with doubles and without ids, become the same picture. It knows no clock:
//! what has not ended by the last event is open.

mod lanes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::history::Event;

/// The picture of one room of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The provider's name.
    pub provider: String,
    /// The room's id; `None` gathers what names no room.
    pub room: Option<String>,
    /// The earliest time in the picture.
    pub from: Timestamp,
    /// The latest time in the picture.
    pub to: Timestamp,
    /// How many events it was made of, doubles not counted.
    pub events: usize,
    /// The lanes: sessions, participants, recordings, streams, ingresses, transcriptions, each by first time.
    pub lanes: Vec<Lane>,
    /// What belongs to no lane.
    pub markers: Vec<Marker>,
}

/// What lasts: from a start to an end, several times over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// What it is.
    pub kind: LaneKind,
    /// Its identity within the room and kind.
    pub key: String,
    /// What to call it.
    pub label: String,
    /// Its stays, by time.
    pub spans: Vec<Span>,
    /// What happened to it at one time, failures among it.
    pub markers: Vec<Marker>,
}

/// What a lane shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum LaneKind {
    Session,
    Participant,
    Recording,
    Stream,
    Ingress,
    Transcription,
}

impl LaneKind {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Participant => "participant",
            Self::Recording => "recording",
            Self::Stream => "stream",
            Self::Ingress => "ingress",
            Self::Transcription => "transcription",
        }
    }
}

/// One stay: joined to left, started to stopped.
///
/// A gap is where `started_by` or `ended_by` is absent: the event that would say so was never received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// When it started, as far as any event says so.
    pub from: Option<Timestamp>,
    /// When it ended, as far as any event says so.
    pub to: Option<Timestamp>,
    /// The id of the event that said that it started.
    pub started_by: Option<String>,
    /// The id of the event that said that it ended.
    pub ended_by: Option<String>,
    /// Whether it ended by failing.
    pub failed: bool,
    /// Where no end was received: the time by which it must have ended, because its session had, or because it
    /// started anew.
    pub presumed_end: Option<Timestamp>,
    /// The session's id.
    pub session: Option<String>,
}

impl Span {
    /// Whether nothing says that it has ended, nor that it must have.
    pub fn is_running(&self) -> bool {
        self.to.is_none() && self.presumed_end.is_none()
    }
}

/// What happened at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// When.
    pub time: Timestamp,
    /// The event's type.
    pub r#type: String,
    /// Whether something failed.
    pub is_failure: bool,
    /// What to say about it: the error, or nothing.
    pub label: Option<String>,
    /// The event's id.
    pub event: String,
}

/// What has started and was never said to have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnfinishedSpan {
    /// The provider's name.
    pub provider: String,
    /// The room's id.
    pub room: Option<String>,
    /// The session's id.
    pub session: Option<String>,
    /// What it is.
    pub kind: LaneKind,
    /// Its identity within the room and kind.
    pub key: String,
    /// What to call it.
    pub label: String,
    /// When it started.
    pub since: Timestamp,
    /// The id of the event that said so.
    pub event: String,
    /// The time by which it must have ended nevertheless.
    pub presumed_end: Option<Timestamp>,
}

impl Timeline {
    /// The picture of every room in the events, by provider and room.
    pub fn of_rooms<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Self> {
        let mut events: Vec<&Event> = events.into_iter().collect();
        events.sort_by(|one, other| order(one).cmp(&order(other)));
        let mut seen = HashSet::new();
        events.retain(|event| seen.insert((&event.source, &event.id)));

        // An event that names its session alone is in the room of that session.
        let mut rooms = HashMap::new();
        for event in &events {
            if let (Some(session), Some(room)) = (event.session_id(), event.subject.as_deref()) {
                rooms.entry((event.provider.as_str(), session)).or_insert(room);
            }
        }
        let mut by_room: BTreeMap<(&str, Option<&str>), Vec<&Event>> = BTreeMap::new();
        for event in &events {
            let of_session =
                || Some(*rooms.get(&(event.provider.as_str(), event.session_id().unwrap_or_default()))?);
            let room = event.subject.as_deref().or_else(of_session);
            by_room.entry((event.provider.as_str(), room)).or_default().push(event);
        }
        by_room.into_iter().map(|((provider, room), events)| Self::of_room(provider, room, &events)).collect()
    }

    /// Events in order, without doubles, at least one.
    fn of_room(provider: &str, room: Option<&str>, events: &[&Event]) -> Self {
        let (lanes, markers) = lanes::draw(events);
        let of_spans = lanes.iter().flat_map(|lane| &lane.spans);
        let of_spans = of_spans.flat_map(|span| [span.from, span.to, span.presumed_end]).flatten();
        let times = events.iter().map(|event| event.time).chain(of_spans);
        let (from, to) =
            times.fold((Timestamp::MAX, Timestamp::MIN), |(from, to), time| (from.min(time), to.max(time)));
        let room = room.map(str::to_owned);
        Self { provider: provider.into(), room, from, to, events: events.len(), lanes, markers }
    }

    /// What has started here and was never said to have ended, by time.
    pub fn unfinished(&self) -> Vec<UnfinishedSpan> {
        let mut open = Vec::new();
        for lane in &self.lanes {
            for span in &lane.spans {
                let (Some(since), None, Some(event)) = (span.from, &span.ended_by, &span.started_by) else {
                    continue;
                };
                open.push(UnfinishedSpan {
                    provider: self.provider.clone(),
                    room: self.room.clone(),
                    session: span.session.clone(),
                    kind: lane.kind,
                    key: lane.key.clone(),
                    label: lane.label.clone(),
                    since,
                    event: event.clone(),
                    presumed_end: span.presumed_end,
                });
            }
        }
        open.sort_by_key(|open| open.since);
        open
    }
}

/// By the provider's clock; within its resolution in the order of arrival.
fn order(event: &Event) -> (Timestamp, Timestamp, &str, &str) {
    (event.time, event.recordedtime, &event.source, &event.id)
}
