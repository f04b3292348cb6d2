//! Follows a stack's events for as long as the command runs, whatever happens to the stack.

use jiff::Timestamp;

use super::backoff::Backoff;
use crate::history::{CLOCKS_DIFFER, Cursor, Filter, HistoryError, Source, Stored, Tail, TailError};
use crate::terminal::local;

/// Reads the events stored from now on.
pub(super) struct Follower<'a> {
    source: &'a Source,
    tail: Option<Tail<'a>>,
    cursor: Cursor,
    /// When the stream was last read.
    read_at: Timestamp,
    backoff: Backoff,
}

impl<'a> Follower<'a> {
    /// Opens the stream.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub(super) async fn start(source: &'a Source) -> Result<Self, HistoryError> {
        let read_at = Timestamp::now();
        let tail = match Tail::from_now(source).await {
            Err(TailError::History(error)) => return Err(error),
            Err(error @ TailError::Trimmed) => return Err(source.unstreamable(error.to_string())),
            Ok(tail) => tail,
        };
        let cursor = tail.cursor().clone();
        Ok(Self { source, tail: Some(tail), cursor, read_at, backoff: Backoff::new() })
    }

    /// The events stored since the last call. Waits while the stack cannot be read.
    ///
    /// If the stream does not reach back to the last call, the events that match the filter are read from the table.
    pub(super) async fn next(&mut self, filter: &Filter) -> Vec<Stored> {
        loop {
            let read = match self.read().await {
                Err(TailError::Trimmed) => self.catch_up(filter).await,
                read => read,
            };
            match read {
                Ok(found) => {
                    self.backoff.reset();
                    return found;
                }
                Err(TailError::History(why)) => self.backoff.wait(&why).await,
                // The stream was replaced once more; the next round reads the new one.
                Err(TailError::Trimmed) => {}
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Stored>, TailError> {
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => Tail::after(self.source, self.cursor.clone()).await?,
        };
        let asked = Timestamp::now();
        let found = tail.next().await?;
        for tailed in &found {
            tail.acknowledge(tailed);
        }
        self.read_at = asked;
        self.cursor = tail.cursor().clone();
        self.tail = Some(tail);
        Ok(found.into_iter().map(|tailed| tailed.stored).collect())
    }

    async fn catch_up(&mut self, filter: &Filter) -> Result<Vec<Stored>, TailError> {
        let since = self.read_at - CLOCKS_DIFFER;
        anstream::eprintln!(
            "the stream does not reach back to {}; reading the events received since {} from the table",
            local(self.read_at, "%Y-%m-%d %H:%M"),
            local(since, "%Y-%m-%d %H:%M")
        );
        // Open the stream before reading the table, so that no event is missed in between.
        let asked = Timestamp::now();
        let tail = Tail::from_now(self.source).await?;
        self.source.indexed().await;
        let since = filter.since.map_or(since, |first| first.max(since));
        let found = self.source.events(&Filter { since: Some(since), ..filter.clone() }).await?;
        self.read_at = asked;
        self.cursor = tail.cursor().clone();
        self.tail = Some(tail);
        Ok(found)
    }
}
