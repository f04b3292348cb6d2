//! Why an event was stored as new.

use livehooks_event::DedupeBasis;

use super::{HistoryError, Source, Stored};
use crate::terminal::length;

/// Why the event was stored as new.
///
/// # Errors
/// If the previous event cannot be read.
pub async fn decision(source: &Source, stored: &Stored) -> Result<String, HistoryError> {
    if stored.event.dedupebasis != DedupeBasis::Sequence {
        return Ok("new: no item had this key".into());
    }
    let Some(before) = stored.occurrence.checked_sub(1) else {
        return Ok("new: the first event of its sequence".into());
    };
    let previous = match source.event_at(&stored.event_key, before).await {
        Err(HistoryError::NoEvent { .. }) => {
            return Ok(format!("new: occurrence {before} of its sequence existed and cannot be read"));
        }
        Err(HistoryError::Forgotten(_)) => {
            return Ok(format!("new: occurrence {before} of its sequence existed and was erased"));
        }
        previous => previous?,
    };
    Ok(match previous {
        None => format!("new: occurrence {before} of its sequence existed and has expired"),
        Some(before) => {
            let apart = length(stored.received_at.duration_since(before.received_at));
            match before.body_sha256 == stored.body_sha256 {
                false => format!("new: the body differs from the previous one, received {apart} earlier"),
                true => format!(
                    "new: the same body as the previous one, but {apart} later; repeats come within 2 min"
                ),
            }
        }
    })
}
