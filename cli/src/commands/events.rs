//! `livehooks events`: lists stored events and follows new ones.

use super::backoff::POLL;
use super::follow::Follower;
use super::send::TRY;
use super::{FilterOptions, StackOptions, ended};
use crate::error::{CommandError, Ending};
use crate::history::{Filter, Source};
use crate::terminal::{BOLD, DIM, RED, YELLOW, column, columns, is_terminal, line, local, safe, styled};
use livehooks_event::Event;

/// The arguments of `events`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks events --since 2h
  cargo livehooks events --room standup --type 'live.recording.*'
  cargo livehooks events --stack live --follow
  cargo livehooks events --type live.unknown --json | jq .data.raw

The command reads an index by time. --participant and --text read every event since --since, which on a deployed stack \
costs about 0.12 dollars per million events.")]
pub struct Events {
    /// Show at most this many events, the newest
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Follow new events until Ctrl-C, also when the stack restarts
    #[arg(long, short)]
    follow: bool,
    /// Print each event as one line of JSON, as subscribers get it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    events: FilterOptions,
    #[command(flatten)]
    stack: StackOptions,
}

impl Events {
    /// Prints the events, oldest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        // Open the stream before reading the table, so that no event is missed in between.
        let follower = if self.follow { Some(Follower::start(&source).await?) } else { None };
        if self.follow {
            source.indexed().await;
        }
        let filter = self.events.filter(Some(self.limit));
        let found = self.stored(&source, &filter).await?;
        if !self.json && (!found.is_empty() || self.follow) {
            line(styled(BOLD, heading()))?;
        }
        for (event, json) in &found {
            self.show(event, json)?;
        }
        match follower {
            Some(follower) => tokio::select! {
                failed = self.follow(follower, &filter, &found) => failed?,
                _ = tokio::signal::ctrl_c() => {}
            },
            None => {
                if found.is_empty() && !self.json && self.limit > 0 {
                    none(&source, &filter)?;
                }
            }
        }
        Ok(ended(&source, Ending::Fine))
    }

    /// The stored events, with their JSON if that is shown.
    async fn stored(&self, source: &Source, filter: &Filter) -> Result<Vec<(Event, String)>, CommandError> {
        if self.limit == 0 {
            return Ok(Vec::new());
        }
        if self.json {
            let found = source.events(filter).await?;
            return Ok(found.into_iter().map(|stored| (stored.event.clone(), stored.one_line())).collect());
        }
        let found = source.events_without_raw(filter).await?;
        Ok(found.into_iter().map(|event| (event, String::new())).collect())
    }

    async fn follow(
        &self,
        mut follower: Follower<'_>,
        filter: &Filter,
        shown: &[(Event, String)],
    ) -> Result<(), CommandError> {
        let filter = Filter { until: None, limit: None, ..filter.clone() };
        loop {
            for stored in follower.next(&filter).await {
                let event = &stored.event;
                let is_shown = shown.iter().any(|(shown, _)| shown.key() == event.key());
                if !is_shown && filter.matches(&stored) {
                    self.show(event, &stored.one_line())?;
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn show(&self, event: &Event, json: &str) -> Result<(), CommandError> {
        Ok(if self.json { line(json) } else { line(row(event)) }?)
    }
}

fn none(source: &Source, filter: &Filter) -> Result<(), CommandError> {
    let name = source.name();
    anstream::eprintln!(
        "{}",
        match (filter.matches_all(), &source.stack) {
            (false, _) => format!("no such event in {name}; try fewer filters"),
            (true, None) => format!("no event in {name} yet\n  send one with: {TRY}"),
            (true, Some(_)) => format!("no event in {name} yet"),
        }
    );
    Ok(())
}

/// Column widths for the terminal's width.
struct Widths {
    time: (&'static str, usize),
    kind: usize,
    room: usize,
    participant: usize,
    id: usize,
}

const PROVIDER: usize = 9;
/// No id is longer: it is a key of the table.
const ID_MAX: usize = 2_048;

impl Widths {
    fn of_terminal() -> Self {
        let all = columns();
        let (time, kind) = match all {
            0..100 => (("%m-%d %H:%M:%S", 14), 23),
            _ => (("%Y-%m-%d %H:%M:%S", 19), 24),
        };
        let left = all.saturating_sub(time.1 + PROVIDER + kind + 5);
        let room = (left / 4).clamp(8, 24);
        let participant = (left / 4).clamp(11, 20);
        Self { time, kind, room, participant, id: left.saturating_sub(room + participant).max(8) }
    }
}

pub(super) fn heading() -> String {
    let Widths { time, kind, room, participant, .. } = Widths::of_terminal();
    format!(
        "{} {} {} {} {} ID",
        column("RECEIVED", time.1),
        column("PROVIDER", PROVIDER),
        column("TYPE", kind),
        column("ROOM", room),
        column("PARTICIPANT", participant),
    )
}

pub(super) fn row(event: &Event) -> String {
    let widths = Widths::of_terminal();
    let name = event.r#type.as_str();
    let kind = column(name.strip_prefix("live.").unwrap_or(name), widths.kind);
    let kind = match name {
        failed if failed.ends_with("failed") => styled(RED, kind),
        "live.unknown" => styled(YELLOW, kind),
        _ => kind,
    };
    // In a file or a pipe, ids are for other commands.
    let id = if is_terminal() { column(&event.id, widths.id) } else { safe(&event.id, ID_MAX) };
    let text = |text: Option<&str>, width| column(text.unwrap_or("-"), width);
    format!(
        "{} {} {kind} {} {} {}",
        styled(DIM, local(event.recordedtime, widths.time.0)),
        column(&event.provider, PROVIDER),
        text(event.subject.as_deref(), widths.room),
        text(event.participant_name(), widths.participant),
        styled(DIM, id.trim_end()),
    )
}
