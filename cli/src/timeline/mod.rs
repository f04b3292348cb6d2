//! A room's timeline: a lane for each session, participant, recording, stream, ingress and transcription, built from
//! normalized events only, so it works the same for every provider.
//!
//! Pure: the order of the events and duplicates make no difference. It uses no clock: what has not ended by the last
//! event is open.

mod about;
mod lanes;
#[cfg(test)]
mod recording_tests;
mod sessions;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use livehooks_event::Event;
use serde::Serialize;

pub use summary::{ROOMS_PERIOD, RoomSummary};

/// An event's time that is further away from its receipt is from a wrong clock. Providers repeat events for 30 days.
const CLOCK_OFF: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The timeline of one room of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The provider's name.
    pub provider: String,
    /// The room's id; `None` for events that name no room.
    pub room: Option<String>,
    /// The earliest time of those that an axis should show.
    pub from: Timestamp,
    /// The latest time of those that an axis should show.
    pub to: Timestamp,
    /// The number of times before or after that: clocks that are months off.
    pub outside: usize,
    /// The number of events, without duplicates.
    pub events: usize,
    /// The lanes, by kind and start.
    pub lanes: Vec<Lane>,
    /// Markers that belong to no lane.
    pub markers: Vec<Marker>,
}

/// Something that lasts, with one or more spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// What it is.
    pub kind: LaneKind,
    /// Its identity within the room and kind.
    pub key: String,
    /// What to call it.
    pub label: String,
    /// Its spans, by time.
    pub spans: Vec<Span>,
    /// Its momentary events, including failures.
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
    /// The name in JSON.
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

/// One span: joined to left, or started to stopped.
///
/// If `started_by` or `ended_by` is absent, the event was never received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// When it started, if known.
    pub from: Option<Timestamp>,
    /// When it ended, if known.
    pub to: Option<Timestamp>,
    /// The id of its start event.
    pub started_by: Option<String>,
    /// The id of its end event.
    pub ended_by: Option<String>,
    /// Whether it ended by failing.
    pub failed: bool,
    /// If no end was received: the time by which it must have ended, because its session ended or it started
    /// again.
    pub presumed_end: Option<Timestamp>,
    /// The session's id.
    pub session: Option<String>,
}

impl Lane {
    /// The total length of its spans with a start and an end. What overlaps counts once.
    pub fn known_length(&self) -> SignedDuration {
        let mut total = SignedDuration::ZERO;
        let mut until = Timestamp::MIN;
        // By start.
        for (from, to) in self.spans.iter().filter_map(|span| Some((span.from?, span.to?))) {
            let new = to.duration_since(from.max(until)).max(SignedDuration::ZERO);
            (total, until) = (total.saturating_add(new), until.max(to));
        }
        total
    }
}

impl Span {
    /// Whether it has no end and no presumed end.
    pub fn is_running(&self) -> bool {
        self.to.is_none() && self.presumed_end.is_none()
    }
}

/// A momentary event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// When.
    pub time: Timestamp,
    /// The event's type.
    pub r#type: String,
    /// Whether something failed.
    pub is_failure: bool,
    /// The error, if any.
    pub label: Option<String>,
    /// The event's id.
    pub event: String,
}

/// A span without an end event.
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
    /// The id of its start event.
    pub event: String,
    /// The time by which it must have ended.
    pub presumed_end: Option<Timestamp>,
}

impl Timeline {
    /// The timelines of all rooms in the events, by provider and room.
    pub fn of_rooms<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Self> {
        let mut events: Vec<&Event> = events.into_iter().collect();
        events.sort_by(|one, other| order(one).cmp(&order(other)));
        let mut seen = HashSet::new();
        events.retain(|event| seen.insert((&event.source, &event.id)));

        // An event that names only its session belongs to that session's room.
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
        let of_room = |((provider, room), mut events): ((&str, Option<&str>), Vec<&Event>)| {
            sort(&mut events);
            Self::of_room(provider, room, &events)
        };
        by_room.into_iter().map(of_room).collect()
    }

    /// Expects at least one event, in order and without duplicates.
    fn of_room(provider: &str, room: Option<&str>, events: &[&Event]) -> Self {
        let (lanes, markers) = lanes::build(events);
        let of_spans = lanes.iter().flat_map(|lane| &lane.spans);
        let of_spans = of_spans.flat_map(|span| [span.from, span.to, span.presumed_end]).flatten();
        let times = events.iter().map(|event| event.time).chain(of_spans);
        let times: BTreeSet<Timestamp> = times.collect();
        let received = bounds(events.iter().map(|event| event.recordedtime));
        let is_near = |time: &Timestamp| {
            received.0.duration_since(*time) <= CLOCK_OFF && time.duration_since(received.1) <= CLOCK_OFF
        };
        let near: BTreeSet<Timestamp> = times.iter().copied().filter(is_near).collect();
        let outside = if near.is_empty() { 0 } else { times.len() - near.len() };
        let (from, to) = bounds(if near.is_empty() { times } else { near });
        let room = room.map(str::to_owned);
        Self { provider: provider.into(), room, from, to, outside, events: events.len(), lanes, markers }
    }

    /// The spans without an end event, by start.
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

/// The earliest and the latest time.
fn bounds(times: impl IntoIterator<Item = Timestamp>) -> (Timestamp, Timestamp) {
    let none = (Timestamp::MAX, Timestamp::MIN);
    times.into_iter().fold(none, |(from, to), time| (from.min(time), to.max(time)))
}

/// Sorts by the provider's clock. Some clocks have whole seconds only: a second in which one does is sorted by arrival.
fn sort(events: &mut [&Event]) {
    events.sort_by(|one, other| order(one).cmp(&order(other)));
    for second in events.chunk_by_mut(|one, other| one.time.as_second() == other.time.as_second()) {
        if second.iter().any(|event| event.time.subsec_nanosecond() == 0) {
            second.sort_by_key(|event| event.recordedtime);
        }
    }
}

/// By the provider's clock, then by order of arrival.
fn order(event: &Event) -> (Timestamp, Timestamp, &str, &str) {
    (event.time, event.recordedtime, &event.source, &event.id)
}
