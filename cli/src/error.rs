//! How a command ends: its exit code or its error.

use std::io;
use std::path::PathBuf;

use livehooks_signing::SignError;

use crate::dev::StartError;
use crate::history::HistoryError;
use crate::keys_file::KeysFileError;
use crate::local::lock_file::NotRunning;

/// A command's exit status; see the table in `docs/cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 0: success.
    Fine,
    /// 1: a negative result: rejected, not found, not delivered.
    No,
    /// 3: something is unfinished.
    Open,
    /// 4: success, except that items of the table were skipped.
    Incomplete,
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
            Self::Incomplete => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum CommandError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on 127.0.0.1:{port}: {error}\n  choose another with --port (0 picks a free one)")]
    Port { port: u16, error: io::Error },
    #[error("cannot reach {url}: {why}\n  start the local stack with: cargo livehooks dev")]
    Unreachable { url: String, why: String },
    #[error(
        "{0}\n  start the local stack with `cargo livehooks dev`, or name a deployed one with --stack NAME"
    )]
    NotRunning(NotRunning),
    #[error(
        "{0}\n  start the local stack with `cargo livehooks dev`, or name one with --url URL and its keys with --keys FILE"
    )]
    NowhereToSend(NotRunning),
    #[error("cannot sign as {provider}: {why}")]
    Sign { provider: &'static str, why: SignError },
    #[error("cannot sign as {0}: the keys file has no keys for it")]
    NoKeys(&'static str),
    #[error("deliveries of {0} contain no time, so none of them expires")]
    NeverExpires(&'static str),
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
    /// Whether the output pipe was closed, as by `… | head`.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
