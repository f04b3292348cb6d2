//! How often each event was published since the start: in a temporary file, because there may be many.

use std::sync::{Mutex, PoisonError};

use livehooks_aws::Notification;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

/// How often one event was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct PublishCount {
    /// By the notifier.
    pub published: u64,
    /// By `replay`.
    pub replayed: u64,
}

pub(super) struct PublishCounts(Mutex<Connection>);

#[derive(Deserialize)]
struct Message {
    source: String,
    id: String,
    replayid: Option<String>,
}

impl PublishCounts {
    pub(super) fn new() -> rusqlite::Result<Self> {
        // Without a name, SQLite makes a file that it deletes itself.
        let file = Connection::open("")?;
        file.execute_batch(
            "PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             CREATE TABLE events (
                 source TEXT NOT NULL, id TEXT NOT NULL, published INTEGER NOT NULL, replayed INTEGER NOT NULL,
                 PRIMARY KEY (source, id)
             ) WITHOUT ROWID;",
        )?;
        Ok(Self(Mutex::new(file)))
    }

    pub(super) fn add(&self, notifications: &[Notification]) -> rusqlite::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = file.transaction()?;
        {
            let mut add = transaction.prepare_cached(
                "INSERT INTO events VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
                 SET published = published + excluded.published, replayed = replayed + excluded.replayed",
            )?;
            for notification in notifications {
                // Others than events cannot be asked for.
                let Ok(message) = serde_json::from_str::<Message>(&notification.message) else { continue };
                let is_replayed = message.replayid.is_some();
                add.execute((message.source, message.id, !is_replayed, is_replayed))?;
            }
        }
        transaction.commit()
    }

    pub(super) fn of(&self, source: &str, id: &str) -> rusqlite::Result<PublishCount> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut query =
            file.prepare_cached("SELECT published, replayed FROM events WHERE source = ?1 AND id = ?2")?;
        let count = query.query_row((source, id), |row| {
            Ok(PublishCount { published: row.get(0)?, replayed: row.get(1)? })
        });
        Ok(count.optional()?.unwrap_or_default())
    }
}
