//! The providers' own side: bodies of any content, signed, so that they get past the verification.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use livehooks_core::hms::{Hms, HmsKeys};
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::{VideoSdk, VideoSdkKeys};
use livehooks_core::{ApiKeys, BodyHash, Keys, Provider};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::NOW;

/// A provider, as it signs with the keys of the fixtures.
pub trait Sender: Provider {
    /// The header that carries the signature of a body.
    const SIGNATURE: &'static str;

    /// What the receiver verifies with, as its secret holds it.
    fn keys() -> Value;

    /// The same, read.
    fn verifying() -> &'static Self::Keys;

    /// The value of that header.
    fn sign(body: &[u8]) -> String;
}

impl Sender for Hms {
    const SIGNATURE: &'static str = "x-100ms-signature";

    fn keys() -> Value {
        json!({
            "signing_secrets": ["fixture-secret-100ms-0001"],
            "headers": [{ "name": "X-Passcode", "values": ["fixture-secret-passcode-0001"] }],
        })
    }

    fn verifying() -> &'static HmsKeys {
        static KEYS: LazyLock<HmsKeys> = LazyLock::new(read::<Hms>);
        &KEYS
    }

    fn sign(body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(b"fixture-secret-100ms-0001").expect("any length is a key");
        HEXLOWER.encode(&mac.chain_update(body).finalize().into_bytes())
    }
}

static RSA: LazyLock<KeyPair> = LazyLock::new(|| {
    let key = pem::parse(include_str!("../../tests/fixtures/videosdk/private_key.pem")).expect("a PEM");
    KeyPair::from_pkcs8(key.contents()).expect("an RSA key")
});

impl Sender for VideoSdk {
    const SIGNATURE: &'static str = "videosdk-signature";

    fn keys() -> Value {
        let key: PublicKeyX509Der<'_> = RSA.public_key().as_der().expect("the key is valid");
        json!({ "public_keys": [pem::encode(&pem::Pem::new("PUBLIC KEY", key.as_ref()))] })
    }

    fn verifying() -> &'static VideoSdkKeys {
        static KEYS: LazyLock<VideoSdkKeys> = LazyLock::new(read::<VideoSdk>);
        &KEYS
    }

    fn sign(body: &[u8]) -> String {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature).expect("the key can sign");
        BASE64.encode(&signature)
    }
}

impl Sender for PlugNmeet {
    const SIGNATURE: &'static str = "authorization";

    fn keys() -> Value {
        json!({ "keys": { "APIfixture01": "fixture-secret-plugnmeet-0001" } })
    }

    fn verifying() -> &'static ApiKeys {
        static KEYS: LazyLock<ApiKeys> = LazyLock::new(read::<PlugNmeet>);
        &KEYS
    }

    fn sign(body: &[u8]) -> String {
        token("fixture-secret-plugnmeet-0001", body)
    }
}

impl Sender for LiveKit {
    const SIGNATURE: &'static str = "authorization";

    fn keys() -> Value {
        json!({ "keys": { "APIfixture01": "fixture-secret-livekit-0001" } })
    }

    fn verifying() -> &'static ApiKeys {
        static KEYS: LazyLock<ApiKeys> = LazyLock::new(read::<LiveKit>);
        &KEYS
    }

    fn sign(body: &[u8]) -> String {
        token("fixture-secret-livekit-0001", body)
    }
}

fn read<P: Sender>() -> P::Keys {
    P::Keys::from_json(&P::keys()).expect("the fixtures' keys are keys")
}

fn token(secret: &str, body: &[u8]) -> String {
    let (now, sha256) = (NOW.as_second(), BASE64.encode(BodyHash::of(body).as_bytes()));
    let claims = json!({ "iss": "APIfixture01", "nbf": now, "exp": now + 300, "sha256": sha256 });
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("claims are JSON")
}
