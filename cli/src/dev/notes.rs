//! Records for the page when each event was published.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::NotificationLog;
use crate::inspect::Log;

#[derive(Deserialize)]
struct Entry {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    provider: String,
    id: String,
}

/// Records when each event was published, as long as the local stack runs.
pub(super) async fn note_notifications(published: Arc<NotificationLog>, log: Arc<Log>) {
    let mut cursor = published.cursor(true);
    while let Some(entry) = published.next(&mut cursor).await {
        let now = Timestamp::now();
        if let Ok(Entry { message }) = serde_json::from_str(&entry) {
            log.published(&message.provider, &message.id, now);
        }
    }
}
