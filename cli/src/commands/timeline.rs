//! `livehooks timeline`: a room's timeline, drawn in the terminal.

use jiff::SignedDuration;

use super::options::provider;
use super::{Moment, StackOptions, render};
use crate::error::{CommandError, Ending};
use crate::history::{Filter, Stored};
use crate::providers::one_of;
use crate::terminal::{columns, line};
use crate::timeline::Timeline;

/// How much of a room's past is shown where nothing else is said.
const SESSION_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Which room, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks timeline standup
  cargo livehooks timeline standup --stack live --since 2026-01-31T18:00 --until 2026-01-31T23:00
  cargo livehooks timeline standup --json | jq '.lanes[] | select(.kind == \"recording\")'

In the picture:  ┣━━┫ from start to end   ╌╌ no event says how it went on   ? the start or the end was never received
                 ◆ a file is ready   ✗ something failed")]
pub struct ShowTimeline {
    /// The room's id
    room: String,
    #[arg(long, help = format!("{}, where several have a room of this name", one_of()), value_parser = provider)]
    provider: Option<String>,
    /// Received since: 30m, 2h, 7d ago, or a time [default: 24 hours before the room's latest event]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Received before TIME (same formats as --since)
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Print JSON, one timeline per line and provider
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

impl ShowTimeline {
    /// Draws it.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let filter = Filter {
            provider: self.provider,
            room: Some(self.room.clone()),
            since: self.since.as_ref().map(|since| since.time),
            until: self.until.map(|until| until.time),
            ..Filter::default()
        };
        let mut stored = source.events(&filter).await?;
        let Some(latest) = stored.last().map(|stored| stored.received_at) else {
            anstream::eprintln!(
                "no event of room {:?} in {}\n  the rooms that there are: cargo livehooks rooms{}",
                self.room,
                source.name(),
                self.stack.again()
            );
            return Ok(Ending::No);
        };
        let earlier = stored.len();
        if self.since.is_none() {
            let is_recent = |stored: &Stored| latest.duration_since(stored.received_at) <= SESSION_MAX;
            stored.retain(is_recent);
        }
        let earlier = earlier - stored.len();
        for (index, timeline) in
            Timeline::of_rooms(stored.iter().map(|stored| &stored.event)).iter().enumerate()
        {
            if self.json {
                line(serde_json::to_string(timeline).unwrap_or_default())?;
                continue;
            }
            if index > 0 {
                line("")?;
            }
            for drawn in render::draw(timeline, columns()) {
                line(drawn)?;
            }
        }
        if earlier > 0 {
            anstream::eprintln!(
                "{earlier} earlier events are not in the picture; --since 90d shows all that is kept"
            );
        }
        Ok(Ending::Fine)
    }
}
