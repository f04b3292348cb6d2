//! `livehooks listen`: a stack's events to a developer's app that has no public URL.
//!
//! The table's stream is followed; a cursor for each stack and app is saved behind every delivered event. Who
//! comes back within a day goes on in the stream. Later the stream does not go back far enough: then the table is
//! read for what was received since, an hour of overlap included, and the stream from now on. So an event may come
//! twice, and none is left out.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use livehooks_aws::Notification;
use serde::{Deserialize, Serialize};

use super::run_state::StateFile;
use super::{Moment, Selection, StackOptions};
use crate::error::{CommandError, Ending};
use crate::forward::HttpTarget;
use crate::history::{
    Cursor, Filter, HistoryError, Place, ShardCursor, Source, Stored, Tail, TailError, Tailed,
};
use crate::terminal::{DIM, GREEN, YELLOW, column, line, local, safe, styled};

const POLL: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Events are received a little before they are stored, and longer before while the table is out of order.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// DynamoDB keeps a stream for 24 hours; a little less is sure.
const STREAM_REACHES: SignedDuration = SignedDuration::from_hours(23);
/// DynamoDB's clock says when an event was written, in whole seconds; the laptop's when the command began.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);
/// How old a saved place may get while nothing happens.
const SAVE_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What to follow, and where to deliver.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks listen --stack live --forward-to http://127.0.0.1:8080/events
  cargo livehooks listen --stack live --room standup --forward-to http://127.0.0.1:8080/events

Events come as SNS would post them (raw delivery, attributes as headers), in the stream's order, each until the \
app answers 2xx. The first time it begins now, or with --since; later it goes on where it stopped, however long ago, for each \
stack and URL. An event may come twice: take source and id together as the key.

A stream's shard serves two readers well, and the notifier is one of them: with several developers on one \
stack, subscribe queues to the topic instead.")]
pub struct Listen {
    /// The app's URL
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Where to start the first time: 30m, 2h, 7d ago, or a time [default: now]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Forget the saved place and start over
    #[arg(long)]
    fresh: bool,
    /// Print delivered events as JSON, one per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    events: Selection,
    #[command(flatten)]
    stack: StackOptions,
}

/// Where a listener is.
#[derive(Clone, Deserialize, Serialize)]
struct Whereabouts {
    cursor: Cursor,
    /// What was stored before does not concern it.
    begun: Timestamp,
    /// When all that was stored had been delivered.
    caught_up: Timestamp,
    /// While the table is read instead: up to where.
    in_table: Option<Place>,
}

/// A listener at work.
struct Listener<'a> {
    source: &'a Source,
    app: HttpTarget,
    filter: Filter,
    state: StateFile,
    place: Whereabouts,
    /// The place in the stream where it begins, until it is there.
    tail: Option<Tail<'a>>,
    json: bool,
}

impl Whereabouts {
    fn at(cursor: Cursor, time: Timestamp) -> Self {
        Self { cursor, begun: time, caught_up: time, in_table: None }
    }
}

impl Listen {
    /// Delivers until Ctrl-C.
    ///
    /// # Errors
    /// Where the stack cannot be read at the start; later it waits.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let app = HttpTarget::at(&self.forward_to).ok_or_else(|| CommandError::Usage {
            option: "--forward-to",
            expected: "an http or https URL".into(),
            found: self.forward_to.clone(),
            advice: "",
        })?;
        let source = self.stack.source().await?;
        let key = format!("{}\n{}", source.table, self.forward_to);
        let state = StateFile::open(&source, "listen", &key)?;
        let saved: Option<Whereabouts> = state.read().filter(|_| !self.fresh);
        let said = match (&saved, &self.since) {
            (Some(place), _) => format!("goes on from {}", local(place.caught_up, "%Y-%m-%d %H:%M:%S")),
            (None, Some(since)) => format!("begins with {}", local(since.time, "%Y-%m-%d %H:%M:%S")),
            (None, None) => "begins now".to_owned(),
        };
        let mut filter = self.events.filter();
        let (place, tail) = match (saved, &self.since) {
            (Some(place), _) => (place, None),
            (None, Some(since)) => {
                filter.since = Some(since.time);
                (Whereabouts::at(Cursor::default(), since.time), None)
            }
            (None, None) => {
                let now = Timestamp::now();
                let tail = Tail::from_now(&source).await.map_err(following)?;
                (Whereabouts::at(tail.cursor().clone(), now), Some(tail))
            }
        };
        anstream::eprintln!("{} to {}: {said}", source.name(), self.forward_to);
        let mut listener = Listener { source: &source, app, filter, state, place, tail, json: self.json };
        listener.save()?;
        tokio::select! {
            ended = listener.deliver_all() => ended.map(|()| Ending::Fine),
            _ = tokio::signal::ctrl_c() => Ok(Ending::Fine),
        }
    }
}

impl<'a> Listener<'a> {
    async fn deliver_all(&mut self) -> Result<(), CommandError> {
        let mut wait = POLL;
        loop {
            match self.follow().await {
                // What can be fixed without starting again is waited for.
                Err(CommandError::History(why)) => {
                    let first = why.to_string();
                    let first = first.lines().next().unwrap_or_default();
                    anstream::eprintln!("{}  {}", styled(YELLOW, "waits"), safe(first, 400));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
                other => return other,
            }
        }
    }

    async fn follow(&mut self) -> Result<(), CommandError> {
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
            for tailed in &found {
                if !known.remove(&owned(&tailed.stored)) && self.concerns(tailed) {
                    self.deliver(&tailed.stored).await?;
                }
                tail.acknowledge(tailed);
                self.place.cursor = tail.cursor().clone();
                self.save()?;
            }
            if asked.duration_since(self.place.caught_up) >= SAVE_EVERY || !found.is_empty() {
                self.place.caught_up = asked;
                self.place.cursor = tail.cursor().clone();
                self.save()?;
            }
            if found.is_empty() {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    async fn resume(&mut self, known: &mut HashSet<(String, u64)>) -> Result<Tail<'a>, CommandError> {
        let mut cursor = self.place.cursor.clone();
        // A place that no record has marked is found again by the time at which it was taken.
        cursor.shards.retain(|_, shard| *shard != ShardCursor::Latest);
        let is_far_back = Timestamp::now().duration_since(self.place.caught_up) > STREAM_REACHES;
        match Tail::after(self.source, cursor).await {
            Ok(tail) if !is_far_back => Ok(tail),
            Ok(_) | Err(TailError::Trimmed) => self.catch_up(known).await,
            Err(TailError::History(why)) => Err(why.into()),
        }
    }

    fn concerns(&self, tailed: &Tailed) -> bool {
        let is_new = tailed.created_at.is_none_or(|at| at.duration_since(self.place.begun) >= -CLOCKS_DIFFER);
        is_new && self.filter.takes(&tailed.stored)
    }

    /// Delivers what was received since, out of the table; then the stream goes on from where it was before.
    async fn catch_up(&mut self, known: &mut HashSet<(String, u64)>) -> Result<Tail<'a>, CommandError> {
        let since = self.place.caught_up.checked_sub(OVERLAP).unwrap_or(Timestamp::MIN);
        let since = self.filter.since.map_or(since, |first| first.max(since));
        anstream::eprintln!(
            "the stream does not go back to {}: what was received since {} comes out of the table",
            local(self.place.caught_up, "%Y-%m-%d %H:%M"),
            local(since, "%Y-%m-%d %H:%M")
        );
        // The place in the stream comes first: nothing falls between the table and the stream.
        let begun = Timestamp::now();
        let tail = Tail::from_now(self.source).await.map_err(following)?;
        let filter = Filter { since: Some(since), ..self.filter.clone() };
        for place in self.source.places(&filter).await? {
            known.insert((place.event_key.clone(), place.occurrence));
            if self.place.in_table.as_ref().is_some_and(|done| place <= *done) {
                continue;
            }
            if let Some(stored) = self.source.event_at(&place.event_key, place.occurrence).await? {
                self.deliver(&stored).await?;
            }
            self.place.in_table = Some(place);
            self.save()?;
        }
        self.place = Whereabouts::at(tail.cursor().clone(), begun);
        self.save()?;
        Ok(tail)
    }

    async fn deliver(&self, stored: &Stored) -> Result<(), CommandError> {
        let occurrence = stored.occurrence.to_string();
        let made = Notification::new(&stored.json, &self.source.table, &stored.event_key, &occurrence);
        let made = made.map_err(|why| HistoryError::NoEvent { event_key: stored.event_key.clone(), why })?;
        let attributes: Vec<(&str, &str)> =
            made.attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let trouble = |why: &str| anstream::eprintln!("{}  {}", styled(YELLOW, "waits"), safe(why, 400));
        self.app.post_until_taken(&self.source.topic_arn, &made.message, &attributes, trouble).await;
        if self.json {
            return Ok(line(made.message.replace(['\r', '\n'], " "))?);
        }
        let event = &stored.event;
        Ok(line(format!(
            "{} {} {} {} {}",
            styled(DIM, local(stored.received_at, "%H:%M:%S")),
            column(&event.provider, 10),
            column(&event.r#type, 34),
            column(event.subject.as_deref().unwrap_or("-"), 16),
            styled(GREEN, "delivered"),
        ))?)
    }

    fn save(&self) -> Result<(), CommandError> {
        self.state.save(&self.place)
    }
}

fn owned(stored: &Stored) -> (String, u64) {
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
