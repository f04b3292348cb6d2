//! RSASSA-PKCS1-v1_5 with SHA-256 over the body, in base64 in a header, and a token in the URL.
//!
//! The provider has one key for all its customers: the signature proves the provider, the token in the URL proves
//! that the delivery is meant for this account.

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use data_encoding::BASE64;
use serde_json::Value;
use subtle::{Choice, ConstantTimeEq};

use crate::keys::{self, Keys, KeysError};
use crate::{Assurance, Delivery, Rejection, weakness};

/// The provider's public keys, and the URL tokens of this account.
pub struct RsaKeys {
    public_keys: Vec<ParsedPublicKey>,
    url_tokens: Vec<String>,
    weakness: Option<String>,
}

impl Keys for RsaKeys {
    const SHAPE: &'static str = r#"{"public_keys": ["<PEM>"], "url_tokens": ["<token>"]}"#;

    fn from_json(secret: &Value) -> Result<Self, KeysError> {
        let object = keys::object(".", secret, &["public_keys", "url_tokens"])?;
        let pems = keys::strings(".", object, "public_keys")?;
        if pems.is_empty() {
            return Err(KeysError::placeholder("public_keys", "at least one public key in PEM"));
        }
        let ders: Vec<_> = pems.iter().enumerate().map(der).collect::<Result<_, _>>()?;
        let public_keys = ders.iter().enumerate().map(public_key).collect::<Result<_, _>>()?;
        let url_tokens: Vec<_> =
            keys::strings(".", object, "url_tokens")?.into_iter().map(str::to_owned).collect();
        let weak_key = ders.iter().find_map(|der| weakness::of_key("public_keys", der));
        let weak_token = url_tokens.iter().find_map(|token| weakness::of_secret("url_tokens", token));
        Ok(Self { public_keys, url_tokens, weakness: weak_key.or(weak_token) })
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }
}

/// PKCS#1 (`RSA PUBLIC KEY`) or SPKI (`PUBLIC KEY`): providers serve either.
fn der((index, text): (usize, &&str)) -> Result<Vec<u8>, KeysError> {
    let pem = pem::parse(text).map_err(|_| wrong_key(index, "a string that is not PEM"))?;
    match pem.tag() {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Ok(pem.into_contents()),
        tag => Err(wrong_key(index, &format!("a PEM of {tag:?}"))),
    }
}

fn public_key((index, der): (usize, &Vec<u8>)) -> Result<ParsedPublicKey, KeysError> {
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der)
        .map_err(|_| wrong_key(index, "another kind of key"))
}

fn wrong_key(index: usize, found: &str) -> KeysError {
    KeysError::new(format!("public_keys[{index}]"), "an RSA public key of 2048 to 8192 bits in PEM", found)
}

/// Verifies the signature in the first of `headers` that is present, then the URL's token.
///
/// If URL tokens are configured, a delivery without one is rejected: anybody with an account at the provider can
/// have signed deliveries sent here.
pub(super) fn verify(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    keys: &RsaKeys,
) -> Result<Assurance, Rejection> {
    verify_signature(delivery.body, &signature(delivery, headers)?, &keys.public_keys)?;
    verify_url_token(delivery.url_token, &keys.url_tokens)
}

/// Verifies everything except that one of the keys signed, and the token.
pub(super) fn precheck(delivery: &Delivery<'_>, headers: &[&'static str]) -> Result<(), Rejection> {
    signature(delivery, headers).map(drop)
}

fn signature(delivery: &Delivery<'_>, headers: &[&'static str]) -> Result<Vec<u8>, Rejection> {
    let encoded = delivery.first_header(headers)?;
    BASE64.decode(encoded).map_err(|_| Rejection::MalformedCredential {
        expected: "an RSA signature in base64",
        found: format!("{} characters that are not base64", encoded.len()),
    })
}

fn verify_signature(body: &[u8], signature: &[u8], keys: &[ParsedPublicKey]) -> Result<(), Rejection> {
    match keys.iter().any(|key| key.verify_sig(body, signature).is_ok()) {
        true => Ok(()),
        false => Err(Rejection::SignatureMismatch {
            keys: format!("one of {} public keys", keys.len()),
            body_bytes: body.len(),
        }),
    }
}

fn verify_url_token(found: Option<&str>, tokens: &[String]) -> Result<Assurance, Rejection> {
    if tokens.is_empty() {
        return Ok(Assurance::ProviderSigned);
    }
    let found = found.ok_or(Rejection::MissingUrlToken)?.as_bytes();
    let any = tokens.iter().fold(Choice::from(0), |any, token| any | token.as_bytes().ct_eq(found));
    if any.into() { Ok(Assurance::Signed) } else { Err(Rejection::WrongUrlToken) }
}
