//! The rooms of the last day, as the command `rooms` lists them.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::Inspected;
use super::event_detail::{no_store, unreadable};
use crate::history::Filter;
use crate::timeline::{ROOMS_PERIOD, RoomSummary, Timeline};

#[derive(Serialize)]
struct Rooms {
    /// The rooms are computed from the events received within so many hours.
    hours: i64,
    /// The number of items without a valid event that were left out.
    skipped: usize,
    /// The last seen first.
    rooms: Vec<RoomSummary>,
}

pub(super) async fn rooms(State(inspected): State<Inspected>) -> Response {
    let since = Timestamp::now().checked_sub(ROOMS_PERIOD).ok();
    let filter = Filter { since, ..Filter::default() };
    let events = match inspected.source.events_without_raw(&filter).await {
        Ok(events) => events,
        Err(error) => return unreadable(error),
    };
    let timelines = Timeline::of_rooms(&events);
    let mut rooms: Vec<RoomSummary> = timelines.iter().map(Timeline::summary).collect();
    rooms.sort_by_key(|room| std::cmp::Reverse(room.last_seen));
    let skipped = inspected.source.skipped();
    no_store(axum::Json(Rooms { hours: ROOMS_PERIOD.as_hours(), skipped, rooms }))
}
