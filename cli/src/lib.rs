//! The parts of the `livehooks` command: the local stack, the sample events and their senders, and what was stored.

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
pub mod samples;
pub mod timeline;

mod terminal;
