//! A stored event as an SNS message, with the attributes for filter policies.

use std::collections::BTreeMap;

use aws_sdk_sns::error::BuildError;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use livehooks_core::redact;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::store::UnreadableEvent;

/// The largest message, attributes included, and the largest batch that SNS accepts.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The names of all message attributes.
pub const ATTRIBUTES: [&str; 5] = ["provider", "type", "assurance", "room_id", "session_id"];

/// An event as it is published to subscribers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Notification {
    /// The CloudEvent as JSON.
    pub message: String,
    /// The known ones of [`ATTRIBUTES`].
    pub attributes: BTreeMap<&'static str, String>,
}

impl Notification {
    /// Makes a notification from a stored event, and redacts secrets in its raw part. An event that is too large is
    /// published without `data.raw`, with a `dataref` to its item.
    ///
    /// # Errors
    /// Says where the stored JSON is not an event.
    pub fn new(event: &str, table: &str, event_key: &str, occurrence: &str) -> Result<Self, UnreadableEvent> {
        let provider = event_key.split('#').next().unwrap_or_default();
        let event = redact(provider, event);
        let attributes = attributes(&event)?;
        let complete = Self { message: event.into_owned(), attributes };
        if complete.bytes() <= MESSAGE_BYTES_MAX {
            return Ok(complete);
        }
        let key = utf8_percent_encode(event_key, NON_ALPHANUMERIC);
        let dataref = format!("dynamodb://{table}/{key}/{occurrence}");
        let attributes = complete.attributes;
        for without in [Without::Raw, Without::Data] {
            let message = reduced(&complete.message, &dataref, without)?;
            let smaller = Self { message, attributes: attributes.clone() };
            if smaller.bytes() <= MESSAGE_BYTES_MAX {
                return Ok(smaller);
            }
        }
        Err(UnreadableEvent::TooLarge { bytes_max: MESSAGE_BYTES_MAX })
    }

    /// One entry of a batch for SNS.
    ///
    /// # Errors
    /// No notification causes one; the builder's signature requires it.
    pub fn entry(&self, id: &str) -> Result<PublishBatchRequestEntry, BuildError> {
        let mut entry = PublishBatchRequestEntry::builder().id(id).message(&self.message);
        for (name, value) in &self.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
            entry = entry.message_attributes(*name, value);
        }
        entry.build()
    }

    /// The size as SNS counts it.
    pub fn bytes(&self) -> usize {
        const TYPE: usize = "String".len();
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + TYPE + value.len());
        self.message.len() + attributes.sum::<usize>()
    }
}

#[derive(Deserialize)]
struct Head {
    provider: String,
    r#type: String,
    assurance: String,
    subject: Option<String>,
    #[serde(default)]
    data: HeadData,
}

#[derive(Default, Deserialize)]
struct HeadData {
    session: Option<HeadSession>,
}

#[derive(Deserialize)]
struct HeadSession {
    id: Option<String>,
}

fn attributes(event: &str) -> serde_json::Result<BTreeMap<&'static str, String>> {
    let head: Head = serde_json::from_str(event)?;
    let session_id = head.data.session.and_then(|session| session.id);
    let values = [Some(head.provider), Some(head.r#type), Some(head.assurance), head.subject, session_id];
    let known = ATTRIBUTES.into_iter().zip(values);
    Ok(known
        .filter_map(|(name, value)| Some((name, value.filter(|value| is_valid_attribute(value))?)))
        .collect())
}

/// SNS rejects empty attributes and control characters. A filter policy could not name such a room anyway, and the event
/// still contains it.
fn is_valid_attribute(value: &str) -> bool {
    const ATTRIBUTE_BYTES_MAX: usize = 1024;
    let is_allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    !value.is_empty() && value.len() <= ATTRIBUTE_BYTES_MAX && value.chars().all(is_allowed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Raw,
    Data,
}

fn reduced(event: &str, dataref: &str, without: Without) -> serde_json::Result<String> {
    let mut event: BTreeMap<&str, &RawValue> = serde_json::from_str(event)?;
    let dataref = serde_json::value::to_raw_value(dataref)?;
    event.insert("dataref", &dataref);
    let data = match (without, event.get("data")) {
        (Without::Raw, Some(data)) => {
            let mut data: BTreeMap<&str, &RawValue> = serde_json::from_str(data.get())?;
            data.retain(|name, _| !matches!(*name, "raw" | "raw_base64"));
            serde_json::value::to_raw_value(&data)?
        }
        _ => {
            event.remove("subject");
            serde_json::value::to_raw_value(&BTreeMap::<&str, &RawValue>::new())?
        }
    };
    event.insert("data", &data);
    serde_json::to_string(&event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, raw: &str) -> String {
        let subject = serde_json::to_string(subject).unwrap();
        format!(
            r#"{{"specversion":"1.0","id":"1","type":"live.unknown","subject":{subject},"provider":"p","assurance":"signed","data":{{"session":{{"id":"s"}},"raw":{raw}}}}}"#
        )
    }

    fn make(event: String) -> Notification {
        Notification::new(&event, "Events", "p#1", "0").unwrap()
    }

    #[test]
    fn a_small_event_is_published_as_it_is_stored() {
        let event = event("room", &format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)));
        let notification = make(event.clone());
        assert_eq!(notification.message, event);
        assert_eq!(notification.attributes["room_id"], "room");
        assert_eq!(notification.attributes["session_id"], "s");
    }

    #[test]
    fn an_event_over_the_limit_is_published_without_raw_and_refers_to_its_item() {
        let notification = make(event("room", &format!("{:?}", "x".repeat(300_000))));
        let value: serde_json::Value = serde_json::from_str(&notification.message).unwrap();
        assert_eq!(value["dataref"], "dynamodb://Events/p%231/0");
        assert_eq!(value["data"], serde_json::json!({ "session": { "id": "s" } }));
        assert!(notification.bytes() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn an_event_that_is_too_large_even_without_raw_is_published_without_data() {
        let notification = make(event(&"r".repeat(300_000), "{}"));
        let value: serde_json::Value = serde_json::from_str(&notification.message).unwrap();
        assert_eq!(value["data"], serde_json::json!({}));
        assert!(notification.bytes() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn an_invalid_event_is_reported_by_position_and_never_quoted() {
        let error = |text| Notification::new(text, "Events", "p#1", "0").unwrap_err().to_string();
        assert_eq!(error(r#""hunter2""#), "expected an event, found none at line 1 column 9");
        assert!(!error(r#"{"data":{"session":"hunter2"}}"#).contains("hunter2"));
    }

    #[test]
    fn attributes_that_sns_would_reject_are_left_out() {
        let notification = make(event("bell\u{7}", "{}"));
        assert_eq!(notification.attributes.get("room_id"), None);
        assert!(notification.message.contains(r"bell\u0007"));
    }
}
