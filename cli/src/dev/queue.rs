//! The fallback queue and its dead-letter queue, as SQS has them: a message that was received stays, hidden, until it
//! is deleted, and one that was received too often is dead-lettered. It lives in a file, so it survives a crash.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lambda_events::event::sqs::SqsEvent;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use super::DataError;
use super::database::check;

/// How often a message is received before it is dead-lettered; as in template.yaml.
pub const RECEIVES_MAX: u32 = 480;
/// Longer than a batch may take. Only one process has the file, and its end gives everything back.
const VISIBILITY: SignedDuration = SignedDuration::from_mins(10);

/// The queue. Clones share it.
#[derive(Clone)]
pub struct Queue {
    connection: Arc<Mutex<Connection>>,
    sent: Arc<Notify>,
}

/// Messages that were received at once.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// As Lambda hands them to a function.
    pub event: SqsEvent,
    /// How often the one of them that was received most often was.
    pub receives: u32,
    /// How many were dead-lettered.
    pub dead: usize,
}

impl Queue {
    /// Opens the queue in `file`, or a new one in memory.
    ///
    /// # Errors
    /// Where the file is no database, or a damaged one; it is left as it is.
    pub fn open(file: Option<&Path>) -> Result<Self, DataError> {
        let damaged = |why: String| DataError::Damaged { what: "fallback queue", why };
        let connection = match file {
            None => Connection::open_in_memory(),
            Some(file) => {
                if file.exists() {
                    check(file).map_err(damaged)?;
                }
                Connection::open(file)
            }
        };
        let connection = connection.map_err(|error| damaged(error.to_string()))?;
        prepare(&connection).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), sent: Arc::default() })
    }

    /// Takes a message and returns its id.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn send(&self, body: &str, now: Timestamp) -> rusqlite::Result<String> {
        let id = Uuid::new_v4().to_string();
        let insert = "INSERT INTO messages (id, body, sent_ms, visible_ms) VALUES (?1, ?2, ?3, ?3)";
        self.with(|connection| connection.execute(insert, params![id, body, now.as_millisecond()]))?;
        self.ring();
        Ok(id)
    }

    /// The oldest messages that can be seen, at most `limit`, and hides them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn receive(&self, limit: usize, now: Timestamp) -> rusqlite::Result<Received> {
        let now_ms = now.as_millisecond();
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let bury = "UPDATE messages SET dead = 1 WHERE NOT dead AND visible_ms <= ?1 AND receives >= ?2";
            let dead = transaction.execute(bury, params![now_ms, RECEIVES_MAX])?;
            let receive = "UPDATE messages SET receives = receives + 1, visible_ms = ?2 WHERE number IN
                (SELECT number FROM messages WHERE NOT dead AND visible_ms <= ?1 ORDER BY number LIMIT ?3)
                RETURNING id, body, sent_ms, receives";
            let hidden_ms = (now + VISIBILITY).as_millisecond();
            let mut receives = 0;
            let records = {
                let mut statement = transaction.prepare(receive)?;
                let rows = statement.query_map(params![now_ms, hidden_ms, limit as i64], |row| {
                    let count: u32 = row.get(3)?;
                    receives = receives.max(count);
                    Ok(record(row.get(0)?, row.get(1)?, row.get(2)?, count))
                })?;
                rows.collect::<rusqlite::Result<Vec<_>>>()?
            };
            transaction.commit()?;
            // The shape is that of the type itself.
            let event = serde_json::from_value(json!({ "Records": records })).unwrap_or_default();
            Ok(Received { event, receives, dead })
        })
    }

    /// Deletes a message that is done with.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delete(&self, id: &str) -> rusqlite::Result<()> {
        self.with(|connection| connection.execute("DELETE FROM messages WHERE id = ?1", [id]).map(drop))
    }

    /// Shows a message again from `at` on.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn show(&self, id: &str, at: Timestamp) -> rusqlite::Result<()> {
        let update = "UPDATE messages SET visible_ms = ?2 WHERE id = ?1";
        self.with(|connection| connection.execute(update, params![id, at.as_millisecond()]).map(drop))
    }

    /// When the next message can be seen, if there is one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_at(&self) -> rusqlite::Result<Option<Timestamp>> {
        let next = "SELECT min(visible_ms) FROM messages WHERE NOT dead";
        let next: Option<i64> = self.with(|connection| connection.query_row(next, [], |row| row.get(0)))?;
        Ok(next.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
    }

    /// The bodies of the messages that wait, and of those that were dead-lettered.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bodies(&self) -> rusqlite::Result<(Vec<String>, Vec<String>)> {
        let all = |dead: bool| {
            self.with(|connection| {
                let select = "SELECT body FROM messages WHERE dead = ?1 ORDER BY number";
                connection.prepare(select)?.query_map([dead], |row| row.get(0))?.collect()
            })
        };
        Ok((all(false)?, all(true)?))
    }

    /// Waits until a message was sent.
    pub(super) async fn sent(&self) {
        self.sent.notified().await;
    }

    /// Has the event source look at once.
    pub(super) fn ring(&self) {
        self.sent.notify_one();
    }

    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        work(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes the table, or takes over that of an older version. What a process had in hand that has ended can be seen again.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLE)?;
    let has_attributes = "SELECT count(*) FROM pragma_table_info('messages') WHERE name = 'attributes'";
    if connection.query_row(has_attributes, [], |row| row.get::<_, u32>(0))? == 0 {
        connection.execute_batch("ALTER TABLE messages ADD COLUMN attributes TEXT")?;
    }
    connection.execute_batch("UPDATE messages SET visible_ms = sent_ms")
}

const TABLE: &str = "PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS messages (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0,
        attributes TEXT
    );
    CREATE INDEX IF NOT EXISTS visible ON messages (dead, visible_ms);";

fn record(id: String, body: String, sent_ms: i64, receives: u32) -> serde_json::Value {
    json!({
        "messageId": id,
        "receiptHandle": id,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": receives.to_string(),
            "SentTimestamp": sent_ms.to_string(),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:fallback",
        "awsRegion": "us-east-1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::constant(1_761_815_000, 0);

    fn after(seconds: i64) -> Timestamp {
        START + SignedDuration::from_secs(seconds)
    }

    fn received(queue: &Queue, now: Timestamp) -> Vec<(String, String)> {
        let received = queue.receive(10, now).unwrap().event.records;
        received.into_iter().map(|message| (message.message_id.unwrap(), message.body.unwrap())).collect()
    }

    #[test]
    fn a_received_message_is_hidden_until_it_is_shown_or_deleted() {
        let queue = Queue::open(None).unwrap();
        let id = queue.send("one", START).unwrap();
        assert_eq!(received(&queue, START), [(id.clone(), "one".into())]);
        assert_eq!(received(&queue, after(1)), []);
        queue.show(&id, after(5)).unwrap();
        assert_eq!(queue.next_at().unwrap(), Some(after(5)));
        assert_eq!(received(&queue, after(4)), []);
        assert_eq!(received(&queue, after(5)).len(), 1);
        assert_eq!(
            received(&queue, after(5 + 600)).len(),
            1,
            "whoever had it has not said what became of it"
        );
        queue.delete(&id).unwrap();
        assert_eq!(received(&queue, after(10_000)), []);
        assert_eq!(queue.next_at().unwrap(), None);
    }

    #[test]
    fn a_message_that_was_received_too_often_is_set_aside_and_never_deleted() {
        let queue = Queue::open(None).unwrap();
        let id = queue.send("poison", START).unwrap();
        for _ in 0..RECEIVES_MAX {
            assert_eq!(received(&queue, START).len(), 1);
            queue.show(&id, START).unwrap();
        }
        assert_eq!(queue.receive(10, START).unwrap().dead, 1);
        assert_eq!(received(&queue, after(10_000)), []);
        assert_eq!(queue.bodies().unwrap(), (vec![], vec!["poison".to_owned()]));
    }

    #[test]
    fn what_a_crash_interrupted_comes_again_in_the_order_of_sending() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        let queue = Queue::open(Some(&file)).unwrap();
        for body in ["1", "2", "3"] {
            queue.send(body, START).unwrap();
        }
        assert_eq!(queue.receive(2, START).unwrap().event.records.len(), 2);
        drop(queue);
        let queue = Queue::open(Some(&file)).unwrap();
        let bodies: Vec<String> = received(&queue, after(1)).into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, ["1", "2", "3"]);
    }

    #[test]
    fn a_damaged_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        std::fs::write(&file, "no database at all, and long enough to be looked at").unwrap();
        let error = Queue::open(Some(&file)).err().unwrap().to_string();
        assert!(error.starts_with("the fallback queue in the data folder is damaged"), "{error}");
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("no database"));
    }
}
