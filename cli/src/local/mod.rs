//! What the local stack and the commands share: names, folders, addresses and access rules.

pub mod guard;
pub mod lock_file;
pub mod private;
mod problem;
mod sdk;

use std::path::PathBuf;

pub use problem::problem;
pub use sdk::{LOCAL_TIMEOUT, local_http_client, local_sdk_config};

/// The table's name in the local stack.
pub const TABLE: &str = "Events";
/// The topic of the local stack.
pub const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:000000000000:livehooks";

/// `.livehooks` in the current folder.
pub fn default_folder() -> PathBuf {
    PathBuf::from(".livehooks")
}

/// The keys file generated for development.
pub fn default_keys_file() -> PathBuf {
    default_folder().join("keys.json")
}
