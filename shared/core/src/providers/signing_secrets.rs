//! HMAC-SHA256 with one of several secrets: the keys and the comparison, for every scheme that signs this way.

use std::marker::PhantomData;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::keys::{self, Keys, KeysError};
use crate::{Rejection, weakness};

/// How a provider's secret lists its signing secrets.
pub trait SecretList: Send + Sync + 'static {
    /// The field with the array of secrets.
    const FIELD: &'static str;
    /// The shape of the provider's secret.
    const SHAPE: &'static str;
}

/// The signing secrets of an account; any of them may sign.
pub struct SigningSecrets<P> {
    pub(super) secrets: Vec<Hmac<Sha256>>,
    weakness: Option<String>,
    provider: PhantomData<P>,
}

impl<P: SecretList> Keys for SigningSecrets<P> {
    const SHAPE: &'static str = P::SHAPE;

    fn from_json(secret: &Value) -> Result<Self, KeysError> {
        let object = keys::object(".", secret, &[P::FIELD])?;
        let strings = keys::strings(".", object, P::FIELD)?;
        if strings.is_empty() {
            return Err(KeysError::placeholder(P::FIELD, "at least one secret"));
        }
        Ok(Self {
            secrets: hmacs(P::FIELD, &strings)?,
            weakness: strings.iter().find_map(|secret| weakness::of_secret(P::FIELD, secret)),
            provider: PhantomData,
        })
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }
}

/// The secrets in field `at`, each set up once for all deliveries.
pub(super) fn hmacs(at: &str, secrets: &[&str]) -> Result<Vec<Hmac<Sha256>>, KeysError> {
    secrets.iter().map(|secret| keys::hmac(at, secret)).collect()
}

/// Verifies that one of `signatures` was made with one of `secrets` over `prefix` and the body. Returns that secret.
pub(super) fn verify_signature<'k>(
    secrets: &'k [Hmac<Sha256>],
    prefix: &[&[u8]],
    body: &[u8],
    signatures: &[[u8; 32]],
) -> Result<&'k Hmac<Sha256>, Rejection> {
    let signed_with = |secret: &&Hmac<Sha256>| {
        let mac = prefix.iter().fold((*secret).clone(), |mac, part| mac.chain_update(part));
        let mac = mac.chain_update(body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    secrets.iter().find(signed_with).ok_or_else(|| Rejection::SignatureMismatch {
        keys: format!("one of {} signing secrets", secrets.len()),
        body_bytes: body.len(),
    })
}
