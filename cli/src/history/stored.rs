//! An item of the table, read.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use livehooks_aws::store::{Item, event_json};
use livehooks_core::redact;
use livehooks_event::Event;

use super::HistoryError;
use super::attributes::{number, text};
use super::tombstone::{Tombstone, forgotten_at};

/// A stored event: what subscribers received, and the item's other attributes.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The event, without the provider's raw JSON.
    pub event: Event,
    /// The event as CloudEvents JSON, with the provider's raw JSON byte for byte and secrets redacted.
    pub json: String,
    /// The item's hash key, `<provider>#<id or sequence>`.
    pub event_key: String,
    /// The item's range key: the event's position in its sequence.
    pub occurrence: u64,
    /// When livehooks received it.
    pub received_at: Timestamp,
    /// SHA-256 of the received body, in hex.
    pub body_sha256: String,
    /// Identifies the attempt that wrote the item.
    pub write_id: String,
    /// When DynamoDB deletes it.
    pub expires_at: Option<Timestamp>,
    /// The event's size in the table, compressed if `is_compressed`.
    pub event_bytes: usize,
    /// Whether the stored event is compressed.
    pub is_compressed: bool,
    /// When a person's data and the provider's JSON were erased from it.
    pub forgotten_at: Option<Timestamp>,
}

impl Stored {
    /// Reads an item.
    ///
    /// # Errors
    /// Names the item and what is invalid in it, or returns its tombstone.
    pub fn read(item: &Item) -> Result<Self, HistoryError> {
        if let Some(tombstone) = Tombstone::of(item) {
            return Err(HistoryError::Forgotten(Box::new(tombstone)));
        }
        let event_key = text(item, "event_key").unwrap_or_default();
        let invalid = |why: String| HistoryError::NoEvent { event_key: event_key.into(), why };
        let provider = event_key.split('#').next().unwrap_or_default();
        let json = event_json(item.get("event"), item.get("raw")).map_err(|why| invalid(why.to_string()))?;
        let json = redact(provider, &json).into_owned();
        let mut event = Event::from_json(&json).map_err(|error| invalid(error.to_string()))?;
        (event.data.raw, event.data.raw_base64) = (None, None);
        let mut event_bytes = 0;
        let mut is_compressed = false;
        for value in ["event", "raw"].iter().filter_map(|name| item.get(*name)) {
            event_bytes += match value {
                AttributeValue::B(bytes) => bytes.as_ref().len(),
                value => value.as_s().map_or(0, String::len),
            };
            is_compressed |= value.is_b();
        }
        Ok(Self {
            event_key: event_key.into(),
            occurrence: number(item, "occurrence").and_then(|number| number.try_into().ok()).unwrap_or(0),
            received_at: event.recordedtime,
            body_sha256: text(item, "body_sha256").unwrap_or_default().into(),
            write_id: text(item, "write_id").unwrap_or_default().into(),
            expires_at: number(item, "expires_at").and_then(|seconds| Timestamp::from_second(seconds).ok()),
            event_bytes,
            is_compressed,
            forgotten_at: forgotten_at(item),
            event,
            json,
        })
    }
}

impl Stored {
    /// Its hash and range key.
    pub fn key(&self) -> (&String, u64) {
        (&self.event_key, self.occurrence)
    }

    /// The event's JSON on one line. In JSON, line breaks occur only between tokens.
    pub fn one_line(&self) -> String {
        self.json.replace(['\r', '\n'], " ")
    }
}
