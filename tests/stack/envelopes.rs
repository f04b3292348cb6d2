use lambda_http::{Body, Request};
use livehooks::dev::Database;
use livehooks::envelope::Delivered;
use livehooks::local::{PATIENCE, local_sdk_config};
use livehooks_aws::Ingest;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_core::Provider;
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::fixture::Fixture;

/// How API Gateway passes a delivery on.
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

async fn answers<P: Provider>(kind: &str, timeless: bool) -> Vec<(Fixture, Form, u16, Value)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(listener));
    let mut answers = Vec::new();
    for fixture in Fixture::all(P::NAME, kind) {
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(fixture.keys.to_string()),
            retention: jiff::SignedDuration::from_hours(24 * 90),
            deadline: PATIENCE,
            fallback: None,
        };
        let ingest = Ingest::<P>::new(config, &sdk);
        for form in [Form::Plain, Form::Base64, Form::Rest] {
            let response = match timeless {
                true => ingest.handle(&envelope(&fixture, form)).await,
                false => ingest.receive_at(&envelope(&fixture, form), fixture.now).await.into_response(),
            };
            let status = response.status().as_u16();
            let Body::Text(body) = response.into_body() else { panic!("the answer is text") };
            answers.push((fixture.clone(), form, status, serde_json::from_str(&body).unwrap()));
        }
    }
    answers
}

async fn accepted_in_every_form<P: Provider>(timeless: bool) {
    let mut seen = std::collections::HashSet::new();
    for (fixture, form, status, answer) in answers::<P>("ok", timeless).await {
        let name = fixture.name();
        assert_eq!(status, 200, "{name}, {form:?}: {answer}");
        // Some cases share an id or a sequence with others; a second form never is a new event.
        let first = seen.insert(name.clone());
        assert!(first || answer["status"] == "duplicate", "{name}, {form:?}: {answer}");
    }
}

#[tokio::test]
async fn every_authentic_delivery_is_taken_through_api_gateway_in_every_form() {
    accepted_in_every_form::<Hms>(true).await;
    accepted_in_every_form::<VideoSdk>(true).await;
    accepted_in_every_form::<PlugNmeet>(false).await;
    accepted_in_every_form::<LiveKit>(false).await;
}

#[tokio::test]
async fn every_forged_delivery_is_refused_through_api_gateway_in_every_form() {
    let forged = [
        answers::<Hms>("err", true).await,
        answers::<VideoSdk>("err", true).await,
        answers::<PlugNmeet>("err", false).await,
        answers::<LiveKit>("err", false).await,
    ];
    for (fixture, form, status, answer) in forged.into_iter().flatten() {
        assert_eq!(status, 401, "{}, {form:?}: {answer}", fixture.name());
        assert_eq!(answer["detail"], "The delivery could not be authenticated.");
    }
}
