//! The part of SQS that the functions and the command use, on loopback: the fallback queue, its dead-letter queue
//! and the quarantine queue.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::fallback::MESSAGE_BYTES_MAX;
use serde_json::{Value, json};
use uuid::Uuid;

use super::dead_letters::DeadLetter;
use super::endpoint::{Endpoint, lock};

pub(super) const QUARANTINE_PATH: &str = "/000000000000/quarantine";
/// The fallback queue's path.
pub const FALLBACK_PATH: &str = "/000000000000/fallback";
/// The path of the fallback queue's dead-letter queue.
pub const DEAD_LETTER_PATH: &str = "/000000000000/dead-letters";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Fallback,
    DeadLetters,
    Quarantine,
}

/// An answer of SQS other than 200.
enum SqsError {
    Unavailable,
    Invalid(String),
}

impl From<rusqlite::Error> for SqsError {
    fn from(_: rusqlite::Error) -> Self {
        Self::Unavailable
    }
}

impl Endpoint {
    /// Answers an SQS action.
    pub(super) fn sqs(&self, action: &str, body: &[u8]) -> Response {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let answer = match action {
            "SendMessage" => self.send_message(&request),
            "GetQueueAttributes" => self.queue_attributes(&request),
            "ReceiveMessage" => self.receive_message(&request),
            "ChangeMessageVisibilityBatch" => self.change_visibility(&request),
            "StartMessageMoveTask" => self.start_move(&request),
            "ListMessageMoveTasks" => Ok(json!({ "Results": *lock(&self.moves) })),
            _ => Err(SqsError::Invalid(format!("{action} is not supported by the local SQS"))),
        };
        let (status, answer) = match answer {
            Ok(answer) => (StatusCode::OK, answer),
            Err(SqsError::Unavailable) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Err(SqsError::Invalid(why)) => {
                let kind = "com.amazonaws.sqs#InvalidParameterValueException";
                (StatusCode::BAD_REQUEST, json!({ "__type": kind, "message": why }))
            }
        };
        (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answer.to_string()).into_response()
    }

    fn send_message(&self, request: &Value) -> Result<Value, SqsError> {
        let message = request["MessageBody"].as_str().unwrap_or_default();
        let bytes = message.len() + attribute_bytes(&request["MessageAttributes"]);
        if message.is_empty() || bytes > MESSAGE_BYTES_MAX {
            let why = format!("expected a message of 1 to {MESSAGE_BYTES_MAX} bytes, found {bytes}");
            return Err(SqsError::Invalid(why));
        }
        let id = match target(request) {
            Target::Fallback => self.queue.send(message, Timestamp::now())?,
            Target::DeadLetters => {
                self.queue.send_dead(message, &request["MessageAttributes"], Timestamp::now())?
            }
            // Nothing reads this queue.
            Target::Quarantine => Uuid::new_v4().to_string(),
        };
        Ok(json!({ "MessageId": id, "MD5OfMessageBody": "" }))
    }

    fn queue_attributes(&self, request: &Value) -> Result<Value, SqsError> {
        let target = target(request);
        let counts = self.queue.counts(target == Target::DeadLetters, Timestamp::now())?;
        Ok(json!({ "Attributes": {
            "QueueArn": arn(target),
            "ApproximateNumberOfMessages": counts.visible.to_string(),
            "ApproximateNumberOfMessagesNotVisible": counts.hidden.to_string(),
            "ApproximateNumberOfMessagesDelayed": "0",
        }}))
    }

    /// Returns dead letters only; waiting messages are for recover.
    fn receive_message(&self, request: &Value) -> Result<Value, SqsError> {
        if target(request) != Target::DeadLetters {
            return Err(SqsError::Invalid("expected the dead-letter queue".into()));
        }
        let number = |name: &str, default| request[name].as_u64().unwrap_or(default);
        let now = Timestamp::now();
        let hidden_until =
            now + SignedDuration::from_secs(number("VisibilityTimeout", 30).min(43_200) as i64);
        let limit = number("MaxNumberOfMessages", 1).min(10) as usize;
        let letters = self.queue.receive_dead(limit, now, hidden_until)?;
        Ok(json!({ "Messages": letters.into_iter().map(received).collect::<Vec<_>>() }))
    }

    fn change_visibility(&self, request: &Value) -> Result<Value, SqsError> {
        let mut done = Vec::new();
        for entry in request["Entries"].as_array().into_iter().flatten() {
            let seconds = entry["VisibilityTimeout"].as_u64().unwrap_or_default().min(43_200) as i64;
            let at = Timestamp::now() + SignedDuration::from_secs(seconds);
            self.queue.show(entry["ReceiptHandle"].as_str().unwrap_or_default(), at)?;
            done.push(json!({ "Id": entry["Id"] }));
        }
        Ok(json!({ "Successful": done, "Failed": [] }))
    }

    /// Moves all messages at once; SQS does it in the background.
    fn start_move(&self, request: &Value) -> Result<Value, SqsError> {
        let is_back = request["SourceArn"] == arn(Target::DeadLetters).as_str()
            && request["DestinationArn"] == arn(Target::Fallback).as_str();
        if !is_back {
            return Err(SqsError::Invalid(
                "expected a move from the dead-letter queue to the fallback queue".into(),
            ));
        }
        let now = Timestamp::now();
        let moved = self.queue.redrive(now)?;
        let task = json!({
            "Status": "COMPLETED",
            "SourceArn": request["SourceArn"],
            "DestinationArn": request["DestinationArn"],
            "ApproximateNumberOfMessagesMoved": moved,
            "ApproximateNumberOfMessagesToMove": moved,
            "StartedTimestamp": now.as_millisecond(),
        });
        *lock(&self.moves) = vec![task];
        Ok(json!({ "TaskHandle": Uuid::new_v4().to_string() }))
    }
}

fn target(request: &Value) -> Target {
    match request["QueueUrl"].as_str() {
        Some(url) if url.ends_with(FALLBACK_PATH) => Target::Fallback,
        Some(url) if url.ends_with(DEAD_LETTER_PATH) => Target::DeadLetters,
        _ => Target::Quarantine,
    }
}

fn arn(target: Target) -> String {
    let path = match target {
        Target::Fallback => FALLBACK_PATH,
        Target::DeadLetters => DEAD_LETTER_PATH,
        Target::Quarantine => QUARANTINE_PATH,
    };
    format!("arn:aws:sqs:us-east-1{}", path.replace('/', ":"))
}

/// Names, types and values count toward a message's size.
fn attribute_bytes(attributes: &Value) -> usize {
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    let attributes = attributes.as_object().into_iter().flatten();
    attributes.map(|(name, it)| name.len() + text(&it["DataType"]) + text(&it["StringValue"])).sum()
}

fn received(letter: DeadLetter) -> Value {
    let mut system = json!({ "SentTimestamp": letter.sent_ms.to_string() });
    if letter.attributes.is_none() {
        system["DeadLetterQueueSourceArn"] = arn(Target::Fallback).into();
    }
    json!({
        "MessageId": letter.id,
        "ReceiptHandle": letter.id,
        "Body": letter.body,
        "Attributes": system,
        "MessageAttributes": letter.attributes.unwrap_or_else(|| json!({})),
    })
}
