//! `livehooks dev`: runs the local stack.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use livehooks_signing::PROVIDERS;

use super::simulate::TRY;
use crate::dev::{DataError, Options, Stack, StartError};
use crate::error::{CommandError, Ending};
use crate::keys_file::{KeysFile, KeysFileError};
use crate::local::default_folder;
use crate::local::lock_file::{Registration, RunningStack};

/// The arguments of `dev`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo livehooks dev
  cargo livehooks dev --memory --port 0
  cargo livehooks dev --keys keys.json --forward-to http://127.0.0.1:8080/events")]
pub struct Dev {
    /// Port of webhooks and API; 0 picks a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the embedded DynamoDB [default: the one after --port, or a free one]
    #[arg(long, value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// Address of DynamoDB, SNS and SQS (for containers: Docker's bridge, 172.17.0.1)
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST)]
    aws_host: Ipv4Addr,
    /// Data folder [default: .livehooks]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep the events in memory only
    #[arg(long)]
    memory: bool,
    /// Keys file [default: keys.json in the data folder, created if missing]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Post every notification to this URL, as SNS does
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
}

impl Dev {
    /// Runs the local stack until it is stopped.
    ///
    /// # Errors
    /// If the keys or the data folder cannot be used, or a port is in use.
    pub async fn run(self) -> Result<Ending, CommandError> {
        let folder = self.data.unwrap_or_else(default_folder);
        let mut temporary = None;
        let (keys, keys_file) = match self.keys {
            Some(file) => (KeysFile::read(&file)?, file),
            None => {
                let file = folder.join("keys.json");
                match (KeysFile::read_or_make(&file), self.memory) {
                    (Ok(keys), _) => (keys, file),
                    (Err(KeysFileError::Io { error, .. }), true) => {
                        let folder = folder.display();
                        anstream::eprintln!("warning: {folder}: {error}; the keys are kept until this ends");
                        let file = temporary.insert(tempfile::tempdir()?).path().join("keys.json");
                        (KeysFile::read_or_make(&file)?, file)
                    }
                    (Err(KeysFileError::Io { error, .. }), false) => {
                        return Err(StartError::Data(DataError::Io { folder, error }).into());
                    }
                    (Err(error), _) => return Err(error.into()),
                }
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
        let running = RunningStack {
            process: std::process::id(),
            url: stack.url(),
            dynamodb: stack.dynamodb,
            sns: stack.aws,
            keys: keys_file.clone(),
        };
        let registration = running.register().await;
        match &registration {
            Ok(Registration { previous: Some(RunningStack { process, url, .. }) }) => anstream::eprintln!(
                "warning: the local stack at {url} (process {process}) was started from this folder, too; until this \
                 one ends, commands use this one"
            ),
            Ok(_) => {}
            Err(error) => anstream::eprintln!(
                "warning: .livehooks cannot be written to, so send needs --url and --keys: {error}"
            ),
        }

        let url = stack.url();
        for provider in PROVIDERS {
            anstream::println!("webhooks   {url}/webhooks/{}", provider.name);
        }
        anstream::println!("page       {url}/");
        anstream::println!("dynamodb   http://{}  (table Events, any credentials)", stack.dynamodb);
        anstream::println!("sns, sqs   http://{}  (for the notify function)", stack.aws);
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
        if let Ok(registration) = registration {
            registration.end().await;
        }
        Ok(Ending::Fine)
    }
}
