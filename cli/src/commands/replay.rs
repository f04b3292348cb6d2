//! `livehooks replay`: stored events, published again.

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

use super::destination::{Destination, Taken};
use super::events::{heading, row};
use super::run_state::StateFile;
use super::{FilterOptions, Selection, StackOptions};
use crate::error::{CommandError, Ending};
use crate::forward::HttpTarget;
use crate::history::{Filter, HistoryError, Place, Source};
use crate::terminal::{BOLD, GREEN, RED, length, line, local, safe, styled};

/// What to publish again, and where to.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("target").required(true).args(["to", "to_topic", "dry_run"])),
    after_help = "Examples:
  cargo livehooks replay --room standup --since 2h --to http://127.0.0.1:8080/events
  cargo livehooks replay --stack live --since 2026-01-31 --type 'live.recording.*' --dry-run
  cargo livehooks replay --stack live --since 2026-01-31 --type 'live.recording.*' --to-topic --rate 50

Events go out oldest first, each with a `replayid` of its own. Ctrl-C stops after what is on its way; the same \
command goes on from there, and nothing is published twice in one run. --to-topic needs sns:Publish.

Exit status: 0 all published, 1 some were rejected for good, 2 it stopped on an error, 130 stopped by Ctrl-C."
)]
pub struct Replay {
    /// Post to this URL, as SNS does with raw delivery
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Publish on the stack's topic, to all subscribers
    #[arg(long)]
    to_topic: bool,
    /// Show what would be published
    #[arg(long, conflicts_with_all = ["to", "to_topic"])]
    dry_run: bool,
    /// Maximum events per second
    #[arg(long, value_name = "COUNT", default_value = "10")]
    rate: NonZeroU32,
    /// Start over instead of resuming a stopped run
    #[arg(long)]
    fresh: bool,
    /// Print published events as JSON, one per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    events: FilterOptions,
    #[command(flatten)]
    stack: StackOptions,
}

/// How far a run has come.
#[derive(Deserialize, Serialize)]
struct Run {
    /// Its id: the first part of every `replayid`.
    id: String,
    begun: Timestamp,
    /// The times between which events belong to it, as they were meant when it began.
    since: Option<Timestamp>,
    until: Timestamp,
    /// How many are done with, those included that were rejected for good.
    count: u64,
    rejected: u64,
    /// Up to where all are done with.
    done: Option<Place>,
    /// What is done with behind that.
    ahead: Vec<Place>,
}

/// A run that was stopped longer ago is not what the same words mean now.
const RESUMED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// An event on its way.
pub(super) struct Pending {
    place: Place,
    notification: Notification,
}

impl Replay {
    /// Publishes them again.
    ///
    /// # Errors
    /// Where the table cannot be read, or the target does not take events.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        if self.dry_run {
            return self.show(&source).await;
        }
        let destination = match &self.to {
            None => Destination::topic(&source),
            Some(url) => {
                let app = HttpTarget::at(url).ok_or_else(|| CommandError::Usage {
                    option: "--to",
                    expected: "an http or https URL".into(),
                    found: url.clone(),
                    advice: "",
                })?;
                Destination::App { app, topic_arn: source.topic_arn.clone() }
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
        let places = source.places(&filter).await?;
        let left: Vec<Place> = places.iter().filter(|place| !run.has(place)).cloned().collect();
        if is_resumed {
            anstream::eprintln!(
                "going on with the run of {} behind {} events (--fresh starts over)",
                local(run.begun, "%Y-%m-%d %H:%M"),
                run.count
            );
        }
        let ended = self.publish(&source, &destination, &state, &mut run, left).await;
        let said = match &ended {
            Ok(Ending::Interrupted) | Err(_) => {
                format!(
                    "{} of {} events are published; the same command goes on from there",
                    run.count,
                    places.len()
                )
            }
            Ok(_) => {
                state.forget();
                let count = run.count - run.rejected;
                styled(GREEN, format!("published {count} events again, run {}", run.id))
            }
        };
        anstream::eprintln!("{said}");
        if run.rejected > 0 {
            anstream::eprintln!("{}", styled(RED, format!("{} were rejected for good", run.rejected)));
        }
        ended
    }

    /// What makes two command lines the same run.
    fn query(&self, source: &Source) -> String {
        let FilterOptions { selection, since, until } = &self.events;
        let Selection { provider, kind, room, participant, text } = selection;
        let [since, until] = [since, until].map(|time| time.as_ref().map(|time| time.said.as_str()));
        let texts = [provider, kind, room, participant, text, &self.to].map(|text| text.as_deref());
        format!("{}\n{texts:?}\n{since:?}\n{until:?}", source.table)
    }

    async fn show(&self, source: &Source) -> Result<Ending, CommandError> {
        let places = source.places(&self.events.filter(None)).await?;
        if !self.json && !places.is_empty() {
            line(styled(BOLD, heading()))?;
        }
        for place in &places {
            if let Some(stored) = source.event_at(&place.event_key, place.occurrence).await? {
                line(if self.json { stored.one_line() } else { row(&stored) })?;
            }
        }
        let rate = u64::from(self.rate.get());
        let takes = length(SignedDuration::from_secs((places.len() as u64 / rate) as i64));
        anstream::eprintln!("{} events would be published again, in about {takes}", places.len());
        Ok(Ending::Fine)
    }

    async fn publish(
        &self,
        source: &Source,
        destination: &Destination,
        state: &StateFile,
        run: &mut Run,
        left: Vec<Place>,
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
            // What is on its way is waited for: only its answer says whether it has to go out again.
            let taken = tokio::select! {
                taken = &mut sending => taken,
                _ = &mut interrupted => {
                    stop.store(true, Ordering::Relaxed);
                    bar.suspend(|| anstream::eprintln!("stopping after what is on its way"));
                    sending.await
                }
            };
            // Saved before anything is shown: the output may be closed.
            run.acknowledge(&batch, &taken.each);
            state.save(run)?;
            for (pending, taken) in batch.iter().zip(&taken.each) {
                match taken {
                    Taken::Yes if self.json => bar.suspend(|| line(single(&pending.notification.message)))?,
                    Taken::Yes | Taken::NotNow => {}
                    Taken::Never(why) => {
                        let key = safe(&pending.place.event_key, 120);
                        bar.suspend(|| anstream::eprintln!("rejected for good: {key}: {why}"));
                    }
                }
            }
            bar.inc(batch.len() as u64);
            if stop.load(Ordering::Relaxed) {
                bar.abandon();
                return Ok(Ending::Interrupted);
            }
            if let Some(why) = taken.failure {
                bar.abandon();
                let advice = "fix it, then run the same command again: it goes on from there".into();
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

    /// The next events, as many as go out at once.
    async fn batch(
        &self,
        source: &Source,
        destination: &Destination,
        run: &Run,
        left: &mut std::iter::Peekable<std::vec::IntoIter<Place>>,
    ) -> Result<Vec<Pending>, CommandError> {
        let mut batch: Vec<Pending> = Vec::new();
        let mut bytes = 0;
        let most = destination.batch_max().min(self.rate.get() as usize);
        while let Some(place) = left.peek() {
            if batch.len() == most {
                break;
            }
            let Some(stored) = source.event_at(&place.event_key, place.occurrence).await? else {
                left.next();
                continue;
            };
            let json = with_replay_id(&stored.json, &run.replay_id(place));
            let occurrence = place.occurrence.to_string();
            let notification = Notification::new(&json, &source.table, &place.event_key, &occurrence);
            let notification = notification
                .map_err(|why| HistoryError::NoEvent { event_key: place.event_key.clone(), why })?;
            bytes += notification.bytes();
            if !batch.is_empty() && bytes > livehooks_aws::notification::MESSAGE_BYTES_MAX {
                break;
            }
            let place = place.clone();
            batch.push(Pending { place, notification });
            left.next();
        }
        Ok(batch)
    }
}

impl Run {
    /// The same for the same event, in case its acknowledgement was lost; another one in every run.
    fn replay_id(&self, place: &Place) -> String {
        let hash = Sha256::digest(format!("{}#{}", place.event_key, place.occurrence));
        format!("{}.{}", self.id, HEXLOWER.encode(&hash[..8]))
    }

    fn has(&self, place: &Place) -> bool {
        self.done.as_ref().is_some_and(|done| place <= done) || self.ahead.contains(place)
    }

    /// What was taken, or never will be, is done with.
    fn acknowledge(&mut self, batch: &[Pending], taken: &[Taken]) {
        let mut is_first = true;
        for (pending, taken) in batch.iter().zip(taken) {
            match (taken, is_first) {
                (Taken::NotNow, _) => {
                    is_first = false;
                    continue;
                }
                (_, true) => self.done = Some(pending.place.clone()),
                (_, false) => self.ahead.push(pending.place.clone()),
            }
            self.count += 1;
            self.rejected += u64::from(matches!(taken, Taken::Never(_)));
        }
    }
}

/// The event, byte for byte, with one attribute more.
fn with_replay_id(event: &str, replay_id: &str) -> String {
    let event = event.trim_start();
    format!("{{\"replayid\":\"{replay_id}\",{}", event.strip_prefix('{').unwrap_or(event))
}

fn single(json: &str) -> String {
    json.replace(['\r', '\n'], " ")
}
