//! `livehooks listen`: delivers a stack's events to a local URL.
//!
//! The command follows the table's stream and saves a cursor per stack and URL after every delivered event. If it is
//! restarted within a day, it continues in the stream. Later, the stream no longer reaches back far enough: the command
//! reads the events received since then from the table, with an hour of overlap, and follows the stream from now on.
//! So an event may be delivered twice, but none is missed.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use livehooks_aws::Notification;
use serde::{Deserialize, Serialize};

use super::backoff::{Backoff, POLL};
use super::run_state::StateFile;
use super::{Moment, Selection, StackOptions, ended};
use crate::error::{CommandError, Ending};
use crate::forward::HttpTarget;
use crate::history::{
    CLOCKS_DIFFER, Cursor, EventKey, Filter, HistoryError, STREAM_REACHES, Source, Stored, Tail, TailError,
    Tailed,
};
use crate::terminal::{DIM, GREEN, YELLOW, column, line, local, safe, styled};

/// Events are stored shortly after they are received, or much later in an outage of the table.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// How often to save the progress while nothing happens.
const SAVE_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// The arguments of `listen`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks listen --stack live --forward-to http://127.0.0.1:8080/events
  cargo livehooks listen --stack live --room standup --forward-to http://127.0.0.1:8080/events

Events are posted as SNS does with raw delivery (attributes as headers), in the stream's order, each until the app \
answers 2xx. The first run starts now or at --since. Later runs with the same stack and URL continue where the last one \
stopped, even days later. An event may be delivered twice; use source and id together as its key.

A shard of a stream supports two readers, and the notifier is one. If several developers share a stack, subscribe a \
queue per developer to the topic instead.")]
pub struct Listen {
    /// URL to deliver events to
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Where the first run starts: 30m, 2h, 7d (ago) or a time [default: now]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Forget the saved position and start over
    #[arg(long)]
    fresh: bool,
    /// Print each delivered event as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    events: Selection,
    #[command(flatten)]
    stack: StackOptions,
}

/// How far a listener has come.
#[derive(Clone, Deserialize, Serialize)]
struct Progress {
    cursor: Cursor,
    /// Events stored before this time are not delivered.
    begun: Timestamp,
    /// The last time at which all stored events had been delivered.
    caught_up: Timestamp,
    /// The last delivered key while the table is read.
    in_table: Option<EventKey>,
    /// The options of the last run; none if an older version saved this.
    #[serde(default)]
    options: Option<Options>,
}

/// Options that decide what is delivered, as written.
#[derive(Clone, Deserialize, Serialize)]
struct Options {
    filter: String,
    /// Where the first run started.
    since: Option<String>,
}

/// A running listener.
struct Listener<'a> {
    source: &'a Source,
    target: HttpTarget,
    filter: Filter,
    state: StateFile,
    progress: Progress,
    /// The tail to start with, if it is already open.
    tail: Option<Tail<'a>>,
    json: bool,
}

impl Progress {
    fn at(cursor: Cursor, time: Timestamp) -> Self {
        Self { cursor, begun: time, caught_up: time, in_table: None, options: None }
    }
}

impl Listen {
    fn options(&self) -> Options {
        let since = self.since.as_ref().map(|since| since.text.clone());
        Options { filter: self.events.to_arguments(), since }
    }

    /// Delivers until Ctrl-C.
    ///
    /// # Errors
    /// If the stack cannot be read at the start. Later failures are retried.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let target = HttpTarget::at(&self.forward_to).ok_or_else(|| CommandError::Usage {
            option: "--forward-to",
            expected: "an http or https URL".into(),
            found: self.forward_to.clone(),
            advice: "",
        })?;
        let source = self.stack.source_to_publish().await?;
        let key = format!("{}\n{}", source.table, self.forward_to);
        let state = StateFile::open(&source, "listen", &key)?;
        let saved: Option<Progress> = state.read().filter(|_| !self.fresh);
        let start = match (&saved, &self.since) {
            (Some(progress), _) => {
                format!("continuing from {}", local(progress.caught_up, "%Y-%m-%d %H:%M:%S"))
            }
            (None, Some(since)) => format!("starting at {}", local(since.time, "%Y-%m-%d %H:%M:%S")),
            (None, None) => "starting now".to_owned(),
        };
        let mut filter = self.events.filter();
        let (progress, tail) = match (saved, &self.since) {
            (Some(progress), _) => (progress, None),
            (None, Some(since)) => {
                filter.since = Some(since.time);
                (Progress::at(Cursor::default(), since.time), None)
            }
            (None, None) => {
                let now = Timestamp::now();
                let tail = Tail::from_now(&source).await.map_err(following)?;
                (Progress::at(tail.cursor().clone(), now), Some(tail))
            }
        };
        let mut options = self.options();
        let mut differences = Vec::new();
        if let Some(saved) = &progress.options {
            differences = saved.differences(&options);
            // The position still is the one that began with this.
            options.since.clone_from(&saved.since);
        }
        let progress = Progress { options: Some(options), ..progress };
        let mut listener =
            Listener { source: &source, target, filter, state, progress, tail, json: self.json };
        listener.save()?;
        for difference in differences {
            anstream::eprintln!("{}: {difference}; --fresh starts over", styled(YELLOW, "note"));
        }
        anstream::eprintln!("{} to {}: {start}", source.name(), self.forward_to);
        tokio::select! {
            failed = listener.deliver_all() => failed?,
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ended(&source, Ending::Fine))
    }
}

impl Options {
    /// What is not as it was when the position was saved, and what that means.
    fn differences(&self, now: &Self) -> Vec<String> {
        let shown = |filter: &str| if filter.is_empty() { "no filter".into() } else { filter.to_owned() };
        let filter = (self.filter != now.filter).then(|| {
            format!(
                "the position was saved with {}; from there on, this run uses {}",
                shown(&self.filter),
                shown(&now.filter)
            )
        });
        let since = now.since.as_ref().filter(|since| self.since.as_ref() != Some(since));
        let since = since.map(|since| format!("--since {since} has no effect after a saved position"));
        filter.into_iter().chain(since).collect()
    }
}

impl<'a> Listener<'a> {
    async fn deliver_all(&mut self) -> Result<(), CommandError> {
        let mut backoff = Backoff::new();
        loop {
            match self.follow(&mut backoff).await {
                // Retry what may recover.
                Err(CommandError::History(why)) => backoff.wait(&why).await,
                other => return other,
            }
        }
    }

    async fn follow(&mut self, backoff: &mut Backoff) -> Result<(), CommandError> {
        let mut known = HashSet::new();
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => self.resume(&mut known).await?,
        };
        loop {
            let asked = Timestamp::now();
            let found = match tail.next().await {
                Err(TailError::Trimmed) => {
                    tail = self.catch_up(&mut known).await?;
                    continue;
                }
                other => other.map_err(following)?,
            };
            backoff.reset();
            for tailed in &found {
                if !known.remove(&key(&tailed.stored)) && self.is_wanted(tailed) {
                    self.deliver(&tailed.stored).await?;
                }
                tail.acknowledge(tailed);
                self.progress.cursor = tail.cursor().clone();
                self.save()?;
            }
            if asked.duration_since(self.progress.caught_up) >= SAVE_EVERY || !found.is_empty() {
                self.progress.caught_up = asked;
                self.progress.cursor = tail.cursor().clone();
                self.save()?;
            }
            if found.is_empty() {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    async fn resume(&mut self, known: &mut HashSet<(String, u64)>) -> Result<Tail<'a>, CommandError> {
        let is_far_back = Timestamp::now().duration_since(self.progress.caught_up) > STREAM_REACHES;
        match Tail::after(self.source, self.progress.cursor.clone()).await {
            Ok(tail) if !is_far_back => Ok(tail),
            Ok(_) | Err(TailError::Trimmed) => self.catch_up(known).await,
            Err(TailError::History(why)) => Err(why.into()),
        }
    }

    fn is_wanted(&self, tailed: &Tailed) -> bool {
        let is_new =
            tailed.created_at.is_none_or(|at| at.duration_since(self.progress.begun) >= -CLOCKS_DIFFER);
        is_new && self.filter.matches(&tailed.stored)
    }

    /// Delivers the events received since the last position from the table, and returns a tail opened before that.
    async fn catch_up(&mut self, known: &mut HashSet<(String, u64)>) -> Result<Tail<'a>, CommandError> {
        let since = self.progress.caught_up.checked_sub(OVERLAP).unwrap_or(Timestamp::MIN);
        let since = self.filter.since.map_or(since, |first| first.max(since));
        anstream::eprintln!(
            "the stream does not reach back to {}; reading the events received since {} from the table",
            local(self.progress.caught_up, "%Y-%m-%d %H:%M"),
            local(since, "%Y-%m-%d %H:%M")
        );
        // Open the stream before reading the table, so that no event is missed in between.
        let begun = Timestamp::now();
        let tail = Tail::from_now(self.source).await.map_err(following)?;
        self.source.indexed().await;
        let filter = Filter { since: Some(since), ..self.filter.clone() };
        for key in self.source.event_keys(&filter).await? {
            known.insert((key.event_key.clone(), key.occurrence));
            if self.progress.in_table.as_ref().is_some_and(|done| key <= *done) {
                continue;
            }
            let stored = self.source.event_at(&key.event_key, key.occurrence).await;
            if let Some(stored) = self.source.readable(stored)?.flatten() {
                self.deliver(&stored).await?;
            }
            self.progress.in_table = Some(key);
            self.save()?;
        }
        let options = self.progress.options.take();
        self.progress = Progress { options, ..Progress::at(tail.cursor().clone(), begun) };
        self.save()?;
        Ok(tail)
    }

    async fn deliver(&self, stored: &Stored) -> Result<(), CommandError> {
        let occurrence = stored.occurrence.to_string();
        let notification =
            Notification::new(&stored.json, &self.source.table, &stored.event_key, &occurrence);
        let notification = notification.map_err(|why| HistoryError::NoEvent {
            event_key: stored.event_key.clone(),
            why: why.to_string(),
        });
        let Some(notification) = self.source.readable(notification)? else { return Ok(()) };
        let attributes: Vec<(&str, &str)> =
            notification.attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let on_failure = |why: &str| anstream::eprintln!("{}  {}", styled(YELLOW, "waiting"), safe(why, 400));
        self.target
            .post_until_accepted(&self.source.topic_arn, &notification.message, &attributes, on_failure)
            .await;
        if self.json {
            return Ok(line(notification.message.replace(['\r', '\n'], " "))?);
        }
        let event = &stored.event;
        Ok(line(format!(
            "{} {} {} {} {}",
            styled(DIM, local(stored.received_at, "%H:%M:%S")),
            column(&event.provider, 10),
            column(event.r#type.as_str(), 34),
            column(event.subject.as_deref().unwrap_or("-"), 16),
            styled(GREEN, "delivered"),
        ))?)
    }

    fn save(&self) -> Result<(), CommandError> {
        self.state.save(&self.progress)
    }
}

fn key(stored: &Stored) -> (String, u64) {
    (stored.event_key.clone(), stored.occurrence)
}

fn following(error: TailError) -> CommandError {
    match error {
        TailError::History(error) => error.into(),
        TailError::Trimmed => CommandError::Stopped {
            what: "listening",
            why: error.to_string(),
            advice: "start it again".into(),
        },
    }
}
