//! `livehooks rooms`: lists rooms with their participants and recordings.

use jiff::Timestamp;

use super::{FilterOptions, StackOptions, ended};
use crate::error::{CommandError, Ending};
use crate::terminal::{BOLD, DIM, RED, YELLOW, column, columns, line, local, styled};
use crate::timeline::{ROOMS_PERIOD, RoomSummary, Timeline};

/// The arguments of `rooms`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks rooms
  cargo livehooks rooms --stack live --since 7d
  cargo livehooks rooms --json | jq 'select(.open_recordings > 0)'")]
pub struct Rooms {
    /// Print each room as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    events: FilterOptions,
    #[command(flatten)]
    stack: StackOptions,
}

impl Rooms {
    /// Prints the rooms, the last seen at the end.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let source = self.stack.source().await?;
        let mut filter = self.events.filter(None);
        if filter.since.is_none() && filter.until.is_none() {
            filter.since = Timestamp::now().checked_sub(ROOMS_PERIOD).ok();
            let hours = ROOMS_PERIOD.as_hours();
            anstream::eprintln!("events of the last {hours} hours; --since 90d shows all stored ones");
        }
        let events = source.events_without_raw(&filter).await?;
        let timelines = Timeline::of_rooms(&events);
        let mut rooms: Vec<RoomSummary> = timelines.iter().map(Timeline::summary).collect();
        rooms.sort_by_key(|room| room.last_seen);
        if self.json {
            for room in &rooms {
                line(serde_json::to_string(room).unwrap_or_default())?;
            }
            return Ok(ended(&source, Ending::Fine));
        }
        if rooms.is_empty() {
            anstream::eprintln!("no room in {} has a matching event", source.name());
            return Ok(ended(&source, Ending::Fine));
        }
        let time = if columns() < 100 { ("%m-%d %H:%M", 11) } else { ("%Y-%m-%d %H:%M", 16) };
        let width = columns().saturating_sub(47 + 2 * time.1).clamp(8, 40);
        line(styled(
            BOLD,
            format!(
                "{} {} {} {} EVENTS PRESENT  RECORDING FAILED",
                column("PROVIDER", 9),
                column("ROOM", width),
                column("FIRST SEEN", time.1),
                column("LAST SEEN", time.1),
            ),
        ))?;
        for room in &rooms {
            line(row(room, width, time.0))?;
        }
        Ok(ended(&source, Ending::Fine))
    }
}

fn row(room: &RoomSummary, width: usize, time: &str) -> String {
    let of = |part: usize, all: usize| format!("{part} of {all}");
    let recording = format!("{:9}", of(room.open_recordings, room.recordings));
    let failures = if room.failures == 0 { String::new() } else { format!("{:6}", room.failures) };
    let row = format!(
        "{} {} {} {} {:6} {:8} {} {}",
        column(&room.provider, 9),
        column(room.room.as_deref().unwrap_or("(no room)"), width),
        styled(DIM, local(room.first_seen, time)),
        styled(DIM, local(room.last_seen, time)),
        room.events,
        of(room.present, room.participants),
        if room.open_recordings > 0 { styled(YELLOW, recording) } else { recording },
        if room.failures > 0 { styled(RED, failures) } else { failures },
    );
    row.trim_end().to_owned()
}
