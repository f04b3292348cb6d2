//! The commands, one file each.

pub mod completions;
pub mod dev;
pub mod event;
pub mod events;
pub mod explain;
pub mod inspect;
pub mod keys;
pub mod listen;
pub mod queue;
pub mod replay;
pub mod rooms;
pub mod send;
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

pub use options::{FilterOptions, Moment, Selection, StackOptions};
