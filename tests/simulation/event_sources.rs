//! The event sources of the notifier and of recover, and the redriving of dead letters.

use std::sync::Arc;
use std::time::Duration;

use livehooks::providers::PROVIDER_PIPELINES;
use livehooks_aws::Notifier;
use livehooks_aws::config::{KeySource, NotifyConfig, RecoverConfig};
use livehooks_aws::recover::{self, Recover};
use livehooks_signing::PROVIDERS;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fake_aws::{DEAD_LETTERS_URL, QUARANTINE_URL};
use crate::mutants::Mutant;
use crate::process::Process;
use crate::scenario::{RETENTION, Scenario};
use crate::wire::sdk_config;

/// How long an event source waits: the longest after repeated failures.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Longer than a process may reject with outdated keys after a fix.
const KEYS_REFRESH: Duration = Duration::from_secs(31);
/// Dead letters that return this often are forgeries.
const REDRIVES: usize = 3;

impl Scenario {
    /// The notifier's event source: repeats the records after its checkpoint until they are accepted.
    pub async fn run_stream_source(&self) {
        let mut checkpoint = 0;
        let mut instance: Option<(Arc<Process>, Notifier)> = None;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let records = self.records(checkpoint);
            if records.is_empty() {
                if self.is_drained() {
                    return;
                }
                sleep(SHORTEST_PAUSE).await;
                continue;
            }
            let (process, notifier) = instance.take().unwrap_or_else(|| self.notifier());
            let event = serde_json::from_value(json!({ "Records": records })).unwrap();
            let handled = match self.mutant {
                Some(Mutant::PublishesInline) => Some(Default::default()),
                _ => process.live(notifier.handle(&event)).await,
            };
            let Some(response) = handled else {
                sleep(pause).await;
                continue;
            };
            let failed = response.batch_item_failures.iter().filter_map(|failure| {
                let number: usize = failure.item_identifier.as_ref()?.parse().ok()?;
                Some(number - 1)
            });
            let end = checkpoint + records.len();
            let next = Mutant::checkpoint(self.mutant, failed.collect(), end);
            self.aws
                .log(format_args!("{} published {checkpoint}..{end}, continues at {next}", process.name()));
            // The event source may repeat records that are done.
            if !self.aws.chance(0.05) {
                checkpoint = next;
            }
            pause = if next < end { LONGEST_PAUSE.min(2 * pause) } else { SHORTEST_PAUSE };
            sleep(pause).await;
            instance = Some((process, notifier));
        }
    }

    fn notifier(&self) -> (Arc<Process>, Notifier) {
        let process = self.process("notify");
        let config = NotifyConfig {
            table: "Events".into(),
            topic_arn: "arn:aws:sns:us-east-1:000000000000:livehooks".into(),
            quarantine_queue_url: QUARANTINE_URL.into(),
            batches_at_once: 8,
        };
        let notifier = Notifier::new(config, &sdk_config(&self.aws, &process, self.mutant));
        (process, notifier)
    }

    /// The event source of recover: failed messages stay in the queue.
    pub async fn run_queue_source(&self) {
        let mut instance: Option<(Arc<Process>, Recover)> = None;
        while !self.is_drained() {
            sleep(Duration::from_secs(1)).await;
            let messages = self.aws.receive();
            if messages.is_empty() {
                continue;
            }
            let (process, recover) = instance.take().unwrap_or_else(|| self.recover());
            let now = self.aws.now();
            let records = messages.iter().map(|message| Mutant::queued(self.mutant, message, now).record());
            let event = serde_json::from_value(json!({ "Records": records.collect::<Vec<_>>() })).unwrap();
            process.begin_batch();
            let Some(recovered) = process.live(recover.recover_at(&event, now)).await else { continue };
            let response = recover::response(&recovered);
            let failed: Vec<&str> =
                response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
            self.aws.log(format_args!(
                "{} recovered all of {} but {failed:?}",
                process.name(),
                messages.len()
            ));
            for message in &messages {
                let id = message.id.to_string();
                let is_done = !failed.contains(&&*id) || Mutant::is_done(self.mutant, &recovered, &id);
                if is_done {
                    Mutant::done(self.mutant, &recovered, message, &self.aws);
                }
                // The queue may repeat a deleted message.
                if is_done && !self.aws.chance(0.05) {
                    self.aws.delete(message.id);
                }
            }
            instance = Some((process, recover));
        }
    }

    fn recover(&self) -> (Arc<Process>, Recover) {
        let process = self.process("recover");
        let keys =
            PROVIDERS.iter().map(|entry| (entry.name.into(), KeySource::SecretsManager(entry.name.into())));
        let config = RecoverConfig {
            table: "Events".into(),
            keys: keys.collect(),
            retention: RETENTION,
            dead_letter_queue_url: DEAD_LETTERS_URL.into(),
            deadline: livehooks_aws::config::RECOVER_DEADLINE,
        };
        let recover = Recover::new(PROVIDER_PIPELINES, config, &sdk_config(&self.aws, &process, self.mutant));
        (process, recover)
    }

    /// Redrives before anything is fixed.
    pub async fn redrive_early(&self) {
        let mut times = self.aws.operator.early_redrives.clone();
        times.sort();
        for time in times {
            sleep(time.saturating_sub(self.aws.elapsed())).await;
            if self.is_over.get() {
                return;
            }
            self.redrive();
        }
    }

    /// Redrives after everything is fixed, until only forgeries come back.
    pub async fn redrive_all(&self) {
        for _ in 0..REDRIVES {
            self.queue_is_empty().await;
            if self.aws.state().dead_letters.is_empty() {
                return;
            }
            sleep(KEYS_REFRESH).await;
            self.redrive();
        }
        self.queue_is_empty().await;
    }

    async fn queue_is_empty(&self) {
        while !self.aws.state().queue.is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn redrive(&self) {
        let count = self.aws.state().dead_letters.len();
        self.aws.log(format_args!("{count} dead letters are redriven"));
        Mutant::redrive(self.mutant, &self.aws);
    }

    /// Whether no delivery can reach the table any more.
    fn is_drained(&self) -> bool {
        self.is_over.get() && self.aws.state().queue.is_empty()
    }

    fn records(&self, checkpoint: usize) -> Vec<Value> {
        let state = &mut *self.aws.state();
        let limit = state.rng.usize(1..=25);
        state.stream.iter().skip(checkpoint).take(limit).cloned().collect()
    }
}
