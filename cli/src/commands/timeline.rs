//! `livehooks timeline`: draws a room's timeline in the terminal.

use jiff::SignedDuration;

use super::options::provider;
use super::{Moment, StackOptions, ended, render};
use crate::error::{CommandError, Ending};
use crate::history::Filter;
use crate::providers::name_choices;
use crate::terminal::{line, width};
use crate::timeline::Timeline;

/// The period before the latest event that is shown by default.
const DEFAULT_PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// The arguments of `timeline`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks timeline standup
  cargo livehooks timeline standup --stack live --since 2026-01-31T18:00 --until 2026-01-31T23:00
  cargo livehooks timeline standup --json | jq '.lanes[] | select(.kind == \"recording\")'

Legend:
  ┣━━┫ from start to end          ▸  open at the last event
  ╌╌   unknown                    ?  the start or end was never received
  ┃    shorter than a column      ╋  ended and started again within a column
  ◆    a file is ready            ✗  a failure
  •    another event
  « »  outside, because a clock is months off")]
pub struct ShowTimeline {
    /// The room's id
    room: String,
    #[arg(long, help = format!("{}, if several have a room of this name", name_choices()), value_parser = provider)]
    provider: Option<String>,
    /// Received since TIME: 30m, 2h, 7d (ago), or a time [default: 24h before the room's latest event]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Received before TIME (same formats as --since)
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Print each provider's timeline of the room as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stack: StackOptions,
}

impl ShowTimeline {
    /// Draws the timeline.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let filter = Filter {
            provider: self.provider,
            room: Some(self.room.clone()),
            since: self.since.as_ref().map(|since| since.time),
            until: self.until.map(|until| until.time),
            ..Filter::default()
        };
        let mut events = source.events_without_raw(&filter).await?;
        let Some(latest) = events.last().map(|event| event.recordedtime) else {
            anstream::eprintln!(
                "no event of room {:?} in {}\n  list the rooms with: cargo livehooks rooms{}",
                self.room,
                source.name(),
                self.stack.to_arguments()
            );
            return Ok(ended(&source, Ending::No));
        };
        let earlier = events.len();
        if self.since.is_none() {
            events.retain(|event| latest.duration_since(event.recordedtime) <= DEFAULT_PERIOD);
        }
        let earlier = earlier - events.len();
        for (index, timeline) in Timeline::of_rooms(&events).iter().enumerate() {
            if self.json {
                line(serde_json::to_string(timeline).unwrap_or_default())?;
                continue;
            }
            if index > 0 {
                line("")?;
            }
            for drawn in render::draw(timeline, width()) {
                line(drawn)?;
            }
        }
        if earlier > 0 {
            anstream::eprintln!(
                "{earlier} earlier events are not shown; --since 90d shows all stored events"
            );
        }
        Ok(ended(&source, Ending::Fine))
    }
}
