//! State that a command keeps between runs, in a small file that is replaced atomically.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::CommandError;
use crate::history::Source;
use crate::local::{default_folder, private};

/// A state file, locked against other processes.
pub(super) struct StateFile {
    file: PathBuf,
    _lock: File,
}

impl StateFile {
    /// Opens the state file of command `what` for `key`, in the local stack's folder or the user's state folder.
    ///
    /// # Errors
    /// If the file cannot be created or another process uses it.
    pub(super) fn open(source: &Source, what: &'static str, key: &str) -> Result<Self, CommandError> {
        let folder = folder(source);
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(key)[..8]);
        let file = folder.join(format!("{what}-{hash}.json"));
        let failed = |error| CommandError::File { file: file.clone(), error };
        private::folder(&folder).map_err(failed)?;
        let lock = private::file(&file.with_extension("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { file, _lock: lock }),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
            Err(fs::TryLockError::WouldBlock) => Err(CommandError::Stopped {
                what,
                why: "another process is running the same command".into(),
                advice: "stop it or wait for it, then run the command again".into(),
            }),
        }
    }

    /// The saved state, if there is any. Says so if it cannot be read.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let text = fs::read(&self.file).ok()?;
        let read = serde_json::from_slice(&text);
        if let Err(error) = &read {
            let file = self.file.display();
            anstream::eprintln!("warning: {file} is damaged or of another version ({error}); starting over");
        }
        read.ok()
    }

    /// Replaces the state atomically.
    pub(super) fn save(&self, state: &impl Serialize) -> Result<(), CommandError> {
        let save = || -> io::Result<()> {
            let folder = self.file.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(&mut file, state)?;
            file.persist(&self.file).map(drop).map_err(|error| error.error)
        };
        save().map_err(|error| CommandError::File { file: self.file.clone(), error })
    }

    /// Removes the file when the work is done.
    pub(super) fn forget(&self) {
        // If this fails, the next run finds nothing left to do.
        let _ = fs::remove_file(&self.file);
    }
}

fn folder(source: &Source) -> PathBuf {
    if source.stack.is_none() {
        return default_folder();
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || Some(set("HOME")?.join(".local/state"));
    let state = set("XDG_STATE_HOME").or_else(home).or_else(|| set("LOCALAPPDATA"));
    state.map_or_else(default_folder, |state| state.join("livehooks"))
}
