//! The table's stream, read as it grows: what is stored from now on, or what was after a cursor.
//!
//! DynamoDB keeps a stream for 24 hours. A child shard is read only after its parent, so that two writes of one
//! item keep their order.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue as StreamValue, OperationType, Record, Shard, ShardIteratorType,
};
use jiff::Timestamp;
use livehooks_aws::describe;
use livehooks_aws::store::Item;
use serde::{Deserialize, Serialize};

use super::{HistoryError, Source, Stored};

/// How far a stream was read: for each shard the last sequence number that is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The stream; a new table has another one.
    pub stream_arn: String,
    /// Of each shard that was read: up to where.
    pub shards: BTreeMap<String, ShardCursor>,
}

/// How far one shard was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardCursor {
    /// From the next record on that is written.
    Latest,
    /// Behind this sequence number.
    After(String),
    /// To its end.
    Done,
}

/// A stored event, and the place in the stream that is reached with it.
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
    iterators: BTreeMap<String, String>,
    shards: Vec<Shard>,
}

/// Why the stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The stream does not go back to the cursor any more.
    #[error("the stream does not go back to where it was read last")]
    Trimmed,
    /// Something else.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl<'a> Tail<'a> {
    /// A reader of what is stored from now on.
    ///
    /// # Errors
    /// Where the stream cannot be described.
    pub async fn from_now(source: &'a Source) -> Result<Self, TailError> {
        let mut tail = Self::after(source, Cursor::default()).await?;
        let open = tail.shards.iter().filter_map(|shard| shard.shard_id());
        tail.cursor.shards = open.map(|id| (id.to_owned(), ShardCursor::Latest)).collect();
        // Only an iterator holds the place: it is taken now, not at the first reading.
        for shard in tail.cursor.shards.keys().cloned().collect::<Vec<_>>() {
            let iterator = tail.iterator(&shard).await?;
            tail.iterators.insert(shard, iterator);
        }
        Ok(tail)
    }

    /// A reader of what was stored after a cursor; an empty one means as far back as the stream goes.
    ///
    /// # Errors
    /// [`TailError::Trimmed`] where the table has another stream by now.
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
        };
        let unread: Vec<String> = tail.unread().map(str::to_owned).collect();
        tail.list_shards().await?;
        // A shard that is gone was closed for a day: what was in it can only be found in the table.
        match unread.iter().all(|shard| tail.cursor.shards.contains_key(shard)) {
            true => Ok(tail),
            false => Err(TailError::Trimmed),
        }
    }

    /// How far was read and acknowledged.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// What was stored since the last time, shard by shard in order; empty where there was nothing.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Tailed>, TailError> {
        let mut found = Vec::new();
        let mut has_ended = self.shards.is_empty();
        for shard in self.readable() {
            let iterator = match self.iterators.remove(&shard) {
                Some(iterator) => iterator,
                None => self.iterator(&shard).await?,
            };
            let answer = match self.client.get_records().shard_iterator(iterator).send().await {
                Ok(answer) => answer,
                Err(error) => match error.as_service_error() {
                    // The next reading takes a new one from the same place.
                    Some(failure) if failure.is_expired_iterator_exception() => continue,
                    Some(failure) if failure.is_trimmed_data_access_exception() => {
                        return Err(TailError::Trimmed);
                    }
                    _ => return Err(self.source.unstreamable(describe(&error)).into()),
                },
            };
            let inserted = answer.records().iter().filter_map(|record| tailed(record, &shard));
            let before = found.len();
            found.extend(inserted.collect::<Result<Vec<_>, _>>()?);
            match answer.next_shard_iterator {
                Some(iterator) => drop(self.iterators.insert(shard, iterator)),
                // A closed shard is done with once its last event is acknowledged; then its children's turn comes.
                None if found.len() == before => {
                    self.cursor.shards.insert(shard, ShardCursor::Done);
                    has_ended = true;
                }
                None => {}
            }
        }
        if has_ended {
            self.list_shards().await?;
        }
        Ok(found)
    }

    /// The event is done with: a reader that starts from the cursor begins behind it.
    pub fn acknowledge(&mut self, tailed: &Tailed) {
        let after = ShardCursor::After(tailed.sequence_number.clone());
        self.cursor.shards.insert(tailed.shard_id.clone(), after);
    }

    fn unread(&self) -> impl Iterator<Item = &str> {
        let shards = self.cursor.shards.iter().filter(|(_, cursor)| **cursor != ShardCursor::Done);
        shards.map(|(id, _)| id.as_str())
    }

    /// The shards that are not done with and whose parents are, or are gone.
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
        self.shards = shards;
        Ok(())
    }

    async fn iterator(&self, shard: &str) -> Result<String, TailError> {
        let iterator = self.client.get_shard_iterator().stream_arn(&self.cursor.stream_arn).shard_id(shard);
        let iterator = match self.cursor.shards.get(shard) {
            Some(ShardCursor::After(last)) => {
                iterator.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(last)
            }
            Some(ShardCursor::Latest) => iterator.shard_iterator_type(ShardIteratorType::Latest),
            _ => iterator.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let answer = iterator.send().await.map_err(|error| match error.as_service_error() {
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
