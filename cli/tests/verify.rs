//! `livehooks verify` on the fixtures that the core's tests use.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{livehooks, run, stderr, stdout};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// The command's output for a fixture, and its exit code.
fn verify(provider: &str, case: &str, now: Option<&str>) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixtures().join(provider).join(case);
    let context: Value = serde_json::from_slice(&fs::read(fixture.join("context.json")).unwrap()).unwrap();
    fs::write(folder.path().join("keys.json"), context["keys"].to_string()).unwrap();
    let mut command = livehooks(folder.path());
    command.args(["verify", "--provider", provider, "--keys", "keys.json", "--now"]);
    command.arg(now.unwrap_or(context["now"].as_str().unwrap())).arg(fixture.join("request.http"));
    let output = command.output().unwrap();
    (stdout(&output) + &stderr(&output), output.status.code())
}

#[test]
fn authentic_fixtures_pass_and_forged_ones_are_rejected_with_their_reason() {
    for provider in livehooks_core::PROVIDER_NAMES {
        for kind in ["ok", "err"] {
            // Each fixture takes a process, so test every third one; the core's tests cover all.
            let entries = fs::read_dir(fixtures().join(provider).join(kind)).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            for name in names.iter().step_by(3) {
                let case = format!("{kind}/{name}");
                let (output, code) = verify(provider, &case, None);
                if kind == "ok" {
                    assert_eq!(code, Some(0), "{provider}/{case}: {output}");
                    assert!(output.starts_with("authentic"), "{output}");
                } else {
                    let expected = fixtures().join(provider).join(&case).join("rejection.txt");
                    let expected = fs::read_to_string(expected).unwrap();
                    let (reason, detail) = expected.trim_end().split_once(": ").unwrap();
                    assert_eq!(code, Some(1), "{provider}/{case}: {output}");
                    assert!(output.starts_with(&format!("rejected: {reason}  {detail}")), "{case}: {output}");
                }
            }
        }
    }
}

#[test]
fn the_cause_is_found_if_undoing_it_makes_the_request_authentic() {
    for (provider, case, cause) in [
        ("plugnmeet", "err/body-reserialised", "re-serialized: written with a space after commas"),
        ("plugnmeet", "err/body-newline-appended", "whitespace was added at the end"),
        ("plugnmeet", "err/key-of-another-issuer", "matches the secret of API key \"APIfixture02\""),
        ("plugnmeet", "err/expired-by-61-s", "otherwise it is authentic"),
        ("livekit", "err/body-altered", "the body's content was changed"),
        ("livekit", "err/not-yet-valid-by-61-s", "otherwise it is authentic"),
        ("videosdk", "err/body-reserialised", "re-serialized: written compactly"),
        ("videosdk", "err/url-token-missing", "only the token at the end of the URL is missing"),
        ("videosdk", "err/signature-of-another-key", "a wrong key is likelier than a changed body"),
    ] {
        let (output, code) = verify(provider, case, None);
        assert_eq!(code, Some(1));
        assert!(output.contains(cause), "{provider}/{case}: {cause:?} is not in:\n{output}");
        assert!(!output.contains("fixture-secret"), "a secret is shown:\n{output}");
    }
}

#[test]
fn the_suggested_time_makes_a_captured_request_authentic() {
    let (output, code) = verify("plugnmeet", "ok/participant_joined", Some("2026-06-01T00:00:00Z"));
    assert_eq!(code, Some(1));
    let then = output.split("--now ").nth(1).unwrap().split(')').next().unwrap();
    assert_eq!(verify("plugnmeet", "ok/participant_joined", Some(then)).1, Some(0), "{output}");
}

/// The cause found for an authentic request whose body `change` rewrote.
fn cause_of(change: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixtures().join("livekit/ok/participant_joined");
    let context: Value = serde_json::from_slice(&fs::read(fixture.join("context.json")).unwrap()).unwrap();
    let request = fs::read(fixture.join("request.http")).unwrap();
    let body_at = request.windows(2).position(|window| window == b"\n\n").unwrap() + 2;
    let request = [&request[..body_at], &change(&request[body_at..])].concat();
    fs::write(folder.path().join("request.http"), request).unwrap();
    fs::write(folder.path().join("keys.json"), serde_json::json!({ "livekit": context["keys"] }).to_string())
        .unwrap();
    let now = context["now"].as_str().unwrap();
    let arguments =
        ["verify", "--provider", "livekit", "--keys", "keys.json", "--now", now, "--json", "request.http"];
    let report: Value = serde_json::from_slice(&run(folder.path(), &arguments).stdout).unwrap();
    assert_eq!(report["is_authentic"], false);
    report["cause"]["what"].as_str().unwrap().to_owned()
}

#[test]
fn a_rewrite_of_the_body_is_found_by_undoing_it() {
    let base64 = |body: &[u8]| data_encoding::BASE64.encode(body).into_bytes();
    assert!(cause_of(base64).contains("still base64"));
    assert!(cause_of(|body| [body, b" \n"].concat()).contains("added at the end"));
    assert!(cause_of(|body| [b"\xef\xbb\xbf", body].concat()).contains("byte order mark"));
    let spaced = |body: &[u8]| {
        let value: Value = serde_json::from_slice(body).unwrap();
        serde_json::to_vec_pretty(&value).unwrap()
    };
    // Sorting loses the original order of the fields and cannot be undone.
    assert!(cause_of(spaced).contains("changed"));
    let escaped =
        |body: &[u8]| String::from_utf8(body.to_vec()).unwrap().replace('ë', "\\u00eb").into_bytes();
    assert!(cause_of(escaped).contains("without optional escapes"));
}

#[test]
fn invalid_input_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys.json"), r#"{"keys": {"a": "hunter2"}}"#).unwrap();
    fs::write(folder.path().join("request.http"), "{}").unwrap();
    let verify = |arguments: &[&str]| {
        let output = run(folder.path(), &[&["verify", "--keys", "keys.json"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    let error = verify(&["--provider", "livekit", "request.http"]);
    assert!(
        error.contains("expected an HTTP request: request line, headers, an empty line, the body"),
        "{error}"
    );
    assert!(verify(&["--provider", "livekit", "nothing.http"]).contains("nothing.http: No such file"));
    assert!(verify(&["--provider", "zoom", "request.http"]).contains("expected one of 100ms"));
    fs::write(folder.path().join("request.http"), "POST / HTTP/1.1\r\n\r\n{}").unwrap();
    let error = verify(&["--provider", "100ms", "request.http"]);
    assert!(error.contains("keys.json: field .: expected only the fields"), "{error}");
}
