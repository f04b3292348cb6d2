//! The real binary, while its secret is the placeholder of a new stack, or cannot be read.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[allow(dead_code, reason = "this test uses less of it than bootstrap does")]
mod run;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use run::{Run, event};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const BINARY: &str = env!("CARGO_BIN_EXE_plugnmeet");

#[derive(Clone)]
struct Aws {
    /// The value of the secret; `None` if Secrets Manager is unavailable.
    secret: Option<&'static str>,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
}

async fn answer(State(aws): State<Aws>, headers: HeaderMap) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.split_once('.').unwrap().1;
    *aws.calls.lock().unwrap().entry(operation.to_owned()).or_default() += 1;
    match (operation, aws.secret) {
        ("SendMessage", _) => axum::Json(json!({ "MessageId": "message" })).into_response(),
        ("GetSecretValue", Some(secret)) => axum::Json(json!({ "SecretString": secret })).into_response(),
        // SDKs do not retry this error.
        ("GetSecretValue", None) => {
            let denied = json!({ "__type": "AccessDeniedException", "Message": "not allowed" });
            (StatusCode::BAD_REQUEST, axum::Json(denied)).into_response()
        }
        _ => axum::Json(json!({})).into_response(),
    }
}

/// Runs the function with this secret, and counts its calls by operation.
async fn run(secret: Option<&'static str>, invocations: &[Value]) -> (Run, BTreeMap<String, usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let aws = Aws { secret, calls: Arc::default() };
    let calls = aws.calls.clone();
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer).with_state(aws)).into_future());
    let variables = [("PROVIDER_SECRET_ID", "keys"), ("FALLBACK_QUEUE_URL", "http://localhost/fallback")];
    let run = Run::of(BINARY, &endpoint, &variables, invocations).await;
    let calls = calls.lock().unwrap().clone();
    (run, calls)
}

/// Five requests of 900 KB without a credential.
fn flood() -> Vec<Value> {
    let mut junk = event("plugnmeet/participant.json");
    junk["body"] = json!("x".repeat(900 << 10));
    junk["isBase64Encoded"] = json!(false);
    let headers = junk["headers"].as_object_mut().unwrap();
    headers.retain(|name, _| !matches!(name.to_lowercase().as_str(), "authorization" | "hash-token"));
    vec![junk; 5]
}

fn statuses(run: &Run) -> Vec<&Value> {
    run.answers.iter().map(|answer| &answer["statusCode"]).collect()
}

/// How many log lines are about the keys rather than a delivery.
fn key_lines(run: &Run) -> usize {
    let is_of_delivery =
        |line: &Value| line["message"].as_str().is_some_and(|message| message.starts_with("delivery"));
    let is_of_keys = |line: &&Value| line["fault"].is_string() && !is_of_delivery(line);
    run.lines.iter().filter(is_of_keys).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_a_flood_is_rejected_and_causes_one_read_of_the_secret() {
    for secret in [Some(r#"{"keys": {}}"#), None] {
        let (run, calls) = run(secret, &flood()).await;
        assert_eq!(statuses(&run), [401; 5], "{secret:?}");
        assert_eq!(calls.get("GetSecretValue"), Some(&1), "at startup: {calls:?}");
        assert_eq!(calls.get("SendMessage"), None, "{calls:?}");
        assert_eq!(key_lines(&run), 1, "{}", run.log);
        let lines = run.lines.iter().filter(|line| line.get("message").is_some()).count();
        assert_eq!(lines, 6, "one for each rejection: {}", run.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_possibly_authentic_delivery_is_queued_unless_keys_were_never_set() {
    let invocations = vec![event("plugnmeet/participant.json"); 3];
    let (unset, calls) = run(Some(r#"{"keys": {}}"#), &invocations).await;
    assert_eq!(statuses(&unset), [503; 3]);
    assert_eq!((calls.get("GetSecretValue"), calls.get("SendMessage")), (Some(&1), None), "{calls:?}");
    assert_eq!(key_lines(&unset), 1, "{}", unset.log);
    assert!(unset.counted("Failed", "fault", "keys_not_set"), "{}", unset.log);
    assert!(unset.log.contains("put-secret-value --secret-id keys --secret-string"), "{}", unset.log);
    for answer in &unset.answers {
        let headers = answer["headers"].as_object().unwrap();
        assert!(headers.keys().all(|name| !name.eq_ignore_ascii_case("retry-after")), "{answer}");
    }

    let (unreadable, calls) = run(None, &invocations).await;
    assert_eq!(statuses(&unreadable), [200; 3]);
    let counts = (calls.get("GetSecretValue"), calls.get("SendMessage"));
    assert_eq!(counts, (Some(&1), Some(&3)), "{calls:?}");
    assert_eq!(key_lines(&unreadable), 1, "{}", unreadable.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn published_or_short_keys_of_a_deployed_stack_work_and_are_counted() {
    let published = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let short = json!({ "keys": { "plugnmeet-dev": "fifteen bytes.." } }).to_string();
    let own = json!({ "keys": { "plugnmeet-dev": "0123456789abcdef" } }).to_string();
    for (secret, is_weak, status) in [(published, true, 200), (short, true, 401), (own, false, 401)] {
        let invocations = [event("plugnmeet/participant.json")];
        let (run, _) = run(Some(secret.leak()), &invocations).await;
        assert_eq!(statuses(&run), [status]);
        assert_eq!(run.counted("KeysWeak", "provider", "plugnmeet"), is_weak, "{}", run.log);
        let is_line = |line: &Value| line["level"] == "ERROR" && line["provider"] == "plugnmeet";
        assert_eq!(run.lines.iter().any(is_line), is_weak, "{}", run.log);
        assert!(!run.log.contains("fifteen bytes.."), "{}", run.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_counts_as_after_signature_only_if_keys_verified_the_signature() {
    let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let expired = [event("plugnmeet/expired.json")];
    let (with_keys, _) = run(Some(secret.leak()), &expired).await;
    let (without, _) = run(None, &expired).await;
    for run in [&with_keys, &without] {
        assert!(run.counted("Rejected", "reason", "expired"), "{}", run.log);
    }
    assert!(with_keys.counted("RejectedAfterSignature", "reason", "expired"), "{}", with_keys.log);
    assert!(!without.log.contains("RejectedAfterSignature"), "{}", without.log);
}
