//! What an attacker, a broken proxy or a wrong clock makes of an authentic delivery, generated from every
//! one that there is.

use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;
use jiff::SignedDuration;
use libtest_mimic::Failed;
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{Assurance, Provider};
use serde_json::{Value, json};

use crate::fixture::{self, Fixture};
use crate::verify;

/// How a provider's deliveries are attacked, and what each attack must be diagnosed as.
pub trait Scheme: Provider {
    /// Whether the keys say which headers carry the credential: then hardly anything can be judged without.
    const KEYS_NAME_HEADERS: bool = false;

    /// The headers that carry the credential in this delivery.
    fn credentials(fixture: &Fixture) -> Vec<&'static str>;
    /// The same keys with other secrets.
    fn other_keys(keys: &Value) -> Value;
    /// The diagnosis of an altered body; `None` where the scheme does not cover it.
    fn altered_body(fixture: &Fixture) -> Option<&'static str>;
    /// The diagnosis of another key.
    fn other_key(fixture: &Fixture) -> &'static str;
    /// The diagnosis of a credential that lost its end.
    fn truncated(fixture: &Fixture) -> &'static str;
    /// The diagnoses of a delivery ten minutes late and ten minutes early, where the scheme knows time.
    fn late_and_early(_fixture: &Fixture) -> [Option<&'static str>; 2] {
        [None, None]
    }
}

/// Makes all the hostile variants and checks the diagnosis of each.
pub fn refused<P: Scheme>(fixture: &Fixture) -> Result<(), Failed> {
    let credentials = P::credentials(fixture);
    assert!(!credentials.is_empty(), "the fixture has no credential to attack");
    let altered = P::altered_body(fixture);

    diagnosed::<P>("header missing", fixture, Some("missing_header"), |hostile| {
        credentials.iter().for_each(|name| drop(hostile.headers.remove(*name)));
    })?;
    diagnosed::<P>("credential truncated", fixture, Some(P::truncated(fixture)), |hostile| {
        credentials.iter().for_each(|name| {
            let value = hostile.headers[*name].as_bytes();
            let shorter = HeaderValue::from_bytes(&value[..value.len() - 4]).unwrap();
            hostile.headers.insert(*name, shorter);
        });
    })?;
    diagnosed::<P>("other key", fixture, Some(P::other_key(fixture)), |hostile| {
        hostile.keys = P::other_keys(&hostile.keys);
    })?;
    diagnosed::<P>("header doubled", fixture, Some("repeated_header"), |hostile| {
        credentials.iter().for_each(|name| {
            let value = hostile.headers[*name].clone();
            hostile.headers.append(*name, value);
        });
    })?;
    diagnosed::<P>("one byte of the body changed", fixture, altered, |hostile| {
        match hostile.body.last_mut() {
            Some(last) => *last ^= 1,
            None => hostile.body.push(b' '),
        }
    })?;
    diagnosed::<P>("not UTF-8", fixture, altered, |hostile| hostile.body.push(0xff))?;
    if !fixture.body.is_empty() {
        diagnosed::<P>("body empty", fixture, altered, |hostile| hostile.body.clear())?;
    }
    let [late, early] = P::late_and_early(fixture);
    diagnosed::<P>("late", fixture, late, |hostile| hostile.now += SignedDuration::from_mins(10))?;
    diagnosed::<P>("early", fixture, early, |hostile| hostile.now -= SignedDuration::from_mins(10))?;
    Ok(())
}

fn diagnosed<P: Scheme>(
    attack: &str,
    fixture: &Fixture,
    expected: Option<&str>,
    alter: impl FnOnce(&mut Fixture),
) -> Result<(), Failed> {
    let mut hostile = fixture.clone();
    alter(&mut hostile);
    let found = verify::<P>(&hostile).err().map(|rejection| rejection.code());
    match found == expected {
        true => Ok(()),
        false => Err(format!("{attack}: expected {expected:?}, found {found:?}").into()),
    }
}

impl Scheme for PlugNmeet {
    fn credentials(fixture: &Fixture) -> Vec<&'static str> {
        present(fixture, &["Authorization", "Hash-Token"])
    }

    fn other_keys(keys: &Value) -> Value {
        other_secrets(keys)
    }

    fn altered_body(_: &Fixture) -> Option<&'static str> {
        Some("body_altered")
    }

    fn other_key(_: &Fixture) -> &'static str {
        "wrong_key"
    }

    fn truncated(_: &Fixture) -> &'static str {
        "wrong_key"
    }

    fn late_and_early(fixture: &Fixture) -> [Option<&'static str>; 2] {
        token_late_and_early(fixture, Self::credentials(fixture)[0])
    }
}

impl Scheme for LiveKit {
    fn credentials(fixture: &Fixture) -> Vec<&'static str> {
        present(fixture, &["Authorization"])
    }

    fn other_keys(keys: &Value) -> Value {
        other_secrets(keys)
    }

    fn altered_body(_: &Fixture) -> Option<&'static str> {
        Some("body_altered")
    }

    fn other_key(_: &Fixture) -> &'static str {
        "wrong_key"
    }

    fn truncated(_: &Fixture) -> &'static str {
        "wrong_key"
    }

    fn late_and_early(fixture: &Fixture) -> [Option<&'static str>; 2] {
        token_late_and_early(fixture, Self::credentials(fixture)[0])
    }
}

impl Scheme for VideoSdk {
    fn credentials(fixture: &Fixture) -> Vec<&'static str> {
        present(fixture, &["videosdk-signature"])
    }

    fn other_keys(keys: &Value) -> Value {
        let other = std::fs::read_to_string(fixture::root().join("videosdk/other_public_key.pem")).unwrap();
        let mut keys = keys.clone();
        keys["public_keys"] = json!([other]);
        keys
    }

    fn altered_body(_: &Fixture) -> Option<&'static str> {
        Some("signature_mismatch")
    }

    fn other_key(_: &Fixture) -> &'static str {
        "signature_mismatch"
    }

    fn truncated(_: &Fixture) -> &'static str {
        "signature_mismatch"
    }
}

impl Scheme for Hms {
    const KEYS_NAME_HEADERS: bool = true;

    fn credentials(fixture: &Fixture) -> Vec<&'static str> {
        present(fixture, &["X-100ms-Signature", "X-Passcode", "X-Webhook-Secret"])
    }

    fn other_keys(keys: &Value) -> Value {
        let mut keys = keys.clone();
        if let Some(secrets) = keys.get_mut("signing_secrets") {
            *secrets = json!(["another secret"]);
        }
        for header in keys.get_mut("headers").and_then(Value::as_array_mut).into_iter().flatten() {
            header["values"] = json!(["another value"]);
        }
        keys
    }

    fn altered_body(fixture: &Fixture) -> Option<&'static str> {
        is_signed(fixture).then_some("signature_mismatch")
    }

    fn other_key(fixture: &Fixture) -> &'static str {
        if is_signed(fixture) { "signature_mismatch" } else { "wrong_header_value" }
    }

    fn truncated(fixture: &Fixture) -> &'static str {
        if is_signed(fixture) { "malformed_credential" } else { "wrong_header_value" }
    }
}

/// The same API keys with other secrets.
fn other_secrets(keys: &Value) -> Value {
    let names = keys["keys"].as_object().unwrap().keys();
    json!({ "keys": names.map(|name| (name.clone(), json!("another secret"))).collect::<Value>() })
}

fn token_late_and_early(fixture: &Fixture, header: &str) -> [Option<&'static str>; 2] {
    let payload = fixture.headers[header].to_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    [Some("expired"), claims.get("nbf").map(|_| "not_yet_valid")]
}

fn is_signed(fixture: &Fixture) -> bool {
    verify::<Hms>(fixture).unwrap().assurance() == Assurance::Signed
}

fn present(fixture: &Fixture, names: &[&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|name| fixture.headers.contains_key(*name)).collect()
}
