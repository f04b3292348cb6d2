//! Recovers deliveries that were queued while the table or the keys failed: verifies them as of their time of receipt,
//! normalizes and stores them.
//!
//! A message is deleted if its event is in the table, or if no keys could make it valid. A delivery that other keys might
//! accept goes to the dead-letter queue first. Everything else is retried, and SQS moves it to the dead-letter queue
//! after too many attempts.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_types::SdkConfig;
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use livehooks_core::{Delivery, Provider};
use metrics::{counter, histogram};
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use crate::config::{KeySource, RecoverConfig, env};
use crate::dead_letters::DeadLetterQueue;
use crate::fallback::{QueuedDelivery, UnreadableMessage};
use crate::fault::QueueError;
use crate::outcome::{Outcome, cut};
use crate::pipeline::Pipeline;
use crate::telemetry::{self, milliseconds};
use crate::{Fault, KeyRing, Store, clients};

/// The reason for dead-lettering a delivery that is too large for the table.
pub const TOO_LARGE: &str = "too_large";

/// Runs the function for these providers until Lambda stops it.
///
/// # Errors
/// If settings are missing or invalid, or if Lambda's runtime fails.
pub async fn run(pipelines: &[ProviderPipeline]) -> Result<(), lambda_runtime::Error> {
    let telemetry = telemetry::init()?;
    let names: Vec<&str> = pipelines.iter().map(|pipeline| pipeline.name).collect();
    let recover = Recover::new(pipelines, RecoverConfig::read(&names, env)?, &clients::from_env()?);
    let (recover, telemetry) = (&recover, &telemetry);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = recover.handle(&event.payload).await;
        telemetry.flush();
        Ok::<_, lambda_runtime::Error>(response)
    }))
    .await
}

/// One provider's pipeline from the queue to the table.
#[derive(Clone, Copy, Debug)]
pub struct ProviderPipeline {
    name: &'static str,
    open: fn(KeySource, &Shared) -> Box<dyn Process>,
}

impl ProviderPipeline {
    /// The pipeline of this provider.
    pub const fn of<P: Provider>() -> Self {
        Self { name: P::NAME, open: open::<P> }
    }
}

/// The pipelines from the queue to the table, one for each provider whose keys are configured.
pub struct Recover {
    pipelines: BTreeMap<&'static str, Box<dyn Process>>,
    dead_letters: DeadLetterQueue,
    deadline: Duration,
}

/// The result for one message.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The queue's id of the message.
    pub message_id: String,
    /// The delivery and its outcome, or why the message cannot be processed.
    pub result: Result<RecoveredDelivery, Unrecoverable>,
}

/// The outcome of a queued delivery.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct RecoveredDelivery {
    pub provider: &'static str,
    pub received_at: Timestamp,
    pub outcome: Outcome,
    /// Whether it is in the dead-letter queue: it was too large, or rejected although other keys might accept it.
    pub is_dead_lettered: bool,
}

/// Why a message cannot be processed. It is retried until SQS moves it to the dead-letter queue.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unrecoverable {
    /// The message is not a delivery.
    #[error("{0}")]
    Unreadable(UnreadableMessage),
    /// The provider is disabled or unknown.
    #[error("expected a provider whose keys are configured, found {0:?}")]
    NoKeys(String),
}

impl Recover {
    /// Opens the pipelines of the providers for which `config` has keys.
    pub fn new(pipelines: &[ProviderPipeline], config: RecoverConfig, sdk: &SdkConfig) -> Self {
        let shared = Shared {
            secrets: aws_sdk_secretsmanager::Client::new(sdk),
            store: Store::new(aws_sdk_dynamodb::Client::new(sdk), config.table, config.retention),
            deadline: config.deadline,
        };
        let mut keys = config.keys;
        let open = |pipeline: &ProviderPipeline| {
            Some((pipeline.name, (pipeline.open)(keys.remove(pipeline.name)?, &shared)))
        };
        Self {
            pipelines: pipelines.iter().filter_map(open).collect(),
            dead_letters: DeadLetterQueue {
                sqs: aws_sdk_sqs::Client::new(sdk),
                url: config.dead_letter_queue_url,
            },
            deadline: config.deadline,
        }
    }

    /// Processes a batch, and records the outcomes in the log and the metrics. The response names the messages to retry.
    pub async fn handle(&self, event: &SqsEvent) -> SqsBatchResponse {
        let now = Timestamp::now();
        let recovered = self.recover_at(event, now).await;
        recovered.iter().for_each(|recovered| record_recovered(recovered, now));
        response(&recovered)
    }

    /// Processes a batch at `now`, in order of receipt.
    pub async fn recover_at(&self, event: &SqsEvent, now: Timestamp) -> Vec<Recovered> {
        let mut messages: Vec<_> = event.records.iter().map(read).collect();
        messages.sort_by_key(|(_, read)| read.as_ref().ok().map(|queued| queued.received_at));
        let mut recovered = Vec::with_capacity(messages.len());
        for (message, read) in messages {
            let result = match read {
                Ok(queued) => self.process(&queued, body(message), now).await,
                Err(why) => Err(Unrecoverable::Unreadable(why)),
            };
            let message_id = message.message_id.clone().unwrap_or_default();
            recovered.push(Recovered { message_id, result });
        }
        recovered
    }

    async fn process(
        &self,
        queued: &QueuedDelivery,
        message: &str,
        now: Timestamp,
    ) -> Result<RecoveredDelivery, Unrecoverable> {
        let pipeline = self.pipelines.get_key_value(queued.provider.as_str());
        let (provider, pipeline) = pipeline.ok_or_else(|| Unrecoverable::NoKeys(cut(&queued.provider)))?;
        let (delivery, received_at) = (queued.delivery(), queued.received_at);
        let until = Instant::now() + self.deadline;
        let outcome = pipeline.process(delivery, received_at, now).await;
        let reason = match &outcome {
            Outcome::Rejected(rejection) if pipeline.depends_on_keys(&delivery, received_at) => {
                rejection.code()
            }
            Outcome::TooLarge { .. } => TOO_LARGE,
            _ => return Ok(RecoveredDelivery { provider, received_at, outcome, is_dead_lettered: false }),
        };
        let put = self.dead_letters.put(message, reason, provider, received_at);
        let late = |_| Err(QueueError::Timeout(self.deadline.as_millis()));
        Ok(match timeout_at(until, put).await.unwrap_or_else(late) {
            Ok(()) => RecoveredDelivery { provider, received_at, outcome, is_dead_lettered: true },
            Err(why) => {
                let outcome = Outcome::Failed(Fault::DeadLetterQueue { reason, why });
                RecoveredDelivery { provider, received_at, outcome, is_dead_lettered: false }
            }
        })
    }
}

impl Recovered {
    /// Whether the message can be deleted: stored, dead-lettered, invalid under any keys, or no event.
    pub fn is_settled(&self) -> bool {
        match &self.result {
            Ok(delivery) => match delivery.outcome {
                Outcome::Stored(_)
                | Outcome::Answered(_)
                | Outcome::Rejected(_)
                | Outcome::TooLarge { .. } => true,
                Outcome::Failed(_) | Outcome::Queued { .. } => false,
            },
            Err(_) => false,
        }
    }
}

/// The response to the event source, which names the messages to retry.
pub fn response(recovered: &[Recovered]) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.set_failures(recovered.iter().filter(|it| !it.is_settled()).map(|it| it.message_id.clone()));
    response
}

fn read(message: &SqsMessage) -> (&SqsMessage, Result<QueuedDelivery, UnreadableMessage>) {
    (message, QueuedDelivery::read(body(message)))
}

fn body(message: &SqsMessage) -> &str {
    message.body.as_deref().unwrap_or_default()
}

struct Shared {
    secrets: aws_sdk_secretsmanager::Client,
    store: Store,
    deadline: Duration,
}

type Processing<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

trait Process: Send + Sync {
    fn process<'a>(
        &'a self,
        delivery: Delivery<'a>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Processing<'a>;

    /// Whether other keys might accept a delivery that these keys reject.
    fn depends_on_keys(&self, delivery: &Delivery<'_>, received_at: Timestamp) -> bool;
}

impl<P: Provider> Process for Pipeline<P> {
    fn process<'a>(
        &'a self,
        delivery: Delivery<'a>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Processing<'a> {
        Box::pin(async move { self.process(&delivery, received_at, now).await })
    }

    fn depends_on_keys(&self, delivery: &Delivery<'_>, received_at: Timestamp) -> bool {
        P::precheck(delivery, received_at).is_ok()
    }
}

fn open<P: Provider>(keys: KeySource, shared: &Shared) -> Box<dyn Process> {
    let keys = KeyRing::new(P::NAME, keys, shared.secrets.clone());
    Box::new(Pipeline::<P> { keys, store: shared.store.clone(), deadline: shared.deadline })
}

/// Counts and logs the result for a message. In this order, so that its line has its metrics.
fn record_recovered(recovered: &Recovered, now: Timestamp) {
    let message_id = &recovered.message_id;
    let delivery = match &recovered.result {
        Ok(delivery) => delivery,
        Err(why) => {
            counter!("RecoverFailed").increment(1);
            error!(message_id, "a message of the fallback queue cannot be recovered: {why}");
            return;
        }
    };
    let provider = delivery.provider;
    let rejected = |reason: &'static str, detail: &str, advice: &str| {
        let (metric, what) = match delivery.is_dead_lettered {
            true => ("DeadLettered", "queued delivery dead-lettered"),
            false => ("Dropped", "queued delivery dropped"),
        };
        counter!(metric, "provider" => provider, "reason" => reason).increment(1);
        error!(provider, message_id, reason, detail, advice, "{what}");
    };
    match &delivery.outcome {
        Outcome::Stored(receipt) => {
            counter!("Recovered", "provider" => provider).increment(1);
            let lag = now.duration_since(delivery.received_at);
            histogram!("RecoverLag").record(milliseconds(lag.as_secs_f64()));
            receipt.record(provider);
        }
        Outcome::Answered(_) => {
            counter!("Unanswered", "provider" => provider).increment(1);
            warn!(
                provider,
                message_id, "queued question dropped: the provider no longer waits for the answer"
            );
        }
        Outcome::Rejected(rejection) => {
            rejected(rejection.code(), &rejection.to_string(), rejection.advice());
        }
        Outcome::TooLarge { bytes, bytes_max } => {
            let detail = format!("expected at most {bytes_max} bytes, found {bytes}");
            rejected(TOO_LARGE, &detail, "the table cannot hold it: read the message, then delete it");
        }
        Outcome::Queued { fault, .. } | Outcome::Failed(fault) => {
            counter!("RecoverFailed").increment(1);
            error!(provider, message_id, fault = fault.code(), "queued delivery not recovered yet: {fault}");
        }
    }
}
