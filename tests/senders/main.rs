//! `cargo senders`: simulates the providers' senders over real HTTP, and puts load on the local stack.

#[allow(dead_code, reason = "this program uses less of it than tests/stack")]
#[path = "../common/faulty_client.rs"]
mod faulty_client;

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

/// Simulate the providers' senders
#[derive(Parser)]
#[command(bin_name = "cargo senders")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show how each sender handles each answer
    Statuses,
    /// Find the largest burst that loses nothing
    Burst(burst::Burst),
    /// Count losses in an outage of the table
    Outage(outage::Outage),
    /// Test for lost and doubled events under load
    Load(load::Load),
}

fn main() -> ExitCode {
    let keys = Arc::new(KeysFile::make());
    let is_success = match Arguments::parse().command {
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
    if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
