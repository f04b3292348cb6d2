//! Follows the table's stream, from now on or from a cursor.
//!
//! DynamoDB keeps a stream for 24 hours. A child shard is read after its parent, which keeps the writes of one item
//! in order. An iterator expires after 15 minutes, so each shard has a position without one.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue as StreamValue, OperationType, Record, Shard, ShardIteratorType,
};
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::describe;
use livehooks_aws::store::Item;
use serde::{Deserialize, Serialize};

use super::{HistoryError, Source, Stored};

/// DynamoDB keeps a stream for 24 hours; this leaves a margin.
pub(crate) const STREAM_REACHES: SignedDuration = SignedDuration::from_hours(23);
/// Tolerance between DynamoDB's clock, in whole seconds, and the local one.
pub(crate) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

/// How far a stream was read. Of a shard that is not in `shards`, nothing was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The stream; a recreated table has a new one.
    pub stream_arn: String,
    /// The position in each shard.
    pub shards: BTreeMap<String, ShardCursor>,
}

/// How far one shard was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardCursor {
    /// Before the first record written at this time or later.
    Since(Timestamp),
    /// After this sequence number.
    After(String),
    /// At its end.
    Done,
}

/// A stored event and its position in the stream.
#[derive(Clone, Debug)]
pub struct Tailed {
    /// The event.
    pub stored: Stored,
    /// When it was written, in whole seconds.
    pub created_at: Option<Timestamp>,
    shard_id: String,
    sequence_number: String,
}

/// A reader of the table's stream.
pub struct Tail<'a> {
    source: &'a Source,
    client: Client,
    cursor: Cursor,
    iterators: BTreeMap<String, ShardIterator>,
    shards: Vec<Shard>,
    /// Whether a shard has ended, so that its children may be new.
    is_outdated: bool,
    /// Why the last call stopped after what it returned.
    failure: Option<TailError>,
}

/// A shard iterator.
struct ShardIterator {
    id: String,
    /// Whether it began at the end of the shard. Then an empty answer means that there is nothing to read.
    is_latest: bool,
}

/// Why the stream cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The records after the cursor have been trimmed.
    #[error("the stream no longer contains the records after the last position")]
    Trimmed,
    /// The table or its stream cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl<'a> Tail<'a> {
    /// A reader of the events stored from now on.
    ///
    /// # Errors
    /// If the stream cannot be described.
    pub async fn from_now(source: &'a Source) -> Result<Self, TailError> {
        let now = Timestamp::now();
        let mut tail = Self::after(source, Cursor::default()).await?;
        let shards: Vec<String> = tail.shards.iter().filter_map(Shard::shard_id).map(str::to_owned).collect();
        for shard in shards {
            // "Latest" is fixed when the iterator is requested, so request it now and not at the first read.
            let request = tail.iterator_request(&shard).shard_iterator_type(ShardIteratorType::Latest);
            let id = tail.request(request).await?;
            tail.iterators.insert(shard.clone(), ShardIterator { id, is_latest: true });
            tail.cursor.shards.insert(shard, ShardCursor::Since(now));
        }
        Ok(tail)
    }

    /// A reader of the events after a cursor; an empty cursor means the start of the stream.
    ///
    /// # Errors
    /// [`TailError::Trimmed`] if the table has a new stream.
    pub async fn after(source: &'a Source, cursor: Cursor) -> Result<Self, TailError> {
        let describe_table = source.client.describe_table().table_name(&source.table).send().await;
        let table = describe_table.map_err(|error| source.unreadable(&error))?.table;
        let stream_arn = table.and_then(|table| table.latest_stream_arn);
        let stream_arn = stream_arn.ok_or_else(|| source.unstreamable("the table has no stream".into()))?;
        if !cursor.stream_arn.is_empty() && cursor.stream_arn != stream_arn {
            return Err(TailError::Trimmed);
        }
        let mut tail = Self {
            source,
            client: source.streams(),
            cursor: Cursor { stream_arn, ..cursor },
            iterators: BTreeMap::new(),
            shards: Vec::new(),
            is_outdated: true,
            failure: None,
        };
        let unread: Vec<String> = tail.unread().map(str::to_owned).collect();
        tail.list_shards().await?;
        // A shard disappears a day after it was closed; its events are then only in the table.
        match unread.iter().all(|shard| tail.cursor.shards.contains_key(shard)) {
            true => Ok(tail),
            false => Err(TailError::Trimmed),
        }
    }

    /// The position after the last acknowledged event.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The events stored since the last call, in order within each shard. Acknowledge all of them before the next call.
    ///
    /// # Errors
    /// If the stream cannot be read. Events that were read before the error are returned first.
    pub async fn next(&mut self) -> Result<Vec<Tailed>, TailError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut found = Vec::new();
        match self.read_shards(&mut found).await {
            Err(failure) if found.is_empty() => Err(failure),
            read => {
                self.failure = read.err();
                Ok(found)
            }
        }
    }

    async fn read_shards(&mut self, found: &mut Vec<Tailed>) -> Result<(), TailError> {
        for shard in self.readable() {
            found.extend(self.read(shard).await?);
        }
        if self.is_outdated { Ok(self.list_shards().await?) } else { Ok(()) }
    }

    async fn read(&mut self, shard: String) -> Result<Vec<Tailed>, TailError> {
        let ShardIterator { id, is_latest } = match self.iterators.remove(&shard) {
            Some(iterator) => iterator,
            None => ShardIterator { id: self.iterator(&shard).await?, is_latest: false },
        };
        let asked = Timestamp::now();
        let answer = match self.client.get_records().shard_iterator(id).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match error.as_service_error() {
                    // The next call requests a new iterator at the same position.
                    Some(failure) if failure.is_expired_iterator_exception() => Ok(Vec::new()),
                    Some(failure) if failure.is_trimmed_data_access_exception() => Err(TailError::Trimmed),
                    _ => Err(self.source.unstreamable(describe(&error)).into()),
                };
            }
        };
        let position = self.cursor.shards.get(&shard).cloned();
        let first = match position {
            Some(ShardCursor::Since(first)) => first - CLOCKS_DIFFER,
            _ => Timestamp::MIN,
        };
        let inserted = answer.records().iter().filter_map(|record| tailed(record, &shard));
        let readable = inserted.map(|tailed| self.source.readable(tailed)).filter_map(Result::transpose);
        let mut events = readable.collect::<Result<Vec<_>, _>>()?;
        events.retain(|tailed| tailed.created_at.is_none_or(|time| time >= first));
        let last = answer.records().last().and_then(|record| record.dynamodb()?.sequence_number());
        if let (true, Some(last)) = (events.is_empty(), last) {
            // There is nothing to acknowledge.
            self.cursor.shards.insert(shard.clone(), ShardCursor::After(last.to_owned()));
        } else if let (true, true, Some(ShardCursor::Since(first))) =
            (answer.records().is_empty(), is_latest, position)
        {
            let first = first.max(asked - CLOCKS_DIFFER);
            self.cursor.shards.insert(shard.clone(), ShardCursor::Since(first));
        }
        match answer.next_shard_iterator {
            Some(id) => drop(self.iterators.insert(shard, ShardIterator { id, is_latest })),
            // A closed shard is done once its last event is acknowledged; then its children are read.
            None if events.is_empty() => {
                self.cursor.shards.insert(shard, ShardCursor::Done);
                self.is_outdated = true;
            }
            None => {}
        }
        Ok(events)
    }

    /// Moves the cursor past the event.
    pub fn acknowledge(&mut self, tailed: &Tailed) {
        let after = ShardCursor::After(tailed.sequence_number.clone());
        self.cursor.shards.insert(tailed.shard_id.clone(), after);
    }

    fn unread(&self) -> impl Iterator<Item = &str> {
        let shards = self.cursor.shards.iter().filter(|(_, cursor)| **cursor != ShardCursor::Done);
        shards.map(|(id, _)| id.as_str())
    }

    /// The unfinished shards whose parents are done or gone.
    fn readable(&self) -> Vec<String> {
        let is_done = |id: &str| self.cursor.shards.get(id) == Some(&ShardCursor::Done);
        let known: HashSet<&str> = self.shards.iter().filter_map(Shard::shard_id).collect();
        let is_free = |shard: &&Shard| {
            shard.parent_shard_id().is_none_or(|parent| !known.contains(parent) || is_done(parent))
        };
        let free = self.shards.iter().filter(is_free).filter_map(Shard::shard_id);
        free.filter(|id| !is_done(id)).map(str::to_owned).collect()
    }

    async fn list_shards(&mut self) -> Result<(), HistoryError> {
        let mut shards: Vec<Shard> = Vec::new();
        loop {
            let last = shards.last().and_then(Shard::shard_id).map(str::to_owned);
            let describe_stream = self.client.describe_stream().stream_arn(&self.cursor.stream_arn);
            let answer = describe_stream.set_exclusive_start_shard_id(last).send().await;
            let answer = answer.map_err(|error| self.source.unstreamable(describe(&error)))?;
            let Some(stream) = answer.stream_description else { break };
            let is_last = stream.last_evaluated_shard_id.is_none();
            shards.extend(stream.shards.unwrap_or_default());
            if is_last {
                break;
            }
        }
        let known: HashSet<&str> = shards.iter().filter_map(Shard::shard_id).collect();
        self.cursor.shards.retain(|id, _| known.contains(id.as_str()));
        self.is_outdated = shards.is_empty();
        self.shards = shards;
        Ok(())
    }

    /// A new iterator at the shard's position.
    async fn iterator(&self, shard: &str) -> Result<String, TailError> {
        let request = self.iterator_request(shard);
        let request = match self.cursor.shards.get(shard) {
            Some(ShardCursor::After(last)) => {
                request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(last)
            }
            // The first records may have been trimmed by now.
            Some(ShardCursor::Since(first)) if Timestamp::now().duration_since(*first) > STREAM_REACHES => {
                return Err(TailError::Trimmed);
            }
            _ => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        self.request(request).await
    }

    fn iterator_request(&self, shard: &str) -> GetShardIteratorFluentBuilder {
        self.client.get_shard_iterator().stream_arn(&self.cursor.stream_arn).shard_id(shard)
    }

    async fn request(&self, request: GetShardIteratorFluentBuilder) -> Result<String, TailError> {
        let answer = request.send().await.map_err(|error| match error.as_service_error() {
            Some(failure) if failure.is_trimmed_data_access_exception() => TailError::Trimmed,
            _ => self.source.unstreamable(describe(&error)).into(),
        })?;
        answer.shard_iterator.ok_or_else(|| self.source.unstreamable("no iterator".into()).into())
    }
}

fn tailed(record: &Record, shard: &str) -> Option<Result<Tailed, HistoryError>> {
    if record.event_name() != Some(&OperationType::Insert) {
        return None;
    }
    let change = record.dynamodb()?;
    let value = |value: &StreamValue| match value {
        StreamValue::S(text) => Some(AttributeValue::S(text.clone())),
        StreamValue::N(number) => Some(AttributeValue::N(number.clone())),
        StreamValue::B(bytes) => Some(AttributeValue::B(Blob::new(bytes.as_ref()))),
        _ => None,
    };
    let image = change.new_image()?.iter();
    let item: Item = image.filter_map(|(name, found)| Some((name.clone(), value(found)?))).collect();
    let sequence_number = change.sequence_number()?.to_owned();
    let created_at = change.approximate_creation_date_time();
    let created_at = created_at.and_then(|time| Timestamp::from_second(time.secs()).ok());
    let shard_id = shard.to_owned();
    Some(Stored::read(&item).map(|stored| Tailed { stored, created_at, shard_id, sequence_number }))
}
