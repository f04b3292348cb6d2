//! `--forward-to`: posts every notification to the developer's app, in order, until it answers 2xx.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{NotificationLog, Report};
use crate::forward::HttpTarget;
use crate::local::TOPIC_ARN;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    attributes: BTreeMap<String, String>,
}

pub(super) async fn run(app: HttpTarget, published: Arc<NotificationLog>, report: Arc<Report>) {
    let mut cursor = published.cursor(true);
    published.set_delivered(0);
    while let Some(entry) = published.next(&mut cursor).await {
        // This process wrote the entry, so it is valid.
        if let Ok(entry) = serde_json::from_str::<Entry<'_>>(&entry) {
            let attributes: Vec<(&str, &str)> =
                entry.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let trouble = |why: &str| report.trouble("forward", why);
            app.post_until_accepted(TOPIC_ARN, entry.message.get(), &attributes, trouble).await;
        }
        published.set_delivered(cursor.read_bytes());
    }
}
