//! Stream records to SNS: in batches, several at a time, at least once.
//!
//! What SNS cannot take now is reported to the event source, which delivers it again from there on. What
//! SNS will never take goes complete to a quarantine queue, so that it holds nothing else up.

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
use serde_json::json;
use tracing::{error, warn};

use crate::config::{NotifyConfig, env};
use crate::fault::describe;
use crate::notification::MESSAGE_BYTES_MAX;
use crate::publish_error::{PublishError, is_entry_rejected_for_good};
use crate::store::gunzip;
use crate::{Notification, clients, telemetry};

/// What SNS takes as one batch.
const BATCH_ENTRIES_MAX: usize = 10;

/// Runs the notifier's function until Lambda stops it.
///
/// # Errors
/// Settings that are missing, all of them at once; then Lambda's own.
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

/// Publishes the table's stream on the topic.
pub struct Notifier {
    config: NotifyConfig,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
}

/// A record that is to be published.
struct Pending {
    sequence_number: String,
    notification: Notification,
}

impl Notifier {
    /// A notifier to the topic that `config` names.
    pub fn new(config: NotifyConfig, sdk: &SdkConfig) -> Self {
        Self { config, sns: aws_sdk_sns::Client::new(sdk), sqs: aws_sdk_sqs::Client::new(sdk) }
    }

    /// Opens the connection that the first batch will find open: SNS rejects a batch of nothing, and that is
    /// answer enough.
    pub async fn warm_up(&self) {
        let nothing = self.sns.publish_batch().topic_arn(&self.config.topic_arn);
        let _ = nothing.set_publish_batch_request_entries(Some(Vec::new())).send().await;
    }

    /// Publishes a batch of stream records. The answer names the first record that was not taken, if any:
    /// the event source delivers again from there on.
    pub async fn handle(&self, event: &Event) -> DynamoDbEventResponse {
        let mut response = DynamoDbEventResponse::default();
        if let Err(sequence_number) = self.publish_records(&event.records).await {
            counter!("PublishFailed").increment(1);
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(sequence_number);
            response.batch_item_failures.push(failure);
        }
        response
    }

    async fn publish_records(&self, records: &[EventRecord]) -> Result<(), String> {
        let mut pending = Vec::with_capacity(records.len());
        let mut settled = Ok(());
        for record in records.iter().filter(|record| record.event_name == "INSERT") {
            let sequence_number = sequence_number(record);
            match self.notification(record) {
                Ok(notification) => pending.push(Pending { sequence_number, notification }),
                Err(why) => {
                    let whole = json!(record).to_string();
                    if self.quarantine("unreadable", &why, whole).await.is_err() {
                        settled = Err(sequence_number);
                        break;
                    }
                }
            }
        }
        // What stands before a record that has to come again counts as done: it has to be published first.
        // The answers are taken in the order of the batches, whichever comes first, so that the first failure is
        // the lowest. Batches behind it that are under way are let go: they come again anyway.
        let publishing = batches(&pending).into_iter().map(|batch| self.publish(&pending[batch]));
        stream::iter(publishing).buffered(self.config.batches_at_once).try_collect::<()>().await?;
        settled
    }

    fn notification(&self, record: &EventRecord) -> Result<Notification, String> {
        use serde_dynamo::AttributeValue;
        let image = &record.change.new_image;
        let json = match image.get("event") {
            Some(AttributeValue::S(json)) => json.clone(),
            Some(AttributeValue::B(gzip)) => gunzip(gzip)?,
            _ => return Err("expected text or bytes in attribute event, found neither".into()),
        };
        let key = match image.get("event_key") {
            Some(AttributeValue::S(key)) => key,
            _ => return Err("expected a text in attribute event_key, found none".into()),
        };
        let occurrence = match image.get("occurrence") {
            Some(AttributeValue::N(number)) => number,
            _ => return Err("expected a number in attribute occurrence, found none".into()),
        };
        Notification::new(&json, &self.config.table, key, occurrence)
    }

    /// Publishes one batch, or returns the sequence number of the first record that has to come again.
    async fn publish(&self, batch: &[Pending]) -> Result<(), String> {
        let Some(first) = batch.first() else { return Ok(()) };
        match self.publish_batch(batch).await {
            Ok(answer) => self.settle(batch, &answer).await,
            Err(PublishError::Retryable(why)) => {
                error!(records = batch.len(), "the topic did not take a batch: {why}");
                Err(first.sequence_number.clone())
            }
            Err(PublishError::Permanent(why)) if batch.len() > 1 => {
                warn!(
                    records = batch.len(),
                    "the topic rejects a batch, which is published one by one: {why}"
                );
                for pending in batch {
                    Box::pin(self.publish(slice::from_ref(pending))).await?;
                }
                Ok(())
            }
            Err(PublishError::Permanent(why)) => {
                let quarantined =
                    self.quarantine("sender_fault", &why, json!(first.notification).to_string());
                quarantined.await.map_err(|()| first.sequence_number.clone())
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

    /// SNS answers 200 also where it took only some of the entries. What it says nothing about counts as not taken.
    async fn settle(&self, batch: &[Pending], answer: &PublishBatchOutput) -> Result<(), String> {
        let mut failures: HashMap<&str, _> =
            answer.failed().iter().map(|entry| (entry.id(), entry)).collect();
        let taken: HashSet<&str> = answer.successful().iter().filter_map(|entry| entry.id()).collect();
        let mut again = None;
        for (index, pending) in batch.iter().enumerate() {
            let id = index.to_string();
            let failure = failures.remove(id.as_str());
            if failure.is_none() && taken.contains(id.as_str()) {
                record_published(&pending.notification);
                continue;
            }
            let why = failure.map_or_else(
                || "expected a result, found none".to_owned(),
                |failure| format!("{}: {}", failure.code(), failure.message().unwrap_or("no message")),
            );
            let is_settled = failure.is_some_and(is_entry_rejected_for_good)
                && self
                    .quarantine("sender_fault", &why, json!(pending.notification).to_string())
                    .await
                    .is_ok();
            if !is_settled {
                let sequence_number = &pending.sequence_number;
                warn!(sequence_number, "the topic did not take a record: {why}");
                again.get_or_insert_with(|| sequence_number.clone());
            }
        }
        again.map_or(Ok(()), Err)
    }

    async fn quarantine(&self, reason: &'static str, why: &str, whole: String) -> Result<(), ()> {
        error!(reason, "a record can never be published and goes to quarantine: {why}");
        let queue = self.sqs.send_message().queue_url(&self.config.quarantine_queue_url);
        queue.message_body(whole).send().await.map_err(|error| {
            error!("the quarantine queue did not take a record: {}", describe(&error));
        })?;
        counter!("Quarantined", "reason" => reason).increment(1);
        Ok(())
    }
}

fn sequence_number(record: &EventRecord) -> String {
    record.change.sequence_number.clone().unwrap_or_default()
}

/// The fewest runs of consecutive entries that SNS takes as a batch each.
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
        histogram!("PublishLag").record(lag.as_secs_f64() * 1e3);
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
