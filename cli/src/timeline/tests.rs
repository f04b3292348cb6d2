use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// An event `second` seconds after the start; its id consists of the type and the second.
pub(super) fn event(second: i64, kind: &str, data: Value) -> Event {
    let time = Timestamp::from_second(1_761_815_000 + second).unwrap();
    let room = data["room"]["id"].as_str().unwrap_or("room01");
    serde_json::from_value(json!({
        "specversion": "1.0", "id": format!("{kind}@{second}"), "source": "/livehooks/p",
        "type": format!("live.{kind}"), "subject": room, "time": time, "recordedtime": time,
        "timebasis": "provider", "provider": "p",
        "assurance": "signed", "dedupebasis": "provider-id", "datacontenttype": "application/json", "data": data,
    }))
    .unwrap()
}

fn participant(id: &str, sid: &str) -> Value {
    json!({ "session": { "id": "s1" }, "participant": { "id": id, "sid": sid, "name": id.to_uppercase() } })
}

fn session() -> Value {
    json!({ "session": { "id": "s1" } })
}

/// Lanes as `kind label: from-to`, in seconds; `?` is a gap, `~` a presumed end, `!` a failure.
pub(super) fn shown(events: &[Event]) -> Vec<String> {
    let timelines = Timeline::of_rooms(events);
    let second = |time: Timestamp| time.as_second() - 1_761_815_000;
    let span = |span: &Span| {
        let from = span.from.map_or("?".into(), |time| second(time).to_string());
        let from = if span.started_by.is_none() && span.from.is_some() { format!("?{from}") } else { from };
        let to = match (span.to, span.presumed_end) {
            (Some(to), _) => second(to).to_string(),
            (None, Some(end)) => format!("~{}", second(end)),
            (None, None) => "?".into(),
        };
        format!("{from}-{to}{}", if span.failed { "!" } else { "" })
    };
    let lane = |lane: &Lane| {
        let spans: Vec<String> = lane.spans.iter().map(span).collect();
        format!("{} {}: {}", lane.kind.as_str(), lane.label, spans.join(" "))
    };
    timelines.iter().flat_map(|timeline| &timeline.lanes).map(lane).collect()
}

#[test]
fn a_participant_has_one_lane_with_several_spans() {
    let events = [
        event(0, "session.started", session()),
        event(5, "participant.joined", participant("ann", "PA_1")),
        event(60, "participant.left", participant("ann", "PA_1")),
        event(70, "participant.joined", participant("ann", "PA_2")),
        event(90, "participant.left", participant("ann", "PA_2")),
        event(100, "session.ended", session()),
    ];
    assert_eq!(shown(&events), ["session s1: 0-100", "participant ANN: 5-60 70-90"]);
}

#[test]
fn order_and_duplicates_make_no_difference() {
    let mut events = vec![
        event(0, "session.started", session()),
        event(5, "participant.joined", participant("ann", "PA_1")),
        event(6, "participant.joined", participant("bob", "PA_2")),
        event(60, "participant.left", participant("ann", "PA_1")),
        event(100, "session.ended", session()),
    ];
    let expected = shown(&events);
    events.extend(events.clone());
    events.reverse();
    assert_eq!(shown(&events), expected);
}

#[test]
fn a_lost_start_or_end_is_a_gap() {
    let left = json!({
        "session": { "id": "s1" },
        "participant": { "id": "cy", "sid": "PA_3", "joined_at": "2025-10-30T09:03:50Z" },
    });
    let events = [
        event(5, "participant.joined", participant("ann", "PA_1")),
        event(20, "participant.left", participant("bob", "PA_2")),
        event(60, "participant.left", left),
        event(100, "session.ended", session()),
        event(200, "session.started", json!({ "session": { "id": "s2" } })),
    ];
    assert_eq!(
        shown(&events),
        [
            "session s1: ?-100",
            "session s2: 200-?",
            "participant BOB: ?-20",
            "participant ANN: 5-~100",
            "participant cy: ?30-60"
        ]
    );
    let open: Vec<_> = Timeline::of_rooms(&events)[0].unfinished();
    let open: Vec<_> =
        open.iter().map(|open| (open.kind.as_str(), open.key.as_str(), open.event.as_str())).collect();
    assert_eq!(
        open,
        [("participant", "ann", "participant.joined@5"), ("session", "s2", "session.started@200")]
    );
}

#[test]
fn a_second_start_without_sid_is_a_repeat_if_soon_and_a_lost_end_if_late() {
    let ann = || json!({ "session": { "id": "s1" }, "participant": { "id": "ann" } });
    let events = [
        event(0, "participant.joined", ann()),
        event(100, "participant.joined", ann()),
        event(500, "participant.joined", ann()),
        event(600, "participant.left", ann()),
        event(601, "participant.left", ann()),
    ];
    assert_eq!(shown(&events), ["participant ann: 0-~500 500-600"]);
}

#[test]
fn two_devices_of_one_user_share_a_lane_and_end_separately() {
    let device =
        |id: &str| json!({ "session": { "id": "s1" }, "participant": { "id": id, "user_id": "ann" } });
    let events = [
        event(0, "participant.joined", device("phone")),
        event(10, "participant.joined", device("laptop")),
        event(20, "participant.left", device("phone")),
    ];
    assert_eq!(shown(&events), ["participant ann: 0-20 10-?"]);
}

#[test]
fn a_leave_ends_nobody_elses_stay() {
    let user = |id: &str| json!({ "session": { "id": "s1" }, "participant": { "user_id": id } });
    let events = [event(0, "participant.joined", user("ann")), event(60, "participant.left", user("bob"))];
    assert_eq!(shown(&events), ["participant bob: ?-60", "participant ann: 0-?"]);
}

#[test]
fn a_failed_join_is_a_marker_of_the_room() {
    let events = [event(3, "participant.join_failed", participant("eve", "PA_9"))];
    let timeline = &Timeline::of_rooms(&events)[0];
    assert!(timeline.lanes.is_empty());
    assert!(timeline.markers[0].is_failure);
}

#[test]
fn rooms_are_separate_and_a_session_identifies_its_room() {
    let mut roomless = event(9, "recording.started", json!({ "session": { "id": "s1" }, "recording": {} }));
    roomless.subject = None;
    let events = [
        event(0, "session.started", json!({ "room": { "id": "a" }, "session": { "id": "s1" } })),
        event(1, "session.started", json!({ "room": { "id": "b" }, "session": { "id": "s2" } })),
        roomless,
    ];
    let rooms: Vec<_> =
        Timeline::of_rooms(&events).iter().map(|timeline| (timeline.room.clone(), timeline.events)).collect();
    assert_eq!(rooms, [(Some("a".into()), 2), (Some("b".into()), 1)]);
}

fn in_session(session: &str) -> Value {
    json!({ "session": { "id": session } })
}

fn person(session: &str, id: &str) -> Value {
    json!({ "session": { "id": session }, "participant": { "id": id, "sid": id } })
}

#[test]
fn a_newer_session_ends_the_older_one_with_everybody_in_it() {
    let mut events = vec![
        event(0, "session.started", in_session("s1")),
        event(5, "participant.joined", person("s1", "ann")),
        event(8, "recording.started", json!({ "session": { "id": "s1" }, "recording": { "id": "EG" } })),
        event(300, "participant.joined", person("s2", "bob")),
        event(310, "session.started", in_session("s2")),
        // What is only available later does not show that the older session goes on.
        event(400, "recording.ready", json!({ "session": { "id": "s1" }, "recording": { "id": "other" } })),
    ];
    assert_eq!(
        shown(&events),
        [
            "session s1: 0-~300",
            "session s2: 310-?",
            "participant ann: 5-~300",
            "participant bob: 300-?",
            "recording room: 8-~300"
        ]
    );
    events.push(event(320, "participant.joined", person("s1", "cy")));
    assert!(shown(&events).contains(&"session s1: 0-?".to_owned()), "a session that somebody joins goes on");
}

#[test]
fn an_end_in_whole_seconds_follows_a_start_in_fractions_of_the_same_second() {
    let at = |time: &str, recorded: i64, mut event: Event| {
        event.time = time.parse().unwrap();
        event.recordedtime = Timestamp::from_second(1_761_815_000 + recorded).unwrap();
        event
    };
    let events = [
        at("2025-10-30T09:03:25.400Z", 6, event(5, "participant.joined", participant("ann", "PA_1"))),
        at("2025-10-30T09:03:25Z", 7, event(6, "participant.left", participant("ann", "PA_1"))),
    ];
    assert_eq!(shown(&events), ["participant ANN: 5-5"]);
    let span = &Timeline::of_rooms(&events)[0].lanes[0].spans[0];
    assert!(span.from <= span.to, "{span:?}");
}

#[test]
fn overlapping_stays_of_one_person_are_counted_once() {
    let device =
        |id: &str| json!({ "session": { "id": "s1" }, "participant": { "id": id, "user_id": "ann" } });
    let events = [
        event(0, "participant.joined", device("phone")),
        event(10, "participant.joined", device("laptop")),
        event(20, "participant.left", device("phone")),
        event(30, "participant.left", device("laptop")),
        event(50, "participant.joined", device("phone")),
        event(60, "participant.left", device("phone")),
    ];
    let timeline = &Timeline::of_rooms(&events)[0];
    assert_eq!(timeline.lanes[0].known_length().as_secs(), 40);
}

#[test]
fn a_timestamp_a_year_off_does_not_stretch_the_axis() {
    const YEAR: i64 = 365 * 86_400;
    let mut lost = event(-YEAR, "participant.joined", participant("ann", "PA_1"));
    lost.recordedtime = Timestamp::from_second(1_761_815_010).unwrap();
    let started_at = |time: &str| json!({ "session": { "id": "s1", "started_at": time } });
    let events = [
        lost,
        event(20, "participant.joined", participant("bob", "PA_2")),
        event(60, "session.ended", started_at("1970-01-01T00:00:00Z")),
    ];
    let timeline = &Timeline::of_rooms(&events)[0];
    let second = |time: Timestamp| time.as_second() - 1_761_815_000;
    assert_eq!((second(timeline.from), second(timeline.to)), (20, 60));
    assert_eq!(timeline.outside, 2);
}

fn any_event() -> impl Strategy<Value = Event> {
    let kinds = livehooks_core::EventType::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>();
    let text = || prop::option::of(prop::sample::select(vec!["a", "b", ""]));
    (0_i64..400, prop::sample::select(kinds), text(), text(), text(), text(), 0_usize..64).prop_map(
        |(second, kind, id, sid, session, room, present)| {
            let mut data = json!({});
            let parts = [
                ("session", json!({ "id": session, "started_at": "2025-10-30T09:03:22Z" })),
                ("participant", json!({ "id": id, "sid": sid, "user_id": room })),
                ("recording", json!({ "id": id, "scope": "room" })),
                ("stream", json!({ "id": id })),
                ("ingress", json!({ "id": id, "ended_at": "2025-10-30T09:03:22Z" })),
                ("transcription", json!({ "id": sid })),
            ];
            for (bit, (name, part)) in parts.into_iter().enumerate() {
                if present & (1 << bit) != 0 {
                    data[name] = part;
                }
            }
            let mut event = event(second, kind.trim_start_matches("live."), data);
            event.subject = room.map(str::to_owned);
            event
        },
    )
}

proptest! {
    #[test]
    fn any_events_make_the_same_timeline_in_any_order(
        events in prop::collection::vec(any_event(), 0..40),
        seed in any::<prop::sample::Index>(),
    ) {
        let timelines = Timeline::of_rooms(&events);
        for timeline in &timelines {
            prop_assert!(timeline.from <= timeline.to);
            for span in timeline.lanes.iter().flat_map(|lane| &lane.spans) {
                prop_assert!(span.started_by.is_some() || span.ended_by.is_some());
                if let (Some(from), Some(to)) = (span.from, span.to.or(span.presumed_end)) {
                    prop_assert!(from <= to, "{span:?}");
                }
            }
            timeline.unfinished();
        }
        let mut other = events.clone();
        if !other.is_empty() {
            let middle = seed.index(other.len());
            other.rotate_left(middle);
        }
        other.reverse();
        // Two events of the same type and second share an id here, so their order decides which one counts.
        let unique: HashSet<_> = events.iter().map(|event| event.id.clone()).collect();
        if unique.len() == events.len() {
            prop_assert_eq!(Timeline::of_rooms(&other), timelines);
        }
    }
}
