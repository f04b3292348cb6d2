//! Access to a stack's fallback queue and its dead-letter queue through SQS. The local stack answers the same calls.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, ListMessageMoveTasksResultEntry, Message,
    MessageSystemAttributeName, QueueAttributeName,
};
use jiff::Timestamp;
use livehooks_aws::describe;
use serde::Deserialize;

use crate::dev::{DEAD_LETTER_PATH, FALLBACK_PATH};
use crate::error::CommandError;
use crate::history::{HistoryError, Source};

/// How many dead letters to read at most. Reading more takes long and hides them from other readers.
const SAMPLE_MAX: usize = 200;
/// How long a dead letter is hidden while the others are read, in seconds.
const HIDDEN_S: i32 = 30;

/// The two queues of a stack.
pub(super) struct FallbackQueue {
    sqs: Client,
    waiting: String,
    dead_letters: String,
}

/// SQS's count of a queue's messages, which may be a minute old.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Messages that can be received.
    pub(super) visible: usize,
    /// Messages that were received and are hidden.
    pub(super) hidden: usize,
}

/// A dead letter without its delivery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeadLetter {
    pub(super) provider: String,
    /// Why it was rejected, or `gave up: <fault>`.
    pub(super) reason: String,
    pub(super) received_at: Option<Timestamp>,
}

/// The progress of a redrive.
#[derive(Clone, Debug)]
pub(super) struct Redrive {
    pub(super) status: String,
    pub(super) moved: u64,
    pub(super) to_move: Option<u64>,
    pub(super) failure: Option<String>,
}

/// The fields of a queued message that describe its origin.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Queued {
    provider: Option<String>,
    received_at: Option<Timestamp>,
    fault: Option<String>,
}

impl FallbackQueue {
    /// The queues of a stack.
    ///
    /// # Errors
    /// If the stack's outputs do not name them.
    pub(super) fn of(source: &Source) -> Result<Self, HistoryError> {
        let url = |key: &'static str, path: &str| match &source.stack {
            None => Ok(format!("http://localhost{path}")),
            Some(stack) => {
                let url = stack.outputs.get(key).cloned();
                url.ok_or_else(|| HistoryError::NoOutput { name: stack.name.clone(), key })
            }
        };
        Ok(Self {
            sqs: Client::new(&source.sdk),
            waiting: url("FallbackQueueUrl", FALLBACK_PATH)?,
            dead_letters: url("FallbackDeadLetterQueueUrl", DEAD_LETTER_PATH)?,
        })
    }

    /// Counts the waiting deliveries without reading them, because each read counts toward the 480 attempts.
    pub(super) async fn waiting(&self) -> Result<Counts, CommandError> {
        let attributes = self.attributes(&self.waiting).await?;
        Ok(counts(&attributes))
    }

    /// Counts the dead letters.
    pub(super) async fn dead_lettered(&self) -> Result<Counts, CommandError> {
        let attributes = self.attributes(&self.dead_letters).await?;
        Ok(counts(&attributes))
    }

    /// Reads up to `SAMPLE_MAX` dead letters without removing them.
    pub(super) async fn sample(&self) -> Result<Vec<DeadLetter>, CommandError> {
        let (mut seen, mut sample, mut handles) = (BTreeSet::new(), Vec::new(), Vec::new());
        while sample.len() < SAMPLE_MAX {
            let receive = self.sqs.receive_message().queue_url(&self.dead_letters);
            let receive =
                receive.max_number_of_messages(10).visibility_timeout(HIDDEN_S).wait_time_seconds(1);
            let receive = receive.message_attribute_names("All");
            let receive = receive
                .message_system_attribute_names(MessageSystemAttributeName::DeadLetterQueueSourceArn)
                .send();
            let messages =
                receive.await.map_err(|error| stopped("reading the dead letters", &error))?.messages;
            let messages = messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                handles.extend(message.receipt_handle.clone());
                if seen.insert(message.message_id.clone()) {
                    sample.push(DeadLetter::read(&message));
                }
            }
        }
        self.release(&handles).await;
        Ok(sample)
    }

    /// Makes dead letters visible to other readers at once. If that fails, they become visible a little later.
    async fn release(&self, handles: &[String]) {
        for handles in handles.chunks(10) {
            let entries = handles.iter().enumerate().filter_map(|(index, handle)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(handle).visibility_timeout(0).build().ok()
            });
            let change = self.sqs.change_message_visibility_batch().queue_url(&self.dead_letters);
            let _ = change.set_entries(Some(entries.collect())).send().await;
        }
    }

    /// Starts to move all dead letters back, and returns the ARN of their queue.
    ///
    /// # Errors
    /// SQS's error, for example if a redrive is already running.
    pub(super) async fn start_redrive(&self) -> Result<String, CommandError> {
        let source = self.arn(&self.dead_letters).await?;
        // Messages that recover sent here have no queue of origin, so SQS needs a destination.
        let destination = self.arn(&self.waiting).await?;
        let start = self.sqs.start_message_move_task().source_arn(&source).destination_arn(destination);
        start.send().await.map_err(|error| stopped("the redrive", &error))?;
        Ok(source)
    }

    /// The progress of the latest redrive.
    pub(super) async fn redrive(&self, source_arn: &str) -> Result<Redrive, CommandError> {
        let list = self.sqs.list_message_move_tasks().source_arn(source_arn).max_results(1).send();
        let tasks = list.await.map_err(|error| stopped("watching the redrive", &error))?;
        tasks.results().first().map(Redrive::read).ok_or_else(|| CommandError::Stopped {
            what: "watching the redrive",
            why: "expected a message move task, found none".into(),
            advice: "run `cargo livehooks queue` to see what is still dead-lettered".into(),
        })
    }

    async fn arn(&self, queue_url: &str) -> Result<String, CommandError> {
        Ok(self.attributes(queue_url).await?.remove(&QueueAttributeName::QueueArn).unwrap_or_default())
    }

    async fn attributes(
        &self,
        queue_url: &str,
    ) -> Result<BTreeMap<QueueAttributeName, String>, CommandError> {
        let get = self.sqs.get_queue_attributes().queue_url(queue_url);
        let get = get.attribute_names(QueueAttributeName::All).send().await;
        let answer = get.map_err(|error| stopped("counting messages", &error))?;
        Ok(answer.attributes.unwrap_or_default().into_iter().collect())
    }
}

impl Counts {
    pub(super) fn total(self) -> usize {
        self.visible + self.hidden
    }
}

impl DeadLetter {
    fn read(message: &Message) -> Self {
        let attribute = |name: &str| {
            let attributes = message.message_attributes.as_ref();
            attributes.and_then(|all| all.get(name)?.string_value.clone())
        };
        let source = MessageSystemAttributeName::DeadLetterQueueSourceArn;
        let is_given_up = message.attributes.as_ref().is_some_and(|all| all.contains_key(&source));
        let queued: Queued =
            message.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        let gave_up = || format!("gave up: {}", queued.fault.as_deref().unwrap_or("unreadable"));
        Self {
            reason: attribute("reason").filter(|_| !is_given_up).unwrap_or_else(gave_up),
            provider: queued.provider.clone().or_else(|| attribute("provider")).unwrap_or_else(|| "-".into()),
            received_at: queued.received_at,
        }
    }
}

impl Redrive {
    fn read(task: &ListMessageMoveTasksResultEntry) -> Self {
        let number = |count: i64| u64::try_from(count).unwrap_or_default();
        Self {
            status: task.status().unwrap_or_default().to_owned(),
            moved: number(task.approximate_number_of_messages_moved()),
            to_move: task.approximate_number_of_messages_to_move().map(number),
            failure: task.failure_reason().map(str::to_owned),
        }
    }
}

fn counts(attributes: &BTreeMap<QueueAttributeName, String>) -> Counts {
    let number = |name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0);
    Counts {
        visible: number(QueueAttributeName::ApproximateNumberOfMessages)
            + number(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        hidden: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
    }
}

fn stopped<E, R>(what: &'static str, error: &SdkError<E, R>) -> CommandError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let advice =
        "check that the stack is running and that your credentials have the permissions in docs/cli.md"
            .into();
    CommandError::Stopped { what, why: describe(error), advice }
}
