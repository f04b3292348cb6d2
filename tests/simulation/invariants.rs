//! Invariants that hold at the end of every scenario.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::Value;

use crate::fake_aws::{Item, State};
use crate::scenario::Scenario;
use crate::sender::{Attempt, Delivery, FORGED};
use crate::{fake_aws, secret_reads, sequences};

pub struct Report {
    /// Violated invariants.
    pub violations: Vec<String>,
    /// Everything that happened, in order.
    pub trace: String,
    pub faults: u64,
    pub stored: usize,
    /// Authentic events that were never acknowledged.
    pub given_up: usize,
    /// Dead letters put back into the fallback queue.
    pub redriven: usize,
    /// Events in the quarantine queue.
    pub quarantined: usize,
}

pub fn check(scenario: &Scenario, is_settled: bool) -> Report {
    let state = scenario.aws.state();
    let attempts = scenario.attempts.borrow();
    let mut violations = state.violations.clone();
    let mut given_up = 0;
    if !is_settled {
        violations.push("not settled, although no call failed any more".to_owned());
    }
    for (index, delivery) in scenario.deliveries.iter().enumerate() {
        let attempts = attempts.get(&index).map_or(&[][..], Vec::as_slice);
        let checker = DeliveryCheck { scenario, state: &state, delivery, attempts };
        let found = if delivery.is_authentic() { checker.authentic() } else { checker.forged() };
        let found = found.into_iter().chain(checker.queued_without_keys());
        violations.extend(found.map(|what| format!("{}: {what}", delivery.name)));
        let is_acknowledged = attempts.iter().any(|attempt| attempt.status == Some(200));
        given_up += usize::from(delivery.is_authentic() && !is_acknowledged);
    }
    violations.extend(sequences::check(scenario, &state, &attempts));
    violations.extend(table(scenario, &state, &attempts));
    violations.extend(topic(&state));
    violations.extend(accepted_twice(&attempts));
    violations.extend(dead_letters(scenario, &state));
    violations.extend(secret_reads::check(&state));
    let mut trace = format!("{}{}", state.plan, scenario.aws.operator);
    for delivery in &scenario.deliveries {
        trace += &format!("{:9.3}  {} is sent\n", delivery.at.as_secs_f64(), delivery.name);
    }
    trace += &state.trace;
    Report {
        violations,
        trace,
        faults: state.faults,
        stored: state.table.len(),
        given_up,
        redriven: state.redriven,
        quarantined: state.quarantine.len(),
    }
}

struct DeliveryCheck<'a> {
    scenario: &'a Scenario,
    state: &'a State,
    delivery: &'a Delivery,
    attempts: &'a [Attempt],
}

impl DeliveryCheck<'_> {
    fn authentic(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for attempt in self.attempts {
            match attempt.status {
                Some(401) if self.may_be_rejected(attempt) => {}
                Some(status) if (400..500).contains(&status) => {
                    violations.push(format!("answered {status}, but the sender made no mistake"));
                }
                Some(200) if !self.is_stored() => {
                    violations.push(format!("answered 200 {}, but not stored", attempt.word));
                }
                _ => {}
            }
        }
        violations
    }

    /// Whether the secret may have been wrong at that time.
    fn may_be_rejected(&self, attempt: &Attempt) -> bool {
        let operator = &self.scenario.aws.operator;
        operator.may_reject(self.delivery.entry.name, attempt.sent_at, attempt.answered_at)
    }

    fn is_stored(&self) -> bool {
        let mut items = self.state.items(&self.delivery.event_key);
        items.any(|item| text(item, "body_sha256") == self.delivery.body_sha256)
    }

    fn forged(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for attempt in self.attempts {
            if ["accepted", "duplicate"].contains(&attempt.word.as_str()) {
                violations.push(format!("forged, but answered {}", attempt.word));
            }
            if self.delivery.matches_no_key && !matches!(attempt.status, None | Some(401)) {
                let (status, word) = (attempt.status, &attempt.word);
                violations.push(format!("matches no key, but answered {status:?} {word}"));
            }
        }
        violations
    }

    /// Before any key is set, no delivery can be authentic, so none may be queued.
    fn queued_without_keys(&self) -> Vec<String> {
        let provider = self.delivery.entry.name;
        let queued = self.attempts.iter().filter(|attempt| attempt.word == "queued");
        let without_keys = queued.filter(|attempt| {
            let key = (attempt.process.clone().unwrap(), provider.to_owned());
            let reads = self.state.secret_reads.get(&key);
            let has_read = reads.into_iter().flatten().all(|read| read.is_answered);
            has_read && self.scenario.aws.operator.has_set_no_keys(provider, attempt.answered_at)
        });
        without_keys.map(|_| "queued although no keys were set".to_owned()).collect()
    }
}

/// The receive time of every item is that of one of its deliveries.
fn table(scenario: &Scenario, state: &State, attempts: &BTreeMap<usize, Vec<Attempt>>) -> Vec<String> {
    let mut received: BTreeSet<(&str, i64)> = BTreeSet::new();
    for (index, attempts) in attempts {
        let body = scenario.deliveries[*index].body_sha256.as_str();
        received.extend(attempts.iter().map(|attempt| (body, attempt.sent_at.as_millisecond())));
    }
    let mut violations = Vec::new();
    for item in state.table.values() {
        let key = text(item, "event_key");
        if fake_aws::event(item).contains(FORGED) {
            violations.push(format!("{key}: forged, but stored"));
        }
        let time = received_at(item);
        if !received.contains(&(text(item, "body_sha256"), time.as_millisecond())) {
            violations.push(format!("{key}: stored as received at {time}, when it was not sent"));
        }
    }
    violations
}

fn topic(state: &State) -> Vec<String> {
    let mut violations = Vec::new();
    let stored: BTreeSet<String> = state.table.values().map(event_id).collect();
    let published: BTreeSet<&str> = state.published.iter().map(|(id, _)| id.as_str()).collect();
    for (id, raw) in &state.published {
        if !stored.contains(id) {
            violations.push(format!("{id}: published, but not stored"));
        }
        if raw.contains(FORGED) {
            violations.push(format!("{id}: forged, but published"));
        }
    }
    let quarantined: BTreeSet<String> = state.quarantine.iter().map(|body| quarantined_id(body)).collect();
    let is_poisoned = |id: &str| state.poisoned.get(id).copied().unwrap_or_default();
    for id in &quarantined {
        if !is_poisoned(id) {
            violations.push(format!("{id}: quarantined, but SNS would have accepted it"));
        }
    }
    for id in stored {
        match is_poisoned(&id) {
            true if !quarantined.contains(&id) => {
                violations.push(format!("{id}: stored and rejected by SNS, but not quarantined"));
            }
            false if !published.contains(id.as_str()) => {
                violations.push(format!("{id}: stored, but never published"));
            }
            _ => {}
        }
    }
    violations
}

/// The event id in a quarantined notification.
fn quarantined_id(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    fake_aws::event_id(body["message"].as_str().unwrap())
}

/// Only one delivery of each event is answered `accepted`.
fn accepted_twice(attempts: &BTreeMap<usize, Vec<Attempt>>) -> Vec<String> {
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for attempt in attempts.values().flatten().filter(|attempt| attempt.word == "accepted") {
        *accepted.entry(&attempt.id).or_default() += 1;
    }
    let twice = accepted.into_iter().filter(|(_, times)| *times > 1);
    twice.map(|(id, times)| format!("{id}: accepted as new {times} times")).collect()
}

/// After everything is fixed, the only dead letters are forgeries that other keys would accept.
fn dead_letters(scenario: &Scenario, state: &State) -> Vec<String> {
    let body = |message: &fake_aws::Message| -> Vec<u8> {
        let message: Value = serde_json::from_str(&message.body).unwrap();
        BASE64.decode(message["body"].as_str().unwrap().as_bytes()).unwrap()
    };
    let mut violations = Vec::new();
    for message in &state.dead_letters {
        let body = body(message);
        let delivery = scenario.deliveries.iter().find(|delivery| delivery.body.as_bytes() == body).unwrap();
        if delivery.is_authentic() {
            violations.push(format!("{}: authentic, but still a dead letter", delivery.name));
        }
        if delivery.matches_no_key {
            violations.push(format!("{}: matches no key, but is a dead letter", delivery.name));
        }
    }
    violations
}

pub fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap()
}

pub fn received_at(item: &Item) -> Timestamp {
    text(item, "received_at").parse().unwrap()
}

pub fn event_id(item: &Item) -> String {
    fake_aws::event_id(&fake_aws::event(item))
}
