//! What gets into the log beside the deliveries themselves.

use std::sync::Arc;
use std::time::Duration;

use super::log::ROWS_MAX;
use super::{Became, Log, Row};
use crate::history::{Filter, Source, Stored, Tail, TailError};

/// How often a deployed table's stream is asked.
const POLL: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(30);

impl From<&Stored> for Row {
    /// Of a stored event the table knows when it was received, not when it was stored and published.
    fn from(stored: &Stored) -> Self {
        let event = &stored.event;
        Self {
            id: Some(event.id.clone()),
            r#type: Some(event.r#type.clone()),
            provider_type: event.providertype.clone(),
            room: event.subject.clone(),
            participant: event.participant_key().map(str::to_owned),
            ..Self::new(Became::Stored, &event.provider, stored.received_at)
        }
    }
}

/// Adds what was stored before the start.
pub async fn fill(source: Source, log: Arc<Log>) {
    let filter = Filter { limit: Some(ROWS_MAX), ..Filter::default() };
    match source.events(&filter).await {
        Ok(events) => log.push_earlier(events.iter().rev().map(Row::from).collect()),
        Err(error) => anstream::eprintln!("warning: the page lacks earlier events: {error}"),
    }
}

/// Adds what was stored before the start, and what is stored from now on: the table's stream is read, so that
/// looking on costs nothing to speak of.
pub async fn follow(source: Source, log: Arc<Log>) {
    loop {
        // The stream comes first: what is stored during the reading of the table is in both, and stands once.
        match Tail::from_now(&source).await {
            Ok(tail) => {
                fill(source.clone(), log.clone()).await;
                read_on(tail, &log).await;
            }
            Err(error) => warn(&error),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Reads until the stream does not go back to where it was read last: the machine has slept for a day.
async fn read_on(mut tail: Tail<'_>, log: &Log) {
    loop {
        let pause = match tail.next().await {
            Ok(stored) => {
                for tailed in stored {
                    log.push(Row::from(&tailed.stored));
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
    anstream::eprintln!("warning: new events are not seen for now: {error}");
}
