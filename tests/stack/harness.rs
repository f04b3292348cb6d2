//! A local stack for one test, and signed deliveries to it.

use jiff::Timestamp;
use livehooks::dev::{Options, Stack};
use livehooks::keys_file::KeysFile;
use livehooks_core::Provider;
use livehooks_signing::{ProviderInfo, SampleValues};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

use crate::faulty_client::Faults;
use crate::schema;

/// An example provider whose events have ids and whose signature covers the body.
pub use livehooks_core::plugnmeet::PlugNmeet as Example;

pub const EXAMPLE: &str = Example::NAME;

/// Shared by all tests, because generating an RSA key is slow.
pub static KEYS: LazyLock<KeysFile> = LazyLock::new(KeysFile::make);

pub struct Local {
    pub stack: Stack,
    /// How the stack's calls to AWS fail.
    pub faults: Arc<Faults>,
    pub client: Client,
}

impl Local {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = options();
        change(&mut options);
        let faults = Arc::new(Faults::default());
        let stack = Stack::start_with(options, faults.client()).await.unwrap();
        Self { stack, faults, client: Client::new() }
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }

    /// Posts a body, signed as the provider does, and returns the answer.
    pub async fn post(&self, provider: &str, body: &[u8]) -> (StatusCode, Value) {
        let entry = ProviderInfo::named(provider).unwrap();
        let signed = (entry.sign)(KEYS.signing(entry).unwrap(), body, Timestamp::now().into()).unwrap();
        let url = format!("{}/webhooks/{provider}", self.stack.url());
        let request =
            signed.headers.iter().fold(self.client.post(url), |r, (name, value)| r.header(name, value));
        let answer = request.body(body.to_vec()).send().await.unwrap();
        (answer.status(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// Posts a body and expects 200. Returns the status in the answer, or the answer itself if it has none: JSON that
    /// the provider reads.
    pub async fn status(&self, provider: &str, body: &[u8]) -> String {
        let (status, answer) = self.post(provider, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["status"].as_str().map_or_else(|| answer.to_string(), str::to_owned)
    }

    /// Gets a path as text.
    pub async fn get(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.stack.url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap()
    }

    /// All stored events, oldest first. Validates each.
    pub async fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> =
            serde_json::from_str(&self.get("/api/events?limit=10000").await).unwrap();
        events.reverse();
        events.iter().for_each(|event| schema::check(&event.to_string()).unwrap());
        events
    }

    /// Waits for the first `count` notifications since the start. Validates each event.
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

    /// Publishes one more event and returns everything published before it. Nothing earlier can follow, because the
    /// notifier keeps the order of the stream.
    pub async fn published_by_now(&self) -> Vec<Value> {
        let last = Uuid::new_v4().to_string();
        self.status(EXAMPLE, body(EXAMPLE, "room_created", |values| values.id = last.clone()).as_bytes())
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

/// In memory, on free ports, without output.
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
pub fn body(provider: &str, name: &str, change: impl FnOnce(&mut SampleValues)) -> String {
    let entry = ProviderInfo::named(provider).unwrap();
    let sample = entry.samples().into_iter().find(|sample| sample.name == name).unwrap();
    let mut values = sample_values();
    change(&mut values);
    sample.body(&values)
}

/// Values for the placeholders of samples; the id is new.
pub fn sample_values() -> SampleValues {
    SampleValues {
        session: "session01".into(),
        ..SampleValues::of(Uuid::new_v4().to_string(), Timestamp::now())
    }
}
