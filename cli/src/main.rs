//! The `livehooks` command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use livehooks::commands::completions::Completions;
use livehooks::commands::dev::Dev;
use livehooks::commands::event::PrintEvent;
use livehooks::commands::events::Events;
use livehooks::commands::explain::Explain;
use livehooks::commands::forget::Forget;
use livehooks::commands::inspect::Inspect;
use livehooks::commands::keys::ManageKeys;
use livehooks::commands::listen::Listen;
use livehooks::commands::queue::ManageQueue;
use livehooks::commands::replay::Replay;
use livehooks::commands::rooms::Rooms;
use livehooks::commands::send::Send;
use livehooks::commands::simulate::Simulate;
use livehooks::commands::timeline::ShowTimeline;
use livehooks::commands::unfinished::Unfinished;
use livehooks::commands::verify::Verify;
use livehooks::error::{CommandError, Ending};

/// Verify, store and publish webhooks of live-video providers
#[derive(Parser)]
#[command(name = "livehooks", bin_name = "cargo livehooks", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the local stack
    Dev(Dev),
    /// Send a sample event, signed as a provider signs it
    Send(Send),
    /// Send a whole meeting as a provider reports it
    Simulate(Simulate),
    /// Print a signed event as API Gateway passes it to Lambda
    Event(PrintEvent),
    /// Browse a deployed stack's events, read-only
    Inspect(Inspect),
    /// List stored events, or follow them
    Events(Events),
    /// List rooms, their participants and recordings
    Rooms(Rooms),
    /// Draw a room's timeline
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
    /// Erase a person from the stored events
    Forget(Forget),
    /// Show queued deliveries and redrive dead letters
    Queue(ManageQueue),
    /// Show, add and retire a stack's keys
    Keys(ManageKeys),
    /// Print a shell completion script
    Completions(Completions),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Dev(dev) => dev.run().await,
        Command::Event(event) => event.run(),
        Command::Send(send) => send.run().await,
        Command::Simulate(simulate) => simulate.run().await,
        Command::Inspect(inspect) => inspect.run().await,
        Command::Events(events) => events.run().await,
        Command::Rooms(rooms) => rooms.run().await,
        Command::Timeline(timeline) => timeline.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Verify(verify) => verify.run(),
        Command::Replay(replay) => replay.run().await,
        Command::Unfinished(unfinished) => unfinished.run().await,
        Command::Listen(listen) => listen.run().await,
        Command::Forget(forget) => forget.run().await,
        Command::Queue(queue) => queue.run().await,
        Command::Keys(keys) => keys.run().await,
        Command::Completions(shell) => {
            let script = shell.script(Cli::command().name("livehooks").bin_name("livehooks"));
            let written = io::stdout().write_all(&script);
            written.map(|()| Ending::Fine).map_err(CommandError::from)
        }
    };
    match done {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
