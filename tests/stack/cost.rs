//! Checks the numbers behind `docs/cost.md`: the requests per event and the size of its item.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Json, Router};
use jiff::Timestamp;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::Ingest;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_core::Provider;
use livehooks_core::livekit::LiveKit;
use livehooks_core::videosdk::VideoSdk;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{KEYS, body};

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A table that accepts and records all requests.
async fn table(State(requests): State<Requests>, headers: HeaderMap, body: String) -> Json<Value> {
    let operation = headers["x-amz-target"].to_str().unwrap().split('.').nth(1).unwrap().to_owned();
    requests.lock().unwrap().push((operation, serde_json::from_str(&body).unwrap()));
    Json(json!({}))
}

/// The requests for one delivery of about `body_bytes`.
async fn requests<P: Provider>(kind: &str, body_bytes: usize) -> Vec<(String, Value)> {
    let found = Requests::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    let app = Router::new().fallback(table).with_state(found.clone());
    tokio::spawn(axum::serve(listener, app).into_future());
    let entry = ProviderInfo::named(P::NAME).unwrap();
    let config = IngestConfig {
        table: "Events".into(),
        keys: KeySource::Inline(KEYS.secret(entry).to_string()),
        retention: jiff::SignedDuration::from_hours(24 * 90),
        deadline: LOCAL_TIMEOUT,
        fallback: None,
    };
    let ingest = Ingest::<P>::new(config, &sdk);
    let body = body(P::NAME, kind, |_| ());
    let padding = "x".repeat(body_bytes.saturating_sub(body.len() + 13));
    let body = format!("{},\"padding\":\"{padding}\"}}", body.strip_suffix('}').unwrap());
    let signed =
        (entry.sign)(KEYS.signing(entry).unwrap(), body.as_bytes(), Timestamp::now().into()).unwrap();
    let mut request = lambda_http::Request::new(body.into());
    for (name, value) in &signed.headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(ingest.handle(&request).await.status().as_u16(), 200);
    std::mem::take(&mut *found.lock().unwrap())
}

fn operations(requests: &[(String, Value)]) -> Vec<&str> {
    requests.iter().map(|(operation, _)| operation.as_str()).collect()
}

/// The item's size as DynamoDB counts it: names and values of all attributes; a number takes a byte per two digits.
fn item_bytes(requests: &[(String, Value)]) -> usize {
    bytes_of(requests, |_| true)
}

/// The size of the item's attributes that `is_counted` accepts.
fn bytes_of(requests: &[(String, Value)], is_counted: impl Fn(&str) -> bool) -> usize {
    let item: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_value(requests.last().unwrap().1["Item"].clone()).unwrap();
    let value = |value: &BTreeMap<String, String>| match value.iter().next().unwrap() {
        (kind, string) if kind == "S" => string.len(),
        (kind, digits) if kind == "N" => digits.len().div_ceil(2) + 1,
        other => panic!("expected a string or a number, found {other:?}"),
    };
    item.iter().filter(|(name, _)| is_counted(name)).map(|(name, of)| name.len() + value(of)).sum()
}

#[tokio::test]
async fn an_event_with_an_id_is_one_write_of_the_documented_number_of_units() {
    for (body_bytes, units) in [(1_000, 2), (3_000, 4)] {
        let requests = requests::<LiveKit>("participant_joined", body_bytes).await;
        assert_eq!(operations(&requests), ["PutItem"]);
        let bytes = item_bytes(&requests);
        assert_eq!(bytes.div_ceil(1024), units, "a body of {body_bytes} bytes became an item of {bytes}");
        let by_time = ["event_key", "occurrence", "time_shard", "received_at", "type", "room_key"];
        let entry = bytes_of(&requests, |name| by_time.contains(&name));
        assert!((150..=250).contains(&entry), "an entry of the index by_time takes {entry} bytes");
    }
}

#[tokio::test]
async fn an_event_of_a_sequence_is_one_read_and_one_write() {
    let requests = requests::<VideoSdk>("participant-joined", 1_000).await;
    assert_eq!(operations(&requests), ["Query", "PutItem"]);
    assert_eq!(item_bytes(&requests).div_ceil(1024), 2);
}
