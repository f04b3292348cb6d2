//! An event as an item of the table, and back.
//!
//! The attribute `event` is the CloudEvent without `data.raw`; `raw` is the provider's JSON. So the index `rooms`, which
//! serves lists and timelines, has the first only. Each is a string, or gzip if that saves a write unit. In items of older
//! versions, `event` is the complete CloudEvent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read, Write};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};
use livehooks_core::Normalized;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An item: values by attribute name.
pub type Item = HashMap<String, AttributeValue>;

/// A global secondary index. Its entries have the table's keys too.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are DynamoDB's")]
pub struct Index {
    pub name: &'static str,
    pub hash_key: &'static str,
    pub range_key: &'static str,
    pub non_key_attributes: &'static [&'static str],
}

/// A room's events, by the provider's clock.
pub const ROOMS: Index = Index {
    name: "rooms",
    hash_key: "room_key",
    range_key: "occurred_at",
    non_key_attributes: &["event", "received_at", "type"],
};

/// All events, by the time of receipt.
pub const BY_TIME: Index = Index {
    name: "by_time",
    hash_key: "time_shard",
    range_key: "received_at",
    non_key_attributes: &["type", "room_key"],
};

/// What DynamoDB charges a write by.
const WRITE_UNIT_BYTES: usize = 1024;
/// DynamoDB's limit is 400 KB for an item; the other attributes need a few.
const EVENT_BYTES_MAX: usize = 390 * 1024;
/// How many hash keys the index `by_time` has. All events received now have one of them, and DynamoDB accepts 1,000
/// writes a second for each, so together as many as API Gateway accepts requests at most (`ThrottlingRateLimit`).
const TIME_SHARDS: u32 = 10;

/// Why an event has no item.
#[derive(Debug)]
pub(crate) enum ItemError {
    /// It does not fit, even compressed.
    TooLarge {
        bytes: usize,
        bytes_max: usize,
    },
    Serialize(serde_json::Error),
    Compress(io::Error),
}

/// The item of an event, as the given occurrence of its key.
pub(crate) fn item(
    normalized: &mut Normalized<'_>,
    occurrence: u64,
    write_id: &str,
    retention: SignedDuration,
) -> Result<Item, ItemError> {
    let raw = normalized.event.data.raw.take();
    let json = normalized.to_json(occurrence);
    normalized.event.data.raw = raw;
    let event = &normalized.event;
    let expires_at = event.recordedtime.as_second() + retention.as_secs();
    let mut item = Item::from([
        ("event_key".into(), AttributeValue::S(normalized.event_key())),
        ("occurrence".into(), AttributeValue::N(occurrence.to_string())),
        ("type".into(), AttributeValue::S(event.r#type.as_str().into())),
        ("occurred_at".into(), AttributeValue::S(sortable(event.time))),
        ("received_at".into(), AttributeValue::S(sortable(event.recordedtime))),
        ("time_shard".into(), AttributeValue::S(time_shard(&normalized.event_key()))),
        ("body_sha256".into(), AttributeValue::S(normalized.body_hash.to_string())),
        ("write_id".into(), AttributeValue::S(write_id.into())),
        ("expires_at".into(), AttributeValue::N(expires_at.to_string())),
    ]);
    if let Some(room_key) = event.subject.as_deref().and_then(|room| room_key(event.provider, room)) {
        item.insert("room_key".into(), AttributeValue::S(room_key));
    }
    let raw = raw.map(|raw| AttributeValue::S(raw.get().to_owned()));
    add_event(&mut item, AttributeValue::S(json.map_err(ItemError::Serialize)?), raw)?;
    Ok(item)
}

/// Adds `event` and `raw`, each as it is or compressed: whatever costs the fewest write units.
fn add_event(
    item: &mut Item,
    mut event: AttributeValue,
    mut raw: Option<AttributeValue>,
) -> Result<(), ItemError> {
    let others = (item_bytes(item), ROOMS.entry_bytes(item));
    let units = |event: usize, raw: usize| {
        let table = others.0 + "event".len() + event + "raw".len() + raw;
        let entry = others.1.map_or(0, |others| others + "event".len() + event);
        table.div_ceil(WRITE_UNIT_BYTES) + entry.div_ceil(WRITE_UNIT_BYTES)
    };
    let raw_bytes = |raw: &Option<AttributeValue>| raw.as_ref().map_or(0, value_bytes);
    let plain = (value_bytes(&event), raw_bytes(&raw));
    // Gzip hardly halves JSON this small: do not try if half would cost as much.
    if units(plain.0 / 2, plain.1 / 2) < units(plain.0, plain.1) {
        let (event_gzip, raw_gzip) = (gzip(&event)?, raw.as_ref().map(gzip).transpose()?);
        let compressed = (value_bytes(&event_gzip), raw_bytes(&raw_gzip));
        let cost = |choice: &(bool, bool)| {
            units(
                if choice.0 { compressed.0 } else { plain.0 },
                if choice.1 { compressed.1 } else { plain.1 },
            )
        };
        let choices = [(false, false), (false, true), (true, false), (true, true)];
        let best = choices.into_iter().min_by_key(cost).unwrap_or_default();
        event = if best.0 { event_gzip } else { event };
        raw = if best.1 { raw_gzip } else { raw };
    }
    let bytes = value_bytes(&event) + raw_bytes(&raw);
    if bytes > EVENT_BYTES_MAX {
        return Err(ItemError::TooLarge { bytes, bytes_max: EVENT_BYTES_MAX });
    }
    item.insert("event".into(), event);
    item.extend(raw.map(|raw| ("raw".into(), raw)));
    Ok(())
}

impl Index {
    /// The size of the item's entry, as DynamoDB counts it; `None` if the item has none.
    pub fn entry_bytes(&self, item: &Item) -> Option<usize> {
        item.get(self.hash_key)?;
        let keys = ["event_key", "occurrence", self.hash_key, self.range_key];
        let names = keys.iter().chain(self.non_key_attributes);
        Some(names.filter_map(|name| Some(name.len() + value_bytes(item.get(*name)?))).sum())
    }
}

/// The size of an item, as DynamoDB counts it: names and values.
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// The size of a string, bytes, or a number, which takes a byte per two digits and one more.
fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        _ => 0,
    }
}

fn gzip(text: &AttributeValue) -> Result<AttributeValue, ItemError> {
    let text = text.as_s().map_or(&[][..], |text| text.as_bytes());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let bytes = encoder.write_all(text).and_then(|()| encoder.finish()).map_err(ItemError::Compress)?;
    Ok(AttributeValue::B(Blob::new(bytes)))
}

/// The event's JSON, complete if `raw` is that of its item.
///
/// # Errors
/// Says what was found instead.
pub fn event_json(
    event: Option<&AttributeValue>,
    raw: Option<&AttributeValue>,
) -> Result<String, UnreadableEvent> {
    let event = text("event", event)?;
    match raw {
        None => Ok(event.into_owned()),
        Some(raw) => with_raw(&event, &text("raw", Some(raw))?),
    }
}

/// A string or bytes of a stream record, as the table has it.
pub(crate) fn of_stream(value: &serde_dynamo::AttributeValue) -> AttributeValue {
    match value {
        serde_dynamo::AttributeValue::S(text) => AttributeValue::S(text.clone()),
        serde_dynamo::AttributeValue::B(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        _ => AttributeValue::Null(true),
    }
}

fn text<'a>(name: &'static str, value: Option<&'a AttributeValue>) -> Result<Cow<'a, str>, UnreadableEvent> {
    match value {
        Some(AttributeValue::S(text)) => Ok(Cow::Borrowed(text)),
        Some(AttributeValue::B(gzip)) => {
            let mut text = String::new();
            let read = GzDecoder::new(gzip.as_ref()).read_to_string(&mut text);
            read.map_err(|_| UnreadableEvent::Attribute { name, expected: "gzip" })?;
            Ok(Cow::Owned(text))
        }
        _ => Err(UnreadableEvent::Attribute { name, expected: "a string or bytes" }),
    }
}

/// Puts the provider's JSON back, as the last field of `data`.
fn with_raw(event: &str, raw: &str) -> Result<String, UnreadableEvent> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let data = serde_json::from_str::<Head<'_>>(event)?.data.get();
    let inside = data
        .strip_suffix('}')
        .ok_or(UnreadableEvent::Attribute { name: "event", expected: "an object data" })?;
    // `data` is a part of `event`.
    let end = data.as_ptr().addr() - event.as_ptr().addr() + inside.len();
    let comma = if inside.trim_end().ends_with('{') { "" } else { "," };
    Ok(format!("{}{comma}\"raw\":{raw}{}", &event[..end], &event[end..]))
}

/// The hash key of the index `rooms`; `None` if the room's id is too long for a key, so the room is not indexed.
pub fn room_key(provider: &str, room_id: &str) -> Option<String> {
    const KEY_BYTES_MAX: usize = 2_048;
    let key = format!("{provider}#{room_id}");
    (key.len() <= KEY_BYTES_MAX).then_some(key)
}

/// The hash key of the index `by_time`: a digit that depends on the event's key.
pub fn time_shard(event_key: &str) -> String {
    let mut checksum = flate2::Crc::new();
    checksum.update(event_key.as_bytes());
    (checksum.sum() % TIME_SHARDS).to_string()
}

/// All hash keys of the index `by_time`.
pub fn time_shards() -> impl Iterator<Item = String> {
    (0..TIME_SHARDS).map(|shard| shard.to_string())
}

/// A time as the table stores it. Fixed width, so that string order is chronological.
pub fn sortable(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Why an item of the table cannot be published or shown. Never repeats the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableEvent {
    /// An attribute is missing, or holds something else.
    #[error("expected {expected} in attribute {name}, found none")]
    Attribute {
        /// The attribute's name.
        name: &'static str,
        /// What it has to hold.
        expected: &'static str,
    },
    /// The JSON is not an event. Only the position is reported, because serde_json's messages quote the input.
    #[error("expected an event, found none at line {line} column {column}")]
    NotAnEvent {
        /// The line of the first error.
        line: usize,
        /// The column of the first error.
        column: usize,
    },
    /// The event stays too large for SNS without its raw part and its data.
    #[error("expected an event that can be reduced to {bytes_max} bytes, found a larger one")]
    TooLarge {
        /// The largest message that SNS accepts.
        bytes_max: usize,
    },
}

impl From<serde_json::Error> for UnreadableEvent {
    fn from(error: serde_json::Error) -> Self {
        Self::NotAnEvent { line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: impl Into<String>) -> AttributeValue {
        AttributeValue::S(text.into())
    }

    /// An item with an event and a raw part of these sizes, which gzip cannot reduce below three quarters.
    fn stored(event_bytes: usize, raw_bytes: usize) -> Result<Item, ItemError> {
        let mut state = 1_u64;
        let mut noise = |bytes: usize| -> String {
            let next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b'0' + u8::try_from((state >> 33) % 64).unwrap())
            };
            std::iter::repeat_with(next).take(bytes).collect()
        };
        let mut item = Item::from([("event_key".into(), text("p#1")), ("room_key".into(), text("p#r"))]);
        add_event(&mut item, text(noise(event_bytes)), Some(text(noise(raw_bytes))))?;
        Ok(item)
    }

    #[test]
    fn the_providers_json_is_put_back_where_it_was() {
        for (event, raw, complete) in [
            (r#"{"id":"1","data":{}}"#, "{}", r#"{"id":"1","data":{"raw":{}}}"#),
            (r#"{"data":{"room":{"id":"{"}}}"#, "[ 1 ]", r#"{"data":{"room":{"id":"{"},"raw":[ 1 ]}}"#),
            (r#"{ "data" : { }, "id" : "1" }"#, "1", r#"{ "data" : { "raw":1}, "id" : "1" }"#),
        ] {
            let raw_gzip = gzip(&text(raw)).unwrap();
            for raw in [text(raw), raw_gzip] {
                assert_eq!(event_json(Some(&text(event)), Some(&raw)).unwrap(), complete);
            }
            assert_eq!(event_json(Some(&text(complete)), None).unwrap(), complete, "an older version's");
        }
    }

    #[test]
    fn what_is_not_an_event_is_reported_and_never_quoted() {
        let event = text(r#"{"data":{}}"#);
        let no_gzip = AttributeValue::B(Blob::new("hunter2"));
        for (event, raw) in [
            (None, None),
            (Some(&no_gzip), None),
            (Some(&event), Some(&AttributeValue::Null(true))),
            (Some(&text("hunter2")), Some(&event)),
            (Some(&text(r#"{"data":"hunter2"}"#)), Some(&event)),
        ] {
            let error = event_json(event, raw).unwrap_err().to_string();
            assert!(error.starts_with("expected ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn attributes_are_compressed_only_if_that_saves_a_unit() {
        for (event, raw, compressed) in [
            (700, 700, [false, false]),
            (700, 1_400, [false, true]),
            (1_100, 700, [true, false]),
            (600, 100_000, [false, true]),
        ] {
            let item = stored(event, raw).unwrap();
            assert_eq!(["event", "raw"].map(|name| item[name].is_b()), compressed, "{event} and {raw} bytes");
        }
    }

    #[test]
    fn an_event_that_does_not_fit_is_too_large() {
        assert!(matches!(stored(600, 600_000), Err(ItemError::TooLarge { bytes, .. }) if bytes > 400_000));
    }
}
