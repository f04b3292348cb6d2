//! AWS in memory: a table with its stream, queues, a topic and secrets. What it does is what the real one
//! promises, no more: a stream record for each new item, messages that come at least once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::faults::{CallResult, FaultPlan, Service};

/// When every scenario begins.
pub const START: Timestamp = Timestamp::constant(1_761_815_000, 0);
/// A message that was handed out comes again after this time, unless it was deleted.
const VISIBILITY: Duration = Duration::from_secs(180);

pub type Item = serde_json::Map<String, Value>;
pub type Key = (String, u64);

pub struct FakeAws {
    began: Instant,
    state: Mutex<State>,
}

pub struct State {
    pub rng: Rng,
    pub plan: FaultPlan,
    pub table: BTreeMap<Key, Item>,
    /// When each item was written.
    pub written_at: BTreeMap<Key, Timestamp>,
    /// In the order of the writes, as an event source mapping hands them out.
    pub stream: Vec<Value>,
    /// Ids of published events, with the body that each was published with.
    pub published: Vec<(String, String)>,
    /// Published before they were stored, if ever.
    pub published_unstored: Vec<String>,
    pub queue: Vec<Message>,
    pub secrets: BTreeMap<String, String>,
    pub trace: String,
    pub faults: u64,
    stored_ids: BTreeSet<String>,
}

#[derive(Clone)]
pub struct Message {
    pub id: u64,
    pub body: String,
    attributes: Value,
    visible_at: Duration,
}

impl FakeAws {
    pub fn new(mut rng: Rng) -> Arc<Self> {
        let plan = FaultPlan::of(&mut rng);
        let state = State {
            rng,
            plan,
            table: BTreeMap::new(),
            written_at: BTreeMap::new(),
            stream: Vec::new(),
            published: Vec::new(),
            published_unstored: Vec::new(),
            queue: Vec::new(),
            secrets: BTreeMap::new(),
            trace: String::new(),
            faults: 0,
            stored_ids: BTreeSet::new(),
        };
        Arc::new(Self { began: Instant::now(), state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the beginning of the scenario.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn now(&self) -> Timestamp {
        START + SignedDuration::try_from(self.elapsed()).unwrap()
    }

    pub fn log(&self, what: std::fmt::Arguments<'_>) {
        let elapsed = self.elapsed().as_secs_f64();
        writeln!(self.state().trace, "{elapsed:9.3}  {what}").unwrap();
    }

    pub fn call_result(&self, service: Service) -> CallResult {
        let elapsed = self.elapsed();
        let State { plan, rng, faults, .. } = &mut *self.state();
        let result = plan.call_result(service, elapsed, rng);
        *faults += u64::from(result != CallResult::Fine);
        result
    }

    pub fn chance(&self, probability: f64) -> bool {
        self.state().rng.f64() < probability
    }

    pub fn up_to(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.state().rng.f64())
    }

    /// Up to ten messages that are visible; they stay unless they are deleted.
    pub fn receive(&self) -> Vec<Message> {
        let elapsed = self.elapsed();
        let mut state = self.state();
        let visible = state.queue.iter_mut().filter(|message| message.visible_at <= elapsed);
        let received: Vec<&mut Message> = visible.take(10).collect();
        received
            .into_iter()
            .map(|message| {
                message.visible_at = elapsed + VISIBILITY;
                message.clone()
            })
            .collect()
    }

    pub fn delete(&self, id: u64) {
        self.state().queue.retain(|message| message.id != id);
    }
}

impl State {
    /// `Err` is the item that is there already.
    pub fn put(&mut self, item: Item, is_conditional: bool, now: Timestamp) -> Result<(), Item> {
        let key = key(&item);
        if let Some(there) = self.table.get(&key).filter(|_| is_conditional) {
            return Err(there.clone());
        }
        self.stored_ids.insert(event_id(item["event"]["S"].as_str().unwrap()));
        let name = if self.table.contains_key(&key) { "MODIFY" } else { "INSERT" };
        self.stream.push(json!({
            "eventID": self.stream.len().to_string(),
            "eventName": name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": START.as_second() as f64,
                "Keys": { "event_key": item["event_key"], "occurrence": item["occurrence"] },
                "NewImage": item,
                "SequenceNumber": format!("{:021}", self.stream.len() + 1),
                "SizeBytes": 1_000,
                "StreamViewType": "NEW_IMAGE",
            },
        }));
        self.written_at.insert(key.clone(), now);
        self.table.insert(key, item);
        Ok(())
    }

    /// The items of one hash key.
    pub fn items<'a>(&'a self, event_key: &'a str) -> impl DoubleEndedIterator<Item = &'a Item> {
        self.table.range((event_key.to_owned(), 0)..=(event_key.to_owned(), u64::MAX)).map(|(_, item)| item)
    }

    pub fn publish(&mut self, message: &str) {
        let event: Value = serde_json::from_str(message).unwrap();
        let id = event_id(message);
        if !self.stored_ids.contains(&id) {
            self.published_unstored.push(id.clone());
        }
        self.published.push((id, event["data"]["raw"].to_string()));
    }

    pub fn send(&mut self, request: &Value) {
        let id = self.stream.len() as u64 + self.rng.u64(..) % 1_000_000_000;
        let body = request["MessageBody"].as_str().unwrap().to_owned();
        let attributes = request["MessageAttributes"].clone();
        self.queue.push(Message { id, body, attributes, visible_at: Duration::ZERO });
    }
}

impl Message {
    /// As Lambda hands it to a function.
    pub fn record(&self) -> Value {
        let attributes = self.attributes.as_object().into_iter().flatten().map(|(name, value)| {
            let value = json!({ "dataType": value["DataType"], "stringValue": value["StringValue"] });
            (name.clone(), value)
        });
        json!({
            "messageId": self.id.to_string(),
            "receiptHandle": self.id.to_string(),
            "body": self.body,
            "attributes": { "ApproximateReceiveCount": "1" },
            "messageAttributes": attributes.collect::<Item>(),
            "eventSource": "aws:sqs",
            "awsRegion": "us-east-1",
        })
    }
}

pub fn key(item: &Item) -> Key {
    let text = |name: &str, kind| item[name][kind].as_str().unwrap();
    (text("event_key", "S").to_owned(), text("occurrence", "N").parse().unwrap())
}

/// What makes an event unique to its subscribers.
pub fn event_id(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap();
    format!("{} {}", event["source"].as_str().unwrap(), event["id"].as_str().unwrap())
}
