//! RSASSA-PKCS1-v1_5 with SHA-256 over the body, and a token in the URL.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::BASE64;
use pem::Pem;
use serde_json::{Value, json};

use crate::{Attack, SignError, Signed};

/// The field of the keys file that only senders need.
pub const PRIVATE_FIELDS: &[&str] = &["private_key"];

/// The field of the keys file whose value is sent unchanged with each delivery.
pub const STATIC_FIELDS: &[&str] = &["url_tokens"];

/// # Panics
/// If the machine has no randomness.
pub fn make_keys() -> Value {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("the system has randomness");
    let public: PublicKeyX509Der = pair.public_key().as_der().expect("a generated key is valid");
    let private: Pkcs8V1Der = pair.as_der().expect("a generated key is valid");
    let public_key = pem::encode(&Pem::new("PUBLIC KEY", public.as_ref()));
    let private_key = pem::encode(&Pem::new("PRIVATE KEY", private.as_ref()));
    json!({ "public_keys": [public_key], "private_key": private_key })
}

/// Signs a body; the signature goes into this header.
pub fn sign(header: &str, keys: &Value, body: &[u8]) -> Result<Signed, SignError> {
    let pair = private_key(keys)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature);
    signed.map_err(|_| SignError::RsaKey)?;
    Ok(Signed {
        headers: vec![
            (header.into(), BASE64.encode(&signature)),
            ("Content-Type".into(), "application/json".into()),
        ],
        url_token: keys["url_tokens"][0].as_str().map(str::to_owned),
        covers_body: true,
    })
}

/// The same keys with another public key.
pub fn other_keys(keys: &Value) -> Value {
    // Generating an RSA key is slow.
    static OTHER: LazyLock<Value> = LazyLock::new(make_keys);
    let mut keys = keys.clone();
    keys["public_keys"] = OTHER["public_keys"].clone();
    keys
}

/// The rejection that an attack must cause; the scheme knows no time.
pub fn rejection(attack: Attack) -> Option<&'static str> {
    match attack {
        Attack::CredentialMissing => Some("missing_header"),
        Attack::CredentialDoubled => Some("repeated_header"),
        Attack::CredentialTruncated | Attack::OtherKey | Attack::BodyAltered => Some("signature_mismatch"),
        Attack::Late | Attack::Early => None,
    }
}

fn private_key(keys: &Value) -> Result<KeyPair, SignError> {
    let error = |expected, found| SignError::SigningKeys { expected, found };
    let pem = keys["private_key"].as_str();
    let pem = pem.ok_or(error("private_key (PEM, PKCS#8 or PKCS#1)", "none"))?;
    let pem = pem::parse(pem).map_err(|_| error("private_key in PEM", "a string that is not PEM"))?;
    let pair = match pem.tag() {
        "RSA PRIVATE KEY" => KeyPair::from_der(pem.contents()),
        _ => KeyPair::from_pkcs8(pem.contents()),
    };
    pair.map_err(|_| error("an RSA private key in private_key", "another type of key"))
}
