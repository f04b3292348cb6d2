//! A deployed stack: the test answers for CloudFormation and Secrets Manager on loopback; DynamoDB, its stream and SNS are
//! the local stack's.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::harness::{Dev, livehooks, stderr, stdout};

/// A secret with its versions.
#[derive(Default)]
pub struct Secret {
    pub versions: BTreeMap<String, String>,
    pub stages: BTreeMap<String, String>,
    /// A concurrent change that becomes current as soon as a new version is written.
    pub concurrent_change: Option<String>,
}

impl Secret {
    pub fn set(&mut self, version: &str, secret: &str) {
        self.versions.insert(version.into(), secret.into());
        self.stages.insert("AWSCURRENT".into(), version.into());
    }

    pub fn current(&self) -> Value {
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
                ("LivekitSecretId", "arn:secret"),
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
pub struct Deployed {
    pub dev: Dev,
    pub local: TempDir,
    pub folder: TempDir,
    pub secret: Arc<Mutex<Secret>>,
    pub endpoint: String,
    _runtime: Runtime,
}

impl Deployed {
    pub fn start() -> Self {
        let local = tempfile::tempdir().unwrap();
        let dev = Dev::start(local.path(), &["--memory"]);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let secret = Arc::new(Mutex::new(Secret::default()));
        let app = axum::Router::new().fallback(answer).with_state(secret.clone());
        runtime.spawn(axum::serve(listener, app).into_future());
        Self { dev, local, folder: tempfile::tempdir().unwrap(), secret, endpoint, _runtime: runtime }
    }

    pub fn local(&self) -> &Path {
        self.local.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
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
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(&[arguments, &["--stack", "live", "--region", "us-east-1"]].concat()).output().unwrap()
    }

    pub fn run_ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    /// Runs a command with `input` on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let arguments = [arguments, &["--stack", "live", "--region", "us-east-1"]].concat();
        let mut command = self.command(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}
