//! The parts of the `livehooks` command: the local stack, the sample events and their senders.

pub mod dev;
pub mod envelope;
pub mod event;
pub mod inspect;
pub mod keys_file;
pub mod providers;
pub mod samples;
pub mod send;

mod terminal;
