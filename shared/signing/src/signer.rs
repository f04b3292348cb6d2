//! The trait of a provider's sending side.

use jiff::{SignedDuration, Timestamp};
use livehooks_core::{Assurance, Delivery, KeysError, Provider, Rejection};
use serde_json::Value;

use crate::{Attack, SenderRules};

/// How a provider signs and sends.
pub trait Signer: Provider {
    /// Sample events, one JSON object `{"name", "body"}` per line.
    const SAMPLES: &'static str;
    /// The name of the sample that stands for all of them where one is enough: a participant joins, if the provider
    /// knows participants.
    const TYPICAL: &'static str;
    /// Fields of the keys file that only senders need.
    const PRIVATE_FIELDS: &'static [&'static str] = &[];
    /// Fields of the keys file whose values are sent unchanged with each delivery.
    const STATIC_FIELDS: &'static [&'static str] = &[];
    /// What is verified, and what that proves.
    const SCHEMES: &'static [(Assurance, &'static str)];
    /// Whether the event's `source` names the key that signed.
    const NAMES_KEY: bool = false;
    /// Whether the last segment of the URL may be a credential.
    const HAS_URL_TOKEN: bool = false;
    /// How long a delivery stays valid.
    const LIFETIME: Lifetime = Lifetime::Unlimited;
    /// The function's name in template.yaml.
    const FUNCTION: &'static str;
    /// When the provider retries, and which events wait for each other.
    const SENDER: SenderRules;

    /// Makes keys for development.
    fn make_keys() -> Value;

    /// Signs a body with the first of the keys.
    ///
    /// # Errors
    /// Says which key is missing or unusable.
    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, SignError>;

    /// The headers that may carry the credential.
    fn credential_headers(keys: &Value) -> Vec<String>;

    /// The same keys with other secrets: an attacker's.
    fn other_keys(keys: &Value) -> Value;

    /// The code of the rejection that an attack must cause; `None` if the scheme does not detect the attack. The delivery
    /// has its authentic headers, and the body that arrives.
    fn rejection(attack: Attack, delivery: &Delivery<'_>, assurance: Assurance) -> Option<&'static str>;

    /// Whether a credential that was altered still says the same as the right one.
    fn is_same_credential(right: &[u8], altered: &[u8]) -> bool {
        right == altered
    }
}

/// How long a delivery stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For ever: it holds no time.
    Unlimited,
    /// Until the expiry that the sender writes into it: [`Validity::expires`].
    UntilExpiry,
    /// For this long after the time of signing, which the sender writes into it: [`Validity::now`].
    SinceSigning(SignedDuration),
}

impl Lifetime {
    /// Whether a delivery is ever too old.
    pub fn is_limited(self) -> bool {
        self != Self::Unlimited
    }

    /// A delivery that was signed this long ago, or will be signed in this time, is not valid now.
    pub fn clock_off(self) -> SignedDuration {
        const MARGIN: SignedDuration = SignedDuration::from_mins(10);
        match self {
            Self::Unlimited | Self::UntilExpiry => MARGIN,
            Self::SinceSigning(lifetime) => lifetime + MARGIN,
        }
    }
}

/// The credentials of a request.
#[derive(Clone, Debug, Default)]
pub struct Signed {
    /// The headers to send.
    pub headers: Vec<(String, String)>,
    /// The last segment of the URL, if it is a credential.
    pub url_token: Option<String>,
    /// Whether the headers are valid for this body only.
    pub covers_body: bool,
}

/// When a signature is valid, if the scheme has an expiry.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The sender's clock.
    pub now: Timestamp,
    /// When the signature expires.
    pub expires: Timestamp,
}

impl From<Timestamp> for Validity {
    /// Valid for five minutes, like LiveKit's tokens.
    fn from(now: Timestamp) -> Self {
        Self { now, expires: now + SignedDuration::from_mins(5) }
    }
}

/// Why a body cannot be signed, or is not authentic although it was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signing keys are missing or unusable.
    #[error("expected {expected}, found {found}")]
    SigningKeys {
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// The private key is well-formed, but cannot sign.
    #[error("the RSA private key cannot sign")]
    RsaKey,
    /// The token cannot be made.
    #[error("the token cannot be made: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// The verification keys are invalid.
    #[error(transparent)]
    VerifyingKeys(#[from] KeysError),
    /// A header is invalid.
    #[error("expected a valid header, found one with other characters")]
    Header,
    /// The signed body is not authentic: the signing keys do not match the verification keys.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The event cannot be serialized.
    #[error("the event cannot be serialized: {0}")]
    Event(#[from] serde_json::Error),
}
