//! Items that contain no valid event. One of them must not hide the others.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::{HistoryError, Source};

/// The keys of the items that were skipped.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Mutex<BTreeSet<String>>);

impl Source {
    /// The number of items that were skipped so far, because they contain no valid event.
    pub fn skipped(&self) -> usize {
        self.unreadable_items.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Skips an item that contains no valid event, with a warning that names it; a tombstone without one.
    ///
    /// # Errors
    /// Any other error.
    pub fn skip(&self, error: HistoryError) -> Result<(), HistoryError> {
        if matches!(error, HistoryError::Forgotten(_)) {
            return Ok(());
        }
        let HistoryError::NoEvent { event_key, .. } = &error else { return Err(error) };
        let mut known = self.unreadable_items.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(event_key.clone()) {
            anstream::eprintln!("warning: skipped: {error}");
        }
        Ok(())
    }

    /// The result, or `None` if the item contains no valid event or a tombstone; then it is skipped.
    ///
    /// # Errors
    /// Any other error.
    pub fn readable<T>(&self, result: Result<T, HistoryError>) -> Result<Option<T>, HistoryError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.skip(error).map(|()| None),
        }
    }
}
