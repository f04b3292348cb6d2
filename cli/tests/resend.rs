//! Replaying and listening: what goes out, in which order, and what happens when it is stopped.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use harness::{App, Dev, EXAMPLE, interrupt, json_lines, livehooks, ran, run, send, stderr};
use serde_json::Value;

/// Sends so many joins to room `a`, and returns their ids, oldest first.
fn joins(folder: &Path, count: usize) -> Vec<String> {
    let before = ids(folder).len();
    send(folder, &[EXAMPLE, "participant_joined", "--room", "a", "--count", &count.to_string()]);
    ids(folder).split_off(before)
}

fn ids(folder: &Path) -> Vec<String> {
    let events = json_lines(folder, &["events", "--room", "a", "--json", "-n", "1000"]);
    events.iter().map(id).collect()
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap().to_owned()
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    livehooks(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_replay_sends_each_event_once_oldest_first_with_a_replay_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let sent = joins(folder.path(), 3);
    send(folder.path(), &[EXAMPLE, "participant_joined", "--room", "b"]);
    let app = App::start();
    let arguments = ["replay", "--room", "a", "--since", "1h", "--to", &app.url, "--rate", "1000"];
    let replay = start(folder.path(), &arguments);
    let (headers, first) = app.next();
    app.answer(200);
    let came = [first, app.take(), app.take()];
    assert_eq!(replay.wait_with_output().unwrap().status.code(), Some(0));
    assert!(app.is_idle());
    assert_eq!(came.iter().map(id).collect::<Vec<_>>(), sent);
    let replays: BTreeSet<_> = came.iter().map(|event| event["replayid"].as_str().unwrap()).collect();
    assert_eq!(replays.len(), 3);
    assert!(headers.contains("x-livehooks-type: live.participant.joined\r\n"), "{headers}");
    assert!(headers.contains("x-amz-sns-rawdelivery: true\r\n"), "{headers}");

    let other = start(folder.path(), &arguments);
    assert_ne!(app.take()["replayid"], came[0]["replayid"], "another run has other ids");
    app.take();
    app.take();
    assert_eq!(other.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_stopped_replay_goes_on_behind_what_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let sent = joins(folder.path(), 5);
    let app = App::start();
    let arguments = ["replay", "--room", "a", "--since", "1h", "--to", &app.url, "--rate", "1000"];
    let mut replay = livehooks(folder.path()).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    app.take();
    app.next();
    interrupt(&replay);
    // The answer must not be faster than the signal.
    let mut lines = BufReader::new(replay.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("stopping")));
    app.answer(200);
    assert_eq!(replay.wait().unwrap().code(), Some(130), "what was on its way is waited for");

    let replay = start(folder.path(), &arguments);
    let came = [app.take(), app.take(), app.take()];
    assert_eq!(came.iter().map(id).collect::<Vec<_>>(), sent[2..]);
    assert_eq!(replay.wait_with_output().unwrap().status.code(), Some(0));
    assert!(app.is_idle());
}

#[test]
fn a_replay_that_is_not_taken_stops_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    joins(folder.path(), 1);
    let output = run(folder.path(), &["replay", "--room", "a", "--to", "http://127.0.0.1:9/"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("run the same command again: it goes on from there"),
        "{}",
        stderr(&output)
    );
    assert_eq!(run(folder.path(), &["replay"]).status.code(), Some(2), "there is no default target");
    let dry = run(folder.path(), &["replay", "--room", "a", "--dry-run"]);
    assert!(stderr(&dry).contains("1 events would be published again"), "{}", stderr(&dry));
}

#[test]
fn a_replay_to_the_topic_reaches_its_subscribers() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let sent = joins(folder.path(), 12);
    ran(folder.path(), &["replay", "--room", "a", "--to-topic", "--rate", "1000"], 0);
    let published = dev.get("/api/announcements?replay=all&follow=false");
    for id in sent {
        let replayed = published.lines().filter(|line| line.contains("replayid") && line.contains(&id));
        assert_eq!(replayed.count(), 1, "{id}");
    }
    let said = loop {
        let said = ran(folder.path(), &["explain", &ids(folder.path())[0]], 0);
        if said.contains("1× since") {
            break said;
        }
    };
    assert!(said.contains("replayed 1×"), "{said}");
}

#[test]
fn a_listener_gets_everything_in_order_also_what_came_while_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    joins(folder.path(), 1);
    let app = App::start();
    let arguments = ["listen", "--forward-to", &app.url];
    let mut listener = livehooks(folder.path())
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(listener.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
    let sent = joins(folder.path(), 3);
    assert_eq!(id(&app.next().1), sent[0], "what was there before it began is not for it");
    app.answer(500);
    assert_eq!(id(&app.take()), sent[0], "until it is taken");
    assert_eq!(id(&app.take()), sent[1]);
    // Killed while an event is on its way: that one comes again.
    assert_eq!(id(&app.next().1), sent[2]);
    listener.kill().unwrap();
    listener.wait().unwrap();
    app.answer(200);

    let missed = joins(folder.path(), 2);
    let mut listener = start(folder.path(), &arguments);
    assert_eq!([id(&app.take()), id(&app.take()), id(&app.take())], [&sent[2..], &missed].concat()[..]);
    let newest = joins(folder.path(), 1);
    assert_eq!(id(&app.take()), newest[0]);
    interrupt(&listener);
    assert_eq!(listener.wait().unwrap().code(), Some(0));
}

#[test]
fn a_listener_may_begin_in_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let sent = joins(folder.path(), 2);
    let app = App::start();
    // Further back than the stream reaches, the table is read; within it, the stream.
    for since in ["7d", "1h"] {
        let arguments = ["listen", "--fresh", "--since", since, "--forward-to", &app.url];
        let mut listener = start(folder.path(), &arguments);
        assert_eq!([id(&app.take()), id(&app.take())], sent[..], "{since}");
        interrupt(&listener);
        listener.wait().unwrap();
    }
    assert!(app.is_idle());
}

#[test]
fn a_listener_that_was_away_for_too_long_reads_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let app = App::start();
    let arguments = ["listen", "--room", "a", "--forward-to", &app.url];
    let mut listener = start(folder.path(), &arguments);
    let state = || {
        let files = fs::read_dir(folder.path().join(".livehooks")).unwrap().map(|file| file.unwrap().path());
        files.into_iter().find(|file| {
            file.file_name().unwrap().to_string_lossy().starts_with("listen-")
                && file.extension().is_some_and(|ending| ending == "json")
        })
    };
    let file = loop {
        if let Some(file) = state() {
            break file;
        }
    };
    interrupt(&listener);
    listener.wait().unwrap();
    let sent = joins(folder.path(), 3);

    // The stream that the cursor was of does not exist any more.
    let mut saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    saved["cursor"]["stream_arn"] = "arn:aws:dynamodb:us-east-1:000000000000:table/Events/stream/gone".into();
    fs::write(&file, saved.to_string()).unwrap();
    let mut listener = start(folder.path(), &arguments);
    assert_eq!([id(&app.take()), id(&app.take()), id(&app.take())], sent[..]);
    let newest = joins(folder.path(), 1);
    assert_eq!(id(&app.take()), newest[0]);
    interrupt(&listener);
    listener.wait().unwrap();
}
