//! Recordings and other things that have ids.

use serde_json::{Value, json};

use super::Timeline;
use super::tests::{event, shown};

#[test]
fn recordings_start_fail_and_become_ready() {
    let recording =
        |id: &str| json!({ "session": { "id": "s1" }, "recording": { "id": id, "scope": "room" } });
    let unnamed = || json!({ "session": { "id": "s1" }, "recording": { "scope": "participant" }, "participant": { "id": "ann" } });
    let events = [
        event(0, "recording.starting", recording("a")),
        event(3, "recording.started", recording("a")),
        event(50, "recording.stopped", recording("a")),
        event(80, "recording.ready", recording("file of a")),
        event(90, "recording.started", unnamed()),
        event(95, "recording.failed", unnamed()),
    ];
    assert_eq!(shown(&events), ["recording room: 3-50", "recording participant ann: 90-95!"]);
    let timeline = &Timeline::of_rooms(&events)[0];
    let markers: Vec<_> = timeline.lanes.iter().flat_map(|lane| &lane.markers).collect();
    assert_eq!(markers.iter().map(|marker| marker.is_failure).collect::<Vec<_>>(), [false, true]);
    assert!(timeline.unfinished().is_empty());
}

#[test]
fn a_file_ends_a_recording_if_its_end_was_lost() {
    let recording = || json!({ "session": { "id": "s1" }, "recording": { "id": "EG", "scope": "room" } });
    let events = [event(0, "recording.started", recording()), event(9, "recording.ready", recording())];
    assert_eq!(shown(&events), ["recording room: 0-9"]);
}

#[test]
fn an_end_that_names_less_or_more_than_its_start_ends_it() {
    let unnamed = |session: Value| json!({ "session": session, "stream": { "protocol": "hls" } });
    let events = [
        event(0, "stream.started", unnamed(json!({ "id": "s1" }))),
        event(1, "recording.started", json!({ "recording": { "scope": "room" } })),
        event(2, "transcription.started", json!({ "transcription": { "id": "t" } })),
        event(7, "stream.stopped", unnamed(json!({}))),
        event(8, "recording.stopped", json!({ "recording": { "id": "asset", "scope": "room" } })),
        event(9, "transcription.ready", json!({ "transcription": { "files": [] } })),
    ];
    assert_eq!(shown(&events), ["recording room: 1-8", "stream hls: 0-7", "transcription t: 2-9"]);
}

#[test]
fn a_preparation_that_is_dated_after_the_end_begins_nothing() {
    let recording = || json!({ "recording": { "id": "a", "scope": "room" } });
    let events = [
        event(0, "recording.started", recording()),
        event(5, "recording.stopped", recording()),
        event(6, "recording.starting", recording()),
    ];
    assert_eq!(shown(&events), ["recording room: 0-5"]);
}

#[test]
fn an_end_with_another_id_ends_nothing() {
    let recording = |id: &str| json!({ "recording": { "id": id, "scope": "room" } });
    let events =
        [event(0, "recording.started", recording("a")), event(5, "recording.stopped", recording("b"))];
    assert_eq!(shown(&events), ["recording room: ?-5", "recording room: 0-?"]);
}
