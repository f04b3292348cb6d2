//! Reads stored events, from the local stack's table or a deployed one. Nothing here writes.

mod attributes;
mod condition;
mod decision;
mod filter;
mod items;
mod lookup;
mod source;
mod stored;
mod tail;
mod tombstone;
mod unreadable;

use aws_sdk_dynamodb::types::AttributeValue;
use livehooks_aws::store::Item;
use livehooks_signing::PROVIDERS;
use serde::{Deserialize, Serialize};

use livehooks_event::Event;
use lookup::Keep;

pub use decision::decision;
pub use filter::Filter;
pub use source::{DeployedStack, Source};
pub use stored::Stored;
pub(crate) use tail::{CLOCKS_DIFFER, STREAM_REACHES};
pub use tail::{Cursor, ShardCursor, Tail, TailError, Tailed};
pub use tombstone::Tombstone;

/// Why stored events cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum HistoryError {
    #[error(
        "the table {table} cannot be read: {why}\n  start the local stack with `cargo livehooks dev`, or name a deployed one with --stack NAME"
    )]
    Local { table: String, why: String },
    #[error(
        "the table {table} of stack {stack} cannot be read: {why}\n  your credentials need dynamodb:Query, GetItem, BatchGetItem and Scan on it"
    )]
    Deployed { table: String, stack: String, why: String },
    #[error(
        "stack {stack} does not have this index: {why}\n  it is an older version, or is being updated: see Upgrading in docs/deploying.md, or wait until the update is complete"
    )]
    NoIndex { stack: String, why: String },
    #[error("the item {event_key} does not contain a valid event: {why}")]
    NoEvent { event_key: String, why: String },
    #[error("the event {} was erased with `livehooks forget` at {}", .0.event_key, .0.forgotten_at)]
    Forgotten(Box<Tombstone>),
    #[error("{0}")]
    Certificates(String),
    #[error("no region is configured\n  pass --region, set AWS_REGION, or use a profile that has one")]
    NoRegion,
    #[error(
        "stack {name} in {region} cannot be described: {why}\n  compare --stack and --region with `aws cloudformation list-stacks`; after `aws sso login`, export the credentials with\n  eval \"$(aws configure export-credentials --format env)\""
    )]
    Stack { name: String, region: String, why: String },
    #[error(
        "stack {name} has no output {key}: it is not a livehooks stack, or an older version\n  deploy this version with `sam build && sam deploy`"
    )]
    NoOutput { name: String, key: &'static str },
    #[error(
        "stack {name} has no secret for {provider}: the provider is not enabled\n  add it to Providers in samconfig.toml, then run `sam build && sam deploy`"
    )]
    NoSecret { name: String, provider: &'static str },
    #[error(
        "the stream of table {table} cannot be read: {why}\n  your credentials need dynamodb:DescribeStream, GetShardIterator and GetRecords on it"
    )]
    Stream { table: String, why: String },
}

/// An event's key in the table. Keys sort in the order in which events were received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventKey {
    /// When it was received, in the table's fixed-width format.
    pub received_at: String,
    /// The item's hash key.
    pub event_key: String,
    /// The item's range key.
    pub occurrence: u64,
}

impl Source {
    /// The stored events that match the filter, oldest received first; with a limit, the newest of them. Skips items that
    /// contain no valid event.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn events(&self, filter: &Filter) -> Result<Vec<Stored>, HistoryError> {
        let found = self.find(filter, Keep::Item).await?;
        let read = found.iter().rev().map(|found| self.readable(Stored::read(&found.item)));
        read.filter_map(Result::transpose).collect()
    }

    /// The events that match the filter, as [`Source::events`], without the provider's JSON. They cost less to read.
    ///
    /// # Errors
    /// As [`Source::events`].
    pub async fn events_without_raw(&self, filter: &Filter) -> Result<Vec<Event>, HistoryError> {
        let found = self.find(filter, Keep::Event).await?;
        let read = found.iter().rev().map(|found| self.readable(Stored::read(&found.item)));
        read.filter_map(Result::transpose).map(|read| read.map(|stored| stored.event)).collect()
    }

    /// The keys of the events that match the filter, oldest received first. They need much less memory.
    ///
    /// # Errors
    /// As [`Source::events`].
    pub async fn event_keys(&self, filter: &Filter) -> Result<Vec<EventKey>, HistoryError> {
        let found = self.find(filter, Keep::Key).await?;
        Ok(found.into_iter().rev().map(|found| found.key).collect())
    }

    /// The complete items with these keys, in their order. Those that have expired are left out.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn items_at(&self, keys: &[EventKey]) -> Result<Vec<Item>, HistoryError> {
        self.items_with(keys.iter().map(|key| (key.event_key.clone(), key.occurrence)).collect()).await
    }

    /// The event with a key, unless it has expired.
    ///
    /// # Errors
    /// If the table cannot be read, or the item contains no valid event or a tombstone.
    pub async fn event_at(&self, event_key: &str, occurrence: u64) -> Result<Option<Stored>, HistoryError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("event_key", AttributeValue::S(event_key.into()))
            .key("occurrence", AttributeValue::N(occurrence.to_string()));
        let answer = get.send().await.map_err(|error| self.unreadable(&error))?;
        answer.item().map(Stored::read).transpose()
    }

    /// The stored events with this id; several if several providers use it. Skips items that contain no valid event.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn events_with_id(&self, id: &str) -> Result<Vec<Stored>, HistoryError> {
        let mut found = Vec::new();
        for (event_key, occurrence) in keys_of(id) {
            let at = self.event_at(&event_key, occurrence).await;
            found.extend(self.readable(at)?.flatten());
        }
        found.retain(|stored| stored.event.id == id);
        Ok(found)
    }

    /// The erased events that had this id.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn tombstones_with_id(&self, id: &str) -> Result<Vec<Tombstone>, HistoryError> {
        let mut found = Vec::new();
        for (event_key, occurrence) in keys_of(id) {
            match self.event_at(&event_key, occurrence).await {
                Err(HistoryError::Forgotten(tombstone)) => found.push(*tombstone),
                at => drop(self.readable(at)?),
            }
        }
        Ok(found)
    }

    pub(crate) fn unstreamable(&self, why: String) -> HistoryError {
        HistoryError::Stream { table: self.table.clone(), why }
    }

    pub(crate) fn unreadable<E, R>(&self, error: &aws_sdk_dynamodb::error::SdkError<E, R>) -> HistoryError
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.unreadable_because(livehooks_aws::describe(error))
    }

    fn unreadable_because(&self, why: String) -> HistoryError {
        let table = self.table.clone();
        match &self.stack {
            Some(stack) if why.contains("the specified index") => {
                HistoryError::NoIndex { stack: stack.name.clone(), why }
            }
            None => HistoryError::Local { table, why },
            Some(stack) => HistoryError::Deployed { table, stack: stack.name.clone(), why },
        }
    }
}

/// The keys that events with this id may have, for every provider: in a sequence, the id ends with the occurrence.
fn keys_of(id: &str) -> Vec<(String, u64)> {
    let sequence =
        id.rsplit_once('.').and_then(|(hash, occurrence)| Some((hash, occurrence.parse::<u64>().ok()?)));
    let candidates = [Some((id, 0)), sequence];
    let keys = |provider: &str| {
        let candidates = candidates.iter().flatten();
        candidates.map(|(name, occurrence)| (format!("{provider}#{name}"), *occurrence)).collect::<Vec<_>>()
    };
    PROVIDERS.iter().flat_map(|provider| keys(provider.name)).collect()
}
