//! VideoSDK. Retries are not documented, so none are assumed.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::BASE64;
use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{Assurance, Delivery};
use pem::Pem;
use serde_json::{Value, json};

use crate::sender::ASSUMED_TIMEOUT;
use crate::{Attack, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

impl Signer for VideoSdk {
    const SAMPLES: &'static str = include_str!("../../samples/videosdk.ndjson");
    const JOINED: &'static str = "participant-joined";
    const FUNCTION: &'static str = "VideosdkFunction";
    const PRIVATE_FIELDS: &'static [&'static str] = &["private_key"];
    const STATIC_FIELDS: &'static [&'static str] = &["url_tokens"];
    const SCHEMES: &'static [(Assurance, &'static str)] = &[
        (Assurance::Signed, "RSA-SHA256 of the body by VideoSDK's key, and the token in the URL"),
        (Assurance::ProviderSigned, "RSA-SHA256 of the body by VideoSDK's key"),
    ];
    const HAS_URL_TOKEN: bool = true;
    const SENDER: SenderRules =
        SenderRules { retries: RetryPolicy::Once, timeout: ASSUMED_TIMEOUT, queue: Queue::Independent };

    /// # Panics
    /// If the machine has no randomness.
    fn make_keys() -> Value {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("the system has randomness");
        let public: PublicKeyX509Der = pair.public_key().as_der().expect("a generated key is valid");
        let private: Pkcs8V1Der = pair.as_der().expect("a generated key is valid");
        let public_key = pem::encode(&Pem::new("PUBLIC KEY", public.as_ref()));
        let private_key = pem::encode(&Pem::new("PRIVATE KEY", private.as_ref()));
        json!({ "public_keys": [public_key], "private_key": private_key })
    }

    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, SignError> {
        let pair = private_key(keys)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature);
        signed.map_err(|_| SignError::RsaKey)?;
        Ok(Signed {
            headers: vec![
                (SIGNATURE_HEADER.into(), BASE64.encode(&signature)),
                ("Content-Type".into(), "application/json".into()),
            ],
            url_token: keys["url_tokens"][0].as_str().map(str::to_owned),
            covers_body: true,
        })
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        vec![SIGNATURE_HEADER.into()]
    }

    fn other_keys(keys: &Value) -> Value {
        // Making an RSA key takes a while.
        static OTHER: LazyLock<Value> = LazyLock::new(VideoSdk::make_keys);
        let mut keys = keys.clone();
        keys["public_keys"] = OTHER["public_keys"].clone();
        keys
    }

    fn rejection(attack: Attack, _: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        match attack {
            Attack::CredentialMissing => Some("missing_header"),
            Attack::CredentialDoubled => Some("repeated_header"),
            Attack::CredentialTruncated | Attack::OtherKey | Attack::BodyAltered => {
                Some("signature_mismatch")
            }
            Attack::Late | Attack::Early => None,
        }
    }
}

const SIGNATURE_HEADER: &str = "videosdk-signature";

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
