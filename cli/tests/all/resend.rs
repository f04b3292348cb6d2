//! `replay` and `listen`: what they send, in which order, and how they resume.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::harness::{App, Dev, EXAMPLE, interrupt, json_lines, livehooks, ran, run, send, stderr};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Sends `count` joins to room `a`, and returns their ids, oldest first.
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
fn a_replay_sends_each_event_once_oldest_first_with_its_own_replay_id() {
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
fn a_stopped_replay_continues_after_the_last_sent_event() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let sent = joins(folder.path(), 5);
    let app = App::start();
    let arguments = ["replay", "--room", "a", "--since", "1h", "--to", &app.url, "--rate", "1000"];
    let mut replay = livehooks(folder.path()).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    app.take();
    app.next();
    interrupt(&replay);
    // The signal must arrive before the answer.
    let mut messages = BufReader::new(replay.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(messages.any(|line| line.starts_with("stopping")));
    app.answer(200);
    assert_eq!(replay.wait().unwrap().code(), Some(130), "it waits for the event in flight");

    let replay = start(folder.path(), &arguments);
    let came = [app.take(), app.take(), app.take()];
    assert_eq!(came.iter().map(id).collect::<Vec<_>>(), sent[2..]);
    assert_eq!(replay.wait_with_output().unwrap().status.code(), Some(0));
    assert!(app.is_idle());
}

#[test]
fn a_failed_replay_stops_and_says_how_to_continue() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    joins(folder.path(), 1);
    let output = run(folder.path(), &["replay", "--room", "a", "--to", "http://127.0.0.1:9/"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("run the same command to continue"), "{}", stderr(&output));
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
    let explained = loop {
        let explained = ran(folder.path(), &["explain", &ids(folder.path())[0]], 0);
        if explained.contains("1× since") {
            break explained;
        }
    };
    assert!(explained.contains("replayed 1×"), "{explained}");
}

#[test]
fn a_listener_gets_every_event_in_order_including_those_it_missed() {
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
    let mut messages = std::io::BufReader::new(listener.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut messages, &mut String::new()).unwrap();
    let sent = joins(folder.path(), 3);
    assert_eq!(id(&app.next().1), sent[0], "earlier events are not delivered");
    app.answer(500);
    assert_eq!(id(&app.take()), sent[0], "retried until the app accepts it");
    assert_eq!(id(&app.take()), sent[1]);
    // Killed while an event is in flight: it is delivered again.
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
fn a_listener_can_start_in_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let sent = joins(folder.path(), 2);
    let app = App::start();
    // Beyond the stream's reach the table is read, within it the stream.
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
fn a_listener_that_was_stopped_for_too_long_reads_the_table() {
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

    // The cursor's stream no longer exists.
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

/// An app behind a login page: every request is redirected to a page that answers 200.
struct AppBehindLogin {
    url: String,
    requests: Arc<[AtomicUsize; 2]>,
    _runtime: Runtime,
}

impl AppBehindLogin {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let requests = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let app = axum::Router::new().fallback(redirect_to_login).with_state(requests.clone());
        runtime.spawn(axum::serve(listener, app).into_future());
        Self { url, requests, _runtime: runtime }
    }

    /// Waits until an event was sent for the second time, because it was not accepted.
    fn wait_for_retry(&self) {
        let [events, _] = &*self.requests;
        let deadline = Instant::now() + Duration::from_secs(30);
        while events.load(SeqCst) < 2 {
            assert!(Instant::now() < deadline, "the event was not sent again");
            std::thread::sleep(Duration::from_millis(10));
        }
        events.store(0, SeqCst);
    }
}

async fn redirect_to_login(State(requests): State<Arc<[AtomicUsize; 2]>>, uri: Uri) -> Response {
    let is_login = uri.path() == "/login";
    requests[usize::from(is_login)].fetch_add(1, SeqCst);
    match is_login {
        true => "please log in".into_response(),
        false => (StatusCode::FOUND, [(header::LOCATION, "/login")]).into_response(),
    }
}

#[test]
fn a_redirect_is_not_a_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let app = AppBehindLogin::start();
    let _dev = Dev::start(folder.path(), &["--memory", "--forward-to", &app.url]);
    joins(folder.path(), 1);
    app.wait_for_retry();

    let replay = run(folder.path(), &["replay", "--room", "a", "--to", &app.url]);
    assert_eq!(replay.status.code(), Some(2));
    let error = stderr(&replay);
    assert!(error.contains("it answered 302 Found") && error.contains("not followed"), "{error}");

    let mut listener = start(folder.path(), &["listen", "--since", "1h", "--forward-to", &app.url]);
    app.wait_for_retry();
    interrupt(&listener);
    listener.wait().unwrap();
    assert_eq!(app.requests[1].load(SeqCst), 0, "the login page was requested");
}

#[test]
fn a_listener_says_if_its_saved_position_belongs_to_other_options() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let app = App::start();
    let said = |options: &[&str]| {
        let arguments = [&["listen", "--forward-to", &app.url], options].concat();
        let mut command = livehooks(folder.path());
        let mut listener =
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(listener.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        while said.last().is_none_or(|line: &String| !line.starts_with("the local stack to ")) {
            said.push(lines.next().unwrap());
        }
        interrupt(&listener);
        listener.wait().unwrap();
        said
    };
    assert_eq!(said(&["--room", "a", "--since", "2h"]).len(), 1);
    let same = said(&["--room", "a", "--since", "2h"]);
    assert!(same.len() == 1 && same[0].contains("continuing from"), "{same:?}");
    let other_room = said(&["--room", "b", "--since", "2h"]);
    assert!(other_room[0].contains("saved with --room a"), "{other_room:?}");
    assert!(other_room[0].contains("--fresh"), "{other_room:?}");
    assert_eq!(said(&["--room", "b", "--since", "2h"]).len(), 1, "said once");
    let other_time = said(&["--room", "b", "--since", "7d"]);
    assert!(other_time[0].contains("--since 7d has no effect"), "{other_time:?}");
    assert_eq!(said(&["--room", "b", "--since", "7d"]).len(), 2, "said as often as it is so");
    assert!(said(&["--room", "b"]).len() == 1, "without --since nothing is promised");
    assert!(said(&[])[0].contains("saved with --room b"));
}

#[test]
fn a_damaged_position_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let app = App::start();
    let arguments = ["listen", "--forward-to", &app.url];
    let said = || {
        let mut command = livehooks(folder.path());
        let mut listener =
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(listener.stderr.take().unwrap()).read_line(&mut line).unwrap();
        interrupt(&listener);
        listener.wait().unwrap();
        line
    };
    assert!(said().contains("starting now"));
    let files = fs::read_dir(folder.path().join(".livehooks")).unwrap().map(|file| file.unwrap().path());
    let is_position = |file: &std::path::PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("listen-") && name.ends_with(".json")
    };
    let file = files.into_iter().find(is_position).unwrap();
    fs::write(file, "{").unwrap();
    let said = said();
    assert!(said.starts_with("warning: ") && said.contains("starting over"), "{said}");
}
