//! What is left of an event that `livehooks forget` has erased.

use jiff::Timestamp;
use livehooks_aws::store::Item;
use serde::Serialize;

use super::attributes::{number, text};

/// An erased event. Its item keeps the key, so that a repeated delivery is still a duplicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tombstone {
    /// The item's hash key.
    pub event_key: String,
    /// The item's range key.
    pub occurrence: u64,
    /// The event's type.
    pub r#type: String,
    /// When livehooks received it.
    pub received_at: Option<Timestamp>,
    /// When it was erased.
    pub forgotten_at: Timestamp,
    /// When DynamoDB deletes the rest.
    pub expires_at: Option<Timestamp>,
}

impl Tombstone {
    /// The tombstone in an item; `None` if the item still has an event.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let forgotten_at = forgotten_at(item).filter(|_| !item.contains_key("event"))?;
        Some(Self {
            event_key: text(item, "event_key").unwrap_or_default().into(),
            occurrence: number(item, "occurrence").and_then(|number| number.try_into().ok()).unwrap_or(0),
            r#type: text(item, "type").unwrap_or_default().into(),
            received_at: text(item, "received_at").and_then(|time| time.parse().ok()),
            forgotten_at,
            expires_at: number(item, "expires_at").and_then(|seconds| Timestamp::from_second(seconds).ok()),
        })
    }
}

/// When the item, or parts of its event, were erased.
pub(super) fn forgotten_at(item: &Item) -> Option<Timestamp> {
    text(item, "forgotten_at")?.parse().ok()
}
