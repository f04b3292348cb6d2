//! The providers, one module each, beside the schemes and messages that several share.

mod livekit_messages;
mod livekit_token;

pub mod hms;
pub mod livekit;
pub mod plugnmeet;
pub mod videosdk;

pub use livekit_token::ApiKeys;
