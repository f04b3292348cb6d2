//! The data folder: the database, the fallback queue, the publishing position, and the folder's format.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::local::private;

/// 2: the table has the index `by_time`. A version that does not write its keys must not add events.
/// 3: an event's `raw` is an attribute of its own. Older versions would show and publish events without it.
const FORMAT: u32 = 3;

/// Why a data folder cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum DataError {
    #[error("data folder {}: {error}\n  choose another with --data DIR, or use --memory", .folder.display())]
    Io { folder: PathBuf, error: io::Error },
    #[error("data folder {}: in use by another livehooks dev\n  stop it, or choose another folder with --data DIR", .folder.display())]
    InUse { folder: PathBuf },
    #[error("data folder {}: expected format {FORMAT}, found {found}, written by a newer livehooks\n  use that version, or choose another folder with --data DIR", .folder.display())]
    Newer { folder: PathBuf, found: u32 },
    #[error(
        "the {what} in the data folder is damaged: {why}\n  nothing was changed; move the folder away, or choose another with --data DIR"
    )]
    Damaged { what: &'static str, why: String },
}

/// A position in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream; a recreated table has a new one.
    pub stream_arn: String,
    /// The stream's only shard.
    pub shard_id: String,
    /// The last processed record.
    pub after: Option<String>,
}

/// An open data folder, locked against a second process.
pub(super) struct DataFolder {
    folder: PathBuf,
    _lock: File,
}

#[derive(Deserialize, Serialize)]
struct Format {
    format: u32,
}

#[derive(Deserialize, Serialize)]
struct Checkpoint {
    stream_arn: String,
    sequence_number: String,
}

impl DataFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, DataError> {
        let io = |error| DataError::Io { folder: folder.to_owned(), error };
        private::folder(folder).map_err(io)?;
        let lock = private::file(&folder.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let opened = Self { folder: folder.to_owned(), _lock: lock };
        match opened.read::<Format>("format.json", "format.json")? {
            None => opened.upgraded().map_err(io)?,
            Some(Format { format: found }) if found > FORMAT => {
                return Err(DataError::Newer { folder: folder.to_owned(), found });
            }
            Some(_) => {}
        }
        opened.read::<Checkpoint>("relayed.json", "relayed.json")?;
        for database in [opened.database(), opened.queue()] {
            // SQLite's other files get the permissions of the database.
            private::file(&database).map_err(io)?;
        }
        Ok(opened)
    }

    /// Records that the folder has this version's format.
    pub(super) fn upgraded(&self) -> io::Result<()> {
        self.write("format.json", &Format { format: FORMAT })
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("events.db")
    }

    pub(super) fn queue(&self) -> PathBuf {
        self.folder.join("queue.db")
    }

    /// The last published record, if the saved position belongs to this stream.
    pub(super) fn published(&self, start: &Position) -> Option<String> {
        let checkpoint = self.read::<Checkpoint>("relayed.json", "relayed.json").ok()??;
        (checkpoint.stream_arn == start.stream_arn).then_some(checkpoint.sequence_number)
    }

    pub(super) fn save_published(&self, position: &Position) -> io::Result<()> {
        let Some(sequence_number) = position.after.clone() else { return Ok(()) };
        let stream_arn = position.stream_arn.clone();
        self.write("relayed.json", &Checkpoint { stream_arn, sequence_number })
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        what: &'static str,
    ) -> Result<Option<T>, DataError> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => {
                let damaged = |error: serde_json::Error| DataError::Damaged { what, why: error.to_string() };
                serde_json::from_slice(&bytes).map(Some).map_err(damaged)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DataError::Io { folder: self.folder.clone(), error }),
        }
    }

    /// Replaces the file atomically.
    fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut file, value)?;
        file.persist(self.folder.join(name)).map(drop).map_err(|error| error.error)
    }
}
