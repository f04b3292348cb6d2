//! Runs the command and the local stack as processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use livehooks_aws::store::{room_key, sortable, time_shard};
use serde_json::Value;

pub struct Dev {
    pub process: Child,
    /// Its output, unless nothing reads it.
    lines: Option<BufReader<std::process::ChildStdout>>,
    /// What it printed until it was ready; a delivery may be logged before that.
    pub banner: String,
    pub url: String,
    pub page: String,
    /// `host:port` of the embedded DynamoDB, and of SNS and SQS.
    pub dynamodb: String,
    pub sns: String,
}

pub fn livehooks(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_livehooks"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

impl Dev {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = livehooks(folder);
        command.args(["dev", "--port", "0"]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut dev = Self {
            process,
            lines: Some(lines),
            banner: String::new(),
            url: String::new(),
            page: String::new(),
            dynamodb: String::new(),
            sns: String::new(),
        };
        while dev.url.is_empty() {
            let line = dev.line();
            assert!(!line.is_empty(), "the process ended before it was ready");
            dev.banner += &line;
            let value = |name| line.strip_prefix(name).map(|rest: &str| rest.trim().to_owned());
            if let Some(page) = value("page") {
                dev.page = page;
            }
            let address =
                |url: String| url.strip_prefix("http://").unwrap().split(' ').next().unwrap().to_owned();
            if let Some(url) = value("dynamodb") {
                dev.dynamodb = address(url);
            }
            if let Some(url) = value("sns, sqs") {
                dev.sns = address(url);
            }
            dev.url = value("ready").unwrap_or_default();
        }
        dev
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Discards its output, so that it can log more than a pipe holds.
    pub fn unread(mut self) -> Self {
        let mut lines = self.lines.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        self
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn connect(&self, path: &str) -> TcpStream {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        self.connect(path).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends a request to the embedded DynamoDB and returns its answer.
    pub fn dynamodb(&self, operation: &str, request: &Value) -> Value {
        let target = format!("X-Amz-Target: DynamoDB_20120810.{operation}");
        let host = format!("Host: {}", self.dynamodb);
        let answer = ask(&self.dynamodb, "POST / HTTP/1.1", &[&host, &target], &request.to_string());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    /// Stores an item that contains no valid event, received now, in a room; its key is `<EXAMPLE>#<name>`.
    pub fn store_unreadable(&self, name: &str, room: &str) {
        let (key, now) = (format!("{EXAMPLE}#{name}"), sortable(jiff::Timestamp::now()));
        let texts = [
            ("event_key", &*key),
            ("event", "{}"),
            ("type", "live.participant.joined"),
            ("room_key", &room_key(EXAMPLE, room).unwrap()),
            ("occurred_at", &now),
            ("received_at", &now),
            ("time_shard", &time_shard(&key)),
        ];
        let mut item: serde_json::Map<String, Value> =
            texts.iter().map(|(name, text)| ((*name).to_owned(), serde_json::json!({ "S": text }))).collect();
        item.insert("occurrence".into(), serde_json::json!({ "N": "0" }));
        self.dynamodb("PutItem", &serde_json::json!({ "TableName": "Events", "Item": item }));
    }

    /// Waits for the first notification since the start.
    pub fn notification(&self) -> Value {
        let lines = BufReader::new(self.connect("/api/announcements?replay=all")).lines();
        let data = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str(&data.unwrap()).unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The provider in tests that work with any.
pub const EXAMPLE: &str = "plugnmeet";
/// The same, as a type.
pub type Example = livehooks_core::plugnmeet::PlugNmeet;

pub fn send(folder: &Path, arguments: &[&str]) -> Output {
    livehooks(folder).arg("send").args(arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the command to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    livehooks(folder).args(arguments).output().unwrap()
}

/// Runs the command, expects its exit code, and returns its standard output.
pub fn ran(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(folder, arguments);
    let text = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    stdout(&output)
}

/// Runs the command and parses each line of its output as JSON.
pub fn json_lines(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    ran(folder, arguments, 0).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends a request with these headers and returns the answer.
pub fn ask(address: &str, head: &str, headers: &[&str], body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(stream, "{head}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether the guard rejected the request.
pub fn is_forbidden(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 403 ") && !answer.to_ascii_lowercase().contains("access-control-")
}

/// A developer's app: the test receives its requests and decides its answers.
pub struct App {
    pub url: String,
    requests: Receiver<(String, Value)>,
    answers: Sender<u16>,
}

impl App {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let (request_sender, requests) = mpsc::channel();
        let (answers, statuses) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).unwrap() == 0 {
                        break;
                    }
                }
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.unwrap().parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                if request_sender.send((head, serde_json::from_slice(&body).unwrap())).is_err() {
                    return;
                }
                let Ok(status): Result<u16, _> = statuses.recv() else { return };
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                // The command may have ended by now.
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        Self { url, requests, answers }
    }

    /// Waits for the next request and returns its headers and its event, without answering it.
    pub fn next(&self) -> (String, Value) {
        self.requests.recv_timeout(Duration::from_secs(60)).expect("a request within a minute")
    }

    /// Answers the latest request.
    pub fn answer(&self, status: u16) {
        self.answers.send(status).unwrap();
    }

    /// Answers the next request with 200 and returns its event.
    pub fn take(&self) -> Value {
        let (_, event) = self.next();
        self.answer(200);
        event
    }

    /// Whether there is no pending request.
    pub fn is_idle(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// Interrupts a process, as Ctrl-C does.
#[cfg(unix)]
pub fn interrupt(process: &Child) {
    let done = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(done.success());
}

/// Items by event key and occurrence.
pub type Items = std::collections::BTreeMap<(String, String), Value>;

/// All items of the table.
pub fn items(dev: &Dev) -> Items {
    let (mut items, mut start) = (Items::new(), Value::Null);
    loop {
        let mut scan = serde_json::json!({ "TableName": "Events" });
        if !start.is_null() {
            scan["ExclusiveStartKey"] = start;
        }
        let page = dev.dynamodb("Scan", &scan);
        for item in page["Items"].as_array().unwrap() {
            let text = |name: &str, kind: &str| item[name][kind].as_str().unwrap().to_owned();
            items.insert((text("event_key", "S"), text("occurrence", "N")), item.clone());
        }
        start = page["LastEvaluatedKey"].clone();
        if start.is_null() {
            return items;
        }
    }
}
