//! The table of facts: the events of each room, without the provider's own JSON.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use livehooks_event::Event;

use crate::Error;

/// The table.
pub struct Facts {
    client: Client,
    table: String,
    retention_s: i64,
}

impl Facts {
    /// Reads `FACTS_TABLE` and `RETENTION_DAYS`.
    pub async fn from_env() -> Result<Self, Error> {
        let config = aws_config::load_from_env().await;
        let days: i64 = std::env::var("RETENTION_DAYS")?.parse()?;
        let table = std::env::var("FACTS_TABLE")?;
        Ok(Self { client: Client::new(&config), table, retention_s: days * 86_400 })
    }

    /// Stores an event unless it is stored already. The condition makes it idempotent, and there is no other effect: it
    /// does not matter where this dies.
    pub async fn put_once(&self, room: &str, mut event: Event) -> Result<(), Error> {
        (event.data.raw, event.data.raw_base64) = (None, None);
        let expires_at = event.recordedtime.as_second() + self.retention_s;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("room", AttributeValue::S(format!("{}#{room}", event.provider)))
            .item("event", AttributeValue::S(format!("{} {}", event.source, event.id)))
            .item("json", AttributeValue::S(serde_json::to_string(&event)?))
            .item("expires_at", AttributeValue::N(expires_at.to_string()))
            .condition_expression("attribute_not_exists(room)");
        match put.send().await.map_err(|error| error.into_service_error()) {
            Err(error) if !error.is_conditional_check_failed_exception() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The stored events of a room.
    pub async fn of_room(&self, provider: &str, room: &str) -> Result<Vec<Event>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("room = :room")
            .expression_attribute_values(":room", AttributeValue::S(format!("{provider}#{room}")));
        let mut items = query.into_paginator().items().send();
        let mut events = Vec::new();
        while let Some(item) = items.try_next().await? {
            let json =
                item.get("json").and_then(|json| json.as_s().ok()).ok_or("expected an item with json")?;
            events.push(Event::from_json(json)?);
        }
        Ok(events)
    }
}
