//! The command as users run it: processes, terminals and exit codes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Dev, livehooks, send, stderr, stdout};

/// The error of `dev` when it cannot start.
fn start_error(folder: &Path, arguments: &[&str]) -> String {
    let output = livehooks(folder).args(["dev", "--port", "0"]).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    stderr(&output)
}

#[test]
fn a_first_event_takes_one_line_each_to_send_log_and_publish() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    let sent = send(folder.path(), &["plugnmeet", "participant_joined", "--room", "standup", "--duplicate"]);
    assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    let answers = stdout(&sent);
    let answers: Vec<&str> = answers.lines().collect();
    assert!(answers[0].contains("200 accepted") && answers[1].contains("200 duplicate"), "{answers:?}");

    for status in ["accepted", "duplicate"] {
        let line = dev.line();
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        assert_eq!(words, ["plugnmeet", "live.participant.joined", "standup", "user-42", status]);
        assert!(!line.contains('\u{1b}'), "no color without a terminal");
    }
    assert_eq!(dev.notification()["message"]["subject"], "standup");
}

#[test]
fn the_page_is_at_the_printed_address() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    assert_eq!(dev.page, format!("{}/", dev.url));
    let page = dev.get("/");
    assert!(page.contains("<title>livehooks</title>"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{page}");
}

#[test]
fn an_accepted_event_survives_a_kill_and_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", "data", "--forward-to", "http://127.0.0.1:9/nobody"];
    let mut dev = Dev::start(folder.path(), &data);
    let sent = send(folder.path(), &["100ms", "peer.join.success"]);
    assert!(stdout(&sent).contains("200 accepted"), "{}{}", stdout(&sent), stderr(&sent));
    dev.kill();

    let dev = Dev::start(folder.path(), &data);
    let id = dev.notification()["message"]["id"].as_str().unwrap().to_owned();
    assert!(stdout(&sent).contains(&id));
    assert!(dev.get("/api/events").contains(&id));
}

#[test]
fn a_rejection_is_one_line_with_reason_and_advice() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    let keys = json!({ "plugnmeet": { "keys": { "plugnmeet-dev": "another secret" } } });
    fs::write(folder.path().join("other.json"), keys.to_string()).unwrap();
    let sent = send(folder.path(), &["plugnmeet", "room_started", "--keys", "other.json"]);
    assert_eq!(sent.status.code(), Some(1));
    assert!(stdout(&sent).contains("401 The delivery could not be authenticated."));
    let line = dev.line();
    assert!(
        line.contains("rejected: wrong_key") && line.contains("compare the secret of this API key"),
        "{line}"
    );
    assert!(!line.contains("another secret"));
}

#[test]
fn a_payload_cannot_move_the_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(folder.path(), &["--memory"]);
    send(folder.path(), &["plugnmeet", "participant_joined", "--room", "\u{1b}[2J\u{202e}"]);
    let line = dev.line();
    assert!(!line.contains('\u{1b}') && !line.contains('\u{202e}'), "{line:?}");
}

#[test]
fn keys_are_generated_once() {
    let folder = tempfile::tempdir().unwrap();
    drop(Dev::start(folder.path(), &["--data", "data"]));
    let keys = fs::read(folder.path().join("data/keys.json")).unwrap();
    drop(Dev::start(folder.path(), &["--data", "data"]));
    assert_eq!(fs::read(folder.path().join("data/keys.json")).unwrap(), keys);
}

#[test]
fn a_key_error_names_file_and_field_and_never_shows_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    assert!(
        start_error(folder.path(), &["--keys", "keys.json"]).contains("keys file keys.json: No such file")
    );
    fs::write(&file, "{hunter2").unwrap();
    assert!(start_error(folder.path(), &["--keys", "keys.json"]).contains("invalid JSON at line 1 column 2"));
    fs::write(&file, r#"{"livekit": {"keys": {"a": {"hunter2": 1}}}}"#).unwrap();
    let error = start_error(folder.path(), &["--keys", "keys.json"]);
    assert_eq!(
        error,
        "error: keys file keys.json: field livekit.keys.a: expected a string, found an object\n"
    );
}

#[test]
fn a_folder_that_cannot_be_written_to_is_explained_and_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    // A file in its place stops every user, also root.
    fs::write(folder.path().join(".livehooks"), "").unwrap();
    let error = start_error(folder.path(), &[]);
    assert!(error.contains("--data DIR") && error.contains("--memory"), "{error}");

    let data = tempfile::tempdir().unwrap();
    let in_memory = ["--memory"];
    let elsewhere = ["--data", data.path().to_str().unwrap()];
    for arguments in [&in_memory[..], &elsewhere] {
        let dev = Dev::start(folder.path(), arguments);
        let keys = dev.banner.lines().find_map(|line| line.strip_prefix("keys ")).unwrap().trim();
        let sent = send(folder.path(), &["plugnmeet", "room_started", "--url", &dev.url, "--keys", keys]);
        assert!(stdout(&sent).contains("200 accepted"), "{arguments:?}: {}", stderr(&sent));
    }
}

#[test]
fn an_unusable_data_folder_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("data").join(name);
    drop(Dev::start(folder.path(), &["--data", "data"]));

    fs::write(path("format.json"), r#"{"format":3}"#).unwrap();
    let error = start_error(folder.path(), &["--data", "data"]);
    assert!(error.contains("expected format 2, found 3, written by a newer livehooks"), "{error}");
    fs::write(path("format.json"), r#"{"format":1}"#).unwrap();

    for damage in ["this is no database".as_bytes(), &[0; 4096]] {
        for name in ["events.db", "events.db-wal", "events.db-shm"] {
            let _ = fs::remove_file(path(name));
        }
        fs::write(path("events.db"), damage).unwrap();
        let error = start_error(folder.path(), &["--data", "data"]);
        assert!(error.contains("the database in the data folder is damaged"), "{error}");
        assert_eq!(fs::read(path("events.db")).unwrap(), damage);
        assert_eq!(fs::read_to_string(path("format.json")).unwrap(), r#"{"format":1}"#);
    }
}

#[test]
fn a_folder_in_use_is_not_shared() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--data", "data"]);
    assert!(start_error(folder.path(), &["--data", "data"]).contains("in use by another livehooks dev"));
}

#[test]
fn send_explains_invalid_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let error = |arguments: &[&str]| {
        let output = send(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    let names = livehooks_core::PROVIDER_NAMES.join(", ");
    assert!(error(&["skype", "x"]).contains(&format!("expected one of {names} or all, found \"skype\"")));
    assert!(error(&["plugnmeet", "x"]).contains("cargo livehooks send --list"));
    assert!(
        error(&["plugnmeet", "room_started", "--url", "http://127.0.0.1:9"]).contains("cargo livehooks dev")
    );
}

#[test]
fn the_list_shows_each_type_and_its_common_type() {
    let folder = tempfile::tempdir().unwrap();
    let list = stdout(&send(folder.path(), &["--list"]));
    let line = list.lines().find(|line| line.trim_start().starts_with("peer.join.success ")).unwrap();
    assert!(line.ends_with("live.participant.joined"), "{line}");
}

#[test]
fn every_sample_type_is_accepted_and_known() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path(), &["--memory"]);
    let sent = send(folder.path(), &["all"]);
    assert_eq!(sent.status.code(), Some(0), "{}", stdout(&sent));
    let events = dev.get("/api/events?limit=10000");
    assert!(!events.contains("live.unknown"));
    assert!(stdout(&sent).lines().count() > 100);
}

#[test]
fn a_count_makes_different_events_of_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path(), &["--memory"]);
    let sent = stdout(&send(folder.path(), &["videosdk", "resource-acquired", "--count", "3"]));
    assert_eq!(sent.matches("200 accepted").count(), 3, "{sent}");
    let sent = stdout(&send(folder.path(), &["all", "--count", "2"]));
    let repeated: Vec<&str> = sent.lines().filter(|line| !line.contains("200 accepted")).collect();
    assert!(repeated.is_empty(), "{repeated:#?}");
}

#[test]
fn the_checked_in_events_are_up_to_date() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(checked_in.join("keys.json"), folder.path().join("keys.json")).unwrap();
    let output = livehooks(folder.path()).args(["event", "--write", "."]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let files = |root: &Path| {
        let mut found = std::collections::BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => drop(
                        found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()),
                    ),
                }
            }
        }
        found
    };
    let (expected, found) = (files(&checked_in), files(folder.path()));
    let differing: Vec<_> =
        expected.keys().chain(found.keys()).filter(|path| expected.get(*path) != found.get(*path)).collect();
    assert!(differing.is_empty(), "update them with `cargo livehooks event --write events`: {differing:?}");
    assert!(expected.len() > 30);
}

#[test]
fn an_event_is_printed_fresh_tampered_or_expired() {
    let folder = tempfile::tempdir().unwrap();
    let event = |arguments: &[&str]| {
        let output = livehooks(folder.path()).arg("event").args(arguments).output().unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice::<Value>(&output.stdout).unwrap()),
            false => Err(stderr(&output)),
        }
    };
    let fresh = event(&["plugnmeet", "participant_joined"]).unwrap();
    assert_eq!(fresh["rawPath"], "/webhooks/plugnmeet");
    assert_eq!(fresh["isBase64Encoded"], false);
    let rest = event(&["plugnmeet", "live.participant.joined", "--rest", "--base64"]).unwrap();
    assert_eq!((rest["httpMethod"].as_str(), &rest["isBase64Encoded"]), (Some("POST"), &json!(true)));
    assert!(event(&["livekit", "room_started", "--tampered"]).is_ok());
    assert!(event(&["livekit", "room_started", "--expired"]).is_ok());
    assert!(
        event(&["videosdk", "session-started", "--expired"]).unwrap_err().contains("none of them expires")
    );
    assert!(event(&["plugnmeet", "nothing"]).unwrap_err().contains("send --list"));
}
