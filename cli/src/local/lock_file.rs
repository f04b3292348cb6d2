//! The file that tells other commands where the local stack is running.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{default_folder, private};

/// A local stack started from this folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunningStack {
    /// Its base address.
    pub url: String,
    /// Its DynamoDB.
    pub dynamodb: Option<SocketAddr>,
    /// Its SNS.
    pub sns: Option<SocketAddr>,
    /// Its keys file.
    pub keys: PathBuf,
}

impl RunningStack {
    /// The latest running stack, if any.
    pub fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(file()).ok()?).ok()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self) -> io::Result<()> {
        private::folder(&default_folder())?;
        // The last process may have been killed and left its file.
        Self::forget();
        private::file(&file())?.write_all(&serde_json::to_vec(self)?)
    }

    /// Removes the file.
    pub fn forget() {
        // The next start overwrites a file that could not be removed.
        let _ = fs::remove_file(file());
    }
}

fn file() -> PathBuf {
    default_folder().join("running.json")
}
