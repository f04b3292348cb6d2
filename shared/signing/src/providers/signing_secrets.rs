//! HMAC-SHA256 with the first of several secrets.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::SignError;

/// The signature of a message that is given in parts.
pub fn sign(secret: &str, message: &[&[u8]]) -> Result<[u8; 32], SignError> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mac = mac.map_err(|_| SignError::SigningKeys {
        expected: "a key for HMAC-SHA256",
        found: "a secret that is not one",
    })?;
    Ok(message.iter().fold(mac, |mac, part| mac.chain_update(part)).finalize().into_bytes().into())
}

/// The first secret in this field of the keys.
pub fn first<'a>(keys: &'a Value, field: &'static str) -> Result<&'a str, SignError> {
    keys[field][0].as_str().ok_or(SignError::SigningKeys { expected: field, found: "none" })
}

/// The same keys with another secret in this field.
pub fn other(keys: &Value, field: &str) -> Value {
    let mut keys = keys.clone();
    keys[field] = json!(["another secret"]);
    keys
}
