//! The function as Lambda runs it: the real binary, the runtime API, and what it writes to its log.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use livehooks::dev::Database;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

/// Lambda's runtime API: hands out each invocation once, then waits for ever.
#[derive(Clone)]
struct Lambda {
    invocations: Arc<Mutex<VecDeque<Value>>>,
    answers: mpsc::UnboundedSender<Value>,
}

async fn next(State(lambda): State<Lambda>) -> Response {
    let invocation = lambda.invocations.lock().unwrap().pop_front();
    match invocation {
        Some(invocation) => {
            let headers = [
                ("lambda-runtime-aws-request-id", "request"),
                ("lambda-runtime-deadline-ms", "9999999999999"),
            ];
            (headers, invocation.to_string()).into_response()
        }
        None => std::future::pending().await,
    }
}

async fn answer(State(lambda): State<Lambda>, body: Bytes) -> StatusCode {
    lambda.answers.send(serde_json::from_slice(&body).unwrap()).unwrap();
    StatusCode::ACCEPTED
}

fn event(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_answers_counts_and_logs_and_keeps_every_secret_to_itself() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", database.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(database));

    let names = ["participant", "duplicate", "tampered", "expired"];
    let mut invocations: VecDeque<Value> =
        names.iter().map(|name| event(&format!("plugnmeet/{name}.json"))).collect();
    // A body that is said to be base64 and is not ends this one invocation and no other.
    let participant = invocations[0].clone();
    let mut lie = participant.clone();
    lie["isBase64Encoded"] = json!(true);
    invocations.extend([lie, participant]);
    let (answers, mut answered) = mpsc::unbounded_channel();
    let lambda = Lambda { invocations: Arc::new(Mutex::new(invocations.clone())), answers };
    let runtime = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let runtime_api = runtime.local_addr().unwrap().to_string();
    let app = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(answer))
        .with_state(lambda);
    tokio::spawn(axum::serve(runtime, app).into_future());

    let secret = event("env.json")["PlugnmeetFunction"]["PROVIDER_SECRET"].as_str().unwrap().to_owned();
    let mut function = Command::new(env!("CARGO_BIN_EXE_plugnmeet"))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "plugnmeet")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local-access-secret")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("TABLE_NAME", "Events")
        .env("METRICS_NAMESPACE", "livehooks/test")
        .env("PROVIDER_SECRET", &secret)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut statuses = Vec::new();
    for _ in &invocations {
        let answer = answered.recv().await.unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap();
        statuses.push(json!([answer["statusCode"], body["status"]]));
    }
    let refused = json!([401, 401]);
    let expected =
        json!([[200, "accepted"], [200, "duplicate"], refused, refused, [null, null], [200, "duplicate"]]);
    assert_eq!(json!(statuses), expected);

    function.start_kill().unwrap();
    let log = function.wait_with_output().await.unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted = |metric: &str, label: &str, value: &str| {
        lines.iter().any(|line| line.get("_aws").is_some() && line[metric] == 1 && line[label] == value)
    };
    assert!(log.contains(r#""Namespace":"livehooks/test""#), "{log}");
    assert!(counted("Accepted", "provider", "plugnmeet"), "{log}");
    assert!(counted("Duplicate", "provider", "plugnmeet"), "{log}");
    assert!(counted("Rejected", "reason", "body_altered"), "{log}");
    assert!(counted("Rejected", "reason", "expired"), "{log}");
    assert!(lines.iter().any(|line| line["AckLatency"].is_array()), "{log}");
    assert!(lines.iter().any(|line| line["reason"] == "expired" && line["level"] == "WARN"), "{log}");

    let keys: Value = serde_json::from_str(&secret).unwrap();
    let mut secrets: Vec<String> = keys["keys"]
        .as_object()
        .unwrap()
        .values()
        .map(|secret| secret.as_str().unwrap().to_owned())
        .collect();
    for invocation in &invocations {
        let headers = invocation["headers"].as_object().unwrap();
        secrets.extend(
            headers.values().map(|value| value.as_str().unwrap().to_owned()).filter(|value| value.len() > 40),
        );
    }
    secrets.extend(["local-access-secret".into(), "isAdmin".into()]);
    for secret in secrets {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}
