//! Signed deliveries of every provider, in any size.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up must stop")]

use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::Timestamp;
use livehooks_core::{Delivery, Keys, Normalized, Provider, Verified};
use livehooks_signing::{ProviderInfo, SampleValues, Signer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The keys of all providers. They are fixed, so that the counts are reproducible.
const KEYS: &str = include_str!("../../../../events/keys.json");

/// LiveKit's `participant_joined` for a small room, 695 bytes.
pub const JOINED: &str = r#"{"event":"participant_joined","room":{"sid":"RM_hycBMAjmt6Ub","name":"Demo Room","emptyTimeout":300,"departureTimeout":20,"creationTime":"1761815000","creationTimeMs":"1761815000123","turnPassword":"2Pvdj+/WV1xV4EkB8klJ9xkXDWY=","enabledCodecs":[{"mime":"audio/opus"},{"mime":"audio/red"},{"mime":"video/VP8"},{"mime":"video/H264"}],"metadata":"a <b> & \"c\"","numParticipants":1},"participant":{"sid":"PA_7xKq3bV9fLwT","identity":"user-42","state":"ACTIVE","joinedAt":"1761815000","joinedAtMs":"1761815000123","name":"Zoë Grünwald-Ruiz","version":3,"permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true},"isPublisher":true},"id":"EV_6VbrsjnPuAl3","createdAt":"1761815000"}"#;

const NOW: Timestamp = Timestamp::constant(1_761_815_000, 0);

fn provider<P: Signer>() -> &'static ProviderInfo {
    ProviderInfo::named(P::NAME).unwrap()
}

/// One signed delivery, and the keys to verify it with.
pub struct Case<P: Provider> {
    pub body: Vec<u8>,
    headers: HeaderMap,
    keys: P::Keys,
    now: Timestamp,
}

impl<P: Signer> Case<P> {
    /// A delivery with the provider's sample body, padded to at least `bytes`.
    pub fn padded(bytes: usize) -> Self {
        let values =
            SampleValues { session: "RM_hycBMAjmt6Ub".into(), ..SampleValues::of("EV_6VbrsjnPuAl3", NOW) };
        Self::signed(&padded(&provider::<P>().typical().body(&values), bytes))
    }

    pub fn signed(body: &str) -> Self {
        let keys: Value = serde_json::from_str(KEYS).unwrap();
        let keys = provider::<P>().body_keys(&keys[P::NAME]);
        let headers = P::sign(&keys, body.as_bytes(), NOW.into()).unwrap().header_map().unwrap();
        let keys = P::Keys::from_json(&provider::<P>().public_keys(&keys)).unwrap();
        Self { body: body.into(), headers, keys, now: NOW }
    }

    pub fn verify(&self) -> Verified<'_, P> {
        let delivery = Delivery { headers: &self.headers, url_token: None, body: &self.body };
        P::verify(black_box(&delivery), &self.keys, self.now).unwrap()
    }

    pub fn normalize<'a>(&self, verified: &'a Verified<'_, P>) -> Normalized<'a> {
        P::normalize(black_box(verified), self.now)
    }

    /// Everything that the core does for a delivery.
    pub fn process(&self) -> String {
        self.normalize(&self.verify()).to_json(0).unwrap()
    }
}

/// The minimum for any receiver of LiveKit's token: one HMAC over the token, one SHA-256 over the body, one
/// pass of serde_json over the body.
pub fn baseline(body: &[u8]) {
    let token = [b'x'; 240];
    let mac = Hmac::<Sha256>::new_from_slice(&[b's'; 37]).unwrap().chain_update(black_box(&token));
    black_box(mac.finalize());
    black_box(Sha256::digest(black_box(body)));
    black_box(serde_json::from_slice::<&serde_json::value::RawValue>(black_box(body)).unwrap());
}

/// The body with one more field at its end: an array of objects, as in a large payload.
fn padded(body: &str, bytes: usize) -> String {
    const ENTRY: &str =
        r#"{"id":"PA_7xKq3bV9fLwT","note":"a \"quoted\" word","at":1761815000123,"live":true},"#;
    let entries = bytes.saturating_sub(body.len()).div_ceil(ENTRY.len());
    if entries == 0 {
        return body.to_owned();
    }
    let array = ENTRY.repeat(entries);
    format!("{},\"others\":[{}]}}", body.strip_suffix('}').unwrap(), array.strip_suffix(',').unwrap())
}
