//! How a command ends: its exit code, or why it could not do its work.

use std::io;
use std::path::PathBuf;

use crate::history::HistoryError;
use crate::keys_file::KeysFileError;

/// How a command ends, as the shell sees it; `docs/cli.md` has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 0: done, nothing to complain about.
    Fine,
    /// 1: the answer is no: rejected, not found, not delivered.
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

/// An error and all that it came from, innermost last.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
