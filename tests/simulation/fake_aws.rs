//! AWS in memory: a table with its stream, queues, a topic and secrets. It guarantees only what AWS guarantees: a
//! stream record for each new item, and at-least-once messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE64;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::store::event_json;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::faults::{CallResult, FaultPlan, Poison, Service};
use crate::operator::Operator;
use crate::secret_reads::Read;

/// The start time of every scenario.
pub const START: Timestamp = Timestamp::constant(1_761_815_000, 0);
/// A received message becomes visible again after this time, unless it is deleted.
const VISIBILITY: Duration = Duration::from_secs(180);

pub type Item = serde_json::Map<String, Value>;
pub type Key = (String, u64);

pub struct FakeAws {
    pub operator: Operator,
    began: Instant,
    state: Mutex<State>,
}

pub struct State {
    pub rng: Rng,
    pub plan: FaultPlan,
    pub table: BTreeMap<Key, Item>,
    /// The time of each item's write.
    pub written_at: BTreeMap<Key, Timestamp>,
    /// Stream records in the order of the writes.
    pub stream: Vec<Value>,
    /// The ids and raw bodies of published events.
    pub published: Vec<(String, String)>,
    /// Whether SNS rejects an event permanently, by event id.
    pub poisoned: BTreeMap<String, bool>,
    pub queue: Vec<Message>,
    pub dead_letters: Vec<Message>,
    /// The number of redriven dead letters.
    pub redriven: usize,
    /// Bodies in the quarantine queue.
    pub quarantine: Vec<String>,
    /// By process and provider.
    pub secret_reads: BTreeMap<(String, String), Vec<Read>>,
    /// Violations found during the run.
    pub violations: Vec<String>,
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
    receives: u32,
}

impl FakeAws {
    pub fn new(mut rng: Rng, operator: Operator) -> Arc<Self> {
        let plan = FaultPlan::of(&mut rng);
        let state = State {
            rng,
            plan,
            table: BTreeMap::new(),
            written_at: BTreeMap::new(),
            stream: Vec::new(),
            published: Vec::new(),
            poisoned: BTreeMap::new(),
            queue: Vec::new(),
            dead_letters: Vec::new(),
            redriven: 0,
            quarantine: Vec::new(),
            secret_reads: BTreeMap::new(),
            violations: Vec::new(),
            trace: String::new(),
            faults: 0,
            stored_ids: BTreeSet::new(),
        };
        Arc::new(Self { operator, began: Instant::now(), state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start of the scenario.
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

    /// Receives up to ten visible messages. Dead-letters messages that were received too often, as SQS does.
    pub fn receive(&self) -> Vec<Message> {
        let elapsed = self.elapsed();
        let state = &mut *self.state();
        let is_exhausted = |message: &mut Message| {
            message.visible_at <= elapsed && message.receives >= state.plan.receives_max
        };
        state.dead_letters.extend(state.queue.extract_if(.., is_exhausted));
        let visible = state.queue.iter_mut().filter(|message| message.visible_at <= elapsed);
        let received = visible.take(10).map(|message| {
            message.visible_at = elapsed + VISIBILITY;
            message.receives += 1;
            message.clone()
        });
        received.collect()
    }

    /// Moves all dead letters back to the fallback queue, as SQS's message move task does.
    pub fn redrive(&self) {
        let elapsed = self.elapsed();
        let state = &mut *self.state();
        for message in std::mem::take(&mut state.dead_letters) {
            state.redriven += 1;
            let copies = if state.rng.u8(..20) == 0 { 2 } else { 1 };
            for _ in 0..copies {
                let id = state.rng.u64(..);
                state.queue.push(Message { id, receives: 0, visible_at: elapsed, ..message.clone() });
            }
        }
    }

    /// The secret, or `None` if the role may not read it now.
    pub fn secret(&self, id: &str) -> Option<String> {
        self.operator.secret(ProviderInfo::named(id)?, self.elapsed())
    }

    pub fn delete(&self, id: u64) {
        self.state().queue.retain(|message| message.id != id);
    }
}

impl State {
    /// Returns the existing item as `Err`.
    pub fn put(&mut self, item: Item, is_conditional: bool, now: Timestamp) -> Result<(), Item> {
        let key = key(&item);
        if let Some(existing) = self.table.get(&key).filter(|_| is_conditional) {
            return Err(existing.clone());
        }
        self.stored_ids.insert(event_id(&event(&item)));
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
            self.violations.push(format!("{id}: published before it was stored"));
        }
        self.published.push((id, event["data"]["raw"].to_string()));
    }

    /// How SNS rejects this message permanently, if it does.
    pub fn poison(&mut self, message: &str) -> Option<Poison> {
        let is_poisoned = self.rng.f64() < self.plan.poison_probability;
        let is_poisoned = *self.poisoned.entry(event_id(message)).or_insert(is_poisoned);
        is_poisoned.then_some(self.plan.poison)
    }

    pub fn send(&mut self, request: &Value) {
        let id = self.rng.u64(..);
        let body = request["MessageBody"].as_str().unwrap().to_owned();
        let attributes = request["MessageAttributes"].clone();
        match queue(request) {
            Service::Quarantine => self.quarantine.push(body),
            Service::DeadLetters => {
                let names = ["reason", "provider", "received_at"];
                if let Some(name) = names.iter().find(|name| !attributes[name]["StringValue"].is_string()) {
                    self.violations.push(format!("dead letter without the attribute {name}"));
                }
                let message = Message { id, body, attributes, visible_at: Duration::ZERO, receives: 0 };
                self.dead_letters.push(message);
            }
            _ => self.queue.push(Message { id, body, attributes, visible_at: Duration::ZERO, receives: 0 }),
        }
    }
}

pub const FALLBACK_URL: &str = "http://aws/fallback";
pub const DEAD_LETTERS_URL: &str = "http://aws/dead-letters";
pub const QUARANTINE_URL: &str = "http://aws/quarantine";

/// The queue of a SendMessage request.
pub fn queue(request: &Value) -> Service {
    match request["QueueUrl"].as_str() {
        Some(FALLBACK_URL) => Service::Queue,
        Some(DEAD_LETTERS_URL) => Service::DeadLetters,
        Some(QUARANTINE_URL) => Service::Quarantine,
        other => panic!("unknown queue {other:?}"),
    }
}

impl Message {
    /// The record that a function receives.
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
    let string = |name: &str, kind| item[name][kind].as_str().unwrap();
    (string("event_key", "S").to_owned(), string("occurrence", "N").parse().unwrap())
}

/// What subscribers identify an event by.
/// The complete event of an item.
pub fn event(item: &Item) -> String {
    let value = |name: &str| match (item.get(name)?["S"].as_str(), item[name]["B"].as_str()) {
        (Some(text), _) => Some(AttributeValue::S(text.into())),
        (_, bytes) => Some(AttributeValue::B(Blob::new(BASE64.decode(bytes?.as_bytes()).unwrap()))),
    };
    event_json(value("event").as_ref(), value("raw").as_ref()).unwrap()
}

pub fn event_id(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap();
    format!("{} {}", event["source"].as_str().unwrap(), event["id"].as_str().unwrap())
}
