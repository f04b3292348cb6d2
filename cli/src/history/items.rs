//! Reads complete items for entries of an index.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use livehooks_aws::store::Item;
use tokio::task::JoinSet;

use super::lookup::key;
use super::{HistoryError, Source};

/// DynamoDB's limit.
const BATCH: usize = 100;
const AT_ONCE: usize = 8;
/// How often what DynamoDB left out is requested again. It leaves out what exceeds 16 MB, and what it throttles.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

type Key = (String, u64);

impl Source {
    /// The items of these entries, in their order. Entries whose items have expired are left out.
    pub(super) async fn items(&self, entries: Vec<Item>) -> Result<Vec<Item>, HistoryError> {
        self.items_with(entries.iter().map(key).map(|key| (key.event_key, key.occurrence)).collect()).await
    }

    /// The items with these keys, in their order. Those that have expired are left out.
    pub(super) async fn items_with(&self, keys: Vec<Key>) -> Result<Vec<Item>, HistoryError> {
        let mut found = self.batches(&keys, false).await?;
        // The index may be ahead of the copy of the table that answered.
        let missing: Vec<Key> = keys.iter().filter(|key| !found.contains_key(*key)).cloned().collect();
        found.extend(self.batches(&missing, true).await?);
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }

    async fn batches(&self, keys: &[Key], is_consistent: bool) -> Result<HashMap<Key, Item>, HistoryError> {
        let mut batches = keys.chunks(BATCH).map(<[Key]>::to_vec);
        let mut reads = JoinSet::new();
        let mut found = HashMap::new();
        loop {
            while reads.len() < AT_ONCE
                && let Some(batch) = batches.next()
            {
                let source = self.clone();
                reads.spawn(async move { source.batch(&batch, is_consistent).await });
            }
            let Some(read) = reads.join_next().await else { return Ok(found) };
            for item in read.expect("a read does not panic")? {
                let key = key(&item);
                found.insert((key.event_key, key.occurrence), item);
            }
        }
    }

    async fn batch(&self, keys: &[Key], is_consistent: bool) -> Result<Vec<Item>, HistoryError> {
        let key = |(event_key, occurrence): &Key| {
            Item::from([
                ("event_key".into(), AttributeValue::S(event_key.clone())),
                ("occurrence".into(), AttributeValue::N(occurrence.to_string())),
            ])
        };
        let keys = KeysAndAttributes::builder().set_keys(Some(keys.iter().map(key).collect()));
        let keys = keys.consistent_read(is_consistent).build();
        let mut wanted = HashMap::from([(self.table.clone(), keys.expect("the keys are set"))]);
        let mut items = Vec::new();
        for attempt in 1.. {
            let get = self.client.batch_get_item().set_request_items(Some(wanted));
            let answer = get.send().await.map_err(|error| self.unreadable(&error))?;
            let before = items.len();
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            wanted = answer.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                break;
            }
            if items.len() == before {
                if attempt >= ATTEMPTS {
                    return Err(self.unreadable_because("DynamoDB keeps throttling BatchGetItem".into()));
                }
                tokio::time::sleep(PAUSE * attempt).await;
            }
        }
        Ok(items)
    }
}
