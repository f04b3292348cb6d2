//! Publishes stream records to SNS: in batches, concurrently, at least once.
//!
//! The first record that SNS cannot accept now is reported to the event source, which retries from there. Records that
//! SNS will never accept go to a quarantine queue, so that they do not block the others.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::slice;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_sdk_sns::operation::publish_batch::PublishBatchOutput;
use aws_types::SdkConfig;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use metrics::{counter, histogram};
use serde_dynamo::AttributeValue;
use serde_json::json;
use tracing::{error, warn};

use crate::config::{NotifyConfig, env};
use crate::fault::describe;
use crate::item::of_stream;
use crate::notification::MESSAGE_BYTES_MAX;
use crate::publish_error::{PublishError, is_entry_permanent};
use crate::store::{UnreadableEvent, event_json};
use crate::telemetry::{self, milliseconds};
use crate::{Notification, clients};

/// How many entries SNS accepts in a batch.
const BATCH_ENTRIES_MAX: usize = 10;

/// Runs the notifier's function until Lambda stops it.
///
/// # Errors
/// If settings are missing, or if Lambda's runtime fails.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    let telemetry = telemetry::init()?;
    let notifier = Notifier::new(NotifyConfig::read(env)?, &clients::from_env()?);
    notifier.warm_up().await;
    let (notifier, telemetry) = (&notifier, &telemetry);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Event>| {
        let response = notifier.handle(&event.payload).await;
        telemetry.flush();
        Ok::<_, lambda_runtime::Error>(response)
    }))
    .await
}

/// Publishes records of the table's stream to the topic.
pub struct Notifier {
    config: NotifyConfig,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
}

/// A record to publish.
struct Pending {
    sequence_number: String,
    notification: Notification,
}

/// The sequence number of the first record to retry.
struct RetryFrom(String);

impl Notifier {
    /// A notifier for the topic that `config` names.
    pub fn new(config: NotifyConfig, sdk: &SdkConfig) -> Self {
        Self { config, sns: aws_sdk_sns::Client::new(sdk), sqs: aws_sdk_sqs::Client::new(sdk) }
    }

    /// Opens the connection for the first batch. SNS rejects the empty batch, which does not matter.
    pub async fn warm_up(&self) {
        let empty = self.sns.publish_batch().topic_arn(&self.config.topic_arn);
        let _ = empty.set_publish_batch_request_entries(Some(Vec::new())).send().await;
    }

    /// Publishes a batch of stream records. The response names the first record that failed, if any; the event source
    /// retries from there.
    pub async fn handle(&self, event: &Event) -> DynamoDbEventResponse {
        let mut response = DynamoDbEventResponse::default();
        if let Err(RetryFrom(sequence_number)) = self.publish_records(&event.records).await {
            counter!("PublishFailed").increment(1);
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(sequence_number);
            response.batch_item_failures.push(failure);
        }
        response
    }

    async fn publish_records(&self, records: &[EventRecord]) -> Result<(), RetryFrom> {
        let mut pending = Vec::with_capacity(records.len());
        let mut result = Ok(());
        for record in records.iter().filter(|record| record.event_name == "INSERT") {
            let sequence_number = sequence_number(record);
            match self.notification(record) {
                Ok(notification) => pending.push(Pending { sequence_number, notification }),
                Err(why) => {
                    let record = json!(record).to_string();
                    if self.quarantine("unreadable", &why.to_string(), record).await.is_err() {
                        result = Err(RetryFrom(sequence_number));
                        break;
                    }
                }
            }
        }
        // Records before the reported one count as done, so they must be published first. `buffered` yields the responses
        // in the order of the batches, so the first failure is the earliest one. It cancels the later batches, which
        // will be retried anyway.
        let publishing = batches(&pending).into_iter().map(|batch| self.publish(&pending[batch]));
        stream::iter(publishing).buffered(self.config.batches_at_once).try_collect::<()>().await?;
        result
    }

    fn notification(&self, record: &EventRecord) -> Result<Notification, UnreadableEvent> {
        let image = &record.change.new_image;
        let missing = |name, expected| UnreadableEvent::Attribute { name, expected };
        let attribute = |name| image.get(name).map(of_stream);
        let json = event_json(attribute("event").as_ref(), attribute("raw").as_ref())?;
        let key = match image.get("event_key") {
            Some(AttributeValue::S(key)) => key,
            _ => return Err(missing("event_key", "a string")),
        };
        let occurrence = match image.get("occurrence") {
            Some(AttributeValue::N(number)) => number,
            _ => return Err(missing("occurrence", "a number")),
        };
        Notification::new(&json, &self.config.table, key, occurrence)
    }

    /// Publishes one batch.
    async fn publish(&self, batch: &[Pending]) -> Result<(), RetryFrom> {
        let Some(first) = batch.first() else { return Ok(()) };
        match self.publish_batch(batch).await {
            Ok(response) => self.settle(batch, &response).await,
            Err(PublishError::Retryable(why)) => {
                error!(records = batch.len(), "the topic did not accept a batch: {why}");
                Err(RetryFrom(first.sequence_number.clone()))
            }
            Err(PublishError::Permanent(why)) if batch.len() > 1 => {
                warn!(
                    records = batch.len(),
                    "the topic rejected a batch, whose records are now published one by one: {why}"
                );
                for pending in batch {
                    Box::pin(self.publish(slice::from_ref(pending))).await?;
                }
                Ok(())
            }
            Err(PublishError::Permanent(why)) => {
                let quarantined =
                    self.quarantine("sender_fault", &why, json!(first.notification).to_string());
                quarantined.await.map_err(|()| RetryFrom(first.sequence_number.clone()))
            }
        }
    }

    async fn publish_batch(&self, batch: &[Pending]) -> Result<PublishBatchOutput, PublishError> {
        let entries =
            batch.iter().enumerate().map(|(index, pending)| pending.notification.entry(&index.to_string()));
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| {
            PublishError::Permanent(format!("expected entries that can be built, found: {error}"))
        })?;
        let publish = self.sns.publish_batch().topic_arn(&self.config.topic_arn);
        let sent = publish.set_publish_batch_request_entries(Some(entries)).send().await;
        sent.map_err(|error| PublishError::new(&error))
    }

    /// SNS responds with 200 even if it accepted only some entries. Entries that it does not mention count as failed.
    async fn settle(&self, batch: &[Pending], response: &PublishBatchOutput) -> Result<(), RetryFrom> {
        let mut failures: HashMap<&str, _> =
            response.failed().iter().map(|entry| (entry.id(), entry)).collect();
        let accepted: HashSet<&str> = response.successful().iter().filter_map(|entry| entry.id()).collect();
        let mut retry_from = None;
        for (index, pending) in batch.iter().enumerate() {
            let id = index.to_string();
            let failure = failures.remove(id.as_str());
            if failure.is_none() && accepted.contains(id.as_str()) {
                record_published(&pending.notification);
                continue;
            }
            let why = failure.map_or_else(
                || "expected a result, found none".to_owned(),
                |failure| format!("{}: {}", failure.code(), failure.message().unwrap_or("no message")),
            );
            let is_settled = failure.is_some_and(is_entry_permanent)
                && self
                    .quarantine("sender_fault", &why, json!(pending.notification).to_string())
                    .await
                    .is_ok();
            if !is_settled {
                let sequence_number = &pending.sequence_number;
                warn!(sequence_number, "the topic did not accept a record: {why}");
                retry_from.get_or_insert_with(|| RetryFrom(sequence_number.clone()));
            }
        }
        retry_from.map_or(Ok(()), Err)
    }

    async fn quarantine(&self, reason: &'static str, why: &str, message: String) -> Result<(), ()> {
        error!(reason, "a record can never be published and goes to the quarantine queue: {why}");
        let queue = self.sqs.send_message().queue_url(&self.config.quarantine_queue_url);
        queue.message_body(message).send().await.map_err(|error| {
            error!("the quarantine queue did not accept a record: {}", describe(&error));
        })?;
        counter!("Quarantined", "reason" => reason).increment(1);
        Ok(())
    }
}

fn sequence_number(record: &EventRecord) -> String {
    record.change.sequence_number.clone().unwrap_or_default()
}

/// Splits the records into as few batches of consecutive records as SNS's limits allow.
fn batches(pending: &[Pending]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, pending) in pending.iter().enumerate() {
        let more = pending.notification.bytes();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_ENTRIES_MAX && bytes + more <= MESSAGE_BYTES_MAX => {
                batch.end += 1;
                bytes += more;
            }
            _ => {
                batches.push(index..index + 1);
                bytes = more;
            }
        }
    }
    batches
}

fn record_published(notification: &Notification) {
    let attribute = |name| notification.attributes.get(name).cloned().unwrap_or_default();
    counter!("Published", "provider" => attribute("provider"), "type" => attribute("type")).increment(1);
    #[derive(serde::Deserialize)]
    struct Recorded {
        recordedtime: Timestamp,
    }
    if let Ok(event) = serde_json::from_str::<Recorded>(&notification.message) {
        let lag = Timestamp::now().duration_since(event.recordedtime);
        histogram!("PublishLag").record(milliseconds(lag.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(bytes: usize) -> Pending {
        let notification = Notification { message: "x".repeat(bytes), attributes: Default::default() };
        Pending { sequence_number: String::new(), notification }
    }

    #[test]
    fn batches_keep_the_order_and_respect_both_limits() {
        let many: Vec<_> = (0..25).map(|_| pending(100)).collect();
        assert_eq!(batches(&many), [0..10, 10..20, 20..25]);
        let large: Vec<_> = [200_000, 62_144, 1, 262_144, 262_144, 5].map(pending).into();
        assert_eq!(batches(&large), [0..2, 2..3, 3..4, 4..5, 5..6]);
        assert!(batches(&[]).is_empty());
    }
}
