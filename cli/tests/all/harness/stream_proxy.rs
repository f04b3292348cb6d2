//! DynamoDB as the command may find it: the local stack's, plus what only AWS does to a stream's readers.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use livehooks::history::Source;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A second, empty shard, which exists only here.
const SHARD: &str = "shardId-00000000000000000009-empty";

pub struct StreamProxy {
    pub address: String,
    shared: Arc<Shared>,
    runtime: Runtime,
}

struct Shared {
    client: reqwest::Client,
    target: String,
    reads: AtomicUsize,
    is_paused: watch::Sender<bool>,
    /// The number of iterators. The local stack's are positions, so each gets a number to distinguish it.
    iterators: AtomicUsize,
    /// Iterators with a lower number have expired.
    expired_below: AtomicUsize,
    has_second_shard: AtomicBool,
    is_throttled: AtomicBool,
}

impl StreamProxy {
    /// Listens in front of the DynamoDB at `target` (`host:port`).
    pub fn start(target: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            client: reqwest::Client::new(),
            target: target.to_owned(),
            reads: AtomicUsize::new(0),
            is_paused: watch::Sender::new(false),
            iterators: AtomicUsize::new(0),
            expired_below: AtomicUsize::new(0),
            has_second_shard: AtomicBool::new(false),
            is_throttled: AtomicBool::new(false),
        });
        let app = axum::Router::new().fallback(answer).with_state(shared.clone());
        runtime.spawn(axum::serve(listener, app).into_future());
        Self { address, shared, runtime }
    }

    /// Lets the commands in `folder` use this address.
    pub fn use_in(&self, folder: &Path) {
        let file = folder.join(".livehooks/running.json");
        let mut running: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        running["dynamodb"] = self.address.as_str().into();
        fs::write(file, running.to_string()).unwrap();
    }

    /// The local stack behind this address.
    pub fn source(&self) -> Source {
        let address = self.address.parse().unwrap();
        Source::local(address, address)
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Waits until the stream was read more often than this.
    pub fn wait_for_read(&self, before: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.shared.reads.load(SeqCst) <= before {
            assert!(Instant::now() < deadline, "the stream was not read");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Holds reads of the stream, as if the command slept.
    pub fn pause(&self) {
        let before = self.shared.reads.load(SeqCst);
        self.shared.is_paused.send_replace(true);
        self.wait_for_read(before);
    }

    /// Continues with the reads.
    pub fn resume(&self) {
        self.shared.is_paused.send_replace(false);
    }

    /// Lets all iterators expire, as they do after 15 minutes.
    pub fn expire_iterators(&self) {
        self.shared.expired_below.store(self.shared.iterators.load(SeqCst), SeqCst);
    }

    /// Adds an empty shard after the real one.
    pub fn add_shard(&self) {
        self.shared.has_second_shard.store(true, SeqCst);
    }

    /// Whether to throttle reads of the second shard.
    pub fn throttle(&self, is_throttled: bool) {
        self.shared.is_throttled.store(is_throttled, SeqCst);
    }
}

impl Shared {
    fn numbered(&self, iterator: &str) -> Value {
        format!("{}/{iterator}", self.iterators.fetch_add(1, SeqCst)).into()
    }

    /// The answer of the local stack.
    async fn forward(&self, headers: &HeaderMap, input: &Value) -> (StatusCode, Value) {
        let mut request = self.client.post(format!("http://{}/", self.target)).body(input.to_string());
        for name in ["x-amz-target", "content-type"] {
            request = request.header(name, &headers[name]);
        }
        match request.send().await {
            Ok(answer) => (answer.status(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()),
            Err(_) => (StatusCode::BAD_GATEWAY, json!({})),
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut input: Value = serde_json::from_slice(&body).unwrap();
    let operation = headers["x-amz-target"].to_str().unwrap().split_once('.').unwrap().1;
    if operation == "GetRecords" {
        shared.reads.fetch_add(1, SeqCst);
        shared.is_paused.subscribe().wait_for(|is_paused| !is_paused).await.unwrap();
        let (number, iterator) = input["ShardIterator"].as_str().unwrap().split_once('/').unwrap();
        if number.parse::<usize>().unwrap() < shared.expired_below.load(SeqCst) {
            return error("ExpiredIteratorException");
        }
        if iterator == SHARD && shared.is_throttled.load(SeqCst) {
            return error("LimitExceededException");
        }
        input["ShardIterator"] = iterator.into();
    }
    let (status, mut output) = match operation {
        "GetShardIterator" if input["ShardId"] == SHARD => {
            (StatusCode::OK, json!({ "ShardIterator": SHARD }))
        }
        "GetRecords" if input["ShardIterator"] == SHARD => {
            (StatusCode::OK, json!({ "Records": [], "NextShardIterator": SHARD }))
        }
        _ => shared.forward(&headers, &input).await,
    };
    if operation == "DescribeStream" && shared.has_second_shard.load(SeqCst) {
        let shards = output["StreamDescription"]["Shards"].as_array_mut().unwrap();
        shards.push(json!({ "ShardId": SHARD, "SequenceNumberRange": {} }));
    }
    for name in ["ShardIterator", "NextShardIterator"] {
        if let Some(iterator) = output.get_mut(name) {
            *iterator = shared.numbered(iterator.as_str().unwrap());
        }
    }
    json_answer(status, &output)
}

fn error(code: &str) -> Response {
    let json = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": code });
    json_answer(StatusCode::BAD_REQUEST, &json)
}

fn json_answer(status: StatusCode, json: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], json.to_string()).into_response()
}
