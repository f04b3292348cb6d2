//! What has to be true at the end of every scenario.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::fake_aws::{Item, Key, State};
use crate::scenario::Scenario;
use crate::sender::{Answer, Delivery, FORGED};

/// How long a repeat of the latest event of a sequence is the same event.
const SEQUENCE_WINDOW: SignedDuration = SignedDuration::from_secs(120);

pub struct Report {
    /// What was mutant; nothing, it is hoped.
    pub violations: Vec<String>,
    /// All that happened, in order.
    pub trace: String,
    pub faults: u64,
    pub stored: usize,
    /// Authentic events for which no sender ever got a 200, each having been told so.
    pub given_up: usize,
}

pub fn of(scenario: &Scenario, is_settled: bool) -> Report {
    let state = scenario.aws.state();
    let answers = scenario.answers.borrow();
    let mut violations = Vec::new();
    let mut given_up = 0;
    if !is_settled {
        violations
            .push("the events never reached their goal although nothing went wrong any more".to_owned());
    }
    for (index, delivery) in scenario.deliveries.iter().enumerate() {
        let answers = answers.get(&index).map_or(&[][..], Vec::as_slice);
        let judge = Judge { state: &state, delivery, answers };
        let found = if delivery.is_authentic() { judge.authentic() } else { judge.forged() };
        violations.extend(found.into_iter().map(|what| format!("{}: {what}", delivery.name)));
        let is_told = answers.iter().any(|answer| answer.status == Some(200));
        given_up += usize::from(delivery.is_authentic() && !is_told);
    }
    let in_doubt = answers.values().flatten().filter(|answer| matches!(answer.word.as_str(), "queued" | ""));
    violations.extend(table(&state, &in_doubt.map(|answer| answer.begun).collect()));
    violations.extend(topic(&state));
    violations.extend(accepted_twice(&answers));
    let mut trace = format!("{}", state.plan);
    for delivery in &scenario.deliveries {
        trace += &format!("{:9.3}  {} is sent\n", delivery.at.as_secs_f64(), delivery.name);
    }
    trace += &state.trace;
    Report { violations, trace, faults: state.faults, stored: state.table.len(), given_up }
}

struct Judge<'a> {
    state: &'a State,
    delivery: &'a Delivery,
    answers: &'a [Answer],
}

impl Judge<'_> {
    fn authentic(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for answer in self.answers {
            match answer.status {
                Some(status) if (400..500).contains(&status) => {
                    violations.push(format!("answered {status}, which is the sender's fault and was not"));
                }
                Some(200) => violations.extend(self.kept(answer)),
                _ => {}
            }
        }
        violations
    }

    /// Whether an event for which a sender got a 200 is stored and published.
    fn kept(&self, answer: &Answer) -> Option<String> {
        let Some(item) = self.state.items(&self.delivery.event_key).find(|item| self.is_this(item, answer))
        else {
            return Some(format!("answered 200 {}, and is not stored", answer.word));
        };
        let id = event_id(item);
        let is_published = self.state.published.iter().any(|(published, _)| *published == id);
        (!is_published).then(|| format!("answered 200 {}, and was never published", answer.word))
    }

    fn is_this(&self, item: &Item, answer: &Answer) -> bool {
        text(item, "body_sha256") == self.delivery.body_sha256
            && (self.delivery.entry.name != "videosdk" || self.is_this_of_its_sequence(item, answer))
    }

    /// Without an id, an event is the same as the latest one with its body within the window.
    fn is_this_of_its_sequence(&self, item: &Item, answer: &Answer) -> bool {
        let is_near = answer.begun.duration_since(received_at(item)).abs()
            <= SEQUENCE_WINDOW + SignedDuration::from_secs(1);
        is_near && (answer.word != "duplicate" || self.is_latest(item, answer))
    }

    /// A repeat is only a repeat of what was the latest when it came.
    fn is_latest(&self, item: &Item, answer: &Answer) -> bool {
        let mut others = self.state.items(&self.delivery.event_key);
        others.all(|other| {
            text(other, "body_sha256") == self.delivery.body_sha256
                || received_at(other) < received_at(item)
                || self.state.written_at[&crate::fake_aws::key(other)] >= answer.begun
        })
    }

    fn forged(&self) -> Vec<String> {
        let let_in =
            self.answers.iter().filter(|answer| ["accepted", "duplicate"].contains(&answer.word.as_str()));
        let_in.map(|answer| format!("forged, and answered {}", answer.word)).collect()
    }
}

/// `in_doubt`: when deliveries came of which the sender does not know more than that they may be stored.
fn table(state: &State, in_doubt: &BTreeSet<Timestamp>) -> Vec<String> {
    let mut violations = Vec::new();
    // What waited in the queue is stored later than it was received.
    let mut items: Vec<(&Key, &Item)> = state.table.iter().collect();
    items.sort_by_key(|((key, occurrence), item)| (key, received_at(item), *occurrence));
    for (_, item) in &items {
        if text(item, "event").contains(FORGED) {
            violations.push(format!("{}: forged, and stored", text(item, "event_key")));
        }
    }
    for pair in items.windows(2) {
        let [((key, occurrence), one), ((other_key, _), other)] = pair else { continue };
        let is_same = key == other_key && text(one, "body_sha256") == text(other, "body_sha256");
        let is_near = received_at(other).duration_since(received_at(one)) < SEQUENCE_WINDOW;
        let is_in_doubt = [one, other].iter().any(|item| in_doubt.contains(&received_at(item)));
        if is_same && is_near && !is_in_doubt {
            violations.push(format!("{key} {occurrence}: stored twice in a row"));
        }
    }
    violations
}

fn topic(state: &State) -> Vec<String> {
    let mut violations: Vec<String> =
        state.published_unstored.iter().map(|id| format!("{id}: published before it was stored")).collect();
    let stored: BTreeSet<String> = state.table.values().map(event_id).collect();
    for (id, raw) in &state.published {
        if !stored.contains(id) {
            violations.push(format!("{id}: published, and not stored"));
        }
        if raw.contains(FORGED) {
            violations.push(format!("{id}: forged, and published"));
        }
    }
    violations
}

/// Exactly one delivery is the one that made the item.
fn accepted_twice(answers: &BTreeMap<usize, Vec<Answer>>) -> Vec<String> {
    let mut accepted: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in answers.values().flatten().filter(|answer| answer.word == "accepted") {
        *accepted.entry(&answer.id).or_default() += 1;
    }
    let twice = accepted.into_iter().filter(|(_, times)| *times > 1);
    twice.map(|(id, times)| format!("{id}: accepted as new {times} times")).collect()
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap()
}

fn received_at(item: &Item) -> Timestamp {
    text(item, "received_at").parse().unwrap()
}

fn event_id(item: &Item) -> String {
    crate::fake_aws::event_id(text(item, "event"))
}
