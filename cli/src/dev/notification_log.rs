//! The notifications published since the start: a log on disk, with a cursor per reader. Slow readers cost no memory
//! and miss nothing.

use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use livehooks_aws::Notification;
use tokio::sync::watch;

use super::publish_counts::{PublishCount, PublishCounts};

/// The log of notifications: entries of `{"message": <event>, "attributes": {…}}`, each preceded by its length.
pub struct NotificationLog {
    file: Mutex<File>,
    bytes: watch::Sender<u64>,
    delivered: AtomicU64,
    counts: PublishCounts,
}

/// A reader's position in the log.
pub struct Cursor {
    at: u64,
    bytes: watch::Receiver<u64>,
    unread: Vec<u8>,
}

impl NotificationLog {
    /// An empty log in a temporary file.
    ///
    /// # Errors
    /// If the temporary file cannot be created.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(tempfile::tempfile()?),
            bytes: watch::Sender::new(0),
            delivered: AtomicU64::new(u64::MAX),
            counts: PublishCounts::new().map_err(io::Error::other)?,
        })
    }

    /// The log's length, in bytes.
    pub fn bytes(&self) -> u64 {
        *self.bytes.borrow()
    }

    /// How much of the log has reached the developer's app, in bytes; `u64::MAX` if there is no app.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn set_delivered(&self, bytes: u64) {
        self.delivered.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn push(&self, notifications: &[Notification]) -> io::Result<()> {
        let mut entries = Vec::new();
        for notification in notifications {
            let attributes = serde_json::to_string(&notification.attributes)?;
            let entry = format!(r#"{{"message":{},"attributes":{attributes}}}"#, notification.message);
            entries.extend((entry.len() as u64).to_be_bytes());
            entries.extend(entry.as_bytes());
        }
        let file = self.file.lock().map_err(|_| io::ErrorKind::Other)?;
        let end = *self.bytes.borrow();
        write_at(&file, &entries, end)?;
        self.counts.add(notifications).map_err(io::Error::other)?;
        self.bytes.send_modify(|bytes| *bytes += entries.len() as u64);
        Ok(())
    }

    /// How often an event was published.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn count(&self, source: &str, id: &str) -> io::Result<PublishCount> {
        self.counts.of(source, id).map_err(io::Error::other)
    }

    /// A cursor at the start of the log, or at its end.
    pub fn cursor(&self, from_start: bool) -> Cursor {
        let bytes = self.bytes.subscribe();
        let at = if from_start { 0 } else { *bytes.borrow() };
        Cursor { at, bytes, unread: Vec::new() }
    }

    /// Waits for the next entry; `None` if the log cannot be read.
    pub async fn next(&self, cursor: &mut Cursor) -> Option<String> {
        loop {
            if let Some(entry) = cursor.take() {
                return String::from_utf8(entry).ok();
            }
            let at = cursor.at;
            let end = *cursor.bytes.wait_for(|bytes| *bytes > at).await.ok()?;
            let mut chunk = vec![0; (end - at).min(1 << 20) as usize];
            read_at(&*self.file.lock().ok()?, &mut chunk, at).ok()?;
            cursor.at += chunk.len() as u64;
            cursor.unread.extend(chunk);
        }
    }
}

impl Cursor {
    /// How much of the log was returned, in bytes.
    pub(super) fn read_bytes(&self) -> u64 {
        self.at - self.unread.len() as u64
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.unread.split_first_chunk()?;
        let end = size_of::<u64>() + usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let entry = rest.get(..end - size_of::<u64>())?.to_vec();
        self.unread.drain(..end);
        Some(entry)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read, Seek};
    file.seek(io::SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes))
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::Seek;
    file.seek(io::SeekFrom::Start(at)).and_then(|_| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(message: &str) -> Notification {
        Notification { message: message.into(), attributes: Default::default() }
    }

    #[test]
    fn publishing_and_replaying_an_event_are_counted_apart() {
        let log = NotificationLog::new().unwrap();
        let event = |id: &str, more: &str| notification(&format!(r#"{{"source":"/s","id":"{id}"{more}}}"#));
        log.push(&[event("a", ""), event("b", ""), notification("[]")]).unwrap();
        log.push(&[event("a", r#","replayid":"r""#), event("a", r#","replayid":"s""#)]).unwrap();
        assert_eq!(log.count("/s", "a").unwrap(), PublishCount { published: 1, replayed: 2 });
        assert_eq!(log.count("/s", "b").unwrap(), PublishCount { published: 1, replayed: 0 });
        assert_eq!(log.count("/other", "a").unwrap(), PublishCount::default());
    }

    #[tokio::test]
    async fn a_late_reader_gets_every_entry_once_and_in_order() {
        let log = NotificationLog::new().unwrap();
        let large = format!("{:?}", "x".repeat(3 << 20));
        log.push(&[notification("1"), notification(&large)]).unwrap();
        let (mut all, mut new) = (log.cursor(true), log.cursor(false));
        log.push(&[notification("[\n3]")]).unwrap();
        assert_eq!(log.next(&mut all).await.unwrap(), r#"{"message":1,"attributes":{}}"#);
        assert_eq!(
            log.next(&mut all).await.unwrap().len(),
            large.len() + r#"{"message":,"attributes":{}}"#.len()
        );
        assert_eq!(log.next(&mut all).await.unwrap(), "{\"message\":[\n3],\"attributes\":{}}");
        assert_eq!(log.next(&mut new).await.unwrap(), "{\"message\":[\n3],\"attributes\":{}}");
        assert_eq!(all.read_bytes(), log.bytes());
    }
}
