//! The events table. One conditional write commits an event: the item is the event, its outbox and its dedupe record.
//!
//! Table: hash key `event_key` (S), range key `occurrence` (N), index `rooms` over `room_key` and `occurred_at`,
//! index `by_time` over `time_shard` and `received_at`, time to live `expires_at`, stream NEW_IMAGE.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};
use livehooks_core::{Dedupe, Normalized};
use tracing::{info, warn};
use uuid::{NoContext, Uuid};

use crate::Fault;
use crate::fault::describe;
use crate::item::{ItemError, item};

pub use crate::item::{
    BY_TIME, Index, Item, ROOMS, UnreadableEvent, event_json, item_bytes, room_key, sortable, time_shard,
    time_shards,
};

/// Within this time, a repeat of the previous event is the same event. Providers without ids document no retries, and a
/// participant who leaves and rejoins may look like a repeat until the leave event arrives.
const SEQUENCE_WINDOW: SignedDuration = SignedDuration::from_secs(10);
/// How many items of a sequence are read at a time. Two are seldom over 4 KB, so they cost one read unit.
const PAGE: i32 = 2;
/// How many of the latest items of a sequence are compared at most: events that were queued in an outage are stored out of
/// order.
const NEIGHBORS: usize = 10;
/// How much later than its `write_id` says an item may have been written: a batch of queued deliveries has one time.
const WRITE_DELAY: SignedDuration = SignedDuration::from_mins(1);
/// How many occurrences are tried before the write fails.
const ATTEMPTS: u32 = 10;

/// The events table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    retention: SignedDuration,
}

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The event is new.
    New {
        /// Its id.
        id: String,
    },
    /// The event was already stored.
    Duplicate {
        /// Its id.
        id: String,
        /// Whether the provider sent another body under the same id.
        altered: bool,
    },
}

/// Why an event was not written.
#[derive(Clone, Debug)]
pub enum PutError {
    /// It does not fit into an item, even compressed.
    TooLarge {
        /// Its size after compression.
        bytes: usize,
        /// The largest size that fits.
        bytes_max: usize,
    },
    /// Our fault.
    Fault(Fault),
}

impl From<ItemError> for PutError {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::TooLarge { bytes, bytes_max } => Self::TooLarge { bytes, bytes_max },
            ItemError::Serialize(error) => Self::Fault(Fault::Store(error.to_string())),
            ItemError::Compress(error) => Self::Fault(Fault::Store(error.to_string())),
        }
    }
}

impl Store {
    /// A store that keeps events for `retention` in `table`.
    pub fn new(client: Client, table: impl Into<String>, retention: SignedDuration) -> Self {
        Self { client, table: table.into(), retention }
    }

    /// Opens the connection for the first write. The result of the query does not matter.
    pub async fn warm_up(&self) {
        let key = AttributeValue::S("warm-up".into());
        if let Err(PutError::Fault(fault)) = self.latest(key, Timestamp::MAX).await {
            warn!(fault = fault.code(), "no connection to the table at startup: {fault}");
        }
    }

    /// Writes the event unless it is already stored, about `now`. May be cancelled at any time, and retried.
    ///
    /// # Errors
    /// [`PutError::TooLarge`] if the event does not fit into an item, a [`Fault`] for everything else.
    pub async fn put(&self, event: &mut Normalized<'_>, now: Timestamp) -> Result<PutOutcome, PutError> {
        match event.dedupe {
            Dedupe::ProviderId(_) | Dedupe::Body(_) => self.put_by_id(event, now).await,
            Dedupe::Sequence(_) => self.put_in_sequence(event, now).await,
        }
    }

    async fn put_by_id(&self, event: &mut Normalized<'_>, now: Timestamp) -> Result<PutOutcome, PutError> {
        let id = event.dedupe.event_id(0);
        Ok(match self.put_if_absent(event, 0, now).await? {
            None => PutOutcome::New { id },
            Some(stored) => PutOutcome::Duplicate { id, altered: !has_body(&stored, event) },
        })
    }

    async fn put_in_sequence(
        &self,
        event: &mut Normalized<'_>,
        now: Timestamp,
    ) -> Result<PutOutcome, PutError> {
        let mut known = self.latest(AttributeValue::S(event.event_key()), event.event.recordedtime).await?;
        for _ in 0..ATTEMPTS {
            let twin = twin(&known, event);
            if let Some(Twin { occurrence, .. }) = twin.filter(|twin| twin.distance < SEQUENCE_WINDOW) {
                return Ok(PutOutcome::Duplicate { id: event.dedupe.event_id(occurrence), altered: false });
            }
            let last = known.iter().filter_map(|item| number(item, "occurrence")).max();
            let next = last.map_or(0, |last| last + 1);
            match self.put_if_absent(event, next, now).await? {
                None => {
                    let id = event.dedupe.event_id(next);
                    if let Some(twin) = twin {
                        let (same_as, seconds) =
                            (event.dedupe.event_id(twin.occurrence), twin.distance.as_secs());
                        info!(
                            id,
                            same_as, seconds, "stored as new, although the adjacent event has the same body"
                        );
                    }
                    return Ok(PutOutcome::New { id });
                }
                Some(stored) => known.push(stored),
            }
        }
        Err(PutError::Fault(Fault::Contention(ATTEMPTS)))
    }

    /// Returns the item already stored at this key and occurrence, or `None` if the event was stored there.
    async fn put_if_absent(
        &self,
        event: &mut Normalized<'_>,
        occurrence: u64,
        now: Timestamp,
    ) -> Result<Option<Item>, PutError> {
        let write_id = write_id(now).to_string();
        let item = item(event, occurrence, &write_id, self.retention)?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(event_key)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match put.send().await {
            Ok(_) => return Ok(None),
            Err(error) => error,
        };
        match condition_failure(&error) {
            // An earlier attempt of this call succeeded, but its response was lost.
            Some(stored) if string(stored, "write_id") == Some(&write_id) => Ok(None),
            Some(stored) => Ok(Some(stored.clone())),
            None => Err(store_fault(&error)),
        }
    }

    /// The latest items of a sequence, as far back as they may have been received in the window before `received_at`. An
    /// item is written after those before it, which were received before that.
    async fn latest(&self, event_key: AttributeValue, received_at: Timestamp) -> Result<Vec<Item>, PutError> {
        let start = received_at.checked_sub(SEQUENCE_WINDOW + WRITE_DELAY).unwrap_or(Timestamp::MIN);
        let is_old = |item: &Item| written_at(item).is_some_and(|time| time < start);
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("event_key = :key")
            .expression_attribute_values(":key", event_key)
            .projection_expression("occurrence, body_sha256, received_at, write_id")
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(PAGE);
        let (mut known, mut next) = (Vec::new(), None);
        loop {
            let query = query.clone().set_exclusive_start_key(next);
            let output = query.send().await.map_err(|error| store_fault(&error))?;
            let page = output.items.unwrap_or_default();
            let is_last = output.last_evaluated_key.is_none() || page.iter().any(is_old);
            known.extend(page);
            if is_last || known.len() >= NEIGHBORS {
                return Ok(known);
            }
            next = output.last_evaluated_key;
        }
    }
}

/// A neighbor of an event with the same body.
#[derive(Clone, Copy)]
struct Twin {
    occurrence: u64,
    /// How long before or after the event it was received.
    distance: SignedDuration,
}

/// The nearest neighbor with the same body, if any. Neighbors are adjacent in order of receipt, in which items were not
/// necessarily written.
fn twin(known: &[Item], event: &Normalized<'_>) -> Option<Twin> {
    let received_at = event.event.recordedtime;
    let position = |item| {
        let time: Timestamp = string(item, "received_at")?.parse().ok()?;
        Some((time, number(item, "occurrence")?, item))
    };
    let mut sorted: Vec<(Timestamp, u64, &Item)> = known.iter().filter_map(position).collect();
    sorted.sort_by_key(|(time, occurrence, _)| (*time, *occurrence));
    let (before, after) = sorted.split_at(sorted.partition_point(|(time, ..)| *time <= received_at));
    let neighbors = before.last().into_iter().chain(after.first());
    let twins = neighbors.filter(|(_, _, item)| has_body(item, event)).map(|(time, occurrence, _)| Twin {
        occurrence: *occurrence,
        distance: received_at.duration_since(*time).abs(),
    });
    twins.min_by_key(|twin| twin.distance)
}

/// Identifies an attempt to write, and says when that was.
fn write_id(now: Timestamp) -> Uuid {
    let seconds = now.as_second().try_into().unwrap_or_default();
    let nanoseconds = now.subsec_nanosecond().try_into().unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds))
}

/// When an item was written; `None` for those of older versions.
fn written_at(item: &Item) -> Option<Timestamp> {
    let (seconds, _) = string(item, "write_id")?.parse::<Uuid>().ok()?.get_timestamp()?.to_unix();
    Timestamp::from_second(seconds.try_into().ok()?).ok()
}

fn has_body(item: &Item, event: &Normalized<'_>) -> bool {
    string(item, "body_sha256") == Some(&event.body_hash.to_string())
}

fn string<'a>(item: &'a Item, name: &str) -> Option<&'a String> {
    item.get(name)?.as_s().ok()
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn condition_failure<R>(
    error: &SdkError<aws_sdk_dynamodb::operation::put_item::PutItemError, R>,
) -> Option<&Item> {
    use aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException;
    match error.as_service_error() {
        Some(ConditionalCheckFailedException(failure)) => failure.item.as_ref(),
        _ => None,
    }
}

fn store_fault<E, R>(error: &SdkError<E, R>) -> PutError
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    PutError::Fault(Fault::Store(describe(error)))
}
