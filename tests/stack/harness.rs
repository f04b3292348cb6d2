//! A local stack for one test, and senders that sign for it.

use jiff::Timestamp;
use livehooks::dev::{Options, Stack};
use livehooks::keys_file::KeysFile;
use livehooks::providers::{ALL, Entry};
use livehooks::samples::{self, Places};
use livehooks_core::Provider;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::sync::LazyLock;
use uuid::Uuid;

use crate::schema;

/// For a test that needs a provider whose events have ids and whose signature covers the body, whichever it is.
pub use livehooks_core::plugnmeet::PlugNmeet as Example;

/// Its name.
pub const EXAMPLE: &str = Example::NAME;

/// Making an RSA key takes a while: one set serves all tests.
pub static KEYS: LazyLock<KeysFile> = LazyLock::new(KeysFile::make);

pub struct Local {
    pub stack: Stack,
    pub client: Client,
}

impl Local {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options();
        change(&mut options);
        Self { stack: Stack::start(options).await.unwrap(), client: Client::new() }
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }

    /// Posts a body, signed as the provider does, and returns the answer.
    pub async fn post(&self, provider: &str, body: &[u8]) -> (StatusCode, Value) {
        let entry = Entry::named(provider).unwrap();
        let signed = (entry.sign)(KEYS.signing(entry).unwrap(), body, Timestamp::now().into()).unwrap();
        let url = format!("{}/webhooks/{provider}", self.stack.url());
        let request =
            signed.headers.iter().fold(self.client.post(url), |r, (name, value)| r.header(name, value));
        let answer = request.body(body.to_vec()).send().await.unwrap();
        (answer.status(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// Posts and expects 200; returns what became of it.
    pub async fn status(&self, provider: &str, body: &[u8]) -> String {
        let (status, answer) = self.post(provider, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["status"].as_str().unwrap().to_owned()
    }

    /// What the API says, as text.
    pub async fn get(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.stack.url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap()
    }

    /// All stored events, oldest first, each valid by the schema.
    pub async fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> =
            serde_json::from_str(&self.get("/api/events?limit=10000").await).unwrap();
        events.reverse();
        events.iter().for_each(|event| schema::check(&event.to_string()).unwrap());
        events
    }

    /// The first `count` notifications since the start; waits for them. Each event is valid by the schema.
    pub async fn notifications(&self, count: usize) -> Vec<Value> {
        let mut cursor = self.stack.published.cursor(true);
        let mut found = Vec::new();
        while found.len() < count {
            let entry = self.stack.published.next(&mut cursor).await.unwrap();
            let entry: Value = serde_json::from_str(&entry).unwrap();
            schema::check(&entry["message"].to_string()).unwrap();
            found.push(entry);
        }
        found
    }

    /// Publishes one more event and returns everything that was published before it: nothing is in flight
    /// behind it, because the notifier keeps the order of the stream.
    pub async fn published_by_now(&self) -> Vec<Value> {
        let last = Uuid::new_v4().to_string();
        self.status(EXAMPLE, body(EXAMPLE, "room_created", |places| places.id = last.clone()).as_bytes())
            .await;
        let mut cursor = self.stack.published.cursor(true);
        let mut found = Vec::new();
        loop {
            let entry: Value =
                serde_json::from_str(&self.stack.published.next(&mut cursor).await.unwrap()).unwrap();
            if entry["message"]["id"] == last.as_str() {
                return found;
            }
            found.push(entry);
        }
    }
}

/// In memory, on free ports, silent.
pub fn options() -> Options {
    Options {
        port: 0,
        dynamodb_port: Some(0),
        aws_host: std::net::Ipv4Addr::LOCALHOST,
        data: None,
        keys: KEYS.clone(),
        forward_to: None,
        verbose: false,
    }
}

/// A sample's body.
pub fn body(provider: &str, name: &str, change: impl FnOnce(&mut Places)) -> String {
    let entry = ALL.iter().find(|entry| entry.name == provider).unwrap();
    let sample = samples::of(entry).into_iter().find(|sample| sample.name == name).unwrap();
    let mut places = places();
    change(&mut places);
    sample.body(&places)
}

/// Values for the placeholders of samples; the id is new.
pub fn places() -> Places {
    Places {
        room: "room01".into(),
        participant: "user-42".into(),
        session: "session01".into(),
        id: Uuid::new_v4().to_string(),
        now: Timestamp::now(),
    }
}
