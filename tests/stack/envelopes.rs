use std::collections::HashMap;

use lambda_http::{Body, Request};
use livehooks::dev::Database;
use livehooks::envelope::Delivered;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::Ingest;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_core::for_each_provider;
use livehooks_signing::Signer;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::fixture::Fixture;

/// How API Gateway forwards a delivery.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Base64,
    Rest,
}

fn envelope(fixture: &Fixture, form: Form) -> Request {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> =
        fixture.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let delivered = Delivered {
        path: &fixture.path,
        url_token: fixture.url_token(),
        headers: &headers,
        body: &fixture.body,
        base64: !matches!(form, Form::Plain),
        received_at: fixture.now,
    };
    let envelope = if matches!(form, Form::Rest) { delivered.rest_api() } else { delivered.http_api() };
    livehooks_aws::gateway::request(&envelope.to_string()).unwrap()
}

/// Uses the function's own clock if the provider's deliveries do not expire.
async fn answers<P: Signer>(kind: &str) -> Vec<(Fixture, Form, u16, Value)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(listener));
    let mut answers = Vec::new();
    for fixture in Fixture::all(P::NAME, kind) {
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(fixture.keys.to_string()),
            retention: jiff::SignedDuration::from_hours(24 * 90),
            deadline: LOCAL_TIMEOUT,
            fallback: None,
        };
        let ingest = Ingest::<P>::new(config, &sdk);
        for form in [Form::Plain, Form::Base64, Form::Rest] {
            let response = match P::LIFETIME.is_limited() {
                false => ingest.handle(&envelope(&fixture, form)).await,
                true => ingest.receive_at(&envelope(&fixture, form), fixture.now).await.into_response(),
            };
            let status = response.status().as_u16();
            let Body::Text(body) = response.into_body() else { panic!("expected an answer of text") };
            answers.push((fixture.clone(), form, status, serde_json::from_str(&body).unwrap()));
        }
    }
    answers
}

async fn accepted_in_every_form<P: Signer>() {
    let mut seen: HashMap<String, Value> = HashMap::new();
    for (fixture, form, status, answer) in answers::<P>("ok").await {
        let name = fixture.name();
        assert_eq!(status, 200, "{name}, {form:?}: {answer}");
        // Some cases share an id or a sequence with others. The second form of a case is always a duplicate.
        match seen.insert(name.clone(), answer.clone()) {
            None => {}
            // An answer that the provider reads, which does not say the outcome.
            Some(first) if first["status"].is_null() => assert_eq!(answer, first, "{name}, {form:?}"),
            Some(_) => assert_eq!(answer["status"], "duplicate", "{name}, {form:?}"),
        }
    }
}

#[tokio::test]
async fn every_authentic_delivery_is_accepted_in_every_form_of_envelope() {
    for_each_provider!(P => accepted_in_every_form::<P>().await);
}

#[tokio::test]
async fn every_forged_delivery_is_rejected_in_every_form_of_envelope() {
    let forged = for_each_provider!(P => answers::<P>("err").await);
    for (fixture, form, status, answer) in forged.into_iter().flatten() {
        let rejection = std::fs::read_to_string(fixture.folder.join("rejection.txt")).unwrap();
        let expected = match rejection.starts_with("too_large:") {
            true => (413, "The delivery is too large."),
            false => (401, "The delivery could not be authenticated."),
        };
        let found = (status, answer["detail"].as_str().unwrap());
        assert_eq!(found, expected, "{}, {form:?}", fixture.name());
    }
}
