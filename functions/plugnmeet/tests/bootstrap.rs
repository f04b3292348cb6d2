//! The function as Lambda runs it: the real binary, the runtime API, the log.
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

fn status(answer: &Value) -> Value {
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap();
    json!([answer["statusCode"], body["status"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_answers_counts_and_logs_and_never_leaks_a_secret() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));
    let mut invocations: Vec<Value> = ["participant", "duplicate", "tampered", "expired"]
        .map(|name| event(&format!("plugnmeet/{name}.json")))
        .into();
    // A body that is flagged as base64 but is not gets an answer too.
    let participant = invocations[0].clone();
    let mut mislabeled = participant.clone();
    mislabeled["isBase64Encoded"] = json!(true);
    invocations.extend([mislabeled, participant]);
    let run = Run::of(BINARY, &endpoint, &[("PROVIDER_SECRET", &secret())], &invocations).await;

    let statuses: Vec<Value> = run.answers.iter().map(status).collect();
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
    run.assert_no_secrets(&secret(), &invocations);
}

/// Events in which a sender controls everything but body and credential, as API Gateway forwards them.
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
async fn no_path_query_or_header_makes_an_invocation_fail() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));
    // The first is from an HTTP API, the second from a REST API.
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
    for not_a_request in [json!({}), json!(null), json!("text"), json!({ "Records": [] })] {
        expected.push(json!([400, 400]));
        invocations.push(not_a_request);
    }
    expected[0] = json!([200, "accepted"]);
    let run = Run::of(BINARY, &endpoint, &[("PROVIDER_SECRET", &secret())], &invocations).await;
    for (index, answer) in run.answers.iter().enumerate() {
        assert_eq!(status(answer), expected[index], "{}", invocations[index]);
    }
}

/// The table and the keys are unavailable; the queue works.
async fn outage(headers: HeaderMap) -> Response {
    match headers["x-amz-target"].to_str().unwrap() {
        "AmazonSQS.SendMessage" => axum::Json(json!({ "MessageId": "message" })).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn during_an_outage_the_binary_queues_and_logs_the_fault_but_not_the_delivery() {
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
        let is_logged = |line: &Value| line["fault"] == fault && line["id"] == "message";
        assert!(run.lines.iter().any(is_logged), "{}", run.log);
        run.assert_no_secrets(&secret(), &invocations);
    }
}
