//! Every fixture is a test: an authentic delivery becomes exactly the expected event, any other is rejected with
//! exactly the expected message. `UPDATE_EXPECT=1` rewrites the expectations.

#[path = "../common/fixture.rs"]
mod fixture;
#[path = "../common/schema.rs"]
mod schema;

mod hostile;
mod objects;

use std::fs;
use std::path::Path;

use fixture::Fixture;
use http::HeaderName;
use libtest_mimic::{Arguments, Failed, Trial};
use livehooks_core::{Keys, Normalized, Rejection, Verified, for_each_provider};
use livehooks_event::Event;
use livehooks_signing::Signer;
use serde_json::{Value, json};

fn main() {
    let arguments = Arguments::from_args();
    let trials = for_each_provider!(P => trials::<P>()).into_iter().flatten();
    let trials = trials.chain(objects::trials()).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn trials<P: Signer>() -> Vec<Trial> {
    let name = |kind: &str, fixture: &Fixture| format!("{}::{kind}::{}", P::NAME, fixture.name());
    let mut trials = Vec::new();
    for fixture in Fixture::all(P::NAME, "ok") {
        let hostile = fixture.clone();
        trials.push(Trial::test(name("hostile", &fixture), move || hostile::attack_all::<P>(&hostile)));
        trials.push(Trial::test(name("ok", &fixture), move || accepted::<P>(&fixture)));
    }
    for fixture in Fixture::all(P::NAME, "err") {
        trials.push(Trial::test(name("err", &fixture), move || rejected::<P>(&fixture)));
    }
    trials
}

fn accepted<P: Signer>(fixture: &Fixture) -> Result<(), Failed> {
    let verified = verify::<P>(fixture).map_err(|rejection| format!("rejected: {rejection}"))?;
    if let Some(answer) = verified.answer() {
        let answer: Value = serde_json::from_str(answer)?;
        return expect(&fixture.folder.join("expected.json"), &pretty(&json!({ "answer": answer })));
    }
    let mut normalized = P::normalize(&verified, fixture.now);
    let event = normalized.to_json(0)?;
    schema::check(&event)?;
    schema::has_body(&event, verified.body())?;
    if serde_json::to_string(&Event::from_json(&event)?)? != event {
        return Err(format!("livehooks-event loses a part of {event}").into());
    }
    if !fixture.name().starts_with("edge-") {
        objects::check(&event)?;
    }
    expect(&fixture.folder.join("expected.json"), &expectation(&normalized, &event))
}

fn rejected<P: Signer>(fixture: &Fixture) -> Result<(), Failed> {
    match verify::<P>(fixture) {
        Ok(_) => Err("accepted".into()),
        Err(rejection) => {
            expect(&fixture.folder.join("rejection.txt"), &format!("{}: {rejection}\n", rejection.code()))
        }
    }
}

fn verify<P: Signer>(fixture: &Fixture) -> Result<Verified<'_, P>, Rejection> {
    let keys = P::Keys::from_json(&fixture.keys).unwrap();
    let delivery = fixture.delivery();
    let verified = P::verify(&delivery, &keys, fixture.now);
    let prechecked = P::precheck(&delivery, fixture.now);
    let code = verified.as_ref().err().map(Rejection::code);
    match (code, &prechecked) {
        (None, _) => assert_eq!(prechecked, Ok(()), "the precheck must accept every delivery that verifies"),
        (Some(code), Ok(())) => assert!(!needs_no_key::<P>(code), "{code} needs no key"),
        (Some(code), Err(found)) if needs_no_key::<P>(code) => assert_eq!(found.code(), code),
        (Some(_), Err(_)) => {}
    }
    verified
}

/// Whether the precheck, which has no keys, also rejects for this reason.
fn needs_no_key<P: Signer>(code: &str) -> bool {
    match code {
        "algorithm_not_allowed"
        | "unsafe_question"
        | "malformed_body"
        | "too_large"
        | "no_expiry"
        | "expired"
        | "not_yet_valid"
        | "no_body_hash"
        | "body_altered" => true,
        // If the keys name the headers, little can be checked without them.
        "missing_header" | "repeated_header" | "malformed_credential" => !P::reads(&ANY_HEADER),
        _ => false,
    }
}

const ANY_HEADER: HeaderName = HeaderName::from_static("x-any");

/// Leaves `raw` out: `schema::has_body` compares it byte for byte.
fn expectation(normalized: &Normalized<'_>, event: &str) -> String {
    let mut event = schema::parse(event);
    let data = event["data"].as_object_mut().unwrap();
    data.remove("raw");
    data.remove("raw_base64");
    let key = normalized.event_key();
    let hash = normalized.body_hash.to_string();
    let mut expectation = json!({ "event_key": key, "body_sha256": hash, "event": event });
    if let Some(reply) = normalized.reply {
        expectation["reply"] = reply.into();
    }
    pretty(&expectation)
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap() + "\n"
}

fn expect(file: &Path, found: &str) -> Result<(), Failed> {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(fs::write(file, found)?);
    }
    let expected = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match expected == found {
        true => Ok(()),
        false => Err(format!("{}\n--- expected\n{expected}\n--- found\n{found}", file.display()).into()),
    }
}
