//! The commands with a deployed stack.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "harness/deployed_stack.rs"]
mod deployed_stack;
mod harness;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use deployed_stack::Deployed;
use harness::{App, ask, is_forbidden, send, stderr};
use serde_json::Value;

#[test]
fn the_page_of_a_deployed_stack_answers_this_machine_only() {
    let deployed = Deployed::start();
    let arguments = ["inspect", "--stack", "live", "--region", "us-east-1", "--port", "0"];
    let mut process = deployed.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let page = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("page ").map(str::to_owned));
    let page = page.unwrap();
    let address = page.trim().strip_prefix("http://").unwrap().trim_end_matches('/');
    let host = format!("Host: {address}");
    let get = |path: &str, headers: &[&str]| ask(address, &format!("GET {path} HTTP/1.1"), headers, "");
    for path in ["/", "/api/live", "/api/event?provider=x&id=x"] {
        let answers = [
            get(path, &[&host, "Origin: https://evil.example"]),
            get(path, &["Host: evil.example"]),
            get(path, &[&host, "X-Forwarded-For: 192.0.2.1"]),
        ];
        assert!(answers.iter().all(|answer| is_forbidden(answer)), "{path}: {answers:?}");
    }
    assert!(get("/", &[&host]).starts_with("HTTP/1.1 200 "));
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_deployed_stack_is_queried_like_the_local_one() {
    let deployed = Deployed::start();
    send(deployed.local(), &["plugnmeet", "participant_joined", "--room", "standup"]);
    let event: Value = serde_json::from_str(&deployed.run_ok(&["events", "--json"])).unwrap();
    assert_eq!(event["subject"], "standup");
    assert!(deployed.run_ok(&["timeline", "standup"]).contains("participant"));
    let rooms: Value = serde_json::from_str(&deployed.run_ok(&["rooms", "--json"])).unwrap();
    assert_eq!(rooms["present"], 1);

    let explained = deployed.run_ok(&["explain", event["id"].as_str().unwrap()]);
    for part in
        ["--log-group-name live-NotifyLogGroup", "--log-group-name live-IngestLogGroup", "--region us-east-1"]
    {
        assert!(explained.contains(part), "{part:?} is not in:\n{explained}");
    }
    let open = deployed.run(&["unfinished", "--older-than", "0s"]);
    assert_eq!(open.status.code(), Some(3));
}

#[test]
fn stack_errors_say_how_to_fix_them() {
    let deployed = Deployed::start();
    let error = |arguments: &[&str]| {
        let output = deployed.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        assert!(!error.contains("never-shown"), "{error}");
        error
    };
    let unknown = error(&["events", "--stack", "other", "--region", "us-east-1"]);
    assert!(
        unknown.contains("stack other in us-east-1 cannot be described: ValidationError: Stack with id"),
        "{unknown}"
    );
    assert!(unknown.contains("aws cloudformation list-stacks"), "{unknown}");
    assert!(error(&["events", "--stack", "live"]).contains("pass --region, set AWS_REGION"));
    let disabled =
        error(&["keys", "show", "--provider", "livekit", "--stack", "live", "--region", "us-east-1"]);
    assert!(disabled.contains("stack live has no secret for livekit"), "{disabled}");
}

#[test]
fn replay_and_listen_work_with_default_credentials() {
    let deployed = Deployed::start();
    let app = App::start();
    let listen = ["listen", "--stack", "live", "--region", "us-east-1", "--forward-to", &app.url];
    let mut listener =
        deployed.command(&listen).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = std::io::BufReader::new(listener.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut messages, &mut String::new()).unwrap();
    send(deployed.local(), &["plugnmeet", "participant_joined", "--room", "standup"]);
    let event = app.take();
    assert_eq!(event["subject"], "standup");
    listener.kill().unwrap();
    listener.wait().unwrap();

    deployed.run_ok(&["replay", "--room", "standup", "--to-topic"]);
    let published = deployed.dev.get("/api/announcements?replay=all&follow=false");
    assert_eq!(published.matches("\"replayid\"").count(), 1, "{published}");
    assert!(
        deployed.folder.path().join("state/livehooks").is_dir(),
        "the state is in the user's state folder"
    );
}
