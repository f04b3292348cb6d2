//! Waits while a stack cannot be read.

use std::time::Duration;

use crate::history::HistoryError;
use crate::terminal::{YELLOW, safe, styled};

/// How often a stream is read. DynamoDB allows five reads a second per shard, for all readers.
pub(super) const POLL: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Waits longer after each failure.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(POLL)
    }

    /// Says why the stack cannot be read, and waits.
    pub(super) async fn wait(&mut self, why: &HistoryError) {
        let why = why.to_string();
        let first = why.lines().next().unwrap_or_default();
        anstream::eprintln!("{}  {}", styled(YELLOW, "waiting"), safe(first, 400));
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(WAIT_MAX);
    }

    /// Starts over after a success.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }
}
