//! The list of providers, one module per provider, and the schemes and messages that several share.

mod freshness;
mod livekit_messages;
mod livekit_token;
mod rsa_signature;
mod signing_secrets;
mod timestamped_signature;

pub mod getstream;
pub mod hms;
pub mod jaas;
pub mod livekit;
pub mod mux;
pub mod plugnmeet;
pub mod realtimekit;
pub mod videosdk;
pub mod zoom;

pub use livekit_token::ApiKeys;
pub use rsa_signature::RsaKeys;
pub use signing_secrets::{SecretList, SigningSecrets};

/// Evaluates an expression for each provider, and returns the values as an array. This is the list of providers.
///
/// ```
/// use livehooks_core::{Provider, for_each_provider};
///
/// let names = for_each_provider!(P => P::NAME);
/// assert!(names.contains(&"livekit"));
/// ```
#[macro_export]
macro_rules! for_each_provider {
    ($P:ident => $value:expr) => {
        $crate::for_each_provider! { @list $P => $value;
            hms::Hms,
            videosdk::VideoSdk,
            plugnmeet::PlugNmeet,
            livekit::LiveKit,
            mux::Mux,
            zoom::Zoom,
            jaas::Jaas,
            realtimekit::RealtimeKit,
            getstream::GetStream,
        }
    };
    (@list $P:ident => $value:expr; $($module:ident::$Provider:ident,)*) => {
        [$({
            type $P = $crate::$module::$Provider;
            $value
        }),*]
    };
}

/// The names of all providers, in the order of the list.
pub const PROVIDER_NAMES: &[&str] = &for_each_provider!(P => <P as crate::Provider>::NAME);
