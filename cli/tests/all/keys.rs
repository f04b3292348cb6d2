//! `keys` with a keys file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{livehooks, stderr};
use serde_json::json;

/// Adds a secret of LiveKit to `keys.json`, and returns the exit code and the messages.
fn add(folder: &Path, options: &[&str], secret: &str) -> (Option<i32>, String) {
    let mut command = livehooks(folder);
    command.args(["keys", "add", "--keys", "keys.json", "--provider", "livekit"]).args(options);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // An option may be rejected before the secret is read.
    let _ = child.stdin.take().unwrap().write_all(secret.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), stderr(&output))
}

#[test]
fn a_short_secret_is_added_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let keys = json!({ "livekit": { "keys": { "old": "s".repeat(32) } } });
    fs::write(folder.path().join("keys.json"), keys.to_string()).unwrap();
    let (code, said) = add(folder.path(), &["--label", "short"], &"t".repeat(31));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: the secret has 31 bytes; use at least 32 random ones"), "{said}");
    let (code, said) = add(folder.path(), &["--label", "long"], &"u".repeat(32));
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
}

#[test]
fn an_unknown_field_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keys = json!({ "livekit": { "keys": { "old": "s".repeat(32) } } }).to_string();
    fs::write(folder.path().join("keys.json"), &keys).unwrap();
    let (code, said) = add(folder.path(), &["--field", "nope", "--label", "x"], &"v".repeat(32));
    assert_eq!((code, said.as_str()), (Some(2), "error: --field: expected keys, found \"nope\"\n"));
    assert_eq!(fs::read_to_string(folder.path().join("keys.json")).unwrap(), keys);
}
