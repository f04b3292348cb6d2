//! The commands that query stored events.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::harness::{Dev, EXAMPLE, json_lines, livehooks, ran, run, send, stderr, stdout};

/// A local stack with every sample type of one provider in room `standup`, and a join in room `other`.
fn stack(folder: &Path) -> Dev {
    let dev = Dev::start(folder, &["--memory"]);
    assert!(send(folder, &[EXAMPLE, "all", "--room", "standup"]).status.success());
    assert!(send(folder, &["videosdk", "participant-joined", "--room", "other"]).status.success());
    dev
}

#[test]
fn events_are_filtered_by_every_option() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = stack(folder.path());
    let types = |arguments: &[&str]| -> Vec<String> {
        let events = json_lines(folder.path(), &[&["events", "--json", "-n", "1000"], arguments].concat());
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert!(types(&[]).len() > 15);
    assert_eq!(types(&["--room", "other"]), ["live.participant.joined"]);
    assert_eq!(types(&["--provider", "videosdk", "--type", "live.*.joined"]), ["live.participant.joined"]);
    assert!(types(&["--type", "live.recording.*"]).iter().all(|kind| kind.starts_with("live.recording.")));
    assert!(!types(&["--type", "live.recording.*"]).is_empty());
    assert_eq!(types(&["--text", "VIDEOSDK"]), ["live.participant.joined"]);
    assert_eq!(types(&["--participant", "nobody"]), [""; 0]);
    assert_eq!(types(&["--since", "2100-01-01"]), [""; 0]);
    assert_eq!(types(&["--until", "1h"]), [""; 0]);
    assert_eq!(types(&["--since", "1h", "--room", "other"]).len(), 1);
    let newest = json_lines(folder.path(), &["events", "--json", "-n", "1"]);
    assert_eq!(newest[0]["provider"], "videosdk", "a limit keeps the newest");

    let table = ran(folder.path(), &["events", "--room", "standup"], 0);
    let ids = json_lines(folder.path(), &["events", "--json", "--room", "standup"]);
    for event in ids {
        assert!(table.contains(event["id"].as_str().unwrap()), "a pipe gets complete ids: {table}");
    }
    assert!(table.starts_with("RECEIVED "), "{table}");
    assert!(table.lines().any(|line| line.contains(" participant.joined ") && line.contains(" standup ")));
    assert!(!table.contains('\u{1b}'), "no color without a terminal");
    let none = run(folder.path(), &["events", "--room", "nowhere"]);
    assert!(none.status.success() && none.stdout.is_empty() && stderr(&none).contains("no such event"));
}

#[test]
fn none_of_the_events_is_no_claim_about_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = stack(folder.path());
    let none = run(folder.path(), &["events", "-n", "0"]);
    assert_eq!((none.status.code(), stdout(&none), stderr(&none)), (Some(0), String::new(), String::new()));
}

#[test]
fn errors_say_how_to_fix_them() {
    let folder = tempfile::tempdir().unwrap();
    drop(Dev::start(folder.path(), &["--memory"]));
    let output = run(folder.path(), &["events"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("start the local stack with `cargo livehooks dev`"),
        "{}",
        stderr(&output)
    );
    let output = run(folder.path(), &["events", "--since", "yesterday"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected 2h, 2026-01-31"), "{}", stderr(&output));
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = stack(folder.path());
    let mut child =
        livehooks(folder.path()).args(["events", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    send(folder.path(), &["100ms", "peer.join.success"]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn following_shows_new_events_that_match() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    send(folder.path(), &[EXAMPLE, "room_started", "--room", "a"]);
    let mut command = livehooks(folder.path());
    command.args(["events", "--follow", "--json", "--room", "a"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut kind = || {
        let event: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        event["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind(), "live.session.started");
    send(folder.path(), &[EXAMPLE, "participant_joined", "--room", "b"]);
    send(folder.path(), &[EXAMPLE, "participant_left", "--room", "a"]);
    assert_eq!(kind(), "live.participant.left");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn rooms_show_present_participants_and_open_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = stack(folder.path());
    send(folder.path(), &["livekit", "egress_started", "--room", "recorded"]);
    let rooms = json_lines(folder.path(), &["rooms", "--json"]);
    let room = |name: &str| rooms.iter().find(|room| room["room"] == name).unwrap();
    assert_eq!((&room("other")["participants"], &room("other")["present"]), (&1.into(), &1.into()));
    assert_eq!(room("standup")["present"], 0, "the participant has left");
    assert_eq!(room("recorded")["open_recordings"], 1);
    assert!(ran(folder.path(), &["rooms"], 0).contains("1 of 1"));
}

#[test]
fn a_timeline_fits_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = stack(folder.path());
    for width in ["80", "120"] {
        let output =
            livehooks(folder.path()).env("COLUMNS", width).args(["timeline", "standup"]).output().unwrap();
        let drawn = stdout(&output);
        let widest = drawn.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
        assert!(widest <= width.parse().unwrap(), "{widest} columns:\n{drawn}");
        assert!(
            drawn.lines().any(|line| line.starts_with("participant ") && line.contains("Zoë <b>")),
            "{drawn}"
        );
        assert!(drawn.contains(['┣', '┫', '┃']), "{drawn}");
    }
    let timelines = json_lines(folder.path(), &["timeline", "standup", "--json"]);
    let kinds: Vec<_> = timelines[0]["lanes"].as_array().unwrap().iter().map(|lane| &lane["kind"]).collect();
    assert!(
        ["session", "participant", "recording", "stream"].iter().all(|kind| kinds.contains(&&(*kind).into()))
    );

    let none = run(folder.path(), &["timeline", "nowhere"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("cargo livehooks rooms"));
}

#[test]
fn an_events_history_goes_from_delivery_to_notification() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    for _ in 0..2 {
        send(folder.path(), &["videosdk", "participant-joined", "--participant", "p"]);
        send(folder.path(), &["videosdk", "participant-left", "--participant", "p"]);
    }
    send(folder.path(), &[EXAMPLE, "participant_joined"]);
    let joined = json_lines(folder.path(), &["events", "--json", "--type", "live.participant.joined"]);
    dev.notification();

    let id = joined.last().unwrap()["id"].as_str().unwrap();
    let explained = loop {
        let explained = ran(folder.path(), &["explain", id], 0);
        // The notifier runs a moment later.
        if !explained.contains("not since the local stack started") {
            break explained;
        }
    };
    for part in [
        &format!("live.participant.joined ({EXAMPLE} type participant_joined)"),
        "signed: this account's key signed this body\n",
        &format!("account or key {EXAMPLE}-dev"),
        "by provider-id; new: no item had this key",
        &format!("key {EXAMPLE}#{id} / 0"),
        "1× since the local stack started",
        "by the provider's clock",
        "expires ",
    ] {
        assert!(explained.contains(part), "{part:?} is not in:\n{explained}");
    }

    let id = joined[0]["id"].as_str().unwrap();
    let history = json_lines(folder.path(), &["explain", id, "--json"]).remove(0);
    assert_eq!(history["dedupe"]["basis"], "sequence");
    assert_eq!(history["event"]["id"], id);
    assert_eq!(history["delivery_lag_s"], serde_json::Value::Null, "VideoSDK gives no time");
    assert_eq!(history["published"]["is_published"], true);
    ran(folder.path(), &["replay", "--provider", EXAMPLE, "--to-topic"], 0);
    let explained = ran(folder.path(), &["explain", joined.last().unwrap()["id"].as_str().unwrap()], 0);
    assert!(explained.contains("1× since the local stack started, and replayed 1×"), "{explained}");

    assert!(ran(folder.path(), &["explain", &id[..12]], 0).contains(id), "a prefix of an id is enough");
    assert_eq!(run(folder.path(), &["explain", "nothing"]).status.code(), Some(1));
}

#[test]
fn the_exit_code_reports_unfinished_spans() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    send(folder.path(), &["livekit", "egress_started", "--room", "a"]);
    assert_eq!(ran(folder.path(), &["unfinished"], 0), "", "a recording that has just begun does not count");
    let open = ran(folder.path(), &["unfinished", "--older-than", "0s", "--json"], 3);
    let open: serde_json::Value = serde_json::from_str(&open).unwrap();
    assert_eq!((&open["kind"], &open["room"]), (&"recording".into(), &"a".into()));
    assert!(ran(folder.path(), &["unfinished", "--older-than", "0s"], 3).contains("open for "));
    send(folder.path(), &["livekit", "egress_ended", "--room", "a"]);
    assert_eq!(ran(folder.path(), &["unfinished", "--older-than", "0s"], 0), "");
}

#[test]
fn every_command_has_help_with_examples_and_shell_completion() {
    let folder = tempfile::tempdir().unwrap();
    let script = ran(folder.path(), &["completions", "bash"], 0);
    for command in [
        "dev",
        "send",
        "event",
        "events",
        "rooms",
        "timeline",
        "explain",
        "verify",
        "replay",
        "unfinished",
        "listen",
        "forget",
        "keys",
        "completions",
    ] {
        assert!(script.contains(command), "{command} has no completion");
        let help = ran(folder.path(), &[command, "--help"], 0);
        assert!(help.contains("Examples:") || command == "event", "{command} has no examples:\n{help}");
    }
}
