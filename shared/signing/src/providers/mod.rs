//! How each provider signs and sends, one module each.

mod hms;
mod livekit;
mod livekit_token;
mod plugnmeet;
mod videosdk;
