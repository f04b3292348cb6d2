//! The `livehooks` command: the local stack, signed sample events, and queries over stored events.

pub mod commands;
pub mod dev;
pub mod envelope;
pub mod error;
pub mod forward;
pub mod history;
pub mod inspect;
pub mod keys_file;
pub mod local;
pub mod providers;
pub mod timeline;

mod terminal;
