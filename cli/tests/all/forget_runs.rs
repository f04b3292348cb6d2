//! `forget`: how a run asks, shows its progress, and resumes.
#![cfg(unix)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Dev, items, livehooks, ran, run, stderr};
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::store::{room_key, sortable, time_shard};
use serde_json::{Value, json};

const ANN: &str = "user-42";

/// Stores `count` joins of Ann within 90 days, the newest now.
fn store_joins(dev: &Dev, count: usize) {
    let now = Timestamp::now();
    let item = |n: usize| {
        let time = now - SignedDuration::from_hours(24 * 90) * n as i32 / count as i32;
        let key = format!("livekit#EV_{n:07}");
        let event = json!({
            "specversion": "1.0", "id": format!("EV_{n:07}"), "source": "/livehooks/livekit/k",
            "type": "live.participant.joined", "subject": "standup", "time": time, "recordedtime": time,
            "timebasis": "provider", "provider": "livekit", "assurance": "signed", "dedupebasis": "provider-id",
            "datacontenttype": "application/json",
            "data": { "participant": { "user_id": ANN }, "raw": { "padding": "x".repeat(1_000) } },
        });
        json!({
            "event_key": { "S": key }, "occurrence": { "N": "0" }, "event": { "S": event.to_string() },
            "type": { "S": event["type"] }, "room_key": { "S": room_key("livekit", "standup") },
            "occurred_at": { "S": sortable(time) }, "received_at": { "S": sortable(time) },
            "time_shard": { "S": time_shard(&key) }, "write_id": { "S": format!("w{n}") },
            "body_sha256": { "S": format!("{n:064}") }, "expires_at": { "N": "4102444800" },
        })
    };
    for numbers in (0..count).collect::<Vec<_>>().chunks(25) {
        let puts: Vec<Value> =
            numbers.iter().map(|n| json!({ "PutRequest": { "Item": item(*n) } })).collect();
        dev.dynamodb("BatchWriteItem", &json!({ "RequestItems": { "Events": puts } }));
    }
}

fn tombstones(dev: &Dev) -> u64 {
    let query = json!({
        "TableName": "Events", "IndexName": "by_time", "KeyConditionExpression": "time_shard = :shard",
        "ExpressionAttributeValues": { ":shard": { "S": "forgotten" } }, "Select": "COUNT",
    });
    dev.dynamodb("Query", &query)["Count"].as_u64().unwrap()
}

#[test]
fn a_killed_run_is_completed_by_the_same_command() {
    const COUNT: u64 = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &[]);
    store_joins(&dev, COUNT as usize);
    let mut forget = livehooks(folder.path());
    forget.args(["forget", "--participant", ANN, "--yes"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut forget = forget.spawn().unwrap();
    while tombstones(&dev) == 0 {
        assert!(forget.try_wait().unwrap().is_none(), "it ended without erasing");
    }
    forget.kill().unwrap();
    forget.wait().unwrap();
    let erased = tombstones(&dev);
    assert!((1..COUNT).contains(&erased), "{erased}");

    let mut forget = livehooks(folder.path());
    forget.args(["forget", "--participant", ANN, "--yes"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut forget = forget.spawn().unwrap();
    // The killed run had at most eight writes in progress.
    while tombstones(&dev) <= erased + 8 {}
    crate::harness::interrupt(&forget);
    let mut said = String::new();
    forget.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(forget.wait().unwrap().code(), Some(130), "{said}");
    let interrupted = tombstones(&dev);
    let numbers = said.lines().last().unwrap().strip_prefix("erased ").unwrap();
    let (done, rest) = numbers.split_once(" of ").unwrap();
    let left = rest.strip_suffix(" events; run the same command to continue").unwrap();
    let (done, left): (u64, u64) = (done.parse().unwrap(), left.parse().unwrap());
    assert_eq!(COUNT - left + done, interrupted, "Ctrl-C waits for the writes in progress: {said}");

    let output = run(folder.path(), &["forget", "--participant", ANN, "--yes"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert!(said.contains(&format!("erased {} events;", COUNT - interrupted)), "{said}");
    assert!(items(&dev).values().all(|item| !item.to_string().contains(ANN)));
}

/// Runs the command on a terminal and types an answer; returns its exit code and what the terminal shows.
#[cfg(target_os = "linux")]
fn on_terminal(folder: &Path, arguments: &str, answer: &str) -> (Option<i32>, String) {
    let command = format!("{} forget {arguments}", env!("CARGO_BIN_EXE_livehooks"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).current_dir(folder);
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = script.stdin.take().unwrap();
    let (mut shown, mut output) = (Vec::new(), script.stdout.take().unwrap());
    let mut byte = [0];
    while output.read(&mut byte).unwrap() == 1 {
        shown.push(byte[0]);
        if shown.ends_with(b"Type yes: ") {
            writeln!(input, "{answer}").unwrap();
        }
    }
    (script.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn it_asks_on_a_terminal_and_shows_progress_over_the_period_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &[]);
    store_joins(&dev, 2_400);
    let before = items(&dev);
    for arguments in [&["forget", "--participant", ANN][..], &["forget", "--participant", "nobody"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains("expected a terminal") && said.contains("--yes"), "{said}");
    }
    assert_eq!(run(folder.path(), &["forget", "--participant", "", "--yes"]).status.code(), Some(2));
    let arguments = format!("--participant {ANN} --since 45d");
    let (code, shown) = on_terminal(folder.path(), &arguments, "y");
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("nothing was erased"), "{shown}");
    assert_eq!(items(&dev), before);

    let (code, shown) = on_terminal(folder.path(), &arguments, "yes");
    assert_eq!(code, Some(0), "{shown}");
    for part in ["1000/1200 events searched", "/1200 events erased", "erased 1200 events;"] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    assert_eq!(tombstones(&dev), 1_200);
    let output = run(folder.path(), &["forget", "--participant", "nobody", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        ran(folder.path(), &["events", "-n", "5"], 0).lines().count(),
        6,
        "a heading and five older events"
    );
}
