//! A stored event as SNS takes it: the message, and the attributes that filter policies look at.

use std::collections::BTreeMap;

use aws_sdk_sns::error::BuildError;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use livehooks_core::redact;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What SNS takes as one message, attributes included, and as one batch.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The names of all message attributes.
pub const ATTRIBUTES: [&str; 5] = ["provider", "type", "assurance", "room_id", "session_id"];

/// An event on its way to subscribers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Notification {
    /// The CloudEvent as JSON.
    pub message: String,
    /// `provider`, `type`, `room_id`, `session_id`, `assurance`, as far as known.
    pub attributes: BTreeMap<&'static str, String>,
}

impl Notification {
    /// Makes a notification of a stored event, secrets in its raw part redacted. One that is too large
    /// travels without `data.raw` and with a `dataref` to its item.
    ///
    /// # Errors
    /// Says where the stored text is not an event.
    pub fn new(event: &str, table: &str, event_key: &str, occurrence: &str) -> Result<Self, String> {
        let event = redact(event);
        let attributes = attributes(&event).map_err(no_event)?;
        let whole = Self { message: event.into_owned(), attributes };
        if whole.bytes() <= MESSAGE_BYTES_MAX {
            return Ok(whole);
        }
        let key = utf8_percent_encode(event_key, NON_ALPHANUMERIC);
        let dataref = format!("dynamodb://{table}/{key}/{occurrence}");
        let attributes = whole.attributes;
        for without in [Without::Raw, Without::Data] {
            let message = reduced(&whole.message, &dataref, without).map_err(no_event)?;
            let smaller = Self { message, attributes: attributes.clone() };
            if smaller.bytes() <= MESSAGE_BYTES_MAX {
                return Ok(smaller);
            }
        }
        Err(format!("expected an event that can be reduced to {MESSAGE_BYTES_MAX} bytes, found a larger one"))
    }

    /// One entry of a batch for SNS.
    ///
    /// # Errors
    /// None that a notification can cause; the builder's signature has one.
    pub fn entry(&self, id: &str) -> Result<PublishBatchRequestEntry, BuildError> {
        let mut entry = PublishBatchRequestEntry::builder().id(id).message(&self.message);
        for (name, value) in &self.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
            entry = entry.message_attributes(*name, value);
        }
        entry.build()
    }

    /// The size that SNS counts.
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
    Ok(known.filter_map(|(name, value)| Some((name, value.filter(|value| fits(value))?))).collect())
}

/// serde_json's own messages quote what they stumble over, and this one goes to the log: only the position is reported.
fn no_event(error: serde_json::Error) -> String {
    format!("expected an event, found none at line {} column {}", error.line(), error.column())
}

/// SNS rejects a message whose attribute is empty or holds control characters. A filter policy could not
/// name such a room anyway; the event itself has it.
fn fits(value: &str) -> bool {
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

    fn notification(event: String) -> Notification {
        Notification::new(&event, "Events", "p#1", "0").unwrap()
    }

    #[test]
    fn an_event_that_fits_is_published_as_it_is_stored() {
        let event = event("room", &format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)));
        let made = notification(event.clone());
        assert_eq!(made.message, event);
        assert_eq!(made.attributes["room_id"], "room");
        assert_eq!(made.attributes["session_id"], "s");
    }

    #[test]
    fn an_event_over_the_limit_travels_without_raw_and_points_to_its_item() {
        let made = notification(event("room", &format!("{:?}", "x".repeat(300_000))));
        let value: serde_json::Value = serde_json::from_str(&made.message).unwrap();
        assert_eq!(value["dataref"], "dynamodb://Events/p%231/0");
        assert_eq!(value["data"], serde_json::json!({ "session": { "id": "s" } }));
        assert!(made.bytes() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn an_event_that_is_large_in_itself_travels_without_data() {
        let made = notification(event(&"r".repeat(300_000), "{}"));
        let value: serde_json::Value = serde_json::from_str(&made.message).unwrap();
        assert_eq!(value["data"], serde_json::json!({}));
        assert!(made.bytes() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn what_is_no_event_is_told_by_its_place_and_never_quoted() {
        let error = |text| Notification::new(text, "Events", "p#1", "0").unwrap_err();
        assert_eq!(error(r#""hunter2""#), "expected an event, found none at line 1 column 9");
        assert!(!error(r#"{"data":{"session":"hunter2"}}"#).contains("hunter2"));
    }

    #[test]
    fn attributes_that_sns_would_reject_are_left_out() {
        let made = notification(event("bell\u{7}", "{}"));
        assert_eq!(made.attributes.get("room_id"), None);
        assert!(made.message.contains(r"bell\u0007"));
    }
}
