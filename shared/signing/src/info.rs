//! The providers without their types.

use http::HeaderMap;
use jiff::Timestamp;
use livehooks_core::{Assurance, Delivery, EventType, Keys, KeysError, Rejection, for_each_provider};
use serde::Serialize;
use serde_json::Value;

use crate::keys::{self, verifying};
use crate::{Attack, SenderRules, SignError, Signed, Signer, Validity};

/// Every provider there is.
pub const PROVIDERS: &[ProviderInfo] = &for_each_provider!(P => ProviderInfo::of::<P>());

/// A provider, without its type.
#[derive(Clone, Copy, Debug)]
pub struct ProviderInfo {
    /// As in the URL.
    pub name: &'static str,
    /// Fields of the keys file that only sending needs.
    pub private_fields: &'static [&'static str],
    /// Fields of the keys file that travel in each delivery as they are.
    pub standing_fields: &'static [&'static str],
    /// What is verified, by what that proves.
    pub schemes: &'static [(Assurance, &'static str)],
    /// Whether the event's `source` names the key that signed.
    pub names_key: bool,
    /// Whether a delivery says until when it counts.
    pub knows_time: bool,
    /// The function's name in template.yaml.
    pub function: &'static str,
    /// When the provider tries again, and which events wait for each other.
    pub sender: SenderRules,
    /// Makes keys for development.
    pub make_keys: fn() -> Value,
    /// Checks the provider's secret. Returns what is weak about it.
    pub check_keys: fn(&Value) -> Result<Option<String>, KeysError>,
    /// Signs a body as the provider does.
    pub sign: fn(&Value, &[u8], Validity) -> Result<Signed, SignError>,
    /// What a body that is signed with these keys becomes.
    pub normalize: fn(&Value, &[u8], Timestamp) -> Result<Normalized, SignError>,
    /// Verifies a delivery with the provider's secret, and says what it becomes.
    pub verify: fn(&Value, &Delivery<'_>, Timestamp) -> Result<VerificationResult, KeysError>,
    /// The headers that may carry the credential.
    pub credential_headers: fn(&Value) -> Vec<String>,
    /// The code of the rejection that an attack on this authentic delivery must cause; `None` if the scheme does
    /// not notice it.
    pub rejection: fn(Attack, &Delivery<'_>, Assurance) -> Option<&'static str>,
    pub(crate) samples_ndjson: &'static str,
    pub(crate) joined: &'static str,
}

impl ProviderInfo {
    const fn of<P: Signer>() -> Self {
        Self {
            name: P::NAME,
            private_fields: P::PRIVATE_FIELDS,
            standing_fields: P::STANDING_FIELDS,
            schemes: P::SCHEMES,
            names_key: P::NAMES_KEY,
            knows_time: P::KNOWS_TIME,
            function: P::FUNCTION,
            sender: P::SENDER,
            make_keys: P::make_keys,
            check_keys: |secret| P::Keys::from_json(secret).map(|keys| keys.weakness().map(str::to_owned)),
            sign: P::sign,
            normalize: normalize::<P>,
            verify: verify::<P>,
            credential_headers: P::credential_headers,
            rejection: P::rejection,
            samples_ndjson: P::SAMPLES,
            joined: P::JOINED,
        }
    }

    /// The provider of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.name == name)
    }

    /// The keys without what only senders need: the provider's secret.
    pub fn public_keys(&self, keys: &Value) -> Value {
        keys::without(keys, self.private_fields)
    }

    /// The keys with which the provider signs the body itself, where it also knows a credential that proves
    /// nothing of the body.
    pub fn body_keys(&self, keys: &Value) -> Value {
        keys::without(keys, self.standing_fields)
    }
}

/// Whether a delivery is authentic, and what it becomes.
pub type VerificationResult = Result<Checked, Rejection>;

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

fn verify<P: Signer>(
    keys: &Value,
    delivery: &Delivery<'_>,
    now: Timestamp,
) -> Result<VerificationResult, KeysError> {
    let keys = verifying::<P>(keys)?;
    Ok(P::verify(delivery, &keys, now).map(|verified| {
        let event = P::normalize(&verified, now).event;
        Checked { assurance: verified.assurance().as_str(), r#type: event.r#type, id: event.id }
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
    Ok(Normalized { kind: normalized.event.r#type, event_key: normalized.event_key(), json })
}

impl Signed {
    /// The headers to send.
    ///
    /// # Errors
    /// Says that one of them cannot be sent.
    pub fn header_map(&self) -> Result<HeaderMap, SignError> {
        let headers =
            self.headers.iter().map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
        headers.collect::<Option<HeaderMap>>().ok_or(SignError::Header)
    }
}
