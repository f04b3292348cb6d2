//! What a provider has to supply on its own side.

use jiff::{SignedDuration, Timestamp};
use livehooks_core::{Assurance, Delivery, KeysError, Provider, Rejection};
use serde_json::Value;

use crate::{Attack, SenderRules};

/// How a provider signs and sends.
pub trait Signer: Provider {
    /// Sample events, one JSON object `{"name", "body"}` a line.
    const SAMPLES: &'static str;
    /// The name of the sample in which a participant joins.
    const JOINED: &'static str;
    /// Fields of the keys file that only sending needs.
    const PRIVATE_FIELDS: &'static [&'static str] = &[];
    /// Fields of the keys file that travel in each delivery as they are.
    const STANDING_FIELDS: &'static [&'static str] = &[];
    /// What is verified, by what that proves.
    const SCHEMES: &'static [(Assurance, &'static str)];
    /// Whether the event's `source` names the key that signed.
    const NAMES_KEY: bool = false;
    /// Whether the last segment of the URL may be a credential.
    const HAS_URL_TOKEN: bool = false;
    /// Whether a delivery says until when it counts.
    const KNOWS_TIME: bool = false;
    /// The function's name in template.yaml.
    const FUNCTION: &'static str;
    /// When the provider tries again, and which events wait for each other.
    const SENDER: SenderRules;

    /// Makes keys for development.
    fn make_keys() -> Value;

    /// Signs a body with the first of the keys.
    ///
    /// # Errors
    /// Says which key is missing or of no use.
    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, SignError>;

    /// The headers that may carry the credential.
    fn credential_headers(keys: &Value) -> Vec<String>;

    /// The same keys with other secrets: an attacker's.
    fn other_keys(keys: &Value) -> Value;

    /// The code of the rejection that an attack on this authentic delivery must cause; `None` if the scheme does
    /// not notice it.
    fn rejection(attack: Attack, delivery: &Delivery<'_>, assurance: Assurance) -> Option<&'static str>;
}

/// What makes a request authentic.
#[derive(Clone, Debug, Default)]
pub struct Signed {
    /// The headers to send.
    pub headers: Vec<(String, String)>,
    /// The last segment of the URL, where it is a credential.
    pub url_token: Option<String>,
    /// Whether another body would need other headers.
    pub covers_body: bool,
}

/// From when until when a signature counts, where the scheme knows time.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The sender's clock.
    pub now: Timestamp,
    /// When the signature expires.
    pub expires: Timestamp,
}

impl From<Timestamp> for Validity {
    /// Five minutes, as LiveKit's token has it.
    fn from(now: Timestamp) -> Self {
        Self { now, expires: now + SignedDuration::from_mins(5) }
    }
}

/// Why a body cannot be signed, or is not authentic though it was.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The keys to sign with are not there or of no use.
    #[error("expected {expected}, found {found}")]
    SigningKeys {
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A private key that is one, and does not sign.
    #[error("the RSA private key cannot sign")]
    RsaKey,
    /// A token cannot be made.
    #[error("cannot make a token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// The keys to verify with are not as they should be.
    #[error(transparent)]
    VerifyingKeys(#[from] KeysError),
    /// A header cannot be sent.
    #[error("expected a header that can be sent, found one with other characters")]
    Header,
    /// What was signed is not authentic: the keys to sign and those to verify with do not belong together.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The event cannot be written.
    #[error("cannot write the event: {0}")]
    Event(#[from] serde_json::Error),
}
