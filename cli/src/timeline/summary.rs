//! A room in one line.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{LaneKind, Timeline};

/// Rooms are listed from the events received within this time, unless another is asked for.
pub const ROOMS_PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// What `rooms` and the page say of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoomSummary {
    /// The provider's name.
    pub provider: String,
    /// The room's id; `None` for events that name no room.
    pub room: Option<String>,
    /// The earliest event, by the provider's clock.
    pub first_seen: Timestamp,
    /// The latest event, by the provider's clock.
    pub last_seen: Timestamp,
    /// The number of events.
    pub events: usize,
    /// The number of sessions.
    pub sessions: usize,
    /// The number of participants.
    pub participants: usize,
    /// Participants that have neither left nor been in a session that ended.
    pub present: usize,
    /// The number of recordings.
    pub recordings: usize,
    /// Recordings that have not ended.
    pub open_recordings: usize,
    /// The number of failures.
    pub failures: usize,
}

impl Timeline {
    /// The room in one line.
    pub fn summary(&self) -> RoomSummary {
        let lanes = |kind| self.lanes.iter().filter(move |lane| lane.kind == kind);
        let running =
            |kind| lanes(kind).filter(|lane| lane.spans.iter().any(|span| span.is_running())).count();
        let markers = self.lanes.iter().flat_map(|lane| &lane.markers).chain(&self.markers);
        RoomSummary {
            provider: self.provider.clone(),
            room: self.room.clone(),
            first_seen: self.from,
            last_seen: self.to,
            events: self.events,
            sessions: lanes(LaneKind::Session).count(),
            participants: lanes(LaneKind::Participant).count(),
            present: running(LaneKind::Participant),
            recordings: lanes(LaneKind::Recording).count(),
            open_recordings: running(LaneKind::Recording),
            failures: markers.filter(|marker| marker.is_failure).count(),
        }
    }
}
