//! `livehooks open-ends`: what has started and was never said to have ended. Providers lose such events.

use jiff::{SignedDuration, Timestamp};

use super::options::duration;
use super::{CommandError, Ending, Moment, StackOptions};
use crate::history::Filter;
use crate::terminal::{BOLD, DIM, column, columns, length, line, local, styled};
use crate::timeline::{OpenEnd, Timeline};

/// What counts as open, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks open-ends
  cargo livehooks open-ends --stack live --older-than 12h --since 30d
  cargo livehooks open-ends --stack live --json >open.ndjson || notify 'something never ended'

Exit status: 0 nothing is open, 3 something is, 2 it could not be found out.")]
pub struct OpenEnds {
    #[command(flatten)]
    stack: StackOptions,
    /// Started at least so long ago
    #[arg(long, value_name = "LENGTH", value_parser = duration, default_value = "6h")]
    older_than: SignedDuration,
    /// Look at events received since: 30m, 2h, 7d ago, or a time
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: Moment,
    /// 100ms, videosdk, plugnmeet or livekit
    #[arg(long, value_parser = super::options::provider)]
    provider: Option<String>,
    /// The room's id
    #[arg(long)]
    room: Option<String>,
    /// One open end a line, as JSON
    #[arg(long)]
    json: bool,
}

impl OpenEnds {
    /// Shows them, the longest open first.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let (provider, room) = (self.provider, self.room);
        let filter = Filter { provider, room, since: Some(self.since.time), ..Filter::default() };
        let stored = source.events(&filter).await?;
        let now = Timestamp::now();
        let timelines = Timeline::of_rooms(stored.iter().map(|stored| &stored.event));
        let mut open: Vec<OpenEnd> = timelines.iter().flat_map(Timeline::open_ends).collect();
        open.retain(|open| now.duration_since(open.since) >= self.older_than);
        open.sort_by_key(|open| open.since);
        if self.json {
            for open in &open {
                line(serde_json::to_string(open).unwrap_or_default())?;
            }
        } else if open.is_empty() {
            anstream::eprintln!(
                "nothing in {} is open for longer than {}",
                source.name(),
                length(self.older_than)
            );
        } else {
            table(&open, now)?;
        }
        Ok(if open.is_empty() { Ending::Fine } else { Ending::Open })
    }
}

fn table(open: &[OpenEnd], now: Timestamp) -> Result<(), CommandError> {
    let left = columns().saturating_sub(17 + 14 + 10 + 14 + 4);
    let (room, who) = (left / 2, left - left / 2);
    line(styled(
        BOLD,
        format!(
            "{} {} {} {} {}",
            column("STARTED", 17),
            column("WHAT", 14),
            column("PROVIDER", 10),
            column("ROOM", room),
            column("WHO OR WHICH", who).trim_end(),
        ),
    ))?;
    for end in open {
        line(format!(
            "{} {} {} {} {}",
            styled(DIM, local(end.since, "%Y-%m-%d %H:%M ")),
            column(end.kind.as_str(), 14),
            column(&end.provider, 10),
            column(end.room.as_deref().unwrap_or("-"), room),
            column(&end.label, who).trim_end(),
        ))?;
        let said = match end.presumed_end {
            None => format!("open for {}", length(now.duration_since(end.since))),
            Some(end) => format!("its end was lost: it must have ended by {}", local(end, "%Y-%m-%d %H:%M")),
        };
        line(styled(DIM, format!("  {said}; explain {}", crate::terminal::safe(&end.event, 60))))?;
    }
    Ok(())
}
