//! The providers, as the command needs them: how they sign, what they send, which keys suit development.
//!
//! A new provider is one `impl Sender` and one line in [`ALL`].

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::http::HeaderMap;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use livehooks_aws::recover::Way;
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{Assurance, BodyHash, Delivery, EventType, Keys, KeysError, Provider, Rejection};
use pem::Pem;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Every provider there is.
pub const ALL: &[Entry] =
    &[Entry::of::<Hms>(), Entry::of::<VideoSdk>(), Entry::of::<PlugNmeet>(), Entry::of::<LiveKit>()];

/// A provider, without its type.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// As in the URL.
    pub name: &'static str,
    /// Sample events, one JSON object `{"name", "body"}` a line.
    pub samples: &'static str,
    /// Fields of the keys file that only sending needs.
    pub private_fields: &'static [&'static str],
    /// Fields of the keys file that travel in each delivery as they are.
    pub standing_fields: &'static [&'static str],
    /// What is verified, by what that proves.
    pub schemes: &'static [(Assurance, &'static str)],
    /// Whether the event's `source` names the key that signed.
    pub names_key: bool,
    /// Makes keys for development.
    pub make_keys: fn() -> Value,
    /// Checks the provider's secret. Returns what is weak about it.
    pub check_keys: fn(&Value) -> Result<Option<String>, KeysError>,
    /// Signs a body as the provider does.
    pub sign: fn(&Value, &[u8], Validity) -> Result<Signed, String>,
    /// What a body that is signed with these keys becomes.
    pub normalize: fn(&Value, &[u8], Timestamp) -> Result<Normalized, String>,
    /// Verifies a delivery with the provider's secret, and says what it becomes.
    pub verify: fn(&Value, &Delivery<'_>, Timestamp) -> Result<Verdict, KeysError>,
    /// Whether a delivery says until when it counts.
    pub knows_time: bool,
    /// The function's name in template.yaml.
    pub function: &'static str,
    /// Its way through the recover function.
    pub way: Way,
}

impl Entry {
    const fn of<P: Sender>() -> Self {
        Self {
            name: P::NAME,
            samples: P::SAMPLES,
            private_fields: P::PRIVATE_FIELDS,
            standing_fields: P::STANDING_FIELDS,
            schemes: P::SCHEMES,
            names_key: P::NAMES_KEY,
            make_keys: P::make_keys,
            check_keys: |secret| P::Keys::from_json(secret).map(|keys| keys.weakness().map(str::to_owned)),
            sign: P::sign,
            normalize: normalize::<P>,
            verify: verify::<P>,
            knows_time: P::KNOWS_TIME,
            function: P::FUNCTION,
            way: Way::of::<P>(),
        }
    }

    /// The provider of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|entry| entry.name == name)
    }
}

/// Whether a delivery is authentic, and what it becomes.
pub type Verdict = Result<Checked, Rejection>;

/// What an authentic delivery becomes.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// What the verification has proven.
    pub assurance: &'static str,
    /// What happened.
    pub r#type: EventType,
    /// The event's id.
    pub id: String,
}

fn verify<P: Sender>(keys: &Value, delivery: &Delivery<'_>, now: Timestamp) -> Result<Verdict, KeysError> {
    let keys = P::Keys::from_json(&public(keys, P::PRIVATE_FIELDS))?;
    Ok(P::verify(delivery, &keys, now).map(|verified| {
        let event = P::normalize(&verified, now).event;
        Checked { assurance: verified.assurance().as_str(), r#type: event.r#type, id: event.id }
    }))
}

/// The secret without what only senders need.
fn public(keys: &Value, private_fields: &[&str]) -> Value {
    let mut public = keys.clone();
    if let Some(object) = public.as_object_mut() {
        object.retain(|name, _| !private_fields.contains(&name.as_str()));
    }
    public
}

/// What a sample becomes.
#[derive(Clone, Debug)]
pub struct Normalized {
    /// What happened.
    pub kind: EventType,
    /// The item's hash key.
    pub event_key: String,
    /// The event as CloudEvents JSON.
    pub json: String,
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
    /// Five minutes, as plugNmeet and LiveKit have it.
    fn from(now: Timestamp) -> Self {
        Self { now, expires: now + SignedDuration::from_mins(5) }
    }
}

fn normalize<P: Sender>(keys: &Value, body: &[u8], now: Timestamp) -> Result<Normalized, String> {
    let signed = P::sign(keys, body, now.into())?;
    let verifying =
        P::Keys::from_json(&public(keys, P::PRIVATE_FIELDS)).map_err(|error| error.to_string())?;
    let headers = signed.headers.iter().map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
    let headers =
        headers.collect::<Option<HeaderMap>>().ok_or("expected headers, found text that is none")?;
    let delivery = Delivery { headers: &headers, url_token: signed.url_token.as_deref(), body };
    let verified = P::verify(&delivery, &verifying, now).map_err(|rejection| rejection.to_string())?;
    let mut normalized = P::normalize(&verified, now);
    let json = normalized.to_json(0).map_err(|error| error.to_string())?;
    Ok(Normalized { kind: normalized.event.r#type, event_key: normalized.event_key(), json })
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

/// How a provider sends.
pub trait Sender: Provider {
    /// Sample events, one JSON object `{"name", "body"}` a line.
    const SAMPLES: &'static str;
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

    /// Makes keys for development.
    fn make_keys() -> Value;

    /// Signs a body with the first of the keys.
    ///
    /// # Errors
    /// Says which key is missing.
    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, String>;
}

impl Sender for Hms {
    const SAMPLES: &'static str = include_str!("../samples/100ms.ndjson");
    const STANDING_FIELDS: &'static [&'static str] = &["headers"];
    const SCHEMES: &'static [(Assurance, &'static str)] = &[
        (Assurance::Signed, "HMAC-SHA256 of the body in X-100ms-Signature"),
        (Assurance::SharedSecret, "the value of the secret header"),
    ];
    const FUNCTION: &'static str = "HmsFunction";

    fn make_keys() -> Value {
        json!({
            "signing_secrets": [secret()],
            "headers": [{ "name": "X-Livehooks-Secret", "values": [secret()] }],
        })
    }

    /// By the secret header, which is what 100ms itself documents; else by signature.
    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, String> {
        use hmac::{Hmac, KeyInit, Mac};
        let json_type = ("Content-Type".to_owned(), "application/json".to_owned());
        let header = &keys["headers"][0];
        if let (Some(name), Some(value)) = (header["name"].as_str(), header["values"][0].as_str()) {
            let headers = vec![(name.into(), value.into()), json_type];
            return Ok(Signed { headers, url_token: None, covers_body: false });
        }
        let secret = keys["signing_secrets"][0]
            .as_str()
            .ok_or("expected signing_secrets or headers, found neither")?;
        let mac =
            Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| error.to_string())?;
        let signature = data_encoding::HEXLOWER.encode(&mac.chain_update(body).finalize().into_bytes());
        Ok(Signed {
            headers: vec![("X-100ms-Signature".into(), signature), json_type],
            url_token: None,
            covers_body: true,
        })
    }
}

impl Sender for VideoSdk {
    const SAMPLES: &'static str = include_str!("../samples/videosdk.ndjson");
    const FUNCTION: &'static str = "VideosdkFunction";
    const PRIVATE_FIELDS: &'static [&'static str] = &["private_key"];
    const STANDING_FIELDS: &'static [&'static str] = &["url_tokens"];
    const SCHEMES: &'static [(Assurance, &'static str)] = &[
        (Assurance::Signed, "RSA-SHA256 of the body by VideoSDK's key, and the token in the URL"),
        (Assurance::ProviderSigned, "RSA-SHA256 of the body by VideoSDK's key"),
    ];
    const HAS_URL_TOKEN: bool = true;

    /// # Panics
    /// Where the machine has no randomness.
    fn make_keys() -> Value {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("the system has randomness");
        let public: PublicKeyX509Der = pair.public_key().as_der().expect("a generated key is valid");
        let private: Pkcs8V1Der = pair.as_der().expect("a generated key is valid");
        let public_key = pem::encode(&Pem::new("PUBLIC KEY", public.as_ref()));
        let private_key = pem::encode(&Pem::new("PRIVATE KEY", private.as_ref()));
        json!({ "public_keys": [public_key], "private_key": private_key })
    }

    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, String> {
        let pem =
            keys["private_key"].as_str().ok_or("expected private_key (PEM, PKCS#8 or PKCS#1), found none")?;
        let pem = pem::parse(pem).map_err(|_| "expected private_key in PEM, found a text that is none")?;
        let pair = match pem.tag() {
            "RSA PRIVATE KEY" => KeyPair::from_der(pem.contents()),
            _ => KeyPair::from_pkcs8(pem.contents()),
        };
        let pair = pair.map_err(|_| "expected an RSA private key in private_key, found another kind")?;
        let mut signature = vec![0; pair.public_modulus_len()];
        let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature);
        signed.map_err(|_| "the RSA private key cannot sign")?;
        Ok(Signed {
            headers: vec![
                ("videosdk-signature".into(), BASE64.encode(&signature)),
                ("Content-Type".into(), "application/json".into()),
            ],
            url_token: keys["url_tokens"][0].as_str().map(str::to_owned),
            covers_body: true,
        })
    }
}

impl Sender for PlugNmeet {
    const SAMPLES: &'static str = include_str!("../samples/plugnmeet.ndjson");
    const SCHEMES: &'static [(Assurance, &'static str)] = BODY_HASH_TOKEN;
    const NAMES_KEY: bool = true;
    const FUNCTION: &'static str = "PlugnmeetFunction";
    const KNOWS_TIME: bool = true;

    fn make_keys() -> Value {
        json!({ "keys": { "plugnmeet-dev": secret() } })
    }

    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, String> {
        let token = body_hash_token(keys, body, validity)?;
        let headers =
            [("Authorization", token.as_str()), ("Hash-Token", &token), ("Content-Type", "application/json")];
        Ok(Signed {
            headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
            url_token: None,
            covers_body: true,
        })
    }
}

impl Sender for LiveKit {
    const SAMPLES: &'static str = include_str!("../samples/livekit.ndjson");
    const SCHEMES: &'static [(Assurance, &'static str)] = BODY_HASH_TOKEN;
    const NAMES_KEY: bool = true;
    const FUNCTION: &'static str = "LivekitFunction";
    const KNOWS_TIME: bool = true;

    fn make_keys() -> Value {
        json!({ "keys": { "APIdevelopment": secret() } })
    }

    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, String> {
        let token = body_hash_token(keys, body, validity)?;
        let headers = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/webhook+json"),
            ("User-Agent", "LiveKit"),
        ];
        Ok(Signed {
            headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
            url_token: None,
            covers_body: true,
        })
    }
}

const BODY_HASH_TOKEN: &[(Assurance, &str)] =
    &[(Assurance::Signed, "HS256 token, in time, with the SHA-256 of the body")];

/// The token of plugNmeet and LiveKit.
fn body_hash_token(keys: &Value, body: &[u8], validity: Validity) -> Result<String, String> {
    #[derive(Serialize)]
    struct Claims<'a> {
        iss: &'a str,
        exp: i64,
        nbf: i64,
        iat: i64,
        sha256: String,
    }
    let first = keys["keys"].as_object().and_then(|keys| keys.iter().next());
    let (api_key, secret) = first.ok_or("expected an API key in keys, found none")?;
    let now = validity.now.as_second();
    let sha256 = BASE64.encode(BodyHash::of(body).as_bytes());
    let claims = Claims { iss: api_key, exp: validity.expires.as_second(), nbf: now, iat: now, sha256 };
    let key = EncodingKey::from_secret(secret.as_str().unwrap_or_default().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|error| error.to_string())
}

fn secret() -> String {
    format!("dev-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
