//! What was stored, read back: from the local stack's table or a deployed one's, in one and the same way.
//! Nothing here writes.

mod event;
mod filter;
mod source;
mod stored;

use aws_sdk_dynamodb::types::AttributeValue;
use livehooks_aws::store::{self, Item};

pub use event::{
    Data, ErrorInfo, Event, Ingress, Participant, Recording, Room, Session, Stream, Transcription,
};
pub use filter::Filter;
pub use source::{DeployedStack, Source};
pub use stored::Stored;

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
    #[error("expected a region, found none\n  give --region, or set AWS_REGION, or a profile that has one")]
    NoRegion,
    #[error(
        "stack {name} in {region} cannot be described: {why}\n  compare --stack and --region with `sam list stack-outputs`, and check the credentials with `aws sts get-caller-identity`"
    )]
    Stack { name: String, region: String, why: String },
    #[error(
        "stack {name} has no output {key}: it is no livehooks stack, or an older one\n  deploy this version with `sam build && sam deploy`"
    )]
    NoOutput { name: String, key: &'static str },
}

/// An item whose event is not unpacked yet, in the order in which events were received.
struct Found {
    received_at: String,
    item: Item,
}

impl Source {
    /// The stored events that the filter takes, oldest received first; with a limit the newest of them.
    /// With a room the index `by_room` is asked, else the whole table is read.
    ///
    /// # Errors
    /// Where the table cannot be read, or an item holds no event.
    pub async fn events(&self, filter: &Filter) -> Result<Vec<Stored>, HistoryError> {
        let mut found = Vec::new();
        match self.room_keys(filter) {
            Some(keys) => {
                for key in keys {
                    self.query_room(key, filter, &mut found).await?;
                }
            }
            None => self.scan(filter, &mut found).await?,
        }
        newest(&mut found, filter.limit);
        found.iter().rev().map(|found| Stored::read(&found.item)).collect()
    }

    /// The stored events with this id; more than one where several providers use it.
    ///
    /// # Errors
    /// Where the table cannot be read, or an item holds no event.
    pub async fn events_with_id(&self, id: &str) -> Result<Vec<Stored>, HistoryError> {
        let sequence = id
            .rsplit_once('.')
            .and_then(|(hash, occurrence)| Some((hash, occurrence.parse::<u64>().ok()?.to_string())));
        let places = [Some((id, "0".to_owned())), sequence];
        let mut found = Vec::new();
        for entry in ALL {
            for (name, occurrence) in places.iter().flatten() {
                let get = self
                    .client
                    .get_item()
                    .table_name(&self.table)
                    .key("event_key", AttributeValue::S(format!("{}#{name}", entry.name)))
                    .key("occurrence", AttributeValue::N(occurrence.clone()));
                let answer = get.send().await.map_err(|error| self.unreadable(&error))?;
                found.extend(answer.item().map(Stored::read).transpose()?);
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
            keep(item.map_err(|error| self.unreadable(&error))?, filter, found)?;
        }
        Ok(())
    }

    async fn scan(&self, filter: &Filter, found: &mut Vec<Found>) -> Result<(), HistoryError> {
        let mut scan = self.client.scan().table_name(&self.table);
        if let Some((expression, values)) = filter.expression() {
            scan = scan.filter_expression(expression);
            for (name, value) in values {
                scan = scan.expression_attribute_values(name, value);
            }
        }
        let mut items = scan.into_paginator().items().send();
        while let Some(item) = items.next().await {
            keep(item.map_err(|error| self.unreadable(&error))?, filter, found)?;
        }
        Ok(())
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

fn keep(item: Item, filter: &Filter, found: &mut Vec<Found>) -> Result<(), HistoryError> {
    if filter.takes_item(&item)? {
        let received_at = stored::text(&item, "received_at").unwrap_or_default().to_owned();
        found.push(Found { received_at, item });
    }
    // What will not be shown does not stay in memory.
    if filter.limit.is_some_and(|limit| found.len() >= limit.saturating_mul(2).max(1_000)) {
        newest(found, filter.limit);
    }
    Ok(())
}

fn newest(found: &mut Vec<Found>, limit: Option<usize>) {
    found.sort_by(|one, other| other.received_at.cmp(&one.received_at));
    found.truncate(limit.unwrap_or(usize::MAX));
}
