//! Stores the facts among the queue's events, each once.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use livehooks_event::Event;

use crate::Error;
use crate::attendance::is_fact;
use crate::facts::Facts;

/// Handles a batch. A message that fails comes again; after five times it is in the dead-letter queue.
pub async fn batch(facts: &Facts, batch: SqsEvent) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for message in batch.records {
        let Err(error) = collect(facts, &message).await else { continue };
        let item_identifier = message.message_id.unwrap_or_default();
        lambda_runtime::tracing::error!(%item_identifier, %error, "message failed");
        response.add_failure(item_identifier);
    }
    response
}

async fn collect(facts: &Facts, message: &SqsMessage) -> Result<(), Error> {
    let event = Event::from_json(message.body.as_deref().unwrap_or_default())?;
    // A newer livehooks may have types that this function does not know, and an event too large for SNS may have no room.
    match event.subject.clone() {
        Some(room) if is_fact(&event) => facts.put_once(&room, event).await,
        _ => Ok(()),
    }
}
