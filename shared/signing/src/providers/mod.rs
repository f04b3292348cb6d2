//! How each provider signs and sends, one module per provider.

mod getstream;
mod hms;
mod jaas;
mod livekit;
mod livekit_token;
mod mux;
mod plugnmeet;
mod realtimekit;
mod rsa_signature;
mod signing_secrets;
mod timestamped_signature;
mod videosdk;
mod zoom;
