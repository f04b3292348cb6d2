use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use lambda_http::Request;
use livehooks::dev::Database;
use livehooks::envelope::Delivered;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_aws::{Ingest, Outcome, ingest};
use livehooks_core::{Provider, for_each_provider};
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fixture::Fixture;
use crate::harness::{KEYS, body};
use crate::notes::Notes;

/// A function's settings, with keys from the environment.
pub fn config(keys: impl ToString) -> IngestConfig {
    IngestConfig {
        table: "Events".into(),
        keys: KeySource::Inline(keys.to_string()),
        retention: jiff::SignedDuration::from_hours(24 * 90),
        deadline: LOCAL_TIMEOUT,
        fallback: None,
    }
}

/// A request as API Gateway passes it on.
pub fn request(path: &str, url_token: Option<&str>, headers: &[(String, String)], body: &[u8]) -> Request {
    let received_at = Timestamp::UNIX_EPOCH;
    let delivered = Delivered { path, url_token, headers, body, base64: false, received_at };
    livehooks_aws::gateway::request(&delivered.http_api().to_string()).unwrap()
}

/// Handles a request as the function does, at this time.
pub async fn receive<P: Provider>(ingest: &Ingest<P>, request: &Request, now: Timestamp) -> Outcome {
    let outcome = ingest.receive_at(request, now).await;
    ingest::record(P::NAME, &outcome, Duration::from_millis(1));
    outcome
}

/// Sends the deliveries of all fixtures, authentic and forged.
pub async fn fixtures(notes: &mut Notes) {
    for_each_provider!(P => fixtures_of::<P>(notes).await);
    let codes = ["wrong_key", "body_altered", "signature_mismatch", "wrong_header_value", "wrong_url_token"];
    notes.expected.extend(codes.map(str::to_owned));
}

async fn fixtures_of<P: Provider>(notes: &mut Notes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(listener));
    let mut by_keys: HashMap<String, Ingest<P>> = HashMap::new();
    for fixture in [Fixture::all(P::NAME, "ok"), Fixture::all(P::NAME, "err")].concat() {
        let ingest = by_keys
            .entry(fixture.keys.to_string())
            .or_insert_with_key(|keys| Ingest::new(config(keys), &sdk));
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<_> =
            fixture.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let request = request(&fixture.path, fixture.url_token(), &headers, &fixture.body);
        if let Outcome::Answered(answer) = receive(ingest, &request, fixture.now).await {
            notes.forbid_texts(&serde_json::from_str(&answer).unwrap(), &[]);
            notes.expected.insert("question answered".into());
        }

        notes.forbid_texts(&fixture.keys, &[]);
        let is_credential =
            |name: &str| !matches!(name, "host" | "content-type" | "user-agent" | "accept-encoding");
        let credentials =
            headers.iter().filter(|(name, _)| is_credential(name)).map(|(_, value)| value.as_str());
        credentials.chain(fixture.url_token()).for_each(|credential| notes.forbid(credential));
        let entry = ProviderInfo::named(P::NAME).unwrap();
        if let Ok(right) = (entry.sign)(&fixture.keys, &fixture.body, fixture.now.into()) {
            let computed = right.headers.iter().filter(|(name, _)| is_credential(&name.to_lowercase()));
            computed.for_each(|(_, value)| notes.forbid(value));
        }
        if let Ok(body) = serde_json::from_slice::<Value>(&fixture.body) {
            notes.forbid_texts(&body, &shown(&body));
        }
    }
}

/// The fields that hold an event's id, for all providers.
const ID_FIELDS: [&str; 2] = ["id", "idempotencyKey"];

/// The fields that hold an event's type.
const TYPE_FIELDS: [&str; 4] = ["event", "type", "webhookType", "eventType"];

/// What the log may show of a body: the event's id, and the name of an unknown type. One provider's type in an array may
/// be part of another's name.
fn shown(body: &Value) -> Vec<&str> {
    let objects = body.as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    objects
        .iter()
        .flat_map(|object| ID_FIELDS.iter().chain(&TYPE_FIELDS).filter_map(|name| object[name].as_str()))
        .collect()
}

/// The end of a string that is too long for a log line.
const CUT_OFF: &str = "-and-its-end-is-cut-off";

/// Sends a sample of every type, with a canary in every string.
pub async fn samples(notes: &mut Notes) {
    for_each_provider!(P => samples_of::<P>(notes).await);
    let expected = ["accepted", "duplicate", "a repeated id came with another body", "unknown event type"];
    notes.expected.extend(expected.map(str::to_owned));
}

async fn samples_of<P: Provider>(notes: &mut Notes) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(listener));
    let entry = ProviderInfo::named(P::NAME).unwrap();
    let keys = KEYS.signing(entry).unwrap();
    notes.forbid_texts(keys, &[]);
    let ingest = Ingest::<P>::new(config(KEYS.secret(entry)), &sdk);
    for (index, sample) in entry.samples().into_iter().enumerate() {
        let marked = marked(&body(P::NAME, sample.name, |_| ()), sample.name, notes);
        let mut altered = marked.clone();
        altered["canary-name"] = json!("canary-altered");
        let mut unknown = altered.clone();
        for name in TYPE_FIELDS {
            if let Some(kind) = unknown.get_mut(name) {
                *kind = json!(format!("shown-as-it-is\u{1b}{}", "x".repeat(64)) + CUT_OFF);
            }
        }
        for name in ID_FIELDS {
            unknown[name] = json!(format!("unknown-{index}{}", "x".repeat(64)) + CUT_OFF);
        }
        // Repeats and unknown types are logged the same way for every type: an eighth of them is enough.
        let bodies = [&marked, &marked, &altered, &unknown];
        for body in &bodies[..if index % 8 == 0 { 4 } else { 1 }] {
            let bytes = body.to_string().into_bytes();
            let now = Timestamp::now();
            let signed = (entry.sign)(keys, &bytes, now.into()).unwrap();
            let path = format!("/webhooks/{}", P::NAME);
            receive(&ingest, &request(&path, None, &signed.headers, &bytes), now).await;
            receive(&ingest, &request(&path, None, &signed.headers, &[&bytes[..], b" "].concat()), now).await;
            let credentials =
                signed.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            credentials.for_each(|(_, value)| notes.forbid(&value.replace("application/json", "")));
        }
    }
    notes.expected.insert("shown-as-it-is\\\\u{1b}xxx".into());
    notes.forbidden.insert(CUT_OFF.into());
}

/// The sample's body with a canary in place of every string except the id and the type.
pub fn marked(body: &str, sample: &str, notes: &mut Notes) -> Value {
    fn mark(json: &mut Value, path: &str) {
        match json {
            Value::String(text) => {
                *text = format!("https://canary.example/{path}?X-Amz-Signature=canary-of-{path}");
            }
            Value::Array(list) => list.iter_mut().for_each(|value| mark(value, path)),
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(name, value)| mark(value, &format!("{path}-{name}")));
            }
            _ => {}
        }
    }
    let mut json: Value = serde_json::from_str(body).unwrap();
    for (name, value) in json.as_object_mut().unwrap() {
        if !ID_FIELDS.contains(&name.as_str()) && !TYPE_FIELDS.contains(&name.as_str()) {
            mark(value, &format!("{sample}-{name}"));
        }
    }
    json["canary-name"] = json!("canary-value");
    notes.forbidden.extend(["canary".to_owned(), "X-Amz-".to_owned()]);
    json
}
