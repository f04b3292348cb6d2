//! Why a stored event counted as new.

use super::{HistoryError, Source, Stored};
use crate::terminal::length;

/// Why it counted as new.
///
/// # Errors
/// Where the event before it cannot be read.
pub async fn decision(source: &Source, stored: &Stored) -> Result<String, HistoryError> {
    if stored.event.dedupebasis != "sequence" {
        return Ok("new: no item had this key".into());
    }
    let Some(before) = stored.occurrence.checked_sub(1) else {
        return Ok("new: the first of its sequence".into());
    };
    Ok(match source.event_at(&stored.event_key, before).await? {
        None => format!("new: occurrence {before} of its sequence was there and has expired since"),
        Some(before) => {
            let apart = length(stored.received_at.duration_since(before.received_at));
            match before.body_sha256 == stored.body_sha256 {
                false => format!("new: another body than the one before it, {apart} earlier"),
                true => format!(
                    "new: the same body as the one before it, but {apart} later: repeats come within 2 min"
                ),
            }
        }
    })
}
