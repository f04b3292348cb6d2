use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use lambda_http::Request;
use livehooks::dev::Database;
use livehooks::local::local_sdk_config;
use livehooks_aws::config::{FallbackConfig, IngestConfig, KeySource};
use livehooks_aws::{Fault, Ingest, Outcome, clients};
use livehooks_core::Provider;
use livehooks_core::videosdk::VideoSdk;
use tokio::net::TcpListener;

use crate::fixture::{Fixture, root};
use crate::harness::Example;

/// A recorded delivery, and an ingest function whose table is behind `listener`.
fn delivery<P: Provider>(case: &str, listener: &TcpListener) -> (Ingest<P>, Request, jiff::Timestamp) {
    delivery_with(case, listener, |keys| KeySource::Inline(keys.to_string()))
}

fn delivery_with<P: Provider>(
    case: &str,
    listener: &TcpListener,
    keys: impl FnOnce(&serde_json::Value) -> KeySource,
) -> (Ingest<P>, Request, jiff::Timestamp) {
    let fixture = Fixture::read(&root().join(P::NAME).join("ok").join(case));
    let config = IngestConfig {
        table: "Events".into(),
        keys: keys(&fixture.keys),
        retention: jiff::SignedDuration::from_hours(24 * 90),
        deadline: livehooks_aws::config::INGEST_DEADLINE,
        fallback: Some(FallbackConfig {
            queue_url: "http://localhost/fallback".into(),
            deadline: livehooks_aws::config::FALLBACK_DEADLINE,
        }),
    };
    let mut request = Request::new(fixture.body.clone().into());
    *request.headers_mut() = fixture.headers.clone();
    let local = local_sdk_config(listener.local_addr().unwrap());
    // Use production timeouts.
    let sdk = local.to_builder().timeout_config(clients::timeouts()).build();
    (Ingest::new(config, &sdk), request, fixture.now)
}

#[tokio::test(start_paused = true)]
async fn if_neither_table_nor_queue_answers_the_sender_gets_503_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ingest, request, now) = delivery::<Example>("participant_joined", &silent);
    let started = tokio::time::Instant::now();
    let outcome = ingest.receive_at(&request, now).await;
    let waited = started.elapsed();
    assert!(matches!(outcome, Outcome::Failed(Fault::StoreTimeout(1_600))), "{outcome:?}");
    assert_within_deadline(waited);
    let response = outcome.into_response();
    assert_eq!(response.status().as_u16(), 503);
    assert!(!response.headers().contains_key("retry-after"), "LiveKit would give up sooner");
}

/// The table and the keys have 1.6 s together, the queue has 0.8 s more. On a busy machine the paused clock may reach the
/// timeout of the queue's connection before the connection is open.
fn assert_within_deadline(waited: Duration) {
    assert!((1_600..2_500).contains(&waited.as_millis()), "took {waited:?} on the paused clock");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_never_answers_delays_startup_only_briefly() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ingest, _, _) = delivery::<Example>("participant_joined", &silent);
    let started = tokio::time::Instant::now();
    ingest.warm_up().await;
    assert!(started.elapsed().as_millis() <= 2_500);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_write_of_two_calls_has_the_same_deadline_as_one_call() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture =
        Fixture::all("videosdk", "ok").into_iter().find(|fixture| fixture.path == "/webhooks/videosdk");
    let (ingest, request, now) = delivery::<VideoSdk>(&fixture.unwrap().name(), &silent);
    let started = tokio::time::Instant::now();
    assert!(matches!(ingest.receive_at(&request, now).await, Outcome::Failed(_)));
    assert_within_deadline(started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_keys_has_the_same_deadline_as_the_table() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secret = |_: &serde_json::Value| KeySource::SecretsManager("keys".into());
    let (ingest, request, now) = delivery_with::<Example>("participant_joined", &silent, secret);
    let started = tokio::time::Instant::now();
    let outcome = ingest.receive_at(&request, now).await;
    assert!(matches!(outcome, Outcome::Failed(Fault::KeysUnavailable { .. })), "{outcome:?}");
    assert_within_deadline(started.elapsed());
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_is_our_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ingest, request, now) = delivery::<Example>("participant_joined", &listener);
    drop(listener);
    let outcome = ingest.receive_at(&request, now).await;
    assert!(
        matches!(&outcome, Outcome::Failed(Fault::Store(reason)) if reason.starts_with("no connection")),
        "{outcome:?}"
    );
}

#[derive(Clone)]
struct Lossy {
    client: reqwest::Client,
    database: String,
    lose_next: Arc<AtomicBool>,
}

/// Forwards a call. If `lose_next` is set, it drops the answer after the write.
async fn forward(State(lossy): State<Lossy>, headers: HeaderMap, body: Bytes) -> Response {
    let mut request = lossy.client.post(&lossy.database).body(body);
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.unwrap();
    if lossy.lose_next.swap(false, Ordering::SeqCst) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    (answer.status(), answer.bytes().await.unwrap()).into_response()
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_answered_as_a_duplicate() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lossy = Lossy {
        client: reqwest::Client::new(),
        database: format!("http://{}", database.local_addr().unwrap()),
        lose_next: Arc::new(AtomicBool::new(true)),
    };
    tokio::spawn(Database::open(None).unwrap().serve(database));
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ingest, request, now) = delivery::<Example>("participant_joined", &proxy);
    tokio::spawn(
        axum::serve(proxy, axum::Router::new().fallback(forward).with_state(lossy.clone())).into_future(),
    );

    let status = async || {
        let response = ingest.receive_at(&request, now).await.into_response();
        let lambda_http::Body::Text(text) = response.into_body() else {
            panic!("expected an answer of text")
        };
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["status"].clone()
    };
    assert_eq!(status().await, "accepted");
    assert!(!lossy.lose_next.load(Ordering::SeqCst), "expected an answer to be lost");
    assert_eq!(status().await, "duplicate");
}
