//! The consumers' attendance is what the timeline shows: on random events here, for the consumer in Rust, and on simulated
//! meetings of every provider in tests/consumers, for all three.

#[path = "../examples/consumers/rust/src/attendance.rs"]
mod attendance;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use livehooks::timeline::{LaneKind, Timeline};
use livehooks_event::Event;
use proptest::prelude::*;
use proptest::{option, sample};
use serde_json::{Value, json};

/// Hundredths of a minute, and whether somebody is present, by session and participant.
type Attendance = BTreeMap<(Option<String>, String), (i64, bool)>;

fn shown(events: &[Event]) -> Attendance {
    let mut stays: BTreeMap<_, Vec<(Option<Timestamp>, Option<Timestamp>)>> = BTreeMap::new();
    let timelines = Timeline::of_rooms(events);
    let lanes = timelines.iter().flat_map(|timeline| &timeline.lanes);
    for lane in lanes.filter(|lane| lane.kind == LaneKind::Participant) {
        for span in &lane.spans {
            let stay = (span.from, span.to.or(span.presumed_end));
            stays.entry((span.session.clone(), lane.key.clone())).or_default().push(stay);
        }
    }
    stays.into_iter().map(|(key, stays)| (key, total(&stays))).collect()
}

fn total(stays: &[(Option<Timestamp>, Option<Timestamp>)]) -> (i64, bool) {
    let half_seconds = |time: Timestamp| time.as_millisecond() / 500;
    let known = stays.iter().filter_map(|(from, to)| Some((half_seconds((*from)?), half_seconds((*to)?))));
    let present: BTreeSet<i64> = known.flat_map(|(from, to)| from..to).collect();
    (present.len() as i64 * 100 / 120, stays.iter().any(|(_, to)| to.is_none()))
}

/// An object with those fields that are known.
fn object(fields: Vec<(&'static str, Option<impl Into<Value>>)>) -> Value {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

/// A multiple of half a second, within ten minutes.
fn time() -> impl Strategy<Value = String> {
    let start = 1_772_733_600_000;
    (0..1_200_i64).prop_map(move |half| Timestamp::from_millisecond(start + half * 500).unwrap().to_string())
}

fn any_event() -> impl Strategy<Value = Value> {
    let kinds = vec!["session.started", "session.ended", "participant.joined", "participant.left"];
    let some = |values: &[&'static str]| option::of(sample::select(values.to_vec()));
    let session = (some(&["s1", "s2", "s3"]), option::of(time()), option::of(time()));
    let session = session.prop_map(|(id, started, ended)| {
        object(vec![("id", id.map(str::to_owned)), ("started_at", started), ("ended_at", ended)])
    });
    let ids = (some(&["a", "b"]), some(&["a", "c"]), some(&["a"]));
    let participant = (ids, option::of(time()), option::of(time()));
    let participant = participant.prop_map(|((id, sid, user_id), joined, left)| {
        let text = |id: Option<&str>| id.map(str::to_owned);
        let ids = [("id", text(id)), ("sid", text(sid)), ("user_id", text(user_id))];
        object(ids.into_iter().chain([("joined_at", joined), ("left_at", left)]).collect())
    });
    let data = (option::weighted(0.9, session), option::weighted(0.9, participant));
    let data = data
        .prop_map(|(session, participant)| object(vec![("session", session), ("participant", participant)]));
    (sample::select(kinds), time(), time(), data).prop_map(|(kind, time, recordedtime, data)| {
        json!({
            "specversion": "1.0", "source": "/livehooks/p", "type": format!("live.{kind}"), "subject": "room01",
            "time": time, "recordedtime": recordedtime, "timebasis": "provider", "provider": "p",
            "assurance": "signed", "dedupebasis": "provider-id", "datacontenttype": "application/json", "data": data,
        })
    })
}

fn meeting(events: Vec<Value>) -> Vec<Event> {
    let with_id = |(id, mut event): (usize, Value)| {
        event["id"] = id.to_string().into();
        serde_json::from_value(event).unwrap()
    };
    events.into_iter().enumerate().map(with_id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn attendance_is_what_the_timeline_shows(events in prop::collection::vec(any_event(), 1..24).prop_map(meeting)) {
        let rows = attendance::attendance(&events);
        let found: Attendance = rows
            .into_iter()
            .map(|row| ((row.session, row.participant), ((row.minutes * 100.0).round() as i64, row.present)))
            .collect();
        prop_assert_eq!(found, shown(&events));
    }
}
