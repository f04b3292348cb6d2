//! What the page says about notifications: when each event was published.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::Announced;
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

/// Notes when each event was announced, as long as the local stack runs.
pub(super) async fn note_announcements(announced: Arc<Announced>, log: Arc<Log>) {
    let mut cursor = announced.cursor(true);
    while let Some(entry) = announced.next(&mut cursor).await {
        let now = Timestamp::now();
        if let Ok(Entry { message }) = serde_json::from_str(&entry) {
            log.announced(&message.provider, &message.id, now);
        }
    }
}
