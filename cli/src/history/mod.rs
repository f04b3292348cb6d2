//! Reads stored events, from the local stack's table or a deployed one. Nothing here writes.

mod decision;
mod event;
mod filter;
mod source;
mod stored;
mod tail;

use aws_sdk_dynamodb::types::AttributeValue;
use livehooks_aws::store::{self, Item};
use livehooks_signing::PROVIDERS;
use serde::{Deserialize, Serialize};

pub use decision::decision;
pub use event::{
    Data, ErrorInfo, Event, Ingress, Participant, Recording, Room, Session, Stream, Transcription,
};
pub use filter::Filter;
pub use source::{DeployedStack, Source};
pub use stored::Stored;
pub(crate) use tail::{CLOCKS_DIFFER, STREAM_REACHES};
pub use tail::{Cursor, ShardCursor, Tail, TailError, Tailed};

/// Why stored events cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum HistoryError {
    #[error(
        "the table {table} cannot be read: {why}\n  start the local stack with `cargo livehooks dev`, or name a deployed one with --stack NAME"
    )]
    Local { table: String, why: String },
    #[error(
        "the table {table} of stack {stack} cannot be read: {why}\n  your credentials need dynamodb:Scan, Query and GetItem on it"
    )]
    Deployed { table: String, stack: String, why: String },
    #[error("the item {event_key} does not contain a valid event: {why}")]
    NoEvent { event_key: String, why: String },
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

/// An item that matched the filter. Its event is still packed, or dropped.
struct Found {
    key: EventKey,
    item: Item,
}

/// Which part of an item to keep in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Item,
    Key,
}

impl Source {
    /// The stored events that match the filter, oldest received first; with a limit, the newest of them.
    /// A filter with a room queries the index `by_room`; any other scans the table.
    ///
    /// # Errors
    /// If the table cannot be read, or an item contains no valid event.
    pub async fn events(&self, filter: &Filter) -> Result<Vec<Stored>, HistoryError> {
        let found = self.find(filter, Keep::Item).await?;
        found.iter().rev().map(|found| Stored::read(&found.item)).collect()
    }

    /// The keys of the events that match the filter, oldest received first. They need much less memory.
    ///
    /// # Errors
    /// As [`Source::events`].
    pub async fn event_keys(&self, filter: &Filter) -> Result<Vec<EventKey>, HistoryError> {
        let found = self.find(filter, Keep::Key).await?;
        Ok(found.into_iter().rev().map(|found| found.key).collect())
    }

    /// The event with a key, unless it has expired.
    ///
    /// # Errors
    /// If the table cannot be read, or the item contains no valid event.
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

    /// Newest first.
    async fn find(&self, filter: &Filter, keep: Keep) -> Result<Vec<Found>, HistoryError> {
        let mut found = Vec::new();
        match self.room_keys(filter) {
            Some(keys) => {
                for key in keys {
                    self.query_room(key, filter, keep, &mut found).await?;
                }
            }
            None => self.scan(filter, keep, &mut found).await?,
        }
        newest(&mut found, filter.limit);
        Ok(found)
    }

    /// The stored events with this id; several if several providers use it.
    ///
    /// # Errors
    /// If the table cannot be read, or an item contains no valid event.
    pub async fn events_with_id(&self, id: &str) -> Result<Vec<Stored>, HistoryError> {
        let sequence =
            id.rsplit_once('.').and_then(|(hash, occurrence)| Some((hash, occurrence.parse::<u64>().ok()?)));
        let candidates = [Some((id, 0)), sequence];
        let mut found = Vec::new();
        for provider in PROVIDERS {
            for (name, occurrence) in candidates.iter().flatten() {
                found.extend(self.event_at(&format!("{}#{name}", provider.name), *occurrence).await?);
            }
        }
        found.retain(|stored| stored.event.id == id);
        Ok(found)
    }

    /// The index keys of the filter's room; `None` if the index cannot be used.
    fn room_keys(&self, filter: &Filter) -> Option<Vec<String>> {
        let room = filter.room.as_deref()?;
        let providers = PROVIDERS.iter().map(|provider| provider.name);
        let wanted = providers.filter(|name| filter.provider.as_deref().is_none_or(|wanted| wanted == *name));
        wanted.map(|provider| store::room_key(provider, room)).collect()
    }

    async fn query_room(
        &self,
        room_key: String,
        filter: &Filter,
        keep: Keep,
        found: &mut Vec<Found>,
    ) -> Result<(), HistoryError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by_room")
            .key_condition_expression("room_key = :room")
            .expression_attribute_values(":room", AttributeValue::S(room_key));
        if let Some((expression, values)) = (Filter { provider: None, ..filter.clone() }).expression() {
            query = query.filter_expression(expression);
            for (name, value) in values {
                query = query.expression_attribute_values(name, value);
            }
        }
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            collect(item.map_err(|error| self.unreadable(&error))?, filter, keep, found)?;
        }
        Ok(())
    }

    async fn scan(&self, filter: &Filter, keep: Keep, found: &mut Vec<Found>) -> Result<(), HistoryError> {
        let mut scan = self.client.scan().table_name(&self.table);
        if let Some((expression, values)) = filter.expression() {
            scan = scan.filter_expression(expression);
            for (name, value) in values {
                scan = scan.expression_attribute_values(name, value);
            }
        }
        let mut items = scan.into_paginator().items().send();
        while let Some(item) = items.next().await {
            collect(item.map_err(|error| self.unreadable(&error))?, filter, keep, found)?;
        }
        Ok(())
    }

    pub(crate) fn unstreamable(&self, why: String) -> HistoryError {
        HistoryError::Stream { table: self.table.clone(), why }
    }

    pub(crate) fn unreadable<E, R>(&self, error: &aws_sdk_dynamodb::error::SdkError<E, R>) -> HistoryError
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (table, why) = (self.table.clone(), livehooks_aws::describe(error));
        match &self.stack {
            None => HistoryError::Local { table, why },
            Some(stack) => HistoryError::Deployed { table, stack: stack.name.clone(), why },
        }
    }
}

fn collect(mut item: Item, filter: &Filter, keep: Keep, found: &mut Vec<Found>) -> Result<(), HistoryError> {
    if filter.matches_item(&item)? {
        let text = |name| stored::text(&item, name).unwrap_or_default().to_owned();
        let key = EventKey {
            received_at: text("received_at"),
            event_key: text("event_key"),
            occurrence: stored::number(&item, "occurrence").and_then(|n| n.try_into().ok()).unwrap_or(0),
        };
        if keep == Keep::Key {
            item.clear();
        }
        found.push(Found { key, item });
    }
    // Drop what is over the limit before it fills the memory.
    if filter.limit.is_some_and(|limit| found.len() >= limit.saturating_mul(2).max(1_000)) {
        newest(found, filter.limit);
    }
    Ok(())
}

fn newest(found: &mut Vec<Found>, limit: Option<usize>) {
    found.sort_by(|one, other| other.key.cmp(&one.key));
    found.truncate(limit.unwrap_or(usize::MAX));
}
