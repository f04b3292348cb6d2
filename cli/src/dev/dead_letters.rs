//! The dead-letter queue, kept in the fallback queue's table. Messages from recover have attributes; messages that
//! were received too often have none.

use jiff::Timestamp;
use rusqlite::params;
use serde_json::Value;
use uuid::Uuid;

use super::queue::Queue;

/// A message of the dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The message's id.
    pub id: String,
    /// The message's body, as in the fallback queue.
    pub body: String,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: i64,
    /// The message's attributes as SQS writes them; `None` if it was received too often.
    pub attributes: Option<Value>,
}

/// The number of messages in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Messages that can be received.
    pub visible: usize,
    /// Messages that were received and are hidden.
    pub hidden: usize,
}

impl Queue {
    /// Adds a message to the dead-letter queue and returns its id.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn send_dead(&self, body: &str, attributes: &Value, now: Timestamp) -> rusqlite::Result<String> {
        let id = Uuid::new_v4().to_string();
        let insert = "INSERT INTO messages (id, body, sent_ms, visible_ms, dead, attributes)
            VALUES (?1, ?2, ?3, ?3, 1, ?4)";
        let parameters = params![id, body, now.as_millisecond(), attributes.to_string()];
        self.with(|connection| connection.execute(insert, parameters))?;
        Ok(id)
    }

    /// Returns at most `limit` visible dead letters, oldest first, and hides them until `hidden_until`.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn receive_dead(
        &self,
        limit: usize,
        now: Timestamp,
        hidden_until: Timestamp,
    ) -> rusqlite::Result<Vec<DeadLetter>> {
        let receive = "UPDATE messages SET visible_ms = ?2 WHERE number IN
            (SELECT number FROM messages WHERE dead AND visible_ms <= ?1 ORDER BY number LIMIT ?3)
            RETURNING id, body, sent_ms, attributes";
        let parameters = params![now.as_millisecond(), hidden_until.as_millisecond(), limit as i64];
        self.with(|connection| {
            let mut statement = connection.prepare(receive)?;
            let letters = statement.query_map(parameters, |row| {
                let attributes: Option<String> = row.get(3)?;
                // Ignore attributes that this process cannot have written.
                let attributes = attributes.and_then(|json| serde_json::from_str(&json).ok());
                Ok(DeadLetter { id: row.get(0)?, body: row.get(1)?, sent_ms: row.get(2)?, attributes })
            })?;
            letters.collect()
        })
    }

    /// Moves all visible dead letters back to the fallback queue as new messages, and returns their number.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn redrive(&self, now: Timestamp) -> rusqlite::Result<usize> {
        let redrive =
            "UPDATE messages SET dead = 0, receives = 0, attributes = NULL, sent_ms = ?1, visible_ms = ?1
            WHERE dead AND visible_ms <= ?1";
        let moved = self.with(|connection| connection.execute(redrive, [now.as_millisecond()]))?;
        self.wake();
        Ok(moved)
    }

    /// Counts the waiting messages or the dead letters.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn counts(&self, is_dead: bool, now: Timestamp) -> rusqlite::Result<Counts> {
        let count = "SELECT count(*) FILTER (WHERE visible_ms <= ?2), count(*) FILTER (WHERE visible_ms > ?2)
            FROM messages WHERE dead = ?1";
        let parameters = params![is_dead, now.as_millisecond()];
        self.with(|connection| {
            connection
                .query_row(count, parameters, |row| Ok(Counts { visible: row.get(0)?, hidden: row.get(1)? }))
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::super::queue::RECEIVES_MAX;
    use super::*;

    const START: Timestamp = Timestamp::constant(1_761_815_000, 0);

    fn after(seconds: i64) -> Timestamp {
        START + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_dead_letter_can_be_inspected_and_redriven_but_is_never_delivered() {
        let queue = Queue::open(None).unwrap();
        let attributes = json!({ "reason": { "DataType": "String", "StringValue": "wrong_key" } });
        let id = queue.send_dead("one", &attributes, START).unwrap();
        assert!(queue.receive(10, after(1)).unwrap().event.records.is_empty());

        let seen = queue.receive_dead(10, after(1), after(11)).unwrap();
        assert_eq!((seen[0].id.clone(), seen[0].attributes.clone()), (id, Some(attributes)));
        assert!(queue.receive_dead(10, after(2), after(12)).unwrap().is_empty(), "it is hidden");
        assert_eq!(queue.counts(true, after(2)).unwrap(), Counts { visible: 0, hidden: 1 });
        assert_eq!(queue.redrive(after(2)).unwrap(), 0);

        assert_eq!(queue.redrive(after(11)).unwrap(), 1);
        assert_eq!(queue.counts(false, after(11)).unwrap(), Counts { visible: 1, hidden: 0 });
        assert_eq!(queue.receive(10, after(11)).unwrap().event.records.len(), 1);
    }

    #[test]
    fn a_redriven_message_gets_a_full_set_of_attempts() {
        let queue = Queue::open(None).unwrap();
        let id = queue.send("poison", START).unwrap();
        for _ in 0..2 {
            for _ in 0..RECEIVES_MAX {
                assert_eq!(queue.receive(10, START).unwrap().event.records.len(), 1);
                queue.show(&id, START).unwrap();
            }
            assert_eq!(queue.receive(10, START).unwrap().dead, 1);
            assert!(queue.receive_dead(10, START, START).unwrap()[0].attributes.is_none());
            assert_eq!(queue.redrive(START).unwrap(), 1);
        }
    }

    #[test]
    fn a_file_of_an_older_version_is_migrated_with_its_messages() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        let old = rusqlite::Connection::open(&file).unwrap();
        old.execute_batch(
            "CREATE TABLE messages (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
                sent_ms INTEGER NOT NULL, visible_ms INTEGER NOT NULL, receives INTEGER NOT NULL DEFAULT 0,
                dead INTEGER NOT NULL DEFAULT 0);
            INSERT INTO messages (id, body, sent_ms, visible_ms, dead) VALUES ('a', 'waits', 0, 0, 0), ('b', 'dead', 0, 0, 1);",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let queue = Queue::open(Some(&file)).unwrap();
            assert_eq!(queue.bodies().unwrap(), (vec!["waits".into()], vec!["dead".into()]));
            assert!(queue.receive_dead(10, START, START).unwrap()[0].attributes.is_none());
        }
    }
}
