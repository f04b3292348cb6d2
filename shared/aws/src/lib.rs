//! The parts of livehooks that touch AWS or Lambda.
//!
//! ```text
//! ingest::run::<P>()   API Gateway -> verify -> normalize -> Store (one conditional write)
//!                      fault -> fallback queue
//! recover::run()       fallback queue -> verify -> normalize -> Store
//!                      rejected, but maybe valid under other keys -> dead-letter queue
//! notify::run()        DynamoDB stream -> Notifier -> SNS
//! ```
//!
//! Ingest never publishes and the notifier never writes to the table: the stored item is the outbox.

pub mod clients;
pub mod config;
pub mod fallback;
pub mod gateway;
pub mod http_client;
pub mod ingest;
pub mod keys;
pub mod notification;
pub mod notify;
pub mod recover;
pub mod store;
pub mod telemetry;

mod dead_letters;
mod fault;
mod item;
mod outcome;
mod pipeline;
mod publish_error;

pub use fault::{Fault, QueueError, describe};
pub use ingest::Ingest;
pub use keys::KeyRing;
pub use notification::Notification;
pub use notify::Notifier;
pub use outcome::{Outcome, Receipt};
pub use recover::Recover;
pub use store::{Store, UnreadableEvent};
