//! Verification and normalization of live-video webhooks.
//!
//! Pure functions from bytes, headers, keys and a clock to an event or a rejection:
//!
//! ```text
//! Delivery --Provider::verify--> Verified --Provider::normalize--> Normalized { event, dedupe }
//!                     |
//!                     +--> Rejection (the sender's fault; final)
//! ```
//!
//! This crate does no I/O, reads neither clock nor environment, and knows nothing about AWS. Normalizing
//! never fails: whatever it cannot read in an authentic body stays in `data.raw` only.

mod dedupe;
mod event;
mod gzip;
mod json;
mod keys;
mod providers;
mod redact;
mod rejection;
mod time;
mod verify;
mod vocabulary;
mod weakness;

pub use dedupe::{BodyHash, Dedupe};
pub use event::{
    Artifact, Assurance, Data, DedupeBasis, ErrorInfo, Event, File, Ingress, Normalized, Participant,
    Recording, RecordingScope, Room, Session, Stream, TimeBasis, Track, Transcription, Usage,
};
pub use keys::{Keys, KeysError};
pub use providers::*;
pub use redact::redact;
pub use rejection::Rejection;
pub use verify::{Delivery, Provider, Verified};
pub use vocabulary::EventType;
