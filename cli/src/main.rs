//! The `livehooks` command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use livehooks::commands::completions::Completions;
use livehooks::commands::dev::{Dev, DevError};
use livehooks::commands::event::{EventError, PrintEvent};
use livehooks::commands::events::Events;
use livehooks::commands::explain::Explain;
use livehooks::commands::inspect::{Inspect, InspectError};
use livehooks::commands::keys::ManageKeys;
use livehooks::commands::listen::Listen;
use livehooks::commands::queue::ManageQueue;
use livehooks::commands::replay::Replay;
use livehooks::commands::rooms::Rooms;
use livehooks::commands::send::{Send, SendError};
use livehooks::commands::timeline::ShowTimeline;
use livehooks::commands::unfinished::Unfinished;
use livehooks::commands::verify::Verify;
use livehooks::error::{CommandError, Ending};

/// Webhooks of live-video providers, verified, stored once and published
#[derive(Parser)]
#[command(name = "livehooks", bin_name = "cargo livehooks", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the local stack: the real handlers, an embedded DynamoDB
    Dev(Dev),
    /// Sign and send a sample event as a provider does
    Send(Send),
    /// Print a signed event as API Gateway passes it to Lambda
    Event(PrintEvent),
    /// Serve the page over a deployed stack, read only
    Inspect(Inspect),
    /// List stored events, or follow them
    Events(Events),
    /// List rooms, participants and recordings
    Rooms(Rooms),
    /// Draw a room's timeline, gaps marked
    Timeline(ShowTimeline),
    /// Show one event's history, from delivery to notification
    Explain(Explain),
    /// Check a captured request offline and explain its rejection
    Verify(Verify),
    /// Publish stored events again
    Replay(Box<Replay>),
    /// List sessions, recordings and streams that never ended
    Unfinished(Unfinished),
    /// Deliver a stack's events to a local URL
    Listen(Listen),
    /// Show queued and dead-lettered deliveries, and put dead letters back
    Queue(ManageQueue),
    /// Show, add and retire the keys that a stack verifies with
    Keys(ManageKeys),
    /// Print a shell completion script
    Completions(Completions),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Dev(#[from] DevError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

#[tokio::main]
async fn main() -> ExitCode {
    let either = |is_fine| if is_fine { Ending::Fine } else { Ending::No };
    let done = match Cli::parse().command {
        Command::Dev(dev) => dev.run().await.map(|()| Ending::Fine).map_err(Failure::from),
        Command::Event(event) => event.run().map(|()| Ending::Fine).map_err(Failure::from),
        Command::Send(send) => send.run().await.map(either).map_err(Failure::from),
        Command::Inspect(inspect) => inspect.run().await.map(|()| Ending::Fine).map_err(Failure::from),
        Command::Events(events) => events.run().await.map_err(Failure::from),
        Command::Rooms(rooms) => rooms.run().await.map_err(Failure::from),
        Command::Timeline(timeline) => timeline.run().await.map_err(Failure::from),
        Command::Explain(explain) => explain.run().await.map_err(Failure::from),
        Command::Verify(verify) => verify.run().map_err(Failure::from),
        Command::Replay(replay) => replay.run().await.map_err(Failure::from),
        Command::Unfinished(unfinished) => unfinished.run().await.map_err(Failure::from),
        Command::Listen(listen) => listen.run().await.map_err(Failure::from),
        Command::Queue(queue) => queue.run().await.map_err(Failure::from),
        Command::Keys(keys) => keys.run().await.map_err(Failure::from),
        Command::Completions(shell) => {
            let script = shell.script(Cli::command().name("livehooks").bin_name("livehooks"));
            let written = io::stdout().write_all(&script);
            written.map(|()| Ending::Fine).map_err(|error| Failure::Command(error.into()))
        }
    };
    match done {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(Failure::Command(error)) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}
