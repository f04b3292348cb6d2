//! A simulated meeting, sent to the real local stack and read back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use livehooks_core::EventType::{self, *};
use livehooks_signing::{Clock, Meeting, PROVIDERS, Plan, ProviderInfo, Simulation};
use serde_json::Value;

use crate::harness::{Dev, EXAMPLE, json_lines, ran, run, stderr, stdout};

const SEED: u64 = 7;

fn plan() -> Plan {
    Meeting { participants: 12, minutes: 30, seed: SEED }.plan()
}

/// The same meeting as the command's with this seed, at another time.
fn simulation(provider: &'static ProviderInfo, room: &str) -> Simulation {
    let plan = plan();
    let clock = Clock::until(Timestamp::now(), &plan);
    Simulation::of(provider, &(provider.make_keys)(), &plan, room, clock).unwrap()
}

/// The seconds of each person's stays.
fn planned_stays() -> BTreeMap<String, Vec<i64>> {
    let plan = plan();
    let mut stays = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.kind == ParticipantLeft) {
        let id = plan.people[step.person.unwrap()].id.clone();
        stays.entry(id).or_insert_with(Vec::new).push(step.at_s - step.began_at_s);
    }
    stays
}

fn timeline(folder: &Path, provider: &ProviderInfo, room: &str) -> Value {
    let arguments = ["timeline", room, "--provider", provider.name, "--json"];
    json_lines(folder, &arguments).pop().unwrap()
}

/// The seconds of the spans of each lane of a kind, by the lane's key; `None` for a span without a start or an end.
fn spans(timeline: &Value, kind: &str) -> BTreeMap<String, Vec<Option<i64>>> {
    let lanes = timeline["lanes"].as_array().unwrap().iter().filter(|lane| lane["kind"] == kind);
    let seconds = |span: &Value| {
        let time = |name: &str| span[name].as_str()?.parse::<Timestamp>().ok();
        let is_complete = span["started_by"].is_string() && span["ended_by"].is_string();
        is_complete.then(|| Some(time("to")?.duration_since(time("from")?).as_secs())).flatten()
    };
    let spans = |lane: &Value| lane["spans"].as_array().unwrap().iter().map(seconds).collect();
    lanes.map(|lane| (lane["key"].as_str().unwrap().to_owned(), spans(lane))).collect()
}

fn reports(simulation: &Simulation, kind: EventType) -> bool {
    simulation.deliveries.iter().any(|delivery| delivery.step.kind == kind)
}

fn has_time(simulation: &Simulation, kind: EventType) -> bool {
    simulation.deliveries.iter().any(|delivery| delivery.step.kind == kind && delivery.has_time)
}

#[test]
fn every_provider_reports_the_planned_meeting() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]).unread();
    let said = ran(folder.path(), &["simulate", "all", "--seed", "7", "--room", "standup"], 0);
    assert!(said.starts_with("meeting     standup, 12 participants, 30 minutes, seed 7\n"), "{said}");
    for provider in PROVIDERS {
        let simulation = simulation(provider, "standup");
        let (name, room, sent) = (provider.name, &simulation.room, simulation.deliveries.len());
        let summary = format!("{name:11} {sent} sent: {sent} accepted, 0 duplicates, 0 rejected\n");
        assert!(said.contains(&summary), "expected {summary}, found {said}");
        assert!(said.contains(&format!("cargo livehooks timeline {room}\n")), "{said}");
        assert_eq!(
            said.contains(&format!("note        {name}: ")),
            simulation.deliveries.iter().any(|d| !d.has_time)
        );

        let found = timeline(folder.path(), provider, room);
        assert_eq!(found["events"], sent, "{name}");
        let people = spans(&found, "participant");
        let planned: BTreeMap<_, Vec<_>> = planned_stays()
            .into_iter()
            .map(|(id, stays)| (id, stays.into_iter().map(Some).collect()))
            .collect();
        if has_time(&simulation, ParticipantJoined) {
            assert_eq!(people, planned, "{name}");
        } else if reports(&simulation, ParticipantJoined) {
            let counts = |of: &BTreeMap<String, Vec<Option<i64>>>| {
                of.iter().map(|(id, stays)| (id.clone(), stays.len())).collect::<Vec<_>>()
            };
            assert_eq!(counts(&people), counts(&planned), "{name}");
            assert!(people.values().flatten().all(Option::is_some), "{name}: {people:?}");
        } else {
            assert!(people.is_empty(), "{name}");
        }
        for (kind, started) in
            [("session", SessionStarted), ("recording", RecordingStarted), ("stream", StreamStarted)]
        {
            let lanes = spans(&found, kind);
            assert_eq!(lanes.len(), usize::from(reports(&simulation, started)), "{name}: {lanes:?}");
            assert!(lanes.values().all(|spans| spans.len() == 1 && spans[0].is_some()), "{name}: {lanes:?}");
        }
        let files =
            ["events", "--json", "--room", room, "--provider", name, "--type", "live.recording.ready"];
        let files = json_lines(folder.path(), &files);
        assert_eq!(files.len(), usize::from(reports(&simulation, RecordingReady)), "{name}");
        for event in files {
            let file = &event["data"]["recording"]["files"][0];
            assert!(file["url"].is_string() || file["path"].is_string(), "{name}: {event}");
        }
    }
    let unknown = ["events", "--json", "--type", "live.unknown"];
    assert_eq!(json_lines(folder.path(), &unknown), [Value::Null; 0]);
}

#[test]
fn a_copy_is_a_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]).unread();
    let said = ran(folder.path(), &["simulate", "all", "--seed", "7", "--duplicates", "100"], 0);
    for provider in PROVIDERS {
        let once = simulation(provider, "meeting-7").deliveries.len();
        let summary = format!("{} sent: {once} accepted, {once} duplicates, 0 rejected", 2 * once);
        assert!(said.contains(&format!("{:11} {summary}\n", provider.name)), "{summary}: {said}");
    }
}

#[test]
fn another_order_gives_the_same_timeline_if_the_bodies_hold_times() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]).unread();
    ran(folder.path(), &["simulate", "all", "--seed", "7", "--room", "standup", "--reorder", "30"], 0);
    let planned: BTreeMap<_, Vec<_>> =
        planned_stays().into_iter().map(|(id, stays)| (id, stays.into_iter().map(Some).collect())).collect();
    let mut compared = 0;
    for provider in PROVIDERS {
        let simulation = simulation(provider, "standup");
        if !has_time(&simulation, ParticipantJoined) {
            continue;
        }
        let found = timeline(folder.path(), provider, &simulation.room);
        assert_eq!(spans(&found, "participant"), planned, "{}", provider.name);
        assert_eq!(spans(&found, "session").values().flatten().collect::<Vec<_>>(), [&Some(1_800)]);
        compared += 1;
    }
    assert!(compared >= 5, "{compared}");
}

#[test]
fn lost_ends_are_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]).unread();
    ran(folder.path(), &["simulate", EXAMPLE, "--room", "standup", "--lose-ends", "100"], 0);
    let provider = ProviderInfo::named(EXAMPLE).unwrap();
    let people = spans(&timeline(folder.path(), provider, "standup"), "participant");
    assert!(people.len() == 12 && people.values().flatten().all(Option::is_none), "{people:?}");
}

#[test]
fn a_meeting_at_a_speed_takes_its_time_and_so_do_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]).unread();
    let begun = Instant::now();
    let arguments = ["simulate", "videosdk", "--room", "standup", "--minutes", "20", "--speed", "600"];
    ran(folder.path(), &arguments, 0);
    assert!(begun.elapsed().as_secs_f64() >= 2.0, "{:?}", begun.elapsed());
    let found = timeline(folder.path(), ProviderInfo::named("videosdk").unwrap(), "standup");
    let [from, to] = ["from", "to"].map(|name| found[name].as_str().unwrap().parse::<Timestamp>().unwrap());
    assert!((2..60).contains(&to.duration_since(from).as_secs()), "{from} to {to}");
}

#[test]
fn invalid_numbers_and_rejections_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]).unread();
    for (arguments, expected) in [
        (["--participants", "0"], "'0' for '--participants <COUNT>': expected a whole number from 1 to 1000"),
        (["--minutes", "1.5"], "'1.5' for '--minutes <COUNT>': expected a whole number from 1 to 1440"),
        (["--speed", "fast"], "'fast' for '--speed <SPEED>': expected max, or a number from 0.1 to 100000"),
        (["--duplicates", "101"], "'101' for '--duplicates <PERCENT>': expected a number from 0 to 100"),
    ] {
        let output = run(folder.path(), &[&["simulate", EXAMPLE], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let output = run(folder.path(), &["simulate", "skype"]);
    assert!(stderr(&output).contains("or all, found \"skype\""), "{}", stderr(&output));

    let keys = serde_json::json!({ EXAMPLE: { "keys": { format!("{EXAMPLE}-dev"): "another secret" } } });
    std::fs::write(folder.path().join("other.json"), keys.to_string()).unwrap();
    let output = run(folder.path(), &["simulate", EXAMPLE, "--keys", "other.json"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains(" 0 accepted") && said.contains("rejected: 401 The delivery could not"), "{said}");
}
