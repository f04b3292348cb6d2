//! The `livehooks` command.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use livehooks::commands::completions::Completions;
use livehooks::commands::events::Events;
use livehooks::commands::explain::Explain;
use livehooks::commands::keys::ManageKeys;
use livehooks::commands::listen::Listen;
use livehooks::commands::open_ends::OpenEnds;
use livehooks::commands::queue::ManageQueue;
use livehooks::commands::replay::Replay;
use livehooks::commands::rooms::Rooms;
use livehooks::commands::timeline::ShowTimeline;
use livehooks::commands::verify::Verify;
use livehooks::commands::{CommandError, Ending};
use livehooks::dev::running::Running;
use livehooks::dev::{self, Options, Stack, StartError};
use livehooks::event::{EventError, PrintEvent};
use livehooks::inspect::{Inspect, InspectError};
use livehooks::keys_file::{KeysFile, KeysFileError};
use livehooks::providers::ALL;
use livehooks::send::{Send, SendError};

/// Webhooks of live-video providers, verified, stored once and announced
#[derive(Parser)]
#[command(name = "livehooks", bin_name = "cargo livehooks", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the local stack: the real handlers, an embedded DynamoDB, announcements
    Dev(Dev),
    /// Sign a realistic event as a provider does, and send it
    Send(Send),
    /// Print a signed event as API Gateway hands it to a function
    Event(PrintEvent),
    /// Serve the page over a deployed stack, read-only, on this machine alone
    Inspect(Inspect),
    /// Show what was stored, and what is being stored
    Events(Events),
    /// Show the rooms: when they were seen, who is in them, what is being recorded
    Rooms(Rooms),
    /// Draw a room's evening: who was there when, what was recorded, what is missing
    Timeline(ShowTimeline),
    /// Tell the whole story of one event, from delivery to announcement
    Explain(Explain),
    /// Check a captured request offline, and say precisely why it is refused
    Verify(Verify),
    /// Announce stored events again
    Replay(Box<Replay>),
    /// Find what has started and was never said to have ended
    OpenEnds(OpenEnds),
    /// Follow a stack and deliver its events to your app, also those that came while it was away
    Listen(Listen),
    /// Show queued and dead-lettered deliveries, and put dead letters back
    Queue(ManageQueue),
    /// Show, add and retire the keys that a stack verifies with
    Keys(ManageKeys),
    /// Print a script that completes command lines
    Completions(Completions),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks dev
  cargo livehooks dev --memory --port 0
  cargo livehooks dev --keys keys.json --forward-to http://127.0.0.1:8080/events")]
struct Dev {
    /// Port of the webhooks and the API; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the embedded DynamoDB [default: the next one after --port, or a free one]
    #[arg(long, value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// Address of DynamoDB, SNS and SQS; that of Docker's bridge (172.17.0.1) lets containers in
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST)]
    aws_host: Ipv4Addr,
    /// Folder for the events [default: .livehooks]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep the events in memory only
    #[arg(long)]
    memory: bool,
    /// Every provider's keys [default: made once, beside the data]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Post every announcement to this URL, as SNS would
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Start(#[from] StartError),
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
        Command::Dev(dev) => dev.run().await.map(|()| Ending::Fine),
        Command::Event(event) => event.run().map(|()| Ending::Fine).map_err(Failure::from),
        Command::Send(send) => send.run().await.map(either).map_err(Failure::from),
        Command::Inspect(inspect) => inspect.run().await.map(|()| Ending::Fine).map_err(Failure::from),
        Command::Events(events) => events.run().await.map_err(Failure::from),
        Command::Rooms(rooms) => rooms.run().await.map_err(Failure::from),
        Command::Timeline(timeline) => timeline.run().await.map_err(Failure::from),
        Command::Explain(explain) => explain.run().await.map_err(Failure::from),
        Command::Verify(verify) => verify.run().map_err(Failure::from),
        Command::Replay(replay) => replay.run().await.map_err(Failure::from),
        Command::OpenEnds(open_ends) => open_ends.run().await.map_err(Failure::from),
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

impl Dev {
    async fn run(self) -> Result<(), Failure> {
        let folder = self.data.unwrap_or_else(dev::default_folder);
        let (keys, keys_file) = match self.keys {
            Some(file) => (KeysFile::read(&file)?, file),
            None => {
                let file = folder.join("keys.json");
                (KeysFile::read_or_make(&file)?, file)
            }
        };
        for weakness in keys.weaknesses() {
            anstream::eprintln!("warning: {weakness}");
        }
        let data = (!self.memory).then(|| folder.clone());
        let stack = Stack::start(Options {
            port: self.port,
            dynamodb_port: self.dynamodb_port,
            aws_host: self.aws_host,
            data: data.clone(),
            keys,
            forward_to: self.forward_to.clone(),
            verbose: true,
        })
        .await?;
        let keys_file = std::path::absolute(&keys_file).unwrap_or(keys_file);
        let running = Running {
            url: stack.url(),
            dynamodb: Some(stack.dynamodb),
            sns: Some(stack.aws),
            keys: keys_file.clone(),
        };
        if let Err(error) = running.write() {
            anstream::eprintln!(
                "warning: send will need --url and --keys, for .livehooks cannot be written to: {error}"
            );
        }

        let url = stack.url();
        for entry in ALL {
            anstream::println!("webhooks   {url}/webhooks/{}", entry.name);
        }
        anstream::println!("page       {url}/");
        anstream::println!("dynamodb   http://{}  (table Events, any credentials)", stack.dynamodb);
        anstream::println!("sns, sqs   http://{}  (for notify alone)", stack.aws);
        anstream::println!(
            "data       {}",
            data.map_or("in memory".into(), |folder| folder.display().to_string())
        );
        anstream::println!("keys       {}", keys_file.display());
        if let Some(target) = self.forward_to {
            anstream::println!("forward    {target}");
        }
        anstream::println!("try        cargo livehooks send plugnmeet participant_joined");
        anstream::println!("ready      {url}");
        tokio::select! {
            () = stack.run() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Running::forget();
        Ok(())
    }
}
