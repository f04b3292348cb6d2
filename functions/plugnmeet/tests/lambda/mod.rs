//! Lambda around a function's real binary: the runtime API, the environment, and what it writes to its log.

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
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

/// Hands out each invocation once, then waits for ever.
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

/// A file of `events/`.
pub fn event(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// What a function has answered, and its log.
pub struct Run {
    pub answers: Vec<Value>,
    pub log: String,
    pub lines: Vec<Value>,
}

impl Run {
    /// Runs a binary until it has answered all invocations. AWS is at `endpoint`.
    pub async fn of(binary: &str, endpoint: &str, variables: &[(&str, &str)], invocations: &[Value]) -> Self {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let lambda = Lambda { invocations: Arc::new(Mutex::new(invocations.to_vec().into())), answers };
        let runtime = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let runtime_api = runtime.local_addr().unwrap().to_string();
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
            .with_state(lambda);
        tokio::spawn(axum::serve(runtime, app).into_future());
        let mut function = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local-access-secret")
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("TABLE_NAME", "Events")
            .env("METRICS_NAMESPACE", "livehooks/test")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut answers = Vec::new();
        for _ in invocations {
            answers.push(answered.recv().await.unwrap());
        }
        function.start_kill().unwrap();
        let log = String::from_utf8(function.wait_with_output().await.unwrap().stdout).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { answers, log, lines }
    }

    /// Whether a metric was counted once under this label.
    pub fn counted(&self, metric: &str, label: &str, value: &str) -> bool {
        let is = |line: &&Value| line.get("_aws").is_some() && line[metric] == 1 && line[label] == value;
        self.lines.iter().any(|line| is(&line))
    }

    /// Fails where the log holds a key of this secret, a credential or a word of a body.
    pub fn keeps_every_secret(&self, secret: &str, envelopes: &[Value]) {
        let keys: Value = serde_json::from_str(secret).unwrap();
        let keys = keys["keys"].as_object().unwrap().values();
        let headers = envelopes.iter().flat_map(|envelope| envelope["headers"].as_object().unwrap().values());
        let credentials = headers.filter(|value| value.as_str().unwrap().len() > 40);
        let mut secrets: Vec<&str> = keys.chain(credentials).map(|value| value.as_str().unwrap()).collect();
        secrets.extend(["local-access-secret", "isAdmin"]);
        for secret in secrets {
            assert!(!self.log.contains(secret), "the log holds {secret}");
        }
    }
}
