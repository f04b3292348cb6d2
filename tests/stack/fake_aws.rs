//! AWS for one test: the embedded DynamoDB, the local queue and a secret, each of which can fail. The test sets the time.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Request, RequestExt};
use livehooks::dev::{Database, Queue};
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks::providers::PROVIDER_PIPELINES;
use livehooks_aws::config::{FallbackConfig, IngestConfig, KeySource, RecoverConfig};
use livehooks_aws::recover::Recovered;
use livehooks_aws::{Ingest, Outcome, Recover};
use livehooks_core::Provider;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::KEYS;

pub const START: Timestamp = Timestamp::constant(1_761_815_000, 0);
const RETENTION: SignedDuration = SignedDuration::from_hours(24 * 90);

pub fn after(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

/// Which services fail. They answer 500, or never if `hangs` is set.
#[derive(Default)]
pub struct Down {
    pub table: AtomicBool,
    pub queue: AtomicBool,
    pub dead_letters: AtomicBool,
    pub secrets: AtomicBool,
    pub hangs: AtomicBool,
}

pub struct FakeAws {
    pub queue: Queue,
    pub down: Arc<Down>,
    /// The only secret's value.
    pub secret: Arc<Mutex<String>>,
    sdk: aws_types::SdkConfig,
}

#[derive(Clone)]
struct Services {
    client: reqwest::Client,
    database: String,
    queue: Queue,
    down: Arc<Down>,
    secret: Arc<Mutex<String>>,
}

impl FakeAws {
    pub async fn start() -> Self {
        let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let services = Services {
            client: reqwest::Client::new(),
            database: format!("http://{}", database.local_addr().unwrap()),
            queue: Queue::open(None).unwrap(),
            down: Arc::default(),
            secret: Arc::default(),
        };
        tokio::spawn(Database::open(None).unwrap().serve(database));
        let sdk = local_sdk_config(aws.local_addr().unwrap());
        let limit = DefaultBodyLimit::max(4 << 20);
        let app = axum::Router::new().fallback(answer).layer(limit).with_state(services.clone());
        tokio::spawn(axum::serve(aws, app).into_future());
        Self { queue: services.queue, down: services.down, secret: services.secret, sdk }
    }

    /// An ingest function with keys from the environment.
    pub fn ingest<P: Provider>(&self, keys: &Value) -> Ingest<P> {
        self.ingest_with(|config| config.keys = KeySource::Inline(keys.to_string()))
    }

    /// An ingest function with keys from Secrets Manager, unless `change` sets others.
    pub fn ingest_with<P: Provider>(&self, change: impl FnOnce(&mut IngestConfig)) -> Ingest<P> {
        let fallback =
            FallbackConfig { queue_url: "http://localhost/fallback".into(), deadline: LOCAL_TIMEOUT };
        let mut config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::SecretsManager("keys".into()),
            retention: RETENTION,
            deadline: LOCAL_TIMEOUT,
            fallback: Some(fallback),
        };
        change(&mut config);
        Ingest::new(config, &self.sdk)
    }

    /// A recover function for one provider.
    pub fn recover(&self, provider: &str, keys: KeySource) -> Recover {
        self.recover_within(LOCAL_TIMEOUT, provider, keys)
    }

    /// A recover function with this deadline per delivery.
    pub fn recover_within(&self, deadline: Duration, provider: &str, keys: KeySource) -> Recover {
        let config = RecoverConfig {
            table: "Events".into(),
            keys: [(provider.to_owned(), keys)].into(),
            retention: RETENTION,
            dead_letter_queue_url: "http://localhost/dead-letters".into(),
            deadline,
        };
        Recover::new(PROVIDER_PIPELINES, config, &self.sdk)
    }

    /// Recovers one batch at `now` and deletes settled messages, as the event source does.
    pub async fn recover_batch(&self, recover: &Recover, now: Timestamp) -> Vec<Recovered> {
        let event = self.queue.receive(10, now).unwrap().event;
        let recovered = recover.recover_at(&event, now).await;
        for message in &recovered {
            match message.is_settled() {
                true => self.queue.delete(&message.message_id).unwrap(),
                false => self.queue.show(&message.message_id, now).unwrap(),
            }
        }
        recovered
    }

    pub fn waiting(&self) -> usize {
        self.queue.bodies().unwrap().0.len()
    }

    /// All items of the table, sorted by key.
    pub async fn items(&self) -> Vec<livehooks_aws::store::Item> {
        let client = aws_sdk_dynamodb::Client::new(&self.sdk);
        let mut items = client.scan().table_name("Events").send().await.unwrap().items.unwrap();
        let occurrence = |item: &livehooks_aws::store::Item| -> u64 {
            item["occurrence"].as_n().unwrap().parse().unwrap()
        };
        items.sort_by_key(|item| (item["event_key"].as_s().unwrap().clone(), occurrence(item)));
        items
    }
}

/// A request as the provider sends it, signed at `now` with the shared test keys.
pub fn request(provider: &str, body: &[u8], now: Timestamp) -> Request {
    signed_request(provider, KEYS.signing(ProviderInfo::named(provider).unwrap()).unwrap(), body, now)
}

pub fn signed_request(provider: &str, keys: &Value, body: &[u8], now: Timestamp) -> Request {
    let signed = (ProviderInfo::named(provider).unwrap().sign)(keys, body, now.into()).unwrap();
    let mut request = Request::new(body.to_vec().into());
    for (name, value) in &signed.headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let token = signed.url_token.map(|token| ("token".to_owned(), vec![token]));
    request.with_path_parameters(token.into_iter().collect::<std::collections::HashMap<_, _>>())
}

pub fn public_keys(provider: &str) -> Value {
    KEYS.secret(ProviderInfo::named(provider).unwrap())
}

/// `accepted`, `duplicate` or `queued`, otherwise the status code.
pub fn status_of(outcome: Outcome) -> String {
    let response = outcome.into_response();
    let status = response.status().as_u16();
    let lambda_http::Body::Text(text) = response.into_body() else { panic!("expected an answer of text") };
    let body: Value = serde_json::from_str(&text).unwrap();
    body["status"].as_str().map_or(status.to_string(), str::to_owned)
}

/// A batch of one message with this body.
pub fn batch(body: &str) -> SqsEvent {
    serde_json::from_value(json!({ "Records": [{ "messageId": "message", "body": body }] })).unwrap()
}

async fn answer(State(services): State<Services>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let (service, operation) = target.split_once('.').unwrap();
    let down = &services.down;
    let is_down = match service {
        "AmazonSQS" if String::from_utf8_lossy(&body).contains("http://localhost/dead-letters") => {
            &down.dead_letters
        }
        "AmazonSQS" => &down.queue,
        "secretsmanager" => &down.secrets,
        _ => &down.table,
    };
    if is_down.load(SeqCst) {
        if down.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    match (service, operation) {
        ("AmazonSQS", "SendMessage") => {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let message = request["MessageBody"].as_str().unwrap();
            let id = if request["QueueUrl"] == "http://localhost/dead-letters" {
                services.queue.send_dead(message, &request["MessageAttributes"], START).unwrap()
            } else {
                services.queue.send(message, START).unwrap()
            };
            axum::Json(json!({ "MessageId": id, "MD5OfMessageBody": "" })).into_response()
        }
        ("secretsmanager", "GetSecretValue") => {
            axum::Json(json!({ "SecretString": *services.secret.lock().unwrap() })).into_response()
        }
        ("DynamoDB_20120810", _) => services.database(&headers, body).await,
        _ => panic!("unexpected call of {target}"),
    }
}

impl Services {
    async fn database(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.client.post(&self.database).body(body);
        for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap()).into_response()
    }
}
