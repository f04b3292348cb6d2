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
use tokio::time::{Instant, timeout_at};

use crate::config::{KeySource, RecoverConfig, env};
use crate::dead_letters::DeadLetterQueue;
use crate::fallback::QueuedDelivery;
use crate::intake::{Intake, Outcome};
use crate::{Fault, KeyRing, Store, clients, telemetry};

/// How long one delivery may take: ten of them have to fit into the function's 30 s.
pub const DEADLINE: Duration = Duration::from_millis(2_400);

/// The reason of a delivery that the table cannot hold.
pub const TOO_LARGE: &str = "too_large";

/// Runs the function for these providers until Lambda stops it.
///
/// # Errors
/// Settings that are missing or wrong, all of them at once; then Lambda's own.
pub async fn run(ways: &[Way]) -> Result<(), lambda_runtime::Error> {
    let telemetry = telemetry::init()?;
    let names: Vec<&str> = ways.iter().map(|way| way.name).collect();
    let recover = Recover::new(ways, RecoverConfig::read(&names, env)?, &clients::from_env()?);
    let (recover, telemetry) = (&recover, &telemetry);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = recover.handle(&event.payload).await;
        telemetry.flush();
        Ok::<_, lambda_runtime::Error>(response)
    }))
    .await
}

/// One provider's way from the queue to the table.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    name: &'static str,
    open: fn(KeySource, &Shared) -> Box<dyn TakeIn>,
}

impl Way {
    /// The way of this provider.
    pub const fn of<P: Provider>() -> Self {
        Self { name: P::NAME, open: open::<P> }
    }
}

/// The way from the queue to the table, for every provider whose keys it has.
pub struct Recover {
    ways: BTreeMap<&'static str, Box<dyn TakeIn>>,
    dead_letters: DeadLetterQueue,
    deadline: Duration,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The queue's id of the message.
    pub message_id: String,
    /// What became of the delivery in it, or why there is none.
    pub result: Result<Taken, Unrecoverable>,
}

/// What became of a delivery that came out of the queue.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Taken {
    pub provider: &'static str,
    pub received_at: Timestamp,
    pub outcome: Outcome,
    /// Whether it is in the dead-letter queue: it was rejected, or too large, and other keys might let it in.
    pub is_dead_lettered: bool,
}

/// Why a message cannot be taken in. It comes again until it is given up.
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
    /// The ways of those providers that `config` has keys for.
    pub fn new(ways: &[Way], config: RecoverConfig, sdk: &SdkConfig) -> Self {
        let shared = Shared {
            secrets: aws_sdk_secretsmanager::Client::new(sdk),
            store: Store::new(aws_sdk_dynamodb::Client::new(sdk), config.table, config.retention),
            deadline: config.deadline,
        };
        let mut keys = config.keys;
        let open = |way: &Way| Some((way.name, (way.open)(keys.remove(way.name)?, &shared)));
        Self {
            ways: ways.iter().filter_map(open).collect(),
            dead_letters: DeadLetterQueue {
                sqs: aws_sdk_sqs::Client::new(sdk),
                url: config.dead_letter_queue_url,
            },
            deadline: config.deadline,
        }
    }

    /// Takes in a batch and tells the log and the metrics. The answer names the messages that are to come again.
    pub async fn handle(&self, event: &SqsEvent) -> SqsBatchResponse {
        let now = Timestamp::now();
        let recovered = self.recover_at(event, now).await;
        recovered.iter().for_each(|recovered| telemetry::record_recovered(recovered, now));
        response(&recovered)
    }

    /// Takes in a batch at `now`, in the order in which its deliveries were received.
    pub async fn recover_at(&self, event: &SqsEvent, now: Timestamp) -> Vec<Recovered> {
        let mut messages: Vec<_> = event.records.iter().map(read).collect();
        messages.sort_by_key(|(_, read)| read.as_ref().ok().map(|queued| queued.received_at));
        let mut recovered = Vec::with_capacity(messages.len());
        for (message, read) in messages {
            let result = match read {
                Ok(queued) => self.take_in(&queued, body(message), now).await,
                Err(why) => Err(Unrecoverable::Unreadable(why)),
            };
            let message_id = message.message_id.clone().unwrap_or_default();
            recovered.push(Recovered { message_id, result });
        }
        recovered
    }

    async fn take_in(
        &self,
        queued: &QueuedDelivery,
        message: &str,
        now: Timestamp,
    ) -> Result<Taken, Unrecoverable> {
        let way = self.ways.get_key_value(queued.provider.as_str());
        let (provider, way) = way.ok_or_else(|| Unrecoverable::NoKeys(queued.provider.clone()))?;
        let (delivery, received_at) = (queued.delivery(), queued.received_at);
        let until = Instant::now() + self.deadline;
        let outcome = way.take_in(delivery, received_at, now).await;
        let reason = match &outcome {
            Outcome::Rejected(rejection) if way.depends_on_keys(&delivery, received_at) => rejection.code(),
            Outcome::TooLarge { .. } => TOO_LARGE,
            _ => return Ok(Taken { provider, received_at, outcome, is_dead_lettered: false }),
        };
        let put = self.dead_letters.put(message, reason, provider, received_at);
        let late = |_| Err(format!("no answer within {} ms", self.deadline.as_millis()));
        Ok(match timeout_at(until, put).await.unwrap_or_else(late) {
            Ok(()) => Taken { provider, received_at, outcome, is_dead_lettered: true },
            Err(why) => {
                let outcome = Outcome::Failed(Fault::DeadLetterQueue { reason, why });
                Taken { provider, received_at, outcome, is_dead_lettered: false }
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

type TakingIn<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

trait TakeIn: Send + Sync {
    fn take_in<'a>(&'a self, delivery: Delivery<'a>, received_at: Timestamp, now: Timestamp) -> TakingIn<'a>;

    /// Whether other keys might let in what these have rejected.
    fn depends_on_keys(&self, delivery: &Delivery<'_>, received_at: Timestamp) -> bool;
}

impl<P: Provider> TakeIn for Intake<P> {
    fn take_in<'a>(&'a self, delivery: Delivery<'a>, received_at: Timestamp, now: Timestamp) -> TakingIn<'a> {
        Box::pin(async move { self.take_in(&delivery, received_at, now).await })
    }

    fn depends_on_keys(&self, delivery: &Delivery<'_>, received_at: Timestamp) -> bool {
        P::precheck(delivery, received_at).is_ok()
    }
}

fn open<P: Provider>(keys: KeySource, shared: &Shared) -> Box<dyn TakeIn> {
    let keys = KeyRing::new(P::NAME, keys, shared.secrets.clone());
    Box::new(Intake::<P> { keys, store: shared.store.clone(), deadline: shared.deadline })
}
