//! The functions' other AWS calls, answered on loopback: SNS `PublishBatch` here, SQS in `sqs.rs`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use livehooks_aws::Notification;
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{NotificationLog, Queue};
use crate::local::guard::Guard;

/// How a service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It answers 500 at once.
    Rejects,
    /// It never answers.
    Hangs,
}

/// Faults that tests inject.
#[derive(Debug, Default)]
pub struct Faults {
    /// The table's current outage, if any.
    pub table: Mutex<Option<Outage>>,
    /// Whether the fallback queue fails.
    pub reject_fallback: AtomicBool,
    /// Whether the dead-letter queue fails.
    pub reject_dead_letters: AtomicBool,
    /// Faults of the next batches, in order.
    pub publish: Mutex<Vec<PublishFault>>,
    /// Whether the quarantine queue fails.
    pub reject_quarantine: AtomicBool,
    /// The messages sent to the quarantine queue.
    pub quarantined: Mutex<Vec<String>>,
}

/// How publishing one batch fails.
#[derive(Clone, Debug)]
pub enum PublishFault {
    /// SNS answers 500 and publishes nothing.
    Whole,
    /// SNS answers with this status and code, and publishes nothing.
    Rejected(u16, &'static str),
    /// SNS answers 200, but these entries failed: index, and whether by the sender's fault.
    Entries(Vec<(usize, bool)>),
    /// SNS answers 200, but does not publish or mention this entry.
    Silent(usize),
}

impl Faults {
    pub(super) fn table_outage(&self) -> Option<Outage> {
        *lock(&self.table)
    }
}

#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) published: Arc<NotificationLog>,
    pub(super) queue: Queue,
    pub(super) faults: Arc<Faults>,
    /// The latest message move task, as SQS lists it.
    pub(super) moves: Arc<Mutex<Vec<Value>>>,
}

pub(super) async fn serve(listener: TcpListener, host: Ipv4Addr, endpoint: Endpoint) {
    let app = Router::new().fallback(answer).layer(DefaultBodyLimit::max(4 << 20)).with_state(endpoint);
    // Runs until the process exits.
    let _ = axum::serve(listener, Guard::Aws(host).protect(app)).await;
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    match target.map(|target| target.strip_prefix("AmazonSQS.")) {
        Some(Some(action)) => endpoint.sqs(action, &body),
        Some(None) => unknown(),
        None => {
            let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
            match form.get("Action").map(String::as_str) {
                Some("PublishBatch") => endpoint.publish_batch(&form),
                _ => unknown(),
            }
        }
    }
}

impl Endpoint {
    fn publish_batch(&self, form: &BTreeMap<String, String>) -> Response {
        let fault = match lock(&self.faults.publish) {
            mut faults if !faults.is_empty() => Some(faults.remove(0)),
            _ => None,
        };
        let (failed, silent) = match fault {
            Some(PublishFault::Whole) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Some(PublishFault::Rejected(status, code)) => return rejected(status, code),
            Some(PublishFault::Entries(entries)) => (entries, None),
            Some(PublishFault::Silent(entry)) => (Vec::new(), Some(entry)),
            None => (Vec::new(), None),
        };
        let (mut successes, mut failures, mut published) = (String::new(), String::new(), Vec::new());
        for index in 0.. {
            let field =
                |name: &str| form.get(&format!("PublishBatchRequestEntries.member.{}.{name}", index + 1));
            let (Some(id), Some(message)) = (field("Id"), field("Message")) else { break };
            if silent == Some(index) {
                continue;
            }
            match failed.iter().find(|(failed, _)| *failed == index) {
                Some((_, sender_fault)) => {
                    failures += &format!(
                        "<member><Id>{id}</Id><Code>Failed</Code><SenderFault>{sender_fault}</SenderFault></member>"
                    )
                }
                None => {
                    let message_id = Uuid::new_v4();
                    successes +=
                        &format!("<member><Id>{id}</Id><MessageId>{message_id}</MessageId></member>");
                    published.push(Notification { message: message.clone(), attributes: attributes(&field) });
                }
            }
        }
        if self.published.push(&published).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let result = format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{successes}</Successful><Failed>{failures}</Failed>\
             </PublishBatchResult></PublishBatchResponse>"
        );
        ([(header::CONTENT_TYPE, "text/xml")], result).into_response()
    }
}

fn rejected(status: u16, code: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let error = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>rejected</Message></Error></ErrorResponse>"
    );
    (status, [(header::CONTENT_TYPE, "text/xml")], error).into_response()
}

fn attributes<'a>(field: &impl Fn(&str) -> Option<&'a String>) -> BTreeMap<&'static str, String> {
    let mut attributes = BTreeMap::new();
    for index in 1.. {
        let Some(name) = field(&format!("MessageAttributes.entry.{index}.Name")) else { break };
        let value = field(&format!("MessageAttributes.entry.{index}.Value.StringValue"));
        let known = livehooks_aws::notification::ATTRIBUTES.iter().find(|known| *known == name);
        if let (Some(known), Some(value)) = (known, value) {
            attributes.insert(*known, value.clone());
        }
    }
    attributes
}

fn unknown() -> Response {
    (StatusCode::BAD_REQUEST, "expected PublishBatch or an SQS action").into_response()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
