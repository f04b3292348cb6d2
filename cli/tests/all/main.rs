//! The command, the local stack and the page's API as users meet them. One binary, because each would link everything.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod harness;

mod command;
mod data_folder;
mod deployed;
mod forget;
mod forget_runs;
mod guard;
mod keys;
mod lookups;
mod queries;
mod queue;
mod resend;
mod running;
mod simulate;
mod stream;
mod unreadable;
mod verify;
