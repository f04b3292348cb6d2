//! Fills the log from the table and its stream.

use livehooks_event::Event;
use std::sync::Arc;
use std::time::Duration;

use super::log::ROWS_MAX;
use super::{DeliveryStatus, Log, Row};
use crate::history::{Filter, Source, Tail, TailError};

/// How often a deployed table's stream is read.
const POLL: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(30);

impl From<&Event> for Row {
    /// The table records when an event was received, but not when it was stored and published.
    fn from(event: &Event) -> Self {
        Self {
            id: Some(event.id.clone()),
            r#type: Some(event.r#type.to_string()),
            provider_type: event.providertype.clone(),
            room: event.subject.clone(),
            participant: event.participant_key().map(str::to_owned),
            name: event.data.participant.as_ref().and_then(|participant| participant.name.clone()),
            ..Self::new(DeliveryStatus::Stored, &event.provider, event.recordedtime)
        }
    }
}

/// Adds the events stored before the start.
pub async fn fill(source: Source, log: Arc<Log>) {
    let filter = Filter { limit: Some(ROWS_MAX), ..Filter::default() };
    match source.events_without_raw(&filter).await {
        Ok(events) => log.push_earlier(events.iter().rev().map(Row::from).collect()),
        Err(error) => anstream::eprintln!("warning: earlier events are missing from the page: {error}"),
    }
}

/// Adds the events stored before the start, and follows the table's stream, which costs next to nothing.
pub async fn follow(source: Source, log: Arc<Log>) {
    loop {
        // Open the stream before reading the table: nothing is missed, and the log merges what is in both.
        match Tail::from_now(&source).await {
            Ok(tail) => {
                fill(source.clone(), log.clone()).await;
                read_stream(tail, &log).await;
            }
            Err(error) => warn(&error),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Reads until the stream no longer contains the last position, which happens if the machine slept for a day.
async fn read_stream(mut tail: Tail<'_>, log: &Log) {
    loop {
        let pause = match tail.next().await {
            Ok(stored) => {
                for tailed in stored {
                    log.push(Row::from(&tailed.stored.event));
                    tail.acknowledge(&tailed);
                }
                POLL
            }
            Err(TailError::Trimmed) => return,
            Err(error) => {
                warn(&error);
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn warn(error: &TailError) {
    anstream::eprintln!("warning: the page does not show new events at the moment: {error}");
}
