//! The command `keys` with a deployed stack.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "harness/deployed_stack.rs"]
mod deployed_stack;
mod harness;

use deployed_stack::Deployed;
use harness::{stderr, stdout};
use serde_json::{Value, json};

#[test]
fn keys_are_shown_by_fingerprint_added_from_stdin_and_retired() {
    let deployed = Deployed::start();
    deployed.secret.lock().unwrap().set("first", r#"{"keys": {"old": "hunter2"}}"#);
    let show = ["keys", "show", "--provider", "livekit"];
    let shown = deployed.run_ok(&show);
    assert!(shown.contains("old") && !shown.contains("hunter2"), "{shown}");

    let add = ["keys", "add", "--provider", "livekit", "--label", "new"];
    let added = deployed.run_with_input(&add, "correct horse\n");
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
    assert!(!(stdout(&added) + &stderr(&added)).contains("horse"));
    assert!(stderr(&added).contains("within five minutes"));
    let expected = json!({ "keys": { "old": "hunter2", "new": "correct horse" } });
    assert_eq!(deployed.secret.lock().unwrap().current(), expected);
    assert_eq!(deployed.secret.lock().unwrap().stages.len(), 1, "no temporary stage is left");

    let old: Vec<String> = shown.lines().last().unwrap().split_whitespace().map(str::to_owned).collect();
    deployed.run_ok(&["keys", "retire", "--provider", "livekit", &old[2]]);
    assert_eq!(deployed.secret.lock().unwrap().current(), json!({ "keys": { "new": "correct horse" } }));

    let last = deployed.run_ok(&[&show[..], &["--json"]].concat());
    let last: Value = serde_json::from_str(&last).unwrap();
    let rejected =
        deployed.run(&["keys", "retire", "--provider", "livekit", last["fingerprint"].as_str().unwrap()]);
    assert_eq!(rejected.status.code(), Some(2));
    assert!(stderr(&rejected).contains("the remaining keys would be invalid"), "{}", stderr(&rejected));
    assert_eq!(deployed.run_with_input(&add, "\n").status.code(), Some(2), "an empty secret is rejected");
}

#[test]
fn a_short_secret_is_added_with_a_warning_and_an_unknown_field_is_named() {
    let deployed = Deployed::start();
    deployed.secret.lock().unwrap().set("first", &json!({ "keys": { "old": "s".repeat(32) } }).to_string());
    let add = |options: &[&str], secret: &str| {
        let arguments = [&["keys", "add", "--provider", "livekit"], options].concat();
        let added = deployed.run_with_input(&arguments, secret);
        (added.status.code(), stderr(&added))
    };
    let (code, said) = add(&["--label", "short"], &"t".repeat(31));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: the secret has 31 bytes; use at least 32 random ones"), "{said}");
    let (code, said) = add(&["--label", "long"], &"u".repeat(32));
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
    let before = deployed.secret.lock().unwrap().current();
    let (code, said) = add(&["--field", "nope", "--label", "x"], &"v".repeat(32));
    assert_eq!(code, Some(2));
    assert_eq!(said, "error: --field: expected keys, found \"nope\"\n");
    assert_eq!(deployed.secret.lock().unwrap().current(), before);
}

#[test]
fn concurrent_changes_of_keys_are_not_overwritten() {
    let deployed = Deployed::start();
    let mut secret = deployed.secret.lock().unwrap();
    secret.set("first", r#"{"keys": {"a": "1"}}"#);
    secret.concurrent_change = Some(r#"{"keys": {"a": "1", "theirs": "2"}}"#.into());
    drop(secret);
    let add = deployed.run_with_input(&["keys", "add", "--provider", "livekit", "--label", "ours"], "3");
    assert_eq!(add.status.code(), Some(2));
    assert!(
        stderr(&add).contains("the keys were changed by someone else in the meantime"),
        "{}",
        stderr(&add)
    );
    let secret = deployed.secret.lock().unwrap();
    assert_eq!(secret.current(), json!({ "keys": { "a": "1", "theirs": "2" } }));
    assert_eq!(secret.stages.len(), 1);
}
