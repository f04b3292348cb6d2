//! The status of the latest deliveries: a bounded log that any number of pages read at their own pace.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_with::skip_serializing_none;
use tokio::sync::watch;
use uuid::Uuid;

/// The maximum number of deliveries kept.
pub const ROWS_MAX: usize = 10_000;
/// The first delivery's number. Events stored before the start get lower numbers.
const FIRST: u64 = 1 << 32;
/// Longer strings are truncated in rows; the event detail has them in full.
const TEXT_CHARS_MAX: usize = 256;

/// The status of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// Its event is in the table.
    Stored,
    /// Its event was already in the table.
    Duplicate,
    /// It is in the fallback queue, unverified, because of our fault.
    Queued,
    /// It is not authentic, or too large.
    Rejected,
    /// It was neither stored nor queued because of our fault.
    Failed,
}

/// A summary of one delivery.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Row {
    /// Later deliveries have higher numbers.
    pub n: u64,
    #[serde(rename = "became")]
    pub status: DeliveryStatus,
    pub provider: String,
    pub received: Timestamp,
    pub stored: Option<Timestamp>,
    pub published: Option<Timestamp>,
    pub id: Option<String>,
    pub r#type: Option<String>,
    pub provider_type: Option<String>,
    pub room: Option<String>,
    /// The participant's id.
    pub participant: Option<String>,
    /// The participant's name.
    pub name: Option<String>,
    /// Whether the room's id is truncated.
    pub is_cut: Option<bool>,
    /// For a duplicate: whether its body differs from the stored one.
    pub altered: Option<bool>,
    /// The reason of a rejection or fault, a stable code.
    pub reason: Option<String>,
    /// The reason in words.
    pub detail: Option<String>,
    /// How to fix it.
    pub advice: Option<&'static str>,
}

/// The latest deliveries.
pub struct Log {
    epoch: String,
    rows: Mutex<Rows>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Rows {
    rows: BTreeMap<u64, (u64, Row)>,
    /// The changed row of each version.
    changes: BTreeMap<u64, u64>,
    /// The row of each stored event.
    stored: HashMap<(String, String), u64>,
    /// Events that were published before their rows were added.
    early: HashMap<(String, String), Timestamp>,
    version: u64,
    next: u64,
}

impl Row {
    /// A delivery of which only the status is known.
    pub fn new(status: DeliveryStatus, provider: &str, received: Timestamp) -> Self {
        Self {
            n: 0,
            status,
            provider: provider.to_owned(),
            received,
            stored: None,
            published: None,
            id: None,
            r#type: None,
            provider_type: None,
            room: None,
            participant: None,
            name: None,
            is_cut: None,
            altered: None,
            reason: None,
            detail: None,
            advice: None,
        }
    }

    fn key(&self) -> Option<(String, String)> {
        Some((self.provider.clone(), self.id.clone()?))
    }

    fn cut(&mut self) {
        self.is_cut = self.room.as_mut().is_some_and(cut).then_some(true);
        let texts = [&mut self.provider_type, &mut self.participant, &mut self.name, &mut self.detail];
        for text in texts.into_iter().flatten() {
            cut(text);
        }
    }
}

/// Truncates a long string, and returns whether it did.
fn cut(text: &mut String) -> bool {
    let end = text.char_indices().nth(TEXT_CHARS_MAX).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
        text.push('…');
    }
    end.is_some()
}

impl Default for Log {
    fn default() -> Self {
        Self { epoch: Uuid::new_v4().to_string(), rows: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Log {
    /// Distinguishes this log's numbers from those of another process.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Adds a new delivery, or updates the row of a stored event that is already in the log.
    pub fn push(&self, mut row: Row) {
        let mut rows = self.lock();
        let known = row.key().filter(|_| row.status == DeliveryStatus::Stored);
        let known = known.and_then(|key| rows.stored.get(&key).copied());
        let n = known.unwrap_or_else(|| {
            rows.next += 1;
            FIRST + rows.next
        });
        row.published = row.published.or(rows.rows.get(&n).and_then(|(_, row)| row.published));
        rows.insert(n, row);
        self.publish(&rows);
    }

    /// Adds events, given newest first, that were stored before all others in the log.
    pub fn push_earlier(&self, events: Vec<Row>) {
        let mut rows = self.lock();
        let first = rows.rows.first_key_value().map_or(FIRST, |(n, _)| *n);
        let room = ROWS_MAX.saturating_sub(rows.rows.len());
        let unknown =
            events.into_iter().filter(|row| row.key().is_none_or(|key| !rows.stored.contains_key(&key)));
        let unknown: Vec<Row> = unknown.take(room).collect();
        for (back, row) in (1..).zip(unknown) {
            rows.insert(first - back, row);
        }
        self.publish(&rows);
    }

    /// Records when an event was first published.
    pub fn published(&self, provider: &str, id: &str, time: Timestamp) {
        let key = (provider.to_owned(), id.to_owned());
        let mut rows = self.lock();
        match rows.stored.get(&key).copied() {
            Some(n) => {
                let Some((_, mut row)) = rows.rows.get(&n).cloned() else { return };
                if row.published.is_none() {
                    row.published = Some(time);
                    rows.insert(n, row);
                    self.publish(&rows);
                }
            }
            None if rows.early.len() < ROWS_MAX => {
                rows.early.entry(key).or_insert(time);
            }
            None => {}
        }
    }

    /// The deliveries of one event, oldest first.
    pub fn of_event(&self, provider: &str, id: &str) -> Vec<Row> {
        let rows = self.lock();
        let all = rows.rows.values().map(|(_, row)| row);
        all.filter(|row| row.provider == provider && row.id.as_deref() == Some(id)).cloned().collect()
    }

    /// At most `limit` rows that were added or changed after a version, and the version that includes them.
    pub fn changes(&self, after: u64, limit: usize) -> (Vec<Row>, u64) {
        let rows = self.lock();
        let changes = rows.changes.range(after + 1..).take(limit);
        let (versions, changed): (Vec<u64>, Vec<Option<Row>>) =
            changes.map(|(version, n)| (*version, rows.rows.get(n).map(|(_, row)| row.clone()))).unzip();
        (changed.into_iter().flatten().collect(), versions.last().copied().unwrap_or(after))
    }

    /// Watches the latest version.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn publish(&self, rows: &Rows) {
        self.version.send_replace(rows.version);
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn insert(&mut self, n: u64, mut row: Row) {
        row.n = n;
        if row.is_cut.is_none() {
            row.cut();
        }
        if let Some(key) = row.key().filter(|_| row.status == DeliveryStatus::Stored) {
            row.published = row.published.or(self.early.remove(&key));
            // The notifier may be faster than the handler's report.
            row.stored = row.stored.map(|stored| row.published.map_or(stored, |time| stored.min(time)));
            self.stored.insert(key, n);
        }
        self.version += 1;
        if let Some((before, _)) = self.rows.insert(n, (self.version, row)) {
            self.changes.remove(&before);
        }
        self.changes.insert(self.version, n);
        while self.rows.len() > ROWS_MAX
            && let Some((n, (version, row))) = self.rows.pop_first()
        {
            self.changes.remove(&version);
            if let Some(key) = row.key()
                && self.stored.get(&key) == Some(&n)
            {
                self.stored.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn row(status: DeliveryStatus, id: &str) -> Row {
        Row { id: Some(id.into()), ..Row::new(status, "p", NOW) }
    }

    fn ids(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.id.as_deref().unwrap()).collect()
    }

    #[test]
    fn a_reader_gets_each_new_or_changed_row_once() {
        let log = Log::default();
        log.push(row(DeliveryStatus::Stored, "a"));
        log.push(row(DeliveryStatus::Duplicate, "a"));
        log.push(row(DeliveryStatus::Stored, "b"));
        let (first, version) = log.changes(0, 2);
        assert_eq!(ids(&first), ["a", "a"]);
        log.published("p", "a", NOW);
        log.published("p", "a", Timestamp::MAX);
        let (rest, version) = log.changes(version, 10);
        assert_eq!(ids(&rest), ["b", "a"]);
        assert_eq!((rest[1].published, rest[1].n), (Some(NOW), first[0].n));
        assert!(log.changes(version, 10).0.is_empty());
    }

    #[test]
    fn an_event_may_be_published_before_its_row_is_added() {
        let log = Log::default();
        log.published("p", "a", NOW);
        log.push(row(DeliveryStatus::Stored, "a"));
        assert_eq!(log.of_event("p", "a")[0].published, Some(NOW));
    }

    #[test]
    fn no_event_is_published_before_it_is_stored() {
        let later = |seconds| NOW + jiff::SignedDuration::from_secs(seconds);
        let stored = |seconds| Row { stored: Some(later(seconds)), ..row(DeliveryStatus::Stored, "a") };
        let times =
            |log: &Log| log.of_event("p", "a").first().map(|row| (row.stored, row.published)).unwrap();
        let log = Log::default();
        // The notifier may publish an event before the handler reports that it is stored.
        log.published("p", "a", later(1));
        log.push(stored(2));
        assert_eq!(times(&log), (Some(later(1)), Some(later(1))));
        log.push(stored(2));
        assert_eq!(times(&log), (Some(later(1)), Some(later(1))));
        let log = Log::default();
        log.push(stored(2));
        log.published("p", "a", later(1));
        assert_eq!(times(&log), (Some(later(1)), Some(later(1))));
        let log = Log::default();
        log.push(stored(1));
        log.published("p", "a", later(2));
        assert_eq!(times(&log), (Some(later(1)), Some(later(2))));
    }

    #[test]
    fn the_oldest_rows_are_removed_first_and_completely() {
        let log = Log::default();
        for index in 0..ROWS_MAX + 5 {
            log.push(row(DeliveryStatus::Stored, &index.to_string()));
        }
        let (rows, _) = log.changes(0, usize::MAX);
        assert_eq!((rows.len(), rows[0].id.as_deref()), (ROWS_MAX, Some("5")));
        let rows = log.lock();
        assert_eq!((rows.changes.len(), rows.stored.len()), (ROWS_MAX, ROWS_MAX));
    }

    #[test]
    fn earlier_events_are_added_first_and_once() {
        let log = Log::default();
        log.push(row(DeliveryStatus::Stored, "new"));
        log.push_earlier(vec![
            row(DeliveryStatus::Stored, "new"),
            row(DeliveryStatus::Stored, "b"),
            row(DeliveryStatus::Stored, "a"),
        ]);
        let (mut rows, _) = log.changes(0, 10);
        rows.sort_by_key(|row| row.n);
        assert_eq!(ids(&rows), ["a", "b", "new"]);
    }

    #[test]
    fn a_stored_event_that_is_reported_twice_has_one_row() {
        let log = Log::default();
        log.push_earlier(vec![row(DeliveryStatus::Stored, "a")]);
        log.published("p", "a", NOW);
        log.push(Row { stored: Some(NOW), ..row(DeliveryStatus::Stored, "a") });
        let rows = log.of_event("p", "a");
        assert_eq!((rows.len(), rows[0].stored, rows[0].published), (1, Some(NOW), Some(NOW)));
    }

    #[test]
    fn long_strings_are_truncated() {
        let log = Log::default();
        log.push(Row { room: Some("é".repeat(10_000)), ..row(DeliveryStatus::Stored, "a") });
        assert_eq!(log.of_event("p", "a")[0].room.as_ref().unwrap().chars().count(), TEXT_CHARS_MAX + 1);
    }
}
