//! The commands with a deployed stack. The test answers for CloudFormation and Secrets Manager on loopback; DynamoDB, its
//! stream and SNS are the local stack's.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::harness::{App, Dev, ask, is_forbidden, livehooks, send, stderr, stdout};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A secret with its versions.
#[derive(Default)]
struct Secret {
    versions: BTreeMap<String, String>,
    stages: BTreeMap<String, String>,
    /// A concurrent change that becomes current as soon as a new version is written.
    concurrent_change: Option<String>,
}

impl Secret {
    fn set(&mut self, version: &str, secret: &str) {
        self.versions.insert(version.into(), secret.into());
        self.stages.insert("AWSCURRENT".into(), version.into());
    }

    fn current(&self) -> Value {
        serde_json::from_str(&self.versions[&self.stages["AWSCURRENT"]]).unwrap()
    }

    fn call(&mut self, action: &str, input: &Value) -> Result<Value, &'static str> {
        let text = |name: &str| input[name].as_str().map(str::to_owned);
        match action {
            "GetSecretValue" => {
                let version = &self.stages["AWSCURRENT"];
                Ok(json!({ "SecretString": self.versions[version], "VersionId": version }))
            }
            "PutSecretValue" => {
                let token = text("ClientRequestToken").unwrap();
                self.versions.insert(token.clone(), text("SecretString").unwrap());
                for stage in input["VersionStages"].as_array().unwrap() {
                    self.stages.insert(stage.as_str().unwrap().into(), token.clone());
                }
                if let Some(other) = self.concurrent_change.take() {
                    self.set("of-someone-else", &other);
                }
                Ok(json!({ "VersionId": token }))
            }
            "UpdateSecretVersionStage" => {
                let stage = text("VersionStage").unwrap();
                // As in the service's reference, the version that the stage is removed from must be named.
                if self.stages.get(&stage) != text("RemoveFromVersionId").as_ref() {
                    return Err("InvalidParameterException");
                }
                match text("MoveToVersionId") {
                    Some(version) => drop(self.stages.insert(stage, version)),
                    None => drop(self.stages.remove(&stage)),
                }
                Ok(json!({}))
            }
            other => panic!("unexpected action {other}"),
        }
    }
}

async fn answer(State(secret): State<Arc<Mutex<Secret>>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(target) = headers.get("x-amz-target") {
        let action = target.to_str().unwrap().strip_prefix("secretsmanager.").unwrap();
        let input: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(input["SecretId"], "arn:secret");
        let answered = secret.lock().unwrap().call(action, &input);
        let (status, answer) = match answered {
            Ok(answer) => (StatusCode::OK, answer),
            Err(code) => (StatusCode::BAD_REQUEST, json!({ "__type": code, "Message": "no" })),
        };
        return (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], answer.to_string())
            .into_response();
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    if form["StackName"] != "live" {
        let error = "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id x does not exist</Message></Error></ErrorResponse>";
        return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/xml")], error).into_response();
    }
    let result = match form["Action"].as_str() {
        "DescribeStacks" => {
            let output = |(key, value)| {
                format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
            };
            let outputs = [
                ("TableName", "Events"),
                ("TopicArn", "arn:aws:sns:us-east-1:000000000000:livehooks"),
                ("PlugnmeetSecretId", "arn:secret"),
            ];
            let outputs: String = outputs.map(output).concat();
            format!(
                "<Stacks><member><StackName>live</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{outputs}</Outputs></member></Stacks>"
            )
        }
        "DescribeStackResource" => {
            let id = &form["LogicalResourceId"];
            format!(
                "<StackResourceDetail><PhysicalResourceId>live-{id}</PhysicalResourceId></StackResourceDetail>"
            )
        }
        other => panic!("unexpected action {other}"),
    };
    let action = &form["Action"];
    let xml = format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>");
    ([(header::CONTENT_TYPE, "text/xml")], xml).into_response()
}

/// A deployed stack `live`, and an empty folder to run commands in.
struct Deployed {
    _dev: Dev,
    local: TempDir,
    folder: TempDir,
    secret: Arc<Mutex<Secret>>,
    endpoint: String,
    _runtime: Runtime,
}

impl Deployed {
    fn start() -> Self {
        let local = tempfile::tempdir().unwrap();
        let dev = Dev::start(local.path(), &["--memory"]);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let secret = Arc::new(Mutex::new(Secret::default()));
        let app = axum::Router::new().fallback(answer).with_state(secret.clone());
        runtime.spawn(axum::serve(listener, app).into_future());
        Self { _dev: dev, local, folder: tempfile::tempdir().unwrap(), secret, endpoint, _runtime: runtime }
    }

    fn local(&self) -> &Path {
        self.local.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let running = fs::read(self.local().join(".livehooks/running.json")).unwrap();
        let running: Value = serde_json::from_slice(&running).unwrap();
        let at = |name: &str| format!("http://{}", running[name].as_str().unwrap());
        let mut command = livehooks(self.folder.path());
        command
            .env("AWS_ENDPOINT_URL_CLOUDFORMATION", &self.endpoint)
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.endpoint)
            .env("AWS_ENDPOINT_URL_DYNAMODB", at("dynamodb"))
            .env("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", at("dynamodb"))
            .env("AWS_ENDPOINT_URL_SNS", at("sns"))
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "never-shown")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .args(arguments);
        command
    }

    /// Runs a command with the stack.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(&[arguments, &["--stack", "live", "--region", "us-east-1"]].concat()).output().unwrap()
    }

    fn run_ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    /// Runs a command with `input` on standard input.
    fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let arguments = [arguments, &["--stack", "live", "--region", "us-east-1"]].concat();
        let mut command = self.command(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

#[test]
fn the_page_of_a_deployed_stack_answers_this_machine_only() {
    let deployed = Deployed::start();
    let arguments = ["inspect", "--stack", "live", "--region", "us-east-1", "--port", "0"];
    let mut process = deployed.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let page = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("page ").map(str::to_owned));
    let page = page.unwrap();
    let address = page.trim().strip_prefix("http://").unwrap().trim_end_matches('/');
    let host = format!("Host: {address}");
    let get = |path: &str, headers: &[&str]| ask(address, &format!("GET {path} HTTP/1.1"), headers, "");
    for path in ["/", "/api/live", "/api/event?provider=x&id=x"] {
        let answers = [
            get(path, &[&host, "Origin: https://evil.example"]),
            get(path, &["Host: evil.example"]),
            get(path, &[&host, "X-Forwarded-For: 192.0.2.1"]),
        ];
        assert!(answers.iter().all(|answer| is_forbidden(answer)), "{path}: {answers:?}");
    }
    assert!(get("/", &[&host]).starts_with("HTTP/1.1 200 "));
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_deployed_stack_is_queried_like_the_local_one() {
    let deployed = Deployed::start();
    send(deployed.local(), &["plugnmeet", "participant_joined", "--room", "standup"]);
    let event: Value = serde_json::from_str(&deployed.run_ok(&["events", "--json"])).unwrap();
    assert_eq!(event["subject"], "standup");
    assert!(deployed.run_ok(&["timeline", "standup"]).contains("participant"));
    let rooms: Value = serde_json::from_str(&deployed.run_ok(&["rooms", "--json"])).unwrap();
    assert_eq!(rooms["present"], 1);

    let explained = deployed.run_ok(&["explain", event["id"].as_str().unwrap()]);
    for part in
        ["--log-group-name live-NotifyLogGroup", "--log-group-name live-IngestLogGroup", "--region us-east-1"]
    {
        assert!(explained.contains(part), "{part:?} is not in:\n{explained}");
    }
    let open = deployed.run(&["unfinished", "--older-than", "0s"]);
    assert_eq!(open.status.code(), Some(3));
}

#[test]
fn stack_errors_say_how_to_fix_them() {
    let deployed = Deployed::start();
    let error = |arguments: &[&str]| {
        let output = deployed.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        assert!(!error.contains("never-shown"), "{error}");
        error
    };
    let unknown = error(&["events", "--stack", "other", "--region", "us-east-1"]);
    assert!(
        unknown.contains("stack other in us-east-1 cannot be described: ValidationError: Stack with id"),
        "{unknown}"
    );
    assert!(unknown.contains("aws cloudformation list-stacks"), "{unknown}");
    assert!(error(&["events", "--stack", "live"]).contains("pass --region, set AWS_REGION"));
    let disabled =
        error(&["keys", "show", "--provider", "livekit", "--stack", "live", "--region", "us-east-1"]);
    assert!(disabled.contains("stack live has no secret for livekit"), "{disabled}");
}

#[test]
fn replay_and_listen_work_with_default_credentials() {
    let deployed = Deployed::start();
    let app = App::start();
    let listen = ["listen", "--stack", "live", "--region", "us-east-1", "--forward-to", &app.url];
    let mut listener =
        deployed.command(&listen).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = std::io::BufReader::new(listener.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut messages, &mut String::new()).unwrap();
    send(deployed.local(), &["plugnmeet", "participant_joined", "--room", "standup"]);
    let event = app.take();
    assert_eq!(event["subject"], "standup");
    listener.kill().unwrap();
    listener.wait().unwrap();

    deployed.run_ok(&["replay", "--room", "standup", "--to-topic"]);
    let published = deployed._dev.get("/api/announcements?replay=all&follow=false");
    assert_eq!(published.matches("\"replayid\"").count(), 1, "{published}");
    assert!(
        deployed.folder.path().join("state/livehooks").is_dir(),
        "the state is in the user's state folder"
    );
}

#[test]
fn keys_are_shown_by_fingerprint_added_from_stdin_and_retired() {
    let deployed = Deployed::start();
    deployed.secret.lock().unwrap().set("first", r#"{"keys": {"old": "hunter2"}}"#);
    let show = ["keys", "show", "--provider", "plugnmeet"];
    let shown = deployed.run_ok(&show);
    assert!(shown.contains("old") && !shown.contains("hunter2"), "{shown}");

    let add = ["keys", "add", "--provider", "plugnmeet", "--label", "new"];
    let added = deployed.run_with_input(&add, "correct horse\n");
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
    assert!(!(stdout(&added) + &stderr(&added)).contains("horse"));
    assert!(stderr(&added).contains("within five minutes"));
    let expected = json!({ "keys": { "old": "hunter2", "new": "correct horse" } });
    assert_eq!(deployed.secret.lock().unwrap().current(), expected);
    assert_eq!(deployed.secret.lock().unwrap().stages.len(), 1, "no temporary stage is left");

    let old: Vec<String> = shown.lines().last().unwrap().split_whitespace().map(str::to_owned).collect();
    deployed.run_ok(&["keys", "retire", "--provider", "plugnmeet", &old[2]]);
    assert_eq!(deployed.secret.lock().unwrap().current(), json!({ "keys": { "new": "correct horse" } }));

    let last = deployed.run_ok(&[&show[..], &["--json"]].concat());
    let last: Value = serde_json::from_str(&last).unwrap();
    let rejected =
        deployed.run(&["keys", "retire", "--provider", "plugnmeet", last["fingerprint"].as_str().unwrap()]);
    assert_eq!(rejected.status.code(), Some(2));
    assert!(stderr(&rejected).contains("the remaining keys would be invalid"), "{}", stderr(&rejected));
    assert_eq!(deployed.run_with_input(&add, "\n").status.code(), Some(2), "an empty secret is rejected");
}

#[test]
fn concurrent_changes_of_keys_are_not_overwritten() {
    let deployed = Deployed::start();
    let mut secret = deployed.secret.lock().unwrap();
    secret.set("first", r#"{"keys": {"a": "1"}}"#);
    secret.concurrent_change = Some(r#"{"keys": {"a": "1", "theirs": "2"}}"#.into());
    drop(secret);
    let add = deployed.run_with_input(&["keys", "add", "--provider", "plugnmeet", "--label", "ours"], "3");
    assert_eq!(add.status.code(), Some(2));
    assert!(
        stderr(&add).contains("the keys were changed by someone else in the meantime"),
        "{}",
        stderr(&add)
    );
    let secret = deployed.secret.lock().unwrap();
    assert_eq!(secret.current(), json!({ "keys": { "a": "1", "theirs": "2" } }));
    assert_eq!(secret.stages.len(), 1);
}
