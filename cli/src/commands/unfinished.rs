//! `livehooks unfinished`: lists sessions, participants, recordings and streams without an end event, which providers
//! sometimes lose.

use jiff::{SignedDuration, Timestamp};

use super::options::duration;
use super::{Moment, StackOptions, ended};
use crate::error::{CommandError, Ending};
use crate::history::Filter;
use crate::providers::name_choices;
use crate::terminal::{BOLD, DIM, column, columns, length, line, local, safe, styled};
use crate::timeline::{Timeline, UnfinishedSpan};

/// The arguments of `unfinished`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks unfinished
  cargo livehooks unfinished --stack live --older-than 12h --since 30d
  cargo livehooks unfinished --stack live --json >open.ndjson || notify 'something never ended'

Exit status: 0 nothing is unfinished, 3 something is, 2 error.")]
pub struct Unfinished {
    /// Started at least this long ago
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "6h")]
    older_than: SignedDuration,
    /// Use events received since TIME: 30m, 2h, 7d (ago), or a time
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: Moment,
    #[arg(long, help = name_choices(), value_parser = super::options::provider)]
    provider: Option<String>,
    /// The room's id
    #[arg(long)]
    room: Option<String>,
    /// Print each unfinished span as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

impl Unfinished {
    /// Prints the unfinished spans, the oldest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let (provider, room) = (self.provider, self.room);
        let filter = Filter { provider, room, since: Some(self.since.time), ..Filter::default() };
        let events = source.events_without_raw(&filter).await?;
        let now = Timestamp::now();
        let timelines = Timeline::of_rooms(&events);
        let mut open: Vec<UnfinishedSpan> = timelines.iter().flat_map(Timeline::unfinished).collect();
        open.retain(|open| now.duration_since(open.since) >= self.older_than);
        open.sort_by_key(|open| open.since);
        if self.json {
            for open in &open {
                line(serde_json::to_string(open).unwrap_or_default())?;
            }
        } else if open.is_empty() {
            anstream::eprintln!(
                "nothing in {} has been open for longer than {}",
                source.name(),
                length(self.older_than)
            );
        } else {
            table(&open, now)?;
        }
        Ok(ended(&source, if open.is_empty() { Ending::Fine } else { Ending::Open }))
    }
}

fn table(open: &[UnfinishedSpan], now: Timestamp) -> Result<(), CommandError> {
    let time = if columns() < 100 { ("%m-%d %H:%M", 11) } else { ("%Y-%m-%d %H:%M", 16) };
    let left = columns().saturating_sub(time.1 + 13 + 9 + 4);
    let (room, name) = (left / 2, left - left / 2);
    let row = |started: &str, cells: [&str; 4]| {
        let [what, provider, room_id, label] = cells;
        let (what, provider, room) = (column(what, 13), column(provider, 9), column(room_id, room));
        format!("{started} {what} {provider} {room} {}", column(label, name)).trim_end().to_owned()
    };
    line(styled(BOLD, row(&column("STARTED", time.1), ["WHAT", "PROVIDER", "ROOM", "NAME"])))?;
    for end in open {
        let started = styled(DIM, local(end.since, time.0));
        let room = end.room.as_deref().unwrap_or("-");
        line(row(&started, [end.kind.as_str(), &end.provider, room, &end.label]))?;
        let state = match end.presumed_end {
            None => format!("open for {}", length(now.duration_since(end.since))),
            Some(over) => format!("end lost, ended by {}", local(over, time.0)),
        };
        line(styled(DIM, format!("  {state:32} explain {}", safe(&end.event, 60))))?;
    }
    Ok(())
}
