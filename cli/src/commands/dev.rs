//! `livehooks dev`: the local stack.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::send::TRY;
use crate::dev::{Options, Stack, StartError};
use crate::keys_file::{KeysFile, KeysFileError};
use crate::local::default_folder;
use crate::local::lock_file::Running;
use crate::providers::ALL;

/// How to start the local stack.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks dev
  cargo livehooks dev --memory --port 0
  cargo livehooks dev --keys keys.json --forward-to http://127.0.0.1:8080/events")]
pub struct Dev {
    /// Port of the webhooks and the API; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the embedded DynamoDB [default: the next one after --port, or a free one]
    #[arg(long, value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// Address of DynamoDB, SNS and SQS; use Docker's bridge (172.17.0.1) for containers
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
    /// Post every notification to this URL, as SNS would
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
}

/// Why the local stack did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum DevError {
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Dev {
    /// Runs the local stack until it is stopped.
    ///
    /// # Errors
    /// Says what is wrong with the keys or the data folder, or which port is taken.
    pub async fn run(self) -> Result<(), DevError> {
        let folder = self.data.unwrap_or_else(default_folder);
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
        anstream::println!("try        {TRY}");
        anstream::println!("ready      {url}");
        tokio::select! {
            () = stack.run() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Running::forget();
        Ok(())
    }
}
