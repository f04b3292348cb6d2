//! `cargo senders`: the providers' senders, simulated by their own rules over real HTTP, and load on the local
//! stack.

mod burst;
mod local;
mod rules;
mod sender;
mod statuses;
mod wire;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use livehooks::keys_file::KeysFile;

/// Simulated senders, and load on the local stack
#[derive(Parser)]
#[command(bin_name = "cargo senders")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What each sender makes of each answer
    Statuses,
    /// The largest burst of events in one room that loses nothing
    Burst(burst::Burst),
}

fn main() -> ExitCode {
    let keys = Arc::new(KeysFile::make());
    match Arguments::parse().command {
        Command::Statuses => print!("{}", statuses::observe(&keys).table()),
        Command::Burst(burst) => burst.run(&local::Local::start(&keys, None)),
    }
    ExitCode::SUCCESS
}
