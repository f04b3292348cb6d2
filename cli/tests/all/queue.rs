//! `livehooks queue` with the local stack, and with a deployed one for whose CloudFormation and SQS the test answers.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use crate::harness::{Dev, EXAMPLE, Example, json_lines, livehooks, ran, stderr, stdout};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use livehooks::dev::Queue;
use livehooks_aws::Fault;
use livehooks_aws::fallback::message;
use livehooks_core::Delivery;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Queues a delivery in a stopped local stack, and returns the keys in its keys file.
fn queue_delivery(folder: &Path) -> Value {
    Dev::start(folder, &[]).kill();
    let keys: Value =
        serde_json::from_slice(&fs::read(folder.join(".livehooks/keys.json")).unwrap()).unwrap();
    let body = br#"{"event":"room_created","id":"1"}"#;
    let now = Timestamp::now();
    let signed = (ProviderInfo::named(EXAMPLE).unwrap().sign)(&keys[EXAMPLE], body, now.into()).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &signed.headers {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let delivery = Delivery { headers: &headers, url_token: None, body };
    let message = message::<Example>(&delivery, now, &Fault::StoreTimeout(1)).unwrap();
    Queue::open(Some(&folder.join(".livehooks/queue.db"))).unwrap().send(&message, now).unwrap();
    keys
}

#[test]
fn a_typo_in_the_local_keys_is_found_and_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut keys = queue_delivery(folder);
    for secret in keys[EXAMPLE]["keys"].as_object_mut().unwrap().values_mut() {
        *secret = format!("{} ", secret.as_str().unwrap()).into();
    }
    let file = folder.join("typo.json");
    fs::write(&file, keys.to_string()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

    let mut dev = Dev::start(folder, &["--keys", file.to_str().unwrap()]);
    let rejection = "dead-lettered: wrong_key";
    while !dev.banner.contains(rejection) {
        let line = dev.line();
        assert!(!line.is_empty(), "the process ended before it logged the rejection");
        dev.banner += &line;
    }
    let shown = ran(folder, &["queue"], 0);
    let row = shown.lines().find(|line| line.starts_with(EXAMPLE)).unwrap();
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), [EXAMPLE, "wrong_key", "1"]);
    let json = json_lines(folder, &["queue", "--json"]).remove(0);
    assert_eq!(json["waiting"], json!({ "visible": 0, "hidden": 0 }));
    assert_eq!(json["dead_lettered"]["count"], 1);
    dev.kill();

    let dev = Dev::start(folder, &[]);
    assert!(ran(folder, &["queue", "redrive"], 0).starts_with("1 moved back to the fallback queue"));
    assert_eq!(dev.notification()["message"]["id"], "1");
    let json = json_lines(folder, &["queue", "--json"]).remove(0);
    assert_eq!(json["dead_lettered"], json!({ "count": 0, "sampled": 0, "groups": [] }));
}

/// CloudFormation and SQS of a stack `live`.
#[derive(Default)]
struct Aws {
    has_outputs: bool,
    letters: Vec<Value>,
    /// The answers to the next `ListMessageMoveTasks`.
    tasks: Vec<Value>,
    calls: Vec<(String, Value)>,
}

impl Aws {
    fn call(&mut self, action: &str, input: Value) -> Value {
        let is_dead = input["QueueUrl"] == "https://sqs/dead";
        self.calls.push((action.to_owned(), input.clone()));
        match action {
            "GetQueueAttributes" => {
                let (name, visible, hidden) =
                    if is_dead { ("dead", self.letters.len(), 0) } else { ("waiting", 7, 2) };
                json!({ "Attributes": {
                    "QueueArn": format!("arn:aws:sqs:us-east-1:1:{name}"),
                    "ApproximateNumberOfMessages": visible.to_string(),
                    "ApproximateNumberOfMessagesNotVisible": hidden.to_string(),
                }})
            }
            "ReceiveMessage" => {
                assert!(is_dead, "each receive from the fallback queue counts toward the 480 attempts");
                let count = self.letters.len().min(10);
                json!({ "Messages": self.letters.drain(..count).collect::<Vec<_>>() })
            }
            "ChangeMessageVisibilityBatch" => json!({ "Successful": [], "Failed": [] }),
            "StartMessageMoveTask" => json!({ "TaskHandle": "handle" }),
            "ListMessageMoveTasks" => json!({ "Results": [self.tasks.remove(0)] }),
            other => panic!("unexpected action {other}"),
        }
    }
}

async fn answer(State(aws): State<Arc<Mutex<Aws>>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut aws = aws.lock().unwrap();
    if let Some(target) = headers.get("x-amz-target") {
        let action = target.to_str().unwrap().strip_prefix("AmazonSQS.").unwrap();
        let answer = aws.call(action, serde_json::from_slice(&body).unwrap());
        return (StatusCode::OK, axum::Json(answer)).into_response();
    }
    let mut outputs = vec![("TableName", "Events"), ("TopicArn", "arn:topic")];
    if aws.has_outputs {
        outputs.push(("FallbackQueueUrl", "https://sqs/waiting"));
        outputs.push(("FallbackDeadLetterQueueUrl", "https://sqs/dead"));
    }
    let output = |(key, value): (&str, &str)| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs: String = outputs.into_iter().map(output).collect();
    let stack = format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>live</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    );
    ([(header::CONTENT_TYPE, "text/xml")], stack).into_response()
}

struct Deployed {
    aws: Arc<Mutex<Aws>>,
    endpoint: String,
    folder: TempDir,
    _runtime: Runtime,
}

impl Deployed {
    fn start(aws: Aws) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let aws = Arc::new(Mutex::new(aws));
        let app = axum::Router::new().fallback(answer).with_state(aws.clone());
        runtime.spawn(axum::serve(listener, app).into_future());
        Self { aws, endpoint, folder: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = livehooks(self.folder.path());
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "never-shown")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .args(arguments)
            .args(["--stack", "live", "--region", "us-east-1"]);
        command.output().unwrap()
    }

    fn calls(&self, action: &str) -> Vec<Value> {
        let aws = self.aws.lock().unwrap();
        aws.calls.iter().filter(|(name, _)| name == action).map(|(_, input)| input.clone()).collect()
    }
}

/// A dead letter with a queued message as its body.
fn letter(id: usize, reason: Option<&str>, is_given_up: bool) -> Value {
    let body = json!({ "provider": "livekit", "received_at": "2026-01-01T00:00:00Z", "fault": "store_timeout",
        "headers": [["authorization", "a-credential"]], "body": "", "gzip": false });
    let attribute = |value: &str| json!({ "DataType": "String", "StringValue": value });
    let attributes: BTreeMap<&str, Value> =
        reason.map(|reason| ("reason", attribute(reason))).into_iter().collect();
    let system = if is_given_up { json!({ "DeadLetterQueueSourceArn": "arn:waiting" }) } else { json!({}) };
    json!({ "MessageId": id.to_string(), "ReceiptHandle": id.to_string(), "Body": body.to_string(),
        "Attributes": system, "MessageAttributes": attributes })
}

#[test]
fn dead_letters_of_a_deployed_stack_are_counted_by_reason_and_a_sample_is_marked() {
    let mut letters: Vec<Value> = (0..150).map(|id| letter(id, Some("wrong_key"), false)).collect();
    letters.extend((150..249).map(|id| letter(id, None, true)));
    // Redriven once, then given up.
    letters.insert(0, letter(249, Some("wrong_key"), true));
    let deployed = Deployed::start(Aws { has_outputs: true, letters: letters.clone(), ..Aws::default() });
    let shown = deployed.run(&["queue"]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let shown = stdout(&shown);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> =
        shown.lines().filter(|line| line.starts_with("livekit")).map(words).collect();
    assert_eq!(rows[0][..3], ["livekit", "wrong_key", "150"]);
    assert_eq!(rows[1][..5], ["livekit", "gave", "up:", "store_timeout", "50"]);
    assert!(shown.contains("a sample of 200 of 250 dead letters"), "{shown}");
    assert!(shown.contains("queue redrive --stack live --region us-east-1"), "{shown}");
    assert!(!shown.contains("a-credential"));
    let released = deployed.calls("ChangeMessageVisibilityBatch");
    let released = released.iter().flat_map(|call| call["Entries"].as_array().unwrap());
    assert_eq!(released.filter(|entry| entry["VisibilityTimeout"] == 0).count(), 200);

    deployed.aws.lock().unwrap().letters = letters.split_off(200);
    let json: Value = serde_json::from_str(&stdout(&deployed.run(&["queue", "--json"]))).unwrap();
    assert_eq!(json["waiting"], json!({ "visible": 7, "hidden": 2 }));
    let group = json!({
        "provider": "livekit", "reason": "gave up: store_timeout", "count": 50, "oldest": "2026-01-01T00:00:00Z",
    });
    assert_eq!(json["dead_lettered"], json!({ "count": 50, "sampled": 50, "groups": [group] }));
}

#[test]
fn a_redrive_names_its_destination_and_reports_its_result() {
    let task = |status: &str, moved: u64| {
        json!({ "Status": status, "ApproximateNumberOfMessagesMoved": moved,
            "ApproximateNumberOfMessagesToMove": 3, "StartedTimestamp": 1 })
    };
    let tasks = vec![task("RUNNING", 1), task("COMPLETED", 3)];
    let deployed = Deployed::start(Aws { has_outputs: true, tasks, ..Aws::default() });
    let done = deployed.run(&["queue", "redrive"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(stdout(&done).starts_with("3 moved back to the fallback queue"));
    assert!(stderr(&done).contains("moved 1 of about 3"), "{}", stderr(&done));
    // Messages sent directly to the dead-letter queue have no queue of origin.
    let expected = json!({
        "SourceArn": "arn:aws:sqs:us-east-1:1:dead", "DestinationArn": "arn:aws:sqs:us-east-1:1:waiting",
    });
    assert_eq!(deployed.calls("StartMessageMoveTask"), [expected]);

    let mut failed = task("FAILED", 2);
    failed["FailureReason"] = "AccessDenied".into();
    deployed.aws.lock().unwrap().tasks = vec![failed];
    let failed = deployed.run(&["queue", "redrive"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(stderr(&failed).contains("FAILED: AccessDenied, after 2 messages"), "{}", stderr(&failed));
}

#[test]
fn a_stack_without_these_queues_is_reported() {
    let deployed = Deployed::start(Aws::default());
    let output = deployed.run(&["queue"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("stack live has no output FallbackQueueUrl"), "{}", stderr(&output));
}
