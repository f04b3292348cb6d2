//! `livehooks replay`: publishes stored events again.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::Notification;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::destination::{Destination, SendResult};
use super::events::{heading, row};
use super::run_state::StateFile;
use super::{FilterOptions, Selection, StackOptions, ended};
use crate::error::{CommandError, Ending};
use crate::forward::HttpTarget;
use crate::history::{EventKey, Filter, HistoryError, Source, Stored};
use crate::terminal::{BOLD, GREEN, RED, length, line, local, safe, styled};

/// The arguments of `replay`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("target").required(true).args(["to", "to_topic", "dry_run"])),
    after_help = "Examples:
  cargo livehooks replay --room standup --since 2h --to http://127.0.0.1:8080/events
  cargo livehooks replay --stack live --since 2026-01-31 --type 'live.recording.*' --dry-run
  cargo livehooks replay --stack live --since 2026-01-31 --type 'live.recording.*' --to-topic --rate 50

Events are published oldest first, each with its own `replayid`. Ctrl-C waits for the batch in flight; the same command \
continues from there, and a run publishes nothing twice. --to-topic needs sns:Publish.

Exit status: 0 all published, 1 some permanently rejected, 2 error, 130 stopped by Ctrl-C."
)]
pub struct Replay {
    /// Post to this URL, as SNS does with raw delivery
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Publish on the stack's topic, to all subscribers
    #[arg(long)]
    to_topic: bool,
    /// Show the events without publishing them
    #[arg(long, conflicts_with_all = ["to", "to_topic"])]
    dry_run: bool,
    /// Publish at most this many events a second
    #[arg(long, value_name = "COUNT", default_value = "10")]
    rate: NonZeroU32,
    /// Start over instead of resuming a stopped run
    #[arg(long)]
    fresh: bool,
    /// Print each published event as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    events: FilterOptions,
    #[command(flatten)]
    stack: StackOptions,
}

/// The progress of a run.
#[derive(Deserialize, Serialize)]
struct Run {
    /// The run's id, the first part of every `replayid`.
    id: String,
    begun: Timestamp,
    /// The receive times that the run covers, fixed when it began.
    since: Option<Timestamp>,
    until: Timestamp,
    /// The number of processed events, including the rejected ones.
    count: u64,
    rejected: u64,
    /// All events up to this one are processed.
    done: Option<EventKey>,
    /// Processed events after `done`.
    ahead: Vec<EventKey>,
}

/// A run that was stopped longer ago is not continued.
const RESUMED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// An event to publish.
pub(super) struct Pending {
    key: EventKey,
    notification: Notification,
}

impl Replay {
    /// Publishes the events again.
    ///
    /// # Errors
    /// If the table cannot be read, or the target does not accept events.
    pub async fn run(self) -> Result<Ending, CommandError> {
        if self.dry_run {
            return self.show(&self.stack.source().await?).await;
        }
        let source = self.stack.source_to_publish().await?;
        let destination = match &self.to {
            None => Destination::topic(&source),
            Some(url) => {
                let target = HttpTarget::at(url).ok_or_else(|| CommandError::Usage {
                    option: "--to",
                    expected: "an http or https URL".into(),
                    found: url.clone(),
                    advice: "",
                })?;
                Destination::Http { target, topic_arn: source.topic_arn.clone() }
            }
        };
        let state = StateFile::open(&source, "replay", &self.query(&source))?;
        let now = Timestamp::now();
        let begun =
            state.read().filter(|run: &Run| !self.fresh && now.duration_since(run.begun) < RESUMED_WITHIN);
        let is_resumed = begun.is_some();
        let filter = self.events.filter(None);
        let mut run = begun.unwrap_or_else(|| Run {
            id: Uuid::new_v4().to_string(),
            begun: now,
            since: filter.since,
            until: filter.until.map_or(now, |until| until.min(now)),
            count: 0,
            rejected: 0,
            done: None,
            ahead: Vec::new(),
        });
        let filter = Filter { since: run.since, until: Some(run.until), ..filter };
        let keys = source.event_keys(&filter).await?;
        let left: Vec<EventKey> = keys.iter().filter(|key| !run.has(key)).cloned().collect();
        if is_resumed {
            anstream::eprintln!(
                "continuing the run of {} after {} events (--fresh starts over)",
                local(run.begun, "%Y-%m-%d %H:%M"),
                run.count
            );
        }
        let published = self.publish(&source, &destination, &state, &mut run, left).await;
        let summary = match &published {
            Ok(Ending::Interrupted) | Err(_) => {
                format!(
                    "{} of {} events are published; run the same command to continue",
                    run.count,
                    keys.len()
                )
            }
            Ok(_) => {
                state.forget();
                let count = run.count - run.rejected;
                styled(GREEN, format!("published {count} events again, run {}", run.id))
            }
        };
        anstream::eprintln!("{summary}");
        if run.rejected > 0 {
            anstream::eprintln!("{}", styled(RED, format!("{} permanently rejected", run.rejected)));
        }
        published.map(|ending| ended(&source, ending))
    }

    /// Identifies a run: equal for command lines that continue each other.
    fn query(&self, source: &Source) -> String {
        let FilterOptions { selection, since, until } = &self.events;
        let Selection { provider, kind, room, participant, text } = selection;
        let [since, until] = [since, until].map(|time| time.as_ref().map(|time| time.text.as_str()));
        let texts = [provider, kind, room, participant, text, &self.to].map(|text| text.as_deref());
        format!("{}\n{texts:?}\n{since:?}\n{until:?}", source.table)
    }

    async fn show(&self, source: &Source) -> Result<Ending, CommandError> {
        let keys = source.event_keys(&self.events.filter(None)).await?;
        if !self.json && !keys.is_empty() {
            line(styled(BOLD, heading()))?;
        }
        for key in &keys {
            let stored = source.event_at(&key.event_key, key.occurrence).await;
            if let Some(stored) = source.readable(stored)?.flatten() {
                line(if self.json { stored.one_line() } else { row(&stored.event) })?;
            }
        }
        let rate = u64::from(self.rate.get());
        let takes = length(SignedDuration::from_secs((keys.len() as u64 / rate) as i64));
        let count = keys.len() - source.skipped();
        anstream::eprintln!("{count} events would be published again, in about {takes}");
        Ok(ended(source, Ending::Fine))
    }

    async fn publish(
        &self,
        source: &Source,
        destination: &Destination,
        state: &StateFile,
        run: &mut Run,
        left: Vec<EventKey>,
    ) -> Result<Ending, CommandError> {
        let bar = ProgressBar::new(left.len() as u64);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let started = Instant::now();
        let mut sent = 0_u32;
        let mut left = left.into_iter().peekable();
        while left.peek().is_some() {
            let batch = self.batch(source, destination, run, &mut left).await?;
            let stop = AtomicBool::new(false);
            let mut sending =
                std::pin::pin!(destination.send(&batch, |pending| &pending.notification, &stop));
            // Wait for the batch in flight: only its answer says whether to send it again.
            let result = tokio::select! {
                result = &mut sending => result,
                _ = &mut interrupted => {
                    stop.store(true, Ordering::Relaxed);
                    bar.suspend(|| anstream::eprintln!("stopping after the batch in flight"));
                    sending.await
                }
            };
            // Save before printing: the output may be closed.
            run.acknowledge(&batch, &result.each);
            state.save(run)?;
            for (pending, sent) in batch.iter().zip(&result.each) {
                match sent {
                    SendResult::Sent if self.json => {
                        bar.suspend(|| line(single(&pending.notification.message)))?
                    }
                    SendResult::Sent | SendResult::NotSent => {}
                    SendResult::Rejected(why) => {
                        let key = safe(&pending.key.event_key, 120);
                        bar.suspend(|| anstream::eprintln!("permanently rejected: {key}: {why}"));
                    }
                }
            }
            bar.inc(batch.len() as u64);
            if stop.load(Ordering::Relaxed) {
                bar.abandon();
                return Ok(Ending::Interrupted);
            }
            if let Some(why) = result.failure {
                bar.abandon();
                let advice = "fix the cause, then run the same command to continue".into();
                return Err(CommandError::Stopped { what: "the replay", why, advice });
            }
            sent += batch.len() as u32;
            let due = started + Duration::from_secs_f64(f64::from(sent) / f64::from(self.rate.get()));
            tokio::select! {
                () = tokio::time::sleep_until(due), if left.peek().is_some() => {}
                () = std::future::ready(()), if left.peek().is_none() => {}
                _ = &mut interrupted => {
                    bar.abandon();
                    return Ok(Ending::Interrupted);
                }
            }
        }
        bar.finish_and_clear();
        Ok(if run.rejected > 0 { Ending::No } else { Ending::Fine })
    }

    /// The next batch of events.
    async fn batch(
        &self,
        source: &Source,
        destination: &Destination,
        run: &Run,
        left: &mut std::iter::Peekable<std::vec::IntoIter<EventKey>>,
    ) -> Result<Vec<Pending>, CommandError> {
        let mut batch: Vec<Pending> = Vec::new();
        let mut bytes = 0;
        let most = destination.batch_max().min(self.rate.get() as usize);
        while let Some(key) = left.peek() {
            if batch.len() == most {
                break;
            }
            let stored = source.event_at(&key.event_key, key.occurrence).await;
            let notification =
                stored.and_then(|stored| stored.map(|stored| pending(source, run, key, &stored)).transpose());
            let Some(notification) = source.readable(notification)?.flatten() else {
                left.next();
                continue;
            };
            bytes += notification.bytes();
            if !batch.is_empty() && bytes > livehooks_aws::notification::MESSAGE_BYTES_MAX {
                break;
            }
            let key = key.clone();
            batch.push(Pending { key, notification });
            left.next();
        }
        Ok(batch)
    }
}

impl Run {
    /// Unique per run and event: stays the same if an event is sent again because its acknowledgment was lost.
    fn replay_id(&self, key: &EventKey) -> String {
        let hash = Sha256::digest(format!("{}#{}", key.event_key, key.occurrence));
        format!("{}.{}", self.id, HEXLOWER.encode(&hash[..8]))
    }

    fn has(&self, key: &EventKey) -> bool {
        self.done.as_ref().is_some_and(|done| key <= done) || self.ahead.contains(key)
    }

    /// Marks the sent and the permanently rejected events as processed.
    fn acknowledge(&mut self, batch: &[Pending], results: &[SendResult]) {
        let mut is_first = true;
        for (pending, result) in batch.iter().zip(results) {
            match (result, is_first) {
                (SendResult::NotSent, _) => {
                    is_first = false;
                    continue;
                }
                (_, true) => self.done = Some(pending.key.clone()),
                (_, false) => self.ahead.push(pending.key.clone()),
            }
            self.count += 1;
            self.rejected += u64::from(matches!(result, SendResult::Rejected(_)));
        }
    }
}

/// The event's notification in this run.
fn pending(
    source: &Source,
    run: &Run,
    key: &EventKey,
    stored: &Stored,
) -> Result<Notification, HistoryError> {
    let json = with_replay_id(&stored.json, &run.replay_id(key));
    let notification = Notification::new(&json, &source.table, &key.event_key, &key.occurrence.to_string());
    notification
        .map_err(|why| HistoryError::NoEvent { event_key: key.event_key.clone(), why: why.to_string() })
}

/// The event, byte for byte, with the attribute `replayid` added.
fn with_replay_id(event: &str, replay_id: &str) -> String {
    let event = event.trim_start();
    format!("{{\"replayid\":\"{replay_id}\",{}", event.strip_prefix('{').unwrap_or(event))
}

fn single(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}
