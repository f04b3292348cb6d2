//! Everything of livehooks that touches AWS or Lambda.
//!
//! ```text
//! ingest::run::<P>()   API Gateway -> verify -> normalize -> Store (one conditional write)
//! relay::run()         DynamoDB stream -> Relay -> SNS
//! ```
//!
//! Ingest never publishes and the relay never writes to the table: the stored item is the outbox.

pub mod announcement;
pub mod clients;
pub mod config;
pub mod ingest;
pub mod keys;
pub mod relay;
pub mod store;
pub mod telemetry;

mod fault;

pub use announcement::Announcement;
pub use fault::{Fault, describe};
pub use ingest::{Ingest, Outcome};
pub use keys::KeyRing;
pub use relay::Relay;
pub use store::Store;
