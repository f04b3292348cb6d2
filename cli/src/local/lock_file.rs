//! The file in which other commands find the local stack that was started from this folder.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use serde::{Deserialize, Serialize};

use super::{default_folder, private};

/// A local stack that is busy still answers within this time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A local stack started from this folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunningStack {
    /// Its process, which also answers `GET /api/stack`.
    pub process: u32,
    /// Its base address.
    pub url: String,
    /// Its DynamoDB.
    pub dynamodb: SocketAddr,
    /// Its SNS and SQS.
    pub sns: SocketAddr,
    /// Its keys file.
    pub keys: PathBuf,
}

/// Why there is no local stack to use.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum NotRunning {
    #[error("no local stack was started from this folder")]
    NotStarted,
    #[error("{} is damaged or of another version: {why}", .file.display())]
    Damaged { file: PathBuf, why: String },
    #[error("the local stack of this folder (process {process}) does not answer at {url}")]
    NoAnswer { process: u32, url: String },
}

/// Identifies the process of a local stack, as `GET /api/stack` answers it.
#[derive(Debug, Deserialize, Serialize)]
pub struct StackProcess {
    /// The process id.
    pub process: u32,
}

/// This process's entry in the file.
#[derive(Debug)]
pub struct Registration {
    /// The running stack that the file named before.
    pub previous: Option<RunningStack>,
}

impl RunningStack {
    /// The stack that the file names, whether it runs or not.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read() -> Result<Option<Self>, NotRunning> {
        let damaged = |why: String| NotRunning::Damaged { file: file(), why };
        match fs::read(file()) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| damaged(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Without a folder there is no file either.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// The running stack of this folder.
    ///
    /// # Errors
    /// If there is none, or another process has its port.
    pub async fn find() -> Result<Self, NotRunning> {
        let running = Self::read()?.ok_or(NotRunning::NotStarted)?;
        match running.answers().await {
            true => Ok(running),
            false => Err(NotRunning::NoAnswer { process: running.process, url: running.url }),
        }
    }

    /// Whether the stack runs: another one may have its ports by now.
    async fn answers(&self) -> bool {
        let ask = async {
            let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
            let answer = client.get(format!("{}/api/stack", self.url)).send().await?;
            answer.error_for_status()?.bytes().await
        };
        let answer = ask.await.ok().and_then(|bytes| serde_json::from_slice::<StackProcess>(&bytes).ok());
        answer.is_some_and(|answer| answer.process == self.process)
    }

    /// Names this stack in the file.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub async fn register(&self) -> io::Result<Registration> {
        private::folder(&default_folder())?;
        let previous = match Self::read() {
            Ok(Some(previous)) if previous.answers().await => Some(previous),
            _ => None,
        };
        self.write()?;
        Ok(Registration { previous })
    }

    fn write(&self) -> io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(default_folder())?;
        serde_json::to_writer(&mut new, self)?;
        new.persist(file()).map(drop).map_err(|error| error.error)
    }
}

impl Registration {
    /// Removes this process's entry and puts the previous one back if its stack still runs. Leaves that of a newer stack.
    pub async fn end(self) {
        let is_own = matches!(RunningStack::read(), Ok(Some(found)) if found.process == std::process::id());
        if !is_own {
            return;
        }
        // Without this, other commands find that the process does not answer.
        let _ = match self.previous {
            Some(previous) if previous.answers().await => previous.write(),
            _ => fs::remove_file(file()),
        };
    }
}

fn file() -> PathBuf {
    default_folder().join("running.json")
}
