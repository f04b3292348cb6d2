//! Deliveries that were queued while the table or the keys failed: verified, normalized and stored as if they came
//! now, by the clock of their arrival.
//!
//! A message is deleted when its event is in the table, or when no change of keys could make it an event. What other
//! keys might let in goes to the dead-letter queue first. Everything else comes again, and after too many attempts SQS
//! puts it there.

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
use tracing::error;

use crate::config::{KeySource, RecoverConfig, env};
use crate::dead_letters::DeadLetterQueue;
use crate::fallback::QueuedDelivery;
use crate::outcome::{Outcome, cut};
use crate::pipeline::Pipeline;
use crate::{Fault, KeyRing, Store, clients, telemetry};

/// The reason of a delivery that the table cannot hold.
pub const TOO_LARGE: &str = "too_large";

/// Runs the function for these providers until Lambda stops it.
///
/// # Errors
/// Settings that are missing or wrong, all of them at once; then Lambda's own.
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

/// The pipeline from the queue to the table, for every provider whose keys it has.
pub struct Recover {
    pipelines: BTreeMap<&'static str, Box<dyn Process>>,
    dead_letters: DeadLetterQueue,
    deadline: Duration,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The queue's id of the message.
    pub message_id: String,
    /// What became of the delivery in it, or why there is none.
    pub result: Result<RecoveredDelivery, Unrecoverable>,
}

/// What became of a delivery that came out of the queue.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct RecoveredDelivery {
    pub provider: &'static str,
    pub received_at: Timestamp,
    pub outcome: Outcome,
    /// Whether it is in the dead-letter queue: it was rejected, or too large, and other keys might let it in.
    pub is_dead_lettered: bool,
}

/// Why a message cannot be processed. It comes again until SQS dead-letters it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unrecoverable {
    /// The message is no delivery.
    #[error("{0}")]
    Unreadable(String),
    /// The provider is switched off here, or unknown.
    #[error("expected a provider whose keys are configured, found {0:?}")]
    NoKeys(String),
}

impl Recover {
    /// The pipelines of those providers that `config` has keys for.
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

    /// Processes a batch, and logs and counts the outcomes. The answer names the messages that are to come again.
    pub async fn handle(&self, event: &SqsEvent) -> SqsBatchResponse {
        let now = Timestamp::now();
        let recovered = self.recover_at(event, now).await;
        recovered.iter().for_each(|recovered| record_recovered(recovered, now));
        response(&recovered)
    }

    /// Processes a batch at `now`, in the order in which its deliveries were received.
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
        let late = |_| Err(format!("no answer within {} ms", self.deadline.as_millis()));
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
    /// Whether the message is done with: stored, dead-lettered, or rejected whatever the keys.
    pub fn is_settled(&self) -> bool {
        match &self.result {
            Ok(taken) => match taken.outcome {
                Outcome::Stored(_) | Outcome::Rejected(_) | Outcome::TooLarge { .. } => true,
                Outcome::Failed(_) | Outcome::Queued { .. } => false,
            },
            Err(_) => false,
        }
    }
}

/// The answer to the event source: which messages are to come again.
pub fn response(recovered: &[Recovered]) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.set_failures(recovered.iter().filter(|it| !it.is_settled()).map(|it| it.message_id.clone()));
    response
}

fn read(message: &SqsMessage) -> (&SqsMessage, Result<QueuedDelivery, String>) {
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

    /// Whether other keys might let in what these have rejected.
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

/// Logs and counts what became of a message of the fallback queue.
fn record_recovered(recovered: &Recovered, now: Timestamp) {
    let message_id = &recovered.message_id;
    let taken = match &recovered.result {
        Ok(taken) => taken,
        Err(why) => {
            error!(message_id, "a message of the fallback queue cannot be recovered: {why}");
            counter!("RecoverFailed").increment(1);
            return;
        }
    };
    let provider = taken.provider;
    let rejected = |reason: &'static str, detail: &str, advice: &str| {
        let (metric, what) = match taken.is_dead_lettered {
            true => ("DeadLettered", "queued delivery dead-lettered"),
            false => ("Dropped", "queued delivery dropped"),
        };
        error!(provider, message_id, reason, detail, advice, "{what}");
        counter!(metric, "provider" => provider, "reason" => reason).increment(1);
    };
    match &taken.outcome {
        Outcome::Stored(receipt) => {
            receipt.record(provider);
            counter!("Recovered", "provider" => provider).increment(1);
            let lag = now.duration_since(taken.received_at);
            histogram!("RecoverLag").record(lag.as_secs_f64() * 1e3);
        }
        Outcome::Rejected(rejection) => {
            rejected(rejection.code(), &rejection.to_string(), rejection.advice());
        }
        Outcome::TooLarge { bytes, bytes_max } => {
            let detail = format!("expected at most {bytes_max} bytes, found {bytes}");
            rejected(TOO_LARGE, &detail, "the table cannot hold it: read the message, then delete it");
        }
        Outcome::Queued { fault, .. } | Outcome::Failed(fault) => {
            error!(provider, message_id, fault = fault.code(), "queued delivery not taken yet: {fault}");
            counter!("RecoverFailed").increment(1);
        }
    }
}
