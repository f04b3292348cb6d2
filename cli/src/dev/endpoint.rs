//! The functions' other AWS calls, answered on loopback: SNS `PublishBatch` here, SQS in `sqs.rs`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
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

#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) published: Arc<NotificationLog>,
    pub(super) queue: Queue,
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
        let (mut successes, mut published) = (String::new(), Vec::new());
        for index in 1.. {
            let field = |name: &str| form.get(&format!("PublishBatchRequestEntries.member.{index}.{name}"));
            let (Some(id), Some(message)) = (field("Id"), field("Message")) else { break };
            let message_id = Uuid::new_v4();
            successes += &format!("<member><Id>{id}</Id><MessageId>{message_id}</MessageId></member>");
            published.push(Notification { message: message.clone(), attributes: attributes(&field) });
        }
        if self.published.push(&published).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let result = format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{successes}</Successful><Failed></Failed>\
             </PublishBatchResult></PublishBatchResponse>"
        );
        ([(header::CONTENT_TYPE, "text/xml")], result).into_response()
    }
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
