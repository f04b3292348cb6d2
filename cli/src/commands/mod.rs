//! The commands that look at what was stored, and send it again.

pub mod completions;
pub mod events;
pub mod explain;
pub mod keys;
pub mod listen;
pub mod open_ends;
pub mod queue;
pub mod replay;
pub mod rooms;
pub mod timeline;
pub mod verify;

mod fallback_queue;
mod keyring;
mod keys_store;
mod options;
mod outlet;
mod picture;
mod rewritten;
mod run_state;

use std::io;
use std::path::PathBuf;

pub use options::{FilterOptions, Moment, Selection, StackOptions};

use crate::history::HistoryError;
use crate::keys_file::KeysFileError;

/// How a command ends, as the shell sees it; `docs/cli.md` has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 0: done, nothing to complain about.
    Fine,
    /// 1: the answer is no: refused, not found, not delivered.
    No,
    /// 3: something is open that should have ended.
    Open,
    /// 130: stopped by Ctrl-C.
    Interrupted,
}

impl Ending {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::No => 1,
            Self::Open => 3,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum CommandError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    #[error("{}: {error}", .file.display())]
    File { file: PathBuf, error: io::Error },
    #[error("{option}: expected {expected}, found {found:?}{advice}")]
    Usage { option: &'static str, expected: String, found: String, advice: &'static str },
    #[error("{what} stopped: {why}\n  {advice}")]
    Stopped { what: &'static str, why: String, advice: String },
}

impl CommandError {
    /// Whether nobody reads the output any more, as in `… | head`.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
