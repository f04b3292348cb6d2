//! Everything of livehooks that touches AWS or Lambda.
//!
//! ```text
//! ingest::run::<P>()   API Gateway -> verify -> normalize -> Store (one conditional write)
//!                      our fault -> fallback queue
//! recover::run()       fallback queue -> verify -> normalize -> Store
//!                      other keys might let it in -> dead-letter queue
//! relay::run()         DynamoDB stream -> Relay -> SNS
//! ```
//!
//! Ingest never publishes and the relay never writes to the table: the stored item is the outbox.

pub mod announcement;
pub mod clients;
pub mod config;
pub mod fallback;
pub mod gateway;
pub mod https;
pub mod ingest;
pub mod keys;
pub mod recover;
pub mod relay;
pub mod store;
pub mod telemetry;

mod dead_letters;
mod fault;
mod intake;
mod publish_error;

pub use announcement::Announcement;
pub use fault::{Fault, describe};
pub use ingest::{Ingest, Outcome};
pub use keys::KeyRing;
pub use recover::Recover;
pub use relay::Relay;
pub use store::Store;
