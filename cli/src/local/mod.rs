//! What every server and file on the developer's machine has in common.

pub mod guard;
pub mod private;
mod problem;

pub use problem::problem;
