//! The cases that all three consumers share, in any order and with duplicates.

use livehooks_consumer::attendance::{Row, attendance};
use livehooks_event::Event;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Cases {
    defaults: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    events: Vec<Map<String, Value>>,
    attendance: Vec<Row>,
}

#[test]
fn each_case_has_its_attendance_in_any_order_and_with_duplicates() {
    let Cases { defaults, cases } = serde_json::from_str(include_str!("../../cases.json")).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for case in cases {
        let complete = |event: &Map<String, Value>| {
            let mut complete = defaults.clone();
            complete.insert("recordedtime".into(), event["time"].clone());
            complete.extend(event.clone());
            serde_json::from_value::<Event>(complete.into()).unwrap()
        };
        let events: Vec<Event> = case.events.iter().map(complete).collect();
        assert_eq!(attendance(&events), case.attendance, "{}", case.name);
        for _ in 0..200 {
            let mut meeting = events.clone();
            meeting.extend(
                random.choose_multiple(&events, random.clone().usize(..=events.len())).into_iter().cloned(),
            );
            random.shuffle(&mut meeting);
            assert_eq!(attendance(&meeting), case.attendance, "{}", case.name);
        }
    }
}
