//! What was stored, read back: from the local stack's table or a deployed one's, in one and the same way.
//! Nothing here writes.

mod decision;
mod event;
mod filter;
mod source;
mod stored;
mod tail;

use aws_sdk_dynamodb::types::AttributeValue;
use livehooks_aws::store::{self, Item};
use serde::{Deserialize, Serialize};

pub use decision::decision;
pub use event::{
    Data, ErrorInfo, Event, Ingress, Participant, Recording, Room, Session, Stream, Transcription,
};
pub use filter::Filter;
pub use source::{DeployedStack, Source};
pub use stored::Stored;
pub use tail::{Cursor, ShardCursor, Tail, TailError, Tailed};

use crate::providers::ALL;

/// Why stored events could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum HistoryError {
    #[error(
        "the table {table} cannot be read: {why}\n  for the local stack start it with `cargo livehooks dev`; for a deployed one give --stack NAME"
    )]
    Local { table: String, why: String },
    #[error(
        "the table {table} of stack {stack} cannot be read: {why}\n  your credentials need dynamodb:Scan, Query and GetItem on it"
    )]
    Deployed { table: String, stack: String, why: String },
    #[error("the item {event_key} holds no event: {why}")]
    NoEvent { event_key: String, why: String },
    #[error("{0}")]
    Certificates(String),
    #[error("expected a region, found none\n  give --region, or set AWS_REGION, or a profile that has one")]
    NoRegion,
    #[error(
        "stack {name} in {region} cannot be described: {why}\n  compare --stack and --region with `aws cloudformation list-stacks`; credentials of `aws sso login` come in by\n  eval \"$(aws configure export-credentials --format env)\""
    )]
    Stack { name: String, region: String, why: String },
    #[error(
        "stack {name} has no output {key}: it is no livehooks stack, or an older one\n  deploy this version with `sam build && sam deploy`"
    )]
    NoOutput { name: String, key: &'static str },
    #[error(
        "stack {name} has no secret for {provider}: the provider is not in its list\n  add it to Providers in samconfig.toml, then `sam build && sam deploy`"
    )]
    NoSecret { name: String, provider: &'static str },
    #[error(
        "the stream of table {table} cannot be read: {why}\n  your credentials need dynamodb:DescribeStream, GetShardIterator and GetRecords on it"
    )]
    Stream { table: String, why: String },
}

/// Where an event is in the table, in the order in which events were received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// When it was received, in the table's own fixed width.
    pub received_at: String,
    /// The item's hash key.
    pub event_key: String,
    /// The item's range key.
    pub occurrence: u64,
}

/// An item that the filter has taken; its event is not unpacked yet, or left out.
struct Found {
    place: Place,
    item: Item,
}

/// What of the items is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Whole,
    Place,
}

impl Source {
    /// The stored events that the filter takes, oldest received first; with a limit the newest of them.
    /// With a room the index `by_room` is asked, else the whole table is read.
    ///
    /// # Errors
    /// Where the table cannot be read, or an item holds no event.
    pub async fn events(&self, filter: &Filter) -> Result<Vec<Stored>, HistoryError> {
        let found = self.find(filter, Keep::Whole).await?;
        found.iter().rev().map(|found| Stored::read(&found.item)).collect()
    }

    /// Where the events are that the filter takes, oldest received first: many more of them fit into memory.
    ///
    /// # Errors
    /// As [`Source::events`].
    pub async fn places(&self, filter: &Filter) -> Result<Vec<Place>, HistoryError> {
        let found = self.find(filter, Keep::Place).await?;
        Ok(found.into_iter().rev().map(|found| found.place).collect())
    }

    /// The event at a place, unless it has expired meanwhile.
    ///
    /// # Errors
    /// Where the table cannot be read, or the item holds no event.
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

    /// The stored events with this id; more than one where several providers use it.
    ///
    /// # Errors
    /// Where the table cannot be read, or an item holds no event.
    pub async fn events_with_id(&self, id: &str) -> Result<Vec<Stored>, HistoryError> {
        let sequence =
            id.rsplit_once('.').and_then(|(hash, occurrence)| Some((hash, occurrence.parse::<u64>().ok()?)));
        let places = [Some((id, 0)), sequence];
        let mut found = Vec::new();
        for entry in ALL {
            for (name, occurrence) in places.iter().flatten() {
                found.extend(self.event_at(&format!("{}#{name}", entry.name), *occurrence).await?);
            }
        }
        found.retain(|stored| stored.event.id == id);
        Ok(found)
    }

    /// The index's keys for the wanted room; `None` where the index does not help.
    fn room_keys(&self, filter: &Filter) -> Option<Vec<String>> {
        let room = filter.room.as_deref()?;
        let providers = ALL.iter().map(|entry| entry.name);
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
            take(item.map_err(|error| self.unreadable(&error))?, filter, keep, found)?;
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
            take(item.map_err(|error| self.unreadable(&error))?, filter, keep, found)?;
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

fn take(mut item: Item, filter: &Filter, keep: Keep, found: &mut Vec<Found>) -> Result<(), HistoryError> {
    if filter.takes_item(&item)? {
        let text = |name| stored::text(&item, name).unwrap_or_default().to_owned();
        let place = Place {
            received_at: text("received_at"),
            event_key: text("event_key"),
            occurrence: stored::number(&item, "occurrence").and_then(|n| n.try_into().ok()).unwrap_or(0),
        };
        if keep == Keep::Place {
            item.clear();
        }
        found.push(Found { place, item });
    }
    // What will not be shown does not stay in memory.
    if filter.limit.is_some_and(|limit| found.len() >= limit.saturating_mul(2).max(1_000)) {
        newest(found, filter.limit);
    }
    Ok(())
}

fn newest(found: &mut Vec<Found>, limit: Option<usize>) {
    found.sort_by(|one, other| other.place.cmp(&one.place));
    found.truncate(limit.unwrap_or(usize::MAX));
}
