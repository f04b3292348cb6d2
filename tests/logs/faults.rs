use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use livehooks::local::local_sdk_config;
use livehooks_aws::Ingest;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_signing::ProviderInfo;
use serde_json::json;
use tokio::net::TcpListener;

use crate::deliveries::{config, marked, receive, request};
use crate::harness::{EXAMPLE, Example, KEYS, body};
use crate::notes::Notes;

/// Every fault on our side while an authentic delivery is handled.
pub async fn all(notes: &mut Notes) {
    let entry = ProviderInfo::named(EXAMPLE).unwrap();
    let (now, keys) = (Timestamp::now(), KEYS.secret(entry));
    let body = marked(&body(EXAMPLE, "participant_joined", |_| ()), "faults", notes).to_string();
    let signed = (entry.sign)(&keys, body.as_bytes(), now.into()).unwrap();
    let request = request(&format!("/webhooks/{EXAMPLE}"), None, &signed.headers, body.as_bytes());

    // Connection refused, no answer, and error answers.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tables = vec![closed, silent.local_addr().unwrap()];
    for answer in [
        (
            StatusCode::BAD_REQUEST,
            r#"{"__type":"ProvisionedThroughputExceededException","message":"slow down"}"#,
        ),
        (StatusCode::BAD_REQUEST, r#"{"__type":"ResourceNotFoundException","message":"no table"}"#),
        (StatusCode::INTERNAL_SERVER_ERROR, "<html>"),
        (StatusCode::OK, "no JSON"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tables.push(listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(async move || answer);
        tokio::spawn(axum::serve(listener, app).into_future());
    }
    for table in tables {
        let config = IngestConfig { deadline: Duration::from_millis(300), ..config(&keys) };
        receive(&Ingest::<Example>::new(config, &local_sdk_config(table)), &request, now).await;
    }
    notes.expected.extend(["no connection", "store_timeout", "slow down"].map(str::to_owned));

    // Keys that cannot be read or used.
    let unreadable = KeySource::SecretsManager("livehooks/example".into());
    let of_arrays = json!({ "keys": { "a": ["canary-secret"] } }).to_string();
    let of_another = json!({ "keys": "canary-secret", "another": "canary-secret" }).to_string();
    for keys in [
        unreadable,
        KeySource::Inline("canary-secret".into()),
        KeySource::Inline(of_arrays),
        KeySource::Inline(of_another),
    ] {
        let ingest = Ingest::<Example>::new(IngestConfig { keys, ..config("") }, &local_sdk_config(closed));
        ingest.warm_up().await;
        receive(&ingest, &request, now).await;
    }
    let published = json!({ "keys": { "a": "zumyyYWqv7KR2kUqvYdq4z4sXg7XTBD2ljT6" } });
    notes.forbid_texts(&published, &[]);
    let ingest = Ingest::<Example>::new(config(&published), &local_sdk_config(closed));
    ingest.warm_up().await;
    receive(&ingest, &request, now).await;
    notes.expected.extend(
        ["keys_unavailable", "keys_invalid", "one that is published", "unknown_issuer"].map(str::to_owned),
    );
    let large = json!({ "event": "canary", "x": "canary ".repeat(200_000) }).to_string();
    let signed = (entry.sign)(&keys, large.as_bytes(), now.into()).unwrap();
    let request =
        crate::deliveries::request(&format!("/webhooks/{EXAMPLE}"), None, &signed.headers, large.as_bytes());
    receive(&Ingest::<Example>::new(config(&keys), &local_sdk_config(closed)), &request, now).await;
    notes.expected.insert("too large".into());
}
