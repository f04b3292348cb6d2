//! The function as Lambda runs it: the real binary, a batch from the queue, the log.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../../plugnmeet/tests/run/mod.rs"]
mod run;

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderName};
use livehooks::dev::Database;
use livehooks_aws::Fault;
use livehooks_aws::fallback::message;
use livehooks_core::Delivery;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_signing::ProviderInfo;
use run::{Run, event};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The message that ingest would queue for an envelope.
fn queued(envelope: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let headers = envelope["headers"].as_object().unwrap().iter();
    let headers: HeaderMap =
        headers.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), text(value))).collect();
    delivery(&headers, envelope["body"].as_str().unwrap())
}

/// The message for a delivery that is signed with another key.
fn queued_with_another_key(body: &str) -> String {
    let keys = json!({ "keys": { "plugnmeet-dev": "another secret, of as many letters" } });
    let sign = ProviderInfo::named("plugnmeet").unwrap().sign;
    let signed = sign(&keys, body.as_bytes(), jiff::Timestamp::now().into()).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &signed.headers {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    delivery(&headers, body)
}

fn delivery(headers: &HeaderMap, body: &str) -> String {
    let delivery = Delivery { headers, url_token: None, body: body.as_bytes() };
    message::<PlugNmeet>(&delivery, jiff::Timestamp::now(), &Fault::StoreTimeout(1_600)).unwrap()
}

/// An SQS that accepts everything: its endpoint, and the calls.
async fn sqs() -> (String, Arc<Mutex<Vec<Value>>>) {
    let sent: Arc<Mutex<Vec<Value>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let calls = sent.clone();
    let answer = async move |body: axum::body::Bytes| {
        calls.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        axum::Json(json!({ "MessageId": "1", "MD5OfMessageBody": "" }))
    };
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
    (endpoint, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_stores_drops_dead_letters_or_retries_and_never_leaks_a_secret() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));
    let (queue, dead_letters) = sqs().await;
    let other_key = queued_with_another_key(r#"{"event":"room_created","isAdmin":true}"#);
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
        ("other key", other_key.clone()),
        ("poison", "poison".into()),
        ("again", queued(&envelopes[0])),
    ];
    let batch = json!({ "Records": messages.map(record) });
    let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let variables = [
        ("PROVIDER_SECRET_PLUGNMEET", secret.as_str()),
        ("DEAD_LETTER_QUEUE_URL", "http://localhost/dead-letters"),
        ("AWS_ENDPOINT_URL_SQS", queue.as_str()),
    ];
    let run = Run::of(env!("CARGO_BIN_EXE_recover"), &endpoint, &variables, &[batch]).await;

    assert_eq!(run.answers, [json!({ "batchItemFailures": [{ "itemIdentifier": "poison" }] })]);
    assert!(run.counted("Accepted", "provider", "plugnmeet"), "{}", run.log);
    assert!(run.counted("Duplicate", "provider", "plugnmeet"), "{}", run.log);
    assert!(run.counted("Dropped", "reason", "body_altered"), "{}", run.log);
    assert!(run.counted("DeadLettered", "reason", "wrong_key"), "{}", run.log);
    assert_eq!(dead_letters.lock().unwrap().len(), 1);
    let letter = &dead_letters.lock().unwrap()[0];
    assert_eq!(letter["MessageBody"], other_key.as_str());
    assert_eq!(letter["QueueUrl"], "http://localhost/dead-letters");
    for (name, value) in [("reason", "wrong_key"), ("provider", "plugnmeet")] {
        assert_eq!(letter["MessageAttributes"][name]["StringValue"], value);
    }
    let recovered = run.lines.iter().filter_map(|line| line["Recovered"].as_u64());
    assert_eq!(recovered.sum::<u64>(), 2, "{}", run.log);
    let unreadable = run.lines.iter().find(|line| line["message_id"] == "poison").unwrap();
    assert!(unreadable.get("reason").is_none(), "another delivery's: {}", run.log);
    assert!(run.lines.iter().any(|line| line["RecoverFailed"] == 1), "{}", run.log);
    assert!(run.lines.iter().any(|line| line["RecoverLag"].is_array()), "{}", run.log);
    run.assert_no_secrets(&secret, &envelopes);
}
