//! The scheme `t=<seconds>,v1=<signature>`: HMAC-SHA256 over `<seconds>.<body>`.

use data_encoding::Encoding;
use livehooks_core::Delivery;

use super::signing_secrets;
use crate::{Attack, SignError, Validity};

/// The header's value for a body.
pub fn sign(secret: &str, encoding: &Encoding, body: &[u8], validity: Validity) -> Result<String, SignError> {
    let time = validity.now.as_second().to_string();
    let signature = signing_secrets::sign(secret, &[time.as_bytes(), b".", body])?;
    Ok(format!("t={time},v1={}", encoding.encode(&signature)))
}

/// The rejection that an attack on a delivery with the signature in this header must cause.
pub fn rejection(attack: Attack, delivery: &Delivery<'_>, header: &str) -> &'static str {
    match attack {
        Attack::CredentialMissing => "missing_header",
        Attack::CredentialDoubled => "repeated_header",
        Attack::CredentialTruncated if is_signature_last(delivery, header) => "malformed_credential",
        Attack::CredentialTruncated => "signature_mismatch",
        Attack::OtherKey | Attack::BodyAltered => "signature_mismatch",
        Attack::Late => "expired",
        Attack::Early => "not_yet_valid",
    }
}

/// Whether the only signature is at the end of the header.
fn is_signature_last(delivery: &Delivery<'_>, header: &str) -> bool {
    let value = delivery.headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.rfind(",v1=").is_some_and(|at| !value[at + 1..].contains(',') && !value[..at].contains("v1="))
}

/// Whether the time is the same, and one of the signatures is the right one.
pub fn is_same_credential(right: &[u8], altered: &[u8]) -> bool {
    let elements = |header: &[u8], name: &[u8]| -> Vec<Vec<u8>> {
        let elements = header.split(|byte| *byte == b',').filter_map(|element| element.strip_prefix(name));
        elements.map(<[u8]>::to_vec).collect()
    };
    elements(right, b"t=") == elements(altered, b"t=")
        && elements(right, b"v1=").iter().any(|right| elements(altered, b"v1=").contains(right))
}
