//! How each provider signs and sends, one module each.

mod hms;
mod livekit;
mod livekit_token;
mod plugnmeet;
mod videosdk;
mod rsa_signature;
mod signing_secrets;
mod timestamped_signature;
