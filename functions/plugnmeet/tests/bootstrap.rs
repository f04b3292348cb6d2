//! The function as Lambda runs it: the real binary, the runtime API, and what it writes to its log.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod run;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use livehooks::dev::Database;
use run::{Run, event};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const BINARY: &str = env!("CARGO_BIN_EXE_plugnmeet");

fn secret() -> String {
    event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned()
}

fn said(answer: &Value) -> Value {
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap();
    json!([answer["statusCode"], body["status"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_answers_counts_and_logs_and_keeps_every_secret_to_itself() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));
    let mut invocations: Vec<Value> = ["participant", "duplicate", "tampered", "expired"]
        .map(|name| event(&format!("plugnmeet/{name}.json")))
        .into();
    // A body that is said to be base64 and is not is answered as everything else.
    let participant = invocations[0].clone();
    let mut lie = participant.clone();
    lie["isBase64Encoded"] = json!(true);
    invocations.extend([lie, participant]);
    let run = Run::of(BINARY, &endpoint, &[("PROVIDER_SECRET", &secret())], &invocations).await;

    let statuses: Vec<Value> = run.answers.iter().map(said).collect();
    let rejected = json!([401, 401]);
    let expected =
        json!([[200, "accepted"], [200, "duplicate"], rejected, rejected, [400, 400], [200, "duplicate"]]);
    assert_eq!(json!(statuses), expected);
    assert!(run.log.contains(r#""Namespace":"livehooks/test""#), "{}", run.log);
    assert!(run.counted("Accepted", "provider", "plugnmeet"), "{}", run.log);
    assert!(run.counted("Duplicate", "provider", "plugnmeet"), "{}", run.log);
    assert!(run.counted("Rejected", "reason", "body_altered"), "{}", run.log);
    assert!(run.counted("Rejected", "reason", "expired"), "{}", run.log);
    assert!(run.counted("Rejected", "reason", "malformed_request"), "{}", run.log);
    assert!(run.counted("RejectedAfterSignature", "reason", "body_altered"), "{}", run.log);
    assert!(run.lines.iter().any(|line| line["AckLatency"].is_array()), "{}", run.log);
    let is_rejection = |line: &Value| line["reason"] == "expired" && line["level"] == "WARN";
    assert!(run.lines.iter().any(is_rejection), "{}", run.log);
    run.keeps_every_secret(&secret(), &invocations);
}

/// What anybody can write into a request beside its body and its credential, as API Gateway passes it on.
fn hostile(event: &Value) -> Vec<Value> {
    let path = if event["version"] == "2.0" { "rawPath" } else { "path" };
    let texts = ["<", "\"", " ", "{", "%", "\u{0}", "ä"];
    let set = |change: &dyn Fn(&mut Value, &str)| {
        texts.map(|text| {
            let mut event = event.clone();
            change(&mut event, text);
            event
        })
    };
    [
        set(&|event, text| event["rawQueryString"] = json!(text)),
        set(&|event, text| event["queryStringParameters"] = json!({ text: text })),
        set(&|event, text| event["multiValueQueryStringParameters"] = json!({ text: [text] })),
        set(&|event, text| event[path] = json!(text)),
        set(&|event, text| event["requestContext"]["domainName"] = json!(text)),
        set(&|event, text| event["requestContext"]["stage"] = json!(text)),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_sender_writes_beside_body_and_credential_ends_an_invocation() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));
    // Of an HTTP API, and of a REST API.
    let authentic = ["participant", "duplicate"].map(|name| event(&format!("plugnmeet/{name}.json")));
    let with_header = |event: &Value, name: &str, value: &str| {
        let mut event = event.clone();
        event["headers"][name] = json!(value);
        event
    };
    let mut expected = Vec::new();
    let mut invocations = Vec::new();
    for event in &authentic {
        let mut harmless = hostile(event);
        for name in ["X-Forwarded-Proto", "Host"] {
            harmless.extend(["<", "a b", "", "://", "ä"].map(|value| with_header(event, name, value)));
        }
        expected.extend(vec![json!([200, "duplicate"]); harmless.len()]);
        invocations.append(&mut harmless);
        let mut forged = with_header(event, "X-Forwarded-Proto", "<");
        forged["rawQueryString"] = json!("<");
        for name in ["Authorization", "Hash-Token"] {
            forged["headers"][name] = json!("");
            forged["multiValueHeaders"][name] = json!([""]);
        }
        expected.push(json!([401, 401]));
        invocations.push(forged);
        expected.push(json!([400, 400]));
        invocations.push(with_header(event, "X", "\u{0}"));
    }
    for nothing in [json!({}), json!(null), json!("text"), json!({ "Records": [] })] {
        expected.push(json!([400, 400]));
        invocations.push(nothing);
    }
    expected[0] = json!([200, "accepted"]);
    let run = Run::of(BINARY, &endpoint, &[("PROVIDER_SECRET", &secret())], &invocations).await;
    for (index, answer) in run.answers.iter().enumerate() {
        assert_eq!(said(answer), expected[index], "{}", invocations[index]);
    }
}

/// The table and the keys are out of order, the queue is not.
async fn outage(headers: HeaderMap) -> Response {
    match headers["x-amz-target"].to_str().unwrap() {
        "AmazonSQS.SendMessage" => axum::Json(json!({ "MessageId": "message" })).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_the_binary_queues_and_tells_why_and_nothing_of_what_it_queues() {
    let aws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", aws.local_addr().unwrap());
    tokio::spawn(axum::serve(aws, axum::Router::new().fallback(outage)).into_future());
    let queue = ("FALLBACK_QUEUE_URL", "http://localhost/fallback");
    let invocations = [event("plugnmeet/participant.json")];
    for (keys, fault) in [
        (("PROVIDER_SECRET", secret()), "store"),
        (("PROVIDER_SECRET_ID", "keys".to_owned()), "keys_unavailable"),
    ] {
        let run = Run::of(BINARY, &endpoint, &[(keys.0, &keys.1), queue], &invocations).await;
        assert_eq!(run.answers[0]["body"], r#"{"id":"message","status":"queued"}"#);
        assert!(run.counted("Queued", "fault", fault), "{}", run.log);
        let is_told = |line: &Value| line["fault"] == fault && line["id"] == "message";
        assert!(run.lines.iter().any(is_told), "{}", run.log);
        run.keeps_every_secret(&secret(), &invocations);
    }
}
