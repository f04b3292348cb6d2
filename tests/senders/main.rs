//! `cargo senders`: the providers' senders, simulated by their own rules over real HTTP, and load on the local
//! stack.

mod burst;
mod load;
mod local;
mod outage;
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
    /// What an outage of the table costs, with the fallback queue and without it
    Outage(outage::Outage),
    /// Load, an outage, and copies of one delivery, in real time; fails where an event is lost or doubled
    Load(load::Load),
}

fn main() -> ExitCode {
    let keys = Arc::new(KeysFile::make());
    let is_whole = match Arguments::parse().command {
        Command::Statuses => {
            print!("{}", statuses::observe(&keys).table());
            true
        }
        Command::Burst(burst) => {
            burst.run(&local::Local::start(&keys, None));
            true
        }
        Command::Outage(outage) => {
            outage.run(&local::Local::start(&keys, None));
            true
        }
        Command::Load(load) => load.run(&keys),
    };
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
