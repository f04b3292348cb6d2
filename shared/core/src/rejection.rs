//! Why a delivery is not authentic: always the sender's fault, never retried, never revealed to the sender.

use std::fmt::{self, Display, Formatter};

/// Why a delivery was rejected. Goes to the log, the metric and the local console, never into the response.
///
/// The messages hold nothing secret: no token, no signature, no computed value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No header carries the credential.
    #[error("expected a header {}, found none", OneOf(.names))]
    MissingHeader {
        /// The names of the headers that could carry it.
        names: Vec<String>,
    },
    /// A header that must be unique came more than once.
    #[error("expected one header {name}, found {found}")]
    RepeatedHeader {
        /// The header's name.
        name: String,
        /// How often it came.
        found: usize,
    },
    /// The credential does not have the form of its scheme.
    #[error("expected {expected}, found {found}")]
    MalformedCredential {
        /// The form of the scheme.
        expected: &'static str,
        /// What was found instead; never the credential itself.
        found: String,
    },
    /// The token is signed with an algorithm other than the scheme's.
    #[error("expected a token signed with HS256, found {found}")]
    AlgorithmNotAllowed {
        /// The token's `alg`, shortened.
        found: String,
    },
    /// The token's issuer is none of the configured API keys.
    #[error("expected one of the configured API keys as issuer, found {found}")]
    UnknownIssuer {
        /// The token's `iss`, shortened.
        found: String,
    },
    /// The token's signature was made with another secret.
    #[error("expected a token signed with the secret of API key {issuer}, found another signature")]
    WrongKey {
        /// The API key whose secret was tried.
        issuer: String,
    },
    /// The token has no expiry.
    #[error("expected a token with a numeric exp claim, found none")]
    NoExpiry,
    /// The credential has expired.
    #[error("expected a credential that is still valid, found one that expired {by_s} s ago")]
    Expired {
        /// Seconds since it expired: since the token's `exp`, or since the oldest accepted time.
        by_s: i64,
    },
    /// The credential is not valid yet.
    #[error("expected a credential that is valid by now, found one that becomes valid in {by_s} s")]
    NotYetValid {
        /// Seconds until it is valid: the token's `nbf`, or the time of signing.
        by_s: i64,
    },
    /// The token does not name the body it was made for.
    #[error("expected a sha256 claim with the body's hash, found none")]
    NoBodyHash,
    /// The token is authentic, but it was made for another body.
    #[error("expected the body that the token was made for, found {body_bytes} bytes with another SHA-256")]
    BodyAltered {
        /// The length of the body received.
        body_bytes: usize,
    },
    /// The signature matches none of the keys: another key signed, or another body was signed.
    #[error("expected a signature over these {body_bytes} bytes by {keys}, found one that fits none")]
    SignatureMismatch {
        /// Which keys were tried.
        keys: String,
        /// The length of the body received.
        body_bytes: usize,
    },
    /// The body starts like gzip, but cannot be unpacked.
    #[error(
        "expected a body in gzip, as its first bytes say, found {body_bytes} bytes that cannot be unpacked"
    )]
    MalformedBody {
        /// The length of the body received.
        body_bytes: usize,
    },
    /// The body is larger than allowed when it is unpacked.
    #[error("expected a body of at most {bytes_max} bytes when unpacked, found a larger one")]
    TooLarge {
        /// The largest size that is accepted, in bytes.
        bytes_max: usize,
    },
    /// The answer to the provider's question would be the signature of a delivery.
    #[error("expected a question whose answer signs nothing, found one that asks for a signature")]
    UnsafeQuestion,
    /// The secret header has another value.
    #[error("expected the configured value in header {name}, found another")]
    WrongHeaderValue {
        /// The header's name.
        name: String,
    },
    /// URL tokens are configured, but the URL has none.
    #[error("expected a configured token at the end of the URL, found none")]
    MissingUrlToken,
    /// The URL's token is none of the configured ones.
    #[error("expected a configured token at the end of the URL, found another")]
    WrongUrlToken,
}

impl Rejection {
    /// A stable code for metrics and filters.
    pub fn code(&self) -> &'static str {
        self.words().0
    }

    /// What the operator can do about it.
    pub fn advice(&self) -> &'static str {
        self.words().1
    }

    /// Whether [`Provider::verify`](crate::Provider::verify) finds this only after a valid signature. Then only the real
    /// sender or a replay can cause it.
    pub fn follows_signature(&self) -> bool {
        match self {
            Self::NoExpiry
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::NoBodyHash
            | Self::UnsafeQuestion
            | Self::BodyAltered { .. } => true,
            Self::MissingHeader { .. }
            | Self::RepeatedHeader { .. }
            | Self::MalformedCredential { .. }
            | Self::AlgorithmNotAllowed { .. }
            | Self::UnknownIssuer { .. }
            | Self::WrongKey { .. }
            | Self::SignatureMismatch { .. }
            | Self::MalformedBody { .. }
            | Self::TooLarge { .. }
            | Self::WrongHeaderValue { .. }
            | Self::MissingUrlToken
            | Self::WrongUrlToken => false,
        }
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::MissingHeader { .. } => (
                "missing_header",
                "check that the sender is the provider, and that no proxy or firewall drops the header",
            ),
            Self::RepeatedHeader { .. } => {
                ("repeated_header", "check whether a proxy in between adds the header a second time")
            }
            Self::MalformedCredential { .. } => (
                "malformed_credential",
                "check that the sender is the provider, and that nothing in between rewrites headers",
            ),
            Self::AlgorithmNotAllowed { .. } => (
                "algorithm_not_allowed",
                "the provider signs with HS256 only: this delivery is not from the provider",
            ),
            Self::UnknownIssuer { .. } => (
                "unknown_issuer",
                "if this API key is yours, add it with its secret to \"keys\" of this provider",
            ),
            Self::WrongKey { .. } => (
                "wrong_key",
                "compare the secret of this API key with the provider's; after a rotation keep both for a while",
            ),
            Self::NoExpiry => {
                ("no_expiry", "the provider always sends exp: this delivery is not from the provider")
            }
            Self::Expired { .. } => (
                "expired",
                "a replay, a delivery delayed for too long, or a sender whose clock is slow: compare the clocks",
            ),
            Self::NotYetValid { .. } => ("not_yet_valid", "the sender's clock is ahead: synchronize it"),
            Self::NoBodyHash => (
                "no_body_hash",
                "an API token, not a webhook token: the provider always sends sha256 with a webhook",
            ),
            Self::BodyAltered { .. } => (
                "body_altered",
                "something between the provider and here rewrites bodies (a proxy that re-serializes JSON, say)",
            ),
            Self::SignatureMismatch { .. } => (
                "signature_mismatch",
                "compare the key with the provider's, and check that nothing in between rewrites bodies",
            ),
            Self::MalformedBody { .. } => {
                ("malformed_body", "check that nothing in between cuts or rewrites compressed bodies")
            }
            Self::TooLarge { .. } => ("too_large", "no provider sends bodies this large: find out who does"),
            Self::UnsafeQuestion => (
                "unsafe_question",
                "the provider never asks this: if the signature is good, somebody else knows the key; replace it",
            ),
            Self::WrongHeaderValue { .. } => (
                "wrong_header_value",
                "compare the value with the one in the provider's dashboard or in the room's webhook settings",
            ),
            Self::MissingUrlToken => (
                "missing_url_token",
                "put the URL with its token into the provider's webhook settings, also where a room has its own",
            ),
            Self::WrongUrlToken => (
                "wrong_url_token",
                "compare the URL in the provider's webhook settings with the configured tokens",
            ),
        }
    }
}

/// Untrusted text, made safe for a log line: quoted, escaped, at most 64 characters.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

struct OneOf<'a>(&'a [String]);

impl Display for OneOf<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}
