//! Where the local stack is running, for the other commands.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{default_folder, private};

/// A local stack that was started from this folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Running {
    /// Its base address.
    pub url: String,
    /// Its DynamoDB.
    pub dynamodb: Option<SocketAddr>,
    /// Its SNS.
    pub sns: Option<SocketAddr>,
    /// Its keys file.
    pub keys: PathBuf,
}

impl Running {
    /// The latest one, if any.
    pub fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(file()).ok()?).ok()
    }

    /// Remembers it.
    ///
    /// # Errors
    /// Where the folder cannot be written to.
    pub fn write(&self) -> io::Result<()> {
        private::folder(&default_folder())?;
        // The process that wrote it last may have been killed.
        Self::forget();
        private::file(&file())?.write_all(&serde_json::to_vec(self)?)
    }

    /// Forgets it.
    pub fn forget() {
        // A file that stays behind is overwritten by the next start.
        let _ = fs::remove_file(file());
    }
}

fn file() -> PathBuf {
    default_folder().join("running.json")
}
