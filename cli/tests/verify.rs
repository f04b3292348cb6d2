//! `livehooks verify`, over the same recorded deliveries as the core's own verification.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{livehooks, run, stderr, stdout};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// What the command says of a fixture, and its exit code.
fn verdict(provider: &str, case: &str, now: Option<&str>) -> (String, Option<i32>) {
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
fn every_authentic_fixture_is_authentic_and_every_forged_one_is_rejected_for_its_reason() {
    for provider in livehooks_core::PROVIDER_NAMES {
        for kind in ["ok", "err"] {
            // One process a fixture: every third of them will do, the core's own tests have them all.
            let entries = fs::read_dir(fixtures().join(provider).join(kind)).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            for name in names.iter().step_by(3) {
                let case = format!("{kind}/{name}");
                let (said, code) = verdict(provider, &case, None);
                if kind == "ok" {
                    assert_eq!(code, Some(0), "{provider}/{case}: {said}");
                    assert!(said.starts_with("authentic"), "{said}");
                } else {
                    let expected = fixtures().join(provider).join(&case).join("rejection.txt");
                    let expected = fs::read_to_string(expected).unwrap();
                    let (reason, detail) = expected.trim_end().split_once(": ").unwrap();
                    assert_eq!(code, Some(1), "{provider}/{case}: {said}");
                    assert!(said.starts_with(&format!("rejected: {reason}  {detail}")), "{case}: {said}");
                }
            }
        }
    }
}

#[test]
fn the_cause_is_named_where_undoing_it_makes_the_request_authentic() {
    for (provider, case, cause) in [
        ("plugnmeet", "err/body-reserialised", "re-serialised: written with a space after commas"),
        ("plugnmeet", "err/body-newline-appended", "something was added at the end"),
        ("plugnmeet", "err/key-of-another-issuer", "fits the secret of API key \"APIfixture02\""),
        ("plugnmeet", "err/expired-by-61-s", "but for that it is authentic"),
        ("livekit", "err/body-altered", "the body's content was changed"),
        ("livekit", "err/not-yet-valid-by-61-s", "but for that it is authentic"),
        ("videosdk", "err/body-reserialised", "re-serialised: written compactly"),
        ("videosdk", "err/url-token-missing", "only the token at the end of the URL is missing"),
        ("videosdk", "err/signature-of-another-key", "another key is likelier than another body"),
    ] {
        let (said, code) = verdict(provider, case, None);
        assert_eq!(code, Some(1));
        assert!(said.contains(cause), "{provider}/{case}: {cause:?} is not in:\n{said}");
        assert!(!said.contains("fixture-secret"), "a secret is shown:\n{said}");
    }
}

#[test]
fn the_time_that_is_given_for_a_captured_request_is_one_at_which_it_counts() {
    let (said, code) = verdict("plugnmeet", "ok/participant_joined", Some("2026-06-01T00:00:00Z"));
    assert_eq!(code, Some(1));
    let then = said.split("--now ").nth(1).unwrap().split(')').next().unwrap();
    assert_eq!(verdict("plugnmeet", "ok/participant_joined", Some(then)).1, Some(0), "{said}");
}

/// An authentic request whose body is rewritten by `change`, and what is said of it.
fn rewritten(change: impl Fn(&[u8]) -> Vec<u8>) -> String {
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
    let verdict: Value = serde_json::from_slice(&run(folder.path(), &arguments).stdout).unwrap();
    assert_eq!(verdict["is_authentic"], false);
    verdict["cause"]["what"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_done_to_a_body_is_found_by_undoing_it() {
    let base64 = |body: &[u8]| data_encoding::BASE64.encode(body).into_bytes();
    assert!(rewritten(base64).contains("still base64"));
    assert!(rewritten(|body| [body, b" \n"].concat()).contains("added at the end"));
    assert!(rewritten(|body| [b"\xef\xbb\xbf", body].concat()).contains("byte order mark"));
    let spaced = |body: &[u8]| {
        let value: Value = serde_json::from_slice(body).unwrap();
        serde_json::to_vec_pretty(&value).unwrap()
    };
    // Sorting loses the order in which the fields were signed: that cannot be undone.
    assert!(rewritten(spaced).contains("changed"));
    let escaped =
        |body: &[u8]| String::from_utf8(body.to_vec()).unwrap().replace('ë', "\\u00eb").into_bytes();
    assert!(rewritten(escaped).contains("nothing escaped that need not be"));
}

#[test]
fn what_is_no_request_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys.json"), r#"{"keys": {"a": "hunter2"}}"#).unwrap();
    fs::write(folder.path().join("request.http"), "{}").unwrap();
    let verify = |arguments: &[&str]| {
        let output = run(folder.path(), &[&["verify", "--keys", "keys.json"], arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    let said = verify(&["--provider", "livekit", "request.http"]);
    assert!(
        said.contains("expected an HTTP request: request line, headers, an empty line, the body"),
        "{said}"
    );
    assert!(verify(&["--provider", "livekit", "nothing.http"]).contains("nothing.http: No such file"));
    assert!(verify(&["--provider", "skype", "request.http"]).contains("expected one of 100ms"));
    fs::write(folder.path().join("request.http"), "POST / HTTP/1.1\r\n\r\n{}").unwrap();
    let said = verify(&["--provider", "100ms", "request.http"]);
    assert!(said.contains("keys.json: field .: expected only the fields"), "{said}");
}
