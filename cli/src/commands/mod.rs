//! The commands, one file each.

pub mod completions;
pub mod dev;
pub mod event;
pub mod events;
pub mod explain;
pub mod forget;
pub mod inspect;
pub mod keys;
pub mod listen;
pub mod queue;
pub mod replay;
pub mod rooms;
pub mod send;
pub mod simulate;
pub mod timeline;
pub mod unfinished;
pub mod verify;

mod backoff;
mod destination;
mod fallback_queue;
mod follow;
mod keyring;
mod keys_store;
mod options;
mod render;
mod run_state;
mod webhooks;

pub use options::{FilterOptions, Moment, Selection, StackOptions};

use crate::error::Ending;
use crate::history::Source;

/// How a command ends that has read events. Says how many items were skipped because they contain no valid event.
fn ended(source: &Source, ending: Ending) -> Ending {
    let skipped = source.skipped();
    if skipped == 0 {
        return ending;
    }
    let items = if skipped == 1 {
        "1 item of the table was".into()
    } else {
        format!("{skipped} items of the table were")
    };
    anstream::eprintln!("{items} skipped: no valid event");
    if ending == Ending::Fine { Ending::Incomplete } else { ending }
}
