//! A fake Lambda: runs a function's real binary and serves its runtime API.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// A running function.
pub struct Function {
    pub process: Child,
    log: JoinHandle<String>,
    started: Instant,
    invocations: mpsc::UnboundedSender<Bytes>,
    ready: mpsc::UnboundedReceiver<Instant>,
    answers: mpsc::UnboundedReceiver<Bytes>,
}

#[derive(Clone)]
struct RuntimeApi {
    invocations: Arc<Mutex<mpsc::UnboundedReceiver<Bytes>>>,
    ready: mpsc::UnboundedSender<Instant>,
    answers: mpsc::UnboundedSender<Bytes>,
}

impl Function {
    /// Starts the binary with only these variables and the ones that Lambda sets.
    pub async fn start(binary: &Path, variables: &[(&str, &str)]) -> Self {
        let (invocations, invoked) = mpsc::unbounded_channel();
        let (is_ready, ready) = mpsc::unbounded_channel();
        let (answer, answers) = mpsc::unbounded_channel();
        let api = RuntimeApi { invocations: Arc::new(Mutex::new(invoked)), ready: is_ready, answers: answer };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(answered))
            .layer(DefaultBodyLimit::disable())
            .with_state(api);
        tokio::spawn(axum::serve(listener, app).into_future());
        let started = Instant::now();
        let mut process = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local-access-secret")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let mut stdout = process.stdout.take().unwrap();
        // If nobody reads the log, the pipe fills up and the function blocks.
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stdout.read_to_string(&mut log).await.unwrap();
            log
        });
        Self { process, log, started, invocations, ready, answers }
    }

    /// Waits until the function asks for its first event. Returns the time since the process started.
    pub async fn ready(&mut self) -> Duration {
        self.ready.recv().await.unwrap().duration_since(self.started)
    }

    /// Sends an event. Returns the answer and how long it took.
    pub async fn invoke(&mut self, event: impl Into<Bytes>) -> (Value, Duration) {
        let sent = Instant::now();
        self.invocations.send(event.into()).unwrap();
        let answer = self.answers.recv().await.unwrap();
        let took = sent.elapsed();
        (serde_json::from_slice(&answer).unwrap(), took)
    }

    /// Kills the process and returns its log.
    pub async fn stop(mut self) -> String {
        self.process.kill().await.unwrap();
        self.log.await.unwrap()
    }
}

async fn next(State(api): State<RuntimeApi>) -> Response {
    // The receiver is gone if the function was stopped.
    let _ = api.ready.send(Instant::now());
    match api.invocations.lock().await.recv().await {
        Some(event) => {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
            let headers = [
                ("lambda-runtime-aws-request-id", id.as_str()),
                ("lambda-runtime-deadline-ms", "9999999999999"),
            ];
            (headers, event).into_response()
        }
        None => std::future::pending().await,
    }
}

async fn answered(State(api): State<RuntimeApi>, body: Bytes) -> StatusCode {
    let _ = api.answers.send(body);
    StatusCode::ACCEPTED
}
