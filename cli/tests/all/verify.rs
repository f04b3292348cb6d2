//! `livehooks verify` on the fixtures that the core's tests use.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{livehooks, run, stderr, stdout};
use jiff::{SignedDuration, Timestamp};
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
    for (provider, case) in [("plugnmeet", "ok/participant_joined"), ("mux", "ok/video.upload.created")] {
        let (output, code) = verify(provider, case, Some("2028-06-01T00:00:00Z"));
        assert_eq!(code, Some(1));
        assert!(output.contains("otherwise it is authentic"), "{output}");
        let then = output.split("--now ").nth(1).unwrap().split(')').next().unwrap();
        assert_eq!(verify(provider, case, Some(then)).1, Some(0), "{output}");
    }
}

/// The report on an authentic request that `change` rewrote, head and body, received this much later.
fn report_on(change: impl Fn(&str, &[u8]) -> Vec<u8>, later: SignedDuration) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixtures().join("livekit/ok/participant_joined");
    let context: Value = serde_json::from_slice(&fs::read(fixture.join("context.json")).unwrap()).unwrap();
    let request = fs::read(fixture.join("request.http")).unwrap();
    let body_at = request.windows(2).position(|window| window == b"\n\n").unwrap() + 2;
    let head = std::str::from_utf8(&request[..body_at]).unwrap();
    fs::write(folder.path().join("request.http"), change(head, &request[body_at..])).unwrap();
    fs::write(folder.path().join("keys.json"), serde_json::json!({ "livekit": context["keys"] }).to_string())
        .unwrap();
    let now = context["now"].as_str().unwrap().parse::<Timestamp>().unwrap() + later;
    let now = now.to_string();
    let arguments =
        ["verify", "--provider", "livekit", "--keys", "keys.json", "--now", &now, "--json", "request.http"];
    serde_json::from_slice(&run(folder.path(), &arguments).stdout).unwrap()
}

fn cause(report: &Value) -> String {
    assert_eq!(report["is_authentic"], false);
    report["cause"]["what"].as_str().unwrap().to_owned()
}

/// The cause found for an authentic request whose body `change` rewrote.
fn cause_of(change: impl Fn(&[u8]) -> Vec<u8>) -> String {
    cause(&report_on(|head, body| [head.as_bytes(), &change(body)].concat(), SignedDuration::ZERO))
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

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn latin_1(body: &[u8]) -> Vec<u8> {
    text(body).chars().map(|c| u8::try_from(c).unwrap()).collect()
}

fn utf_16(text: &str) -> Vec<u8> {
    let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_copy_in_another_encoding_is_recognized() {
    assert!(cause_of(latin_1).contains("Latin-1 copy"));
    // UTF-8 that was read as Latin-1 and written as UTF-8.
    let twice = |body: &[u8]| body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes();
    assert!(cause_of(twice).contains("read as Latin-1"));
    assert!(cause_of(|body| utf_16(&text(body))).contains("UTF-16 copy"));
    let big_endian = |body: &[u8]| text(body).encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(cause_of(big_endian).contains("UTF-16 copy"));
    let url = |body: &[u8]| data_encoding::BASE64URL_NOPAD.encode(body).into_bytes();
    assert!(cause_of(url).contains("base64url"));

    // As PowerShell's `>` writes it: everything in UTF-16, with another line break at the end.
    let all = |head: &str, body: &[u8]| utf_16(&format!("{head}{}\r\n", text(body)).replace('\n', "\r\n"));
    assert!(cause(&report_on(all, SignedDuration::ZERO)).contains("added at the end"));
}

#[test]
fn a_wrapping_that_was_left_around_the_body_is_recognized() {
    let chunked = |body: &[u8]| {
        let (first, second) = body.split_at(100);
        let chunk = |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
        [chunk(first), chunk(second), b"0\r\n\r\n".to_vec()].concat()
    };
    assert!(cause_of(chunked).contains("chunked"));
    let string = |body: &[u8]| Value::from(text(body)).to_string().into_bytes();
    assert!(cause_of(string).contains("JSON string"));
    let form = |body: &[u8]| {
        form_urlencoded::Serializer::new("a=1".to_owned()).append_pair("payload", &text(body)).finish()
    };
    let found = cause_of(|body| form(body).into_bytes());
    assert!(found.contains("form") && found.contains("\"payload\""), "{found}");
    // A body parser for forms takes JSON for the name of a field.
    let key =
        |body: &[u8]| form_urlencoded::Serializer::new(String::new()).append_pair(&text(body), "").finish();
    assert!(cause_of(|body| key(body).into_bytes()).contains("form"));
}

#[test]
fn two_changes_are_found_together() {
    let found = cause_of(|body| [string_of(body).as_slice(), b"\n"].concat());
    assert!(found.contains("JSON string"), "{found}");
    let found = cause_of(|body| data_encoding::BASE64.encode(&[body, b"\n"].concat()).into_bytes());
    assert!(found.contains("still base64") && found.contains("added at the end"), "{found}");
    let found = cause_of(|body| string_of(text(body).replace(',', ", ").as_bytes()));
    assert!(found.contains("JSON string") && found.contains("re-serialized"), "{found}");
}

fn string_of(body: &[u8]) -> Vec<u8> {
    Value::from(text(body)).to_string().into_bytes()
}

#[test]
fn what_was_cut_short_is_named() {
    let found = cause_of(|body| body[..body.len() / 2].to_vec());
    assert!(found.contains("the body is cut short") && found.contains("JSON"), "{found}");
    // The rest of a body may be JSON, too.
    let cut = |head: &str, body: &[u8]| {
        let head = head.replacen("\n\n", &format!("\nContent-Length: {}\n\n", body.len() + 10), 1);
        [head.as_bytes(), b"{}"].concat()
    };
    let found = cause(&report_on(cut, SignedDuration::ZERO));
    assert!(found.contains("the body is cut short") && found.contains("Content-Length"), "{found}");

    let cut_token = |characters: usize| {
        move |head: &str, body: &[u8]| {
            let at = head.find("Authorization: ").unwrap();
            let end = at + head[at..].find('\n').unwrap();
            [&head.as_bytes()[..end - characters], &head.as_bytes()[end..], body].concat()
        }
    };
    for characters in [1, 20, 43, 44, 80] {
        let report = report_on(cut_token(characters), SignedDuration::ZERO);
        let found = cause(&report);
        assert!(found.contains("the token is cut short"), "{characters}: {found}");
        let reason = if characters < 44 { "wrong_key" } else { "malformed_credential" };
        assert_eq!(report["reason"], reason);
    }
}

#[test]
fn an_expired_request_is_checked_at_the_time_it_was_valid() {
    let days = SignedDuration::from_hours(24 * 30);
    let of = |change: fn(&[u8]) -> Vec<u8>| {
        let report = report_on(|head, body| [head.as_bytes(), &change(body)].concat(), days);
        assert_eq!(report["reason"], "expired");
        let advice = report["cause"]["advice"].as_str().unwrap();
        assert!(advice.contains("--now 20"), "{advice}");
        cause(&report)
    };
    assert!(of(<[u8]>::to_vec).contains("otherwise it is authentic"));
    let found = of(|body| data_encoding::BASE64.encode(body).into_bytes());
    assert!(found.contains("was valid until") && found.contains("the body is still base64"), "{found}");
    assert!(of(|body| [body, b"\n"].concat()).contains("added at the end"));
    assert!(of(|body| body[..20].to_vec()).contains("cut short"));
    let found = of(|body| text(body).replace("user-42", "user-43").into_bytes());
    assert!(found.contains("the body's content was changed"), "{found}");
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
    assert!(verify(&["--provider", "skype", "request.http"]).contains("expected one of 100ms"));
    fs::write(folder.path().join("request.http"), "POST / HTTP/1.1\r\n\r\n{}").unwrap();
    let error = verify(&["--provider", "100ms", "request.http"]);
    assert!(error.contains("keys.json: field .: expected only the fields"), "{error}");
}
