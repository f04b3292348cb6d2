//! Verification and normalization of live-video webhooks.
//!
//! Pure functions from bytes, headers, keys and a clock to an event or a rejection:
//!
//! ```text
//! Delivery --Provider::verify--> Verified --Provider::normalize--> Normalized { event, dedupe }
//!                     |
//!                     +--> Rejection (the sender's fault, final)
//! ```
//!
//! This crate does no I/O, reads no clock and no environment, and knows nothing of AWS. What cannot be
//! read in an authentic body is left out of the normalized part and stays in `data.raw`: normalizing
//! never fails.

mod body_hash_token;
mod dedupe;
mod event;
mod json;
mod keys;
mod proto;
mod redact;
mod rejection;
mod time;
mod verify;
mod vocabulary;
mod weakness;

pub mod hms;
pub mod livekit;
pub mod plugnmeet;
pub mod videosdk;

pub use body_hash_token::ApiKeys;
pub use dedupe::{BodyHash, Dedupe};
pub use event::{
    Artifact, Assurance, Data, DedupeBasis, ErrorInfo, Event, File, Ingress, Normalized, Participant,
    Recording, RecordingScope, Room, Session, Stream, TimeBasis, Track, Transcription, Usage,
};
pub use keys::{Keys, KeysError};
pub use redact::{SECRET_FIELDS, redact};
pub use rejection::Rejection;
pub use verify::{Delivery, Provider, Verified};
pub use vocabulary::EventType;
