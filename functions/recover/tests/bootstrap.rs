//! The function as Lambda runs it: the real binary, a batch of the queue, and what it writes to its log.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../../plugnmeet/tests/run/mod.rs"]
mod run;

use axum::http::{HeaderMap, HeaderName};
use livehooks::dev::Database;
use livehooks_aws::Fault;
use livehooks_aws::fallback::message;
use livehooks_core::Delivery;
use livehooks_core::plugnmeet::PlugNmeet;
use run::{Run, event};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What ingest would have queued of an envelope.
fn queued(envelope: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let headers = envelope["headers"].as_object().unwrap().iter();
    let headers: HeaderMap =
        headers.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), text(value))).collect();
    let body = envelope["body"].as_str().unwrap().as_bytes();
    let delivery = Delivery { headers: &headers, url_token: None, body };
    message::<PlugNmeet>(&delivery, jiff::Timestamp::now(), &Fault::StoreTimeout(1_600)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_stores_drops_or_wants_again_and_keeps_every_secret_to_itself() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));
    let envelopes = ["participant", "tampered"].map(|name| event(&format!("plugnmeet/{name}.json")));
    let record = |(id, body): (&str, String)| {
        json!({
            "messageId": id, "receiptHandle": id, "body": body, "attributes": {}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:fallback",
        })
    };
    let messages = [
        ("authentic", queued(&envelopes[0])),
        ("forged", queued(&envelopes[1])),
        ("poison", "poison".into()),
        ("again", queued(&envelopes[0])),
    ];
    let batch = json!({ "Records": messages.map(record) });
    let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let keys = [("PROVIDER_SECRET_PLUGNMEET", secret.as_str())];
    let run = Run::of(env!("CARGO_BIN_EXE_recover"), &endpoint, &keys, &[batch]).await;

    assert_eq!(run.answers, [json!({ "batchItemFailures": [{ "itemIdentifier": "poison" }] })]);
    assert!(run.counted("Accepted", "provider", "plugnmeet"), "{}", run.log);
    assert!(run.counted("Duplicate", "provider", "plugnmeet"), "{}", run.log);
    assert!(run.counted("Dropped", "reason", "body_altered"), "{}", run.log);
    assert!(run.lines.iter().any(|line| line["Recovered"] == 2), "{}", run.log);
    assert!(run.lines.iter().any(|line| line["RecoverFailed"] == 1), "{}", run.log);
    assert!(run.lines.iter().any(|line| line["RecoverLag"].is_array()), "{}", run.log);
    run.keeps_every_secret(&secret, &envelopes);
}
