//! Invariants of events without an id. The order of sending counts, not the order of handling.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::fake_aws::{self, Item, State};
use crate::invariants::{received_at, text};
use crate::scenario::Scenario;
use crate::sender::{Attempt, Delivery};

/// A repeat of the previous event within this time is a duplicate.
const WINDOW: SignedDuration = SignedDuration::from_secs(10);

pub fn check(scenario: &Scenario, state: &State, attempts: &BTreeMap<usize, Vec<Attempt>>) -> Vec<String> {
    let mut violations = doubles(state);
    for (index, attempts) in attempts {
        let delivery = &scenario.deliveries[*index];
        if delivery.entry.name == "videosdk" && delivery.is_authentic() {
            let lost = attempts.iter().filter(|attempt| !is_kept(state, delivery, attempt));
            violations.extend(lost.map(|attempt| {
                format!("{}: sent at {}, answered {}, but lost", delivery.name, attempt.sent_at, attempt.word)
            }));
        }
    }
    violations
}

/// Finds consecutive items with the same body within the window.
fn doubles(state: &State) -> Vec<String> {
    let mut items: Vec<(&fake_aws::Key, &Item)> = state.table.iter().collect();
    items.sort_by_key(|((key, occurrence), item)| (key, received_at(item), *occurrence));
    let is_double = |pair: &&[(&fake_aws::Key, &Item)]| {
        let [((key, _), one), ((other_key, _), other)] = pair else { return false };
        key == other_key
            && text(one, "body_sha256") == text(other, "body_sha256")
            && received_at(other).duration_since(received_at(one)) < WINDOW
    };
    let doubles = items.windows(2).filter(is_double);
    doubles.map(|pair| format!("{} {}: stored twice in a row", pair[1].0.0, pair[1].0.1)).collect()
}

/// Whether a delivery that was answered 200 has its own item, or repeats a neighboring one.
fn is_kept(state: &State, delivery: &Delivery, attempt: &Attempt) -> bool {
    if attempt.status != Some(200) {
        return true;
    }
    let is_own = |item: &Item| received_at(item).as_millisecond() == attempt.sent_at.as_millisecond();
    let same = |item: &&Item| text(item, "body_sha256") == delivery.body_sha256;
    state
        .items(&delivery.event_key)
        .filter(same)
        .any(|item| is_own(item) || (attempt.word != "accepted" && is_repeat(state, delivery, attempt, item)))
}

/// Whether no other item came between the item and the repeat. Ignores items that were not written yet, because the
/// handler could not see them.
fn is_repeat(state: &State, delivery: &Delivery, attempt: &Attempt, item: &Item) -> bool {
    let (one, other) = (received_at(item), attempt.sent_at);
    // API Gateway counts milliseconds.
    let is_near = one.duration_since(other).abs() < WINDOW + SignedDuration::from_millis(1);
    let known_by = written_at(state, item).max(attempt.sent_at);
    let is_between = |between: &Item| {
        let time = received_at(between);
        text(between, "body_sha256") != delivery.body_sha256
            && one.min(other) < time
            && time < one.max(other)
            && written_at(state, between) < known_by
    };
    is_near && !state.items(&delivery.event_key).any(is_between)
}

fn written_at(state: &State, item: &Item) -> Timestamp {
    state.written_at[&fake_aws::key(item)]
}
