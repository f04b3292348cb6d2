//! The providers as values, for code that is not generic.

use http::HeaderMap;
use jiff::Timestamp;
use livehooks_core::{Assurance, Delivery, EventType, Keys, KeysError, Rejection, for_each_provider};
use serde::Serialize;
use serde_json::Value;

use crate::keys::{self, verifying};
use crate::{Attack, Lifetime, SenderRules, SignError, Signed, Signer, Validity};

/// All providers.
pub const PROVIDERS: &[ProviderInfo] = &for_each_provider!(P => ProviderInfo::of::<P>());

/// A provider as a value.
#[derive(Clone, Copy, Debug)]
pub struct ProviderInfo {
    /// The name in the URL.
    pub name: &'static str,
    /// The secret's shape, as JSON.
    pub shape: &'static str,
    /// Fields of the keys file that only senders need.
    pub private_fields: &'static [&'static str],
    /// Fields of the keys file whose values are sent unchanged with each delivery.
    pub static_fields: &'static [&'static str],
    /// What is verified, and what that proves.
    pub schemes: &'static [(Assurance, &'static str)],
    /// Whether the event's `source` names the key that signed.
    pub names_key: bool,
    /// [`Provider::UNMAPPED_TYPES`](livehooks_core::Provider::UNMAPPED_TYPES).
    pub unmapped_types: &'static [&'static str],
    /// How long a delivery stays valid.
    pub lifetime: Lifetime,
    /// The function's name in template.yaml.
    pub function: &'static str,
    /// When the provider retries, and which events wait for each other.
    pub sender: SenderRules,
    /// Makes keys for development.
    pub make_keys: fn() -> Value,
    /// Checks the provider's secret. Returns what is weak about it.
    pub check_keys: fn(&Value) -> Result<Option<String>, KeysError>,
    /// Signs a body as the provider does.
    pub sign: fn(&Value, &[u8], Validity) -> Result<Signed, SignError>,
    /// Signs and normalizes a body.
    pub normalize: fn(&Value, &[u8], Timestamp) -> Result<Normalized, SignError>,
    /// Verifies and normalizes a delivery with the provider's secret.
    pub verify: fn(&Value, &Delivery<'_>, Timestamp) -> Result<VerifyResult, KeysError>,
    /// Checks everything about a delivery that needs no key.
    pub precheck: fn(&Delivery<'_>, Timestamp) -> Result<(), Rejection>,
    /// The headers that may carry the credential.
    pub credential_headers: fn(&Value) -> Vec<String>,
    /// The code of the rejection that an attack must cause; `None` if the scheme does not detect the attack. The delivery
    /// has its authentic headers, and the body that arrives.
    pub rejection: fn(Attack, &Delivery<'_>, Assurance) -> Option<&'static str>,
    /// Whether a credential that was altered still says the same as the right one.
    pub is_same_credential: fn(&[u8], &[u8]) -> bool,
    pub(crate) samples_ndjson: &'static str,
    pub(crate) typical: &'static str,
}

impl ProviderInfo {
    const fn of<P: Signer>() -> Self {
        Self {
            name: P::NAME,
            shape: P::Keys::SHAPE,
            private_fields: P::PRIVATE_FIELDS,
            static_fields: P::STATIC_FIELDS,
            schemes: P::SCHEMES,
            names_key: P::NAMES_KEY,
            unmapped_types: P::UNMAPPED_TYPES,
            lifetime: P::LIFETIME,
            function: P::FUNCTION,
            sender: P::SENDER,
            make_keys: P::make_keys,
            check_keys: |secret| P::Keys::from_json(secret).map(|keys| keys.weakness().map(str::to_owned)),
            sign: P::sign,
            normalize: normalize::<P>,
            verify: verify::<P>,
            precheck: P::precheck,
            credential_headers: P::credential_headers,
            rejection: P::rejection,
            is_same_credential: P::is_same_credential,
            samples_ndjson: P::SAMPLES,
            typical: P::TYPICAL,
        }
    }

    /// The provider of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.name == name)
    }

    /// The fields of the provider's secret.
    ///
    /// # Panics
    /// If the shape is no JSON; a test checks it.
    pub fn fields(&self) -> Vec<String> {
        let shape: serde_json::Map<String, Value> =
            serde_json::from_str(self.shape).expect("the shape is JSON");
        shape.into_iter().map(|(name, _)| name).collect()
    }

    /// The keys without the fields that only senders need: the provider's secret.
    pub fn public_keys(&self, keys: &Value) -> Value {
        keys::without(keys, self.private_fields)
    }

    /// The keys without static credentials, so that the provider signs the body.
    pub fn body_keys(&self, keys: &Value) -> Value {
        keys::without(keys, self.static_fields)
    }
}

/// Whether a delivery is authentic, and what it becomes.
pub type VerifyResult = Result<Checked, Rejection>;

/// The event that an authentic delivery becomes.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// What verification has proven.
    pub assurance: &'static str,
    /// What happened.
    pub r#type: EventType,
    /// The event's id.
    pub id: String,
    /// Whether it is a question of the provider, which is answered and not stored.
    pub is_question: bool,
}

/// The event that a sample becomes.
#[derive(Clone, Debug)]
pub struct Normalized {
    /// What happened.
    pub kind: EventType,
    /// The item's hash key.
    pub event_key: String,
    /// The hash by which a repeat with another body is detected, in hex.
    pub body_sha256: String,
    /// The event as CloudEvents JSON.
    pub json: String,
    /// The JSON with which the provider wants this event to be acknowledged, if it reads the response.
    pub reply: Option<&'static str>,
}

fn verify<P: Signer>(
    keys: &Value,
    delivery: &Delivery<'_>,
    now: Timestamp,
) -> Result<VerifyResult, KeysError> {
    let keys = verifying::<P>(keys)?;
    Ok(P::verify(delivery, &keys, now).map(|verified| {
        let event = P::normalize(&verified, now).event;
        let (assurance, is_question) = (verified.assurance().as_str(), verified.answer().is_some());
        Checked { assurance, r#type: event.r#type, id: event.id, is_question }
    }))
}

fn normalize<P: Signer>(keys: &Value, body: &[u8], now: Timestamp) -> Result<Normalized, SignError> {
    let signed = P::sign(keys, body, now.into())?;
    let keys = verifying::<P>(keys)?;
    let headers = signed.header_map()?;
    let delivery = Delivery { headers: &headers, url_token: signed.url_token.as_deref(), body };
    let verified = P::verify(&delivery, &keys, now)?;
    let mut normalized = P::normalize(&verified, now);
    let json = normalized.to_json(0)?;
    Ok(Normalized {
        kind: normalized.event.r#type,
        event_key: normalized.event_key(),
        body_sha256: normalized.body_hash.to_string(),
        json,
        reply: normalized.reply,
    })
}

impl Signed {
    /// The headers to send.
    ///
    /// # Errors
    /// If a header is invalid.
    pub fn header_map(&self) -> Result<HeaderMap, SignError> {
        let headers =
            self.headers.iter().map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
        headers.collect::<Option<HeaderMap>>().ok_or(SignError::Header)
    }
}
