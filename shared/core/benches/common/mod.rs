//! Signed deliveries of every provider, in any size.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be made is to end")]

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::Timestamp;
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{BodyHash, Delivery, Keys, Normalized, Provider, Verified};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const SECRET: &str = "bench-secret-9f4b7c1d2e3a4b5c6d7e8f90";

/// A LiveKit `participant_joined` as a small room sends it, 695 bytes.
pub const JOINED: &str = r#"{"event":"participant_joined","room":{"sid":"RM_hycBMAjmt6Ub","name":"Demo Room","emptyTimeout":300,"departureTimeout":20,"creationTime":"1761815000","creationTimeMs":"1761815000123","turnPassword":"2Pvdj+/WV1xV4EkB8klJ9xkXDWY=","enabledCodecs":[{"mime":"audio/opus"},{"mime":"audio/red"},{"mime":"video/VP8"},{"mime":"video/H264"}],"metadata":"a <b> & \"c\"","numParticipants":1},"participant":{"sid":"PA_7xKq3bV9fLwT","identity":"user-42","state":"ACTIVE","joinedAt":"1761815000","joinedAtMs":"1761815000123","name":"Zoë Grünwald-Ruiz","version":3,"permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true},"isPublisher":true},"id":"EV_6VbrsjnPuAl3","createdAt":"1761815000"}"#;

/// One signed delivery and the keys that it is signed with.
pub struct Case<P: Provider> {
    pub body: Vec<u8>,
    headers: HeaderMap,
    keys: P::Keys,
    now: Timestamp,
}

impl<P: Sender> Case<P> {
    /// A delivery with the provider's sample body, padded to at least `bytes`.
    pub fn padded(bytes: usize) -> Self {
        let body = P::BODY.replace("{{now}}", "2025-10-30T09:03:20Z").replace("{{now_s}}", "1761815000");
        Self::signed(&padded(&body.replace("{{now_ms}}", "1761815000123"), bytes))
    }

    pub fn signed(body: &str) -> Self {
        let now: Timestamp = "2025-10-30T09:03:20Z".parse().unwrap();
        let (keys, name, credential) = P::sign(body.as_bytes(), now);
        let mut headers = HeaderMap::new();
        headers.insert(name, credential.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        Self { body: body.into(), headers, keys: P::Keys::from_json(&keys).unwrap(), now }
    }

    pub fn verify(&self) -> Verified<'_, P> {
        let delivery = Delivery { headers: &self.headers, url_token: None, body: &self.body };
        P::verify(black_box(&delivery), &self.keys, self.now).unwrap()
    }

    pub fn normalize<'a>(&self, verified: &Verified<'a, P>) -> Normalized<'a> {
        P::normalize(black_box(verified), self.now)
    }

    /// All that the core does for a delivery.
    pub fn whole(&self) -> String {
        self.normalize(&self.verify()).to_json(0).unwrap()
    }
}

/// What no receiver of a body-hash token can do without: one HMAC over the token, one SHA-256 over the body,
/// one pass of serde_json over the body.
pub fn floor(body: &[u8]) {
    let token = [b'x'; 240];
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(black_box(&token));
    black_box(mac.finalize());
    black_box(Sha256::digest(black_box(body)));
    black_box(serde_json::from_slice::<&serde_json::value::RawValue>(black_box(body)).unwrap());
}

/// How a provider signs, and a body that it sends.
pub trait Sender: Provider {
    const BODY: &'static str;

    /// The keys to verify with, and the header that holds the credential.
    fn sign(body: &[u8], now: Timestamp) -> (Value, &'static str, String);
}

impl Sender for LiveKit {
    const BODY: &'static str = JOINED;

    fn sign(body: &[u8], now: Timestamp) -> (Value, &'static str, String) {
        (json!({ "keys": { "APIbench": SECRET } }), "authorization", token(body, now))
    }
}

impl Sender for PlugNmeet {
    const BODY: &'static str = r#"{"event":"participant_joined", "room":{"sid":"RM_hycBMAjmt6Ub", "room_id":"room01", "empty_timeout":1800, "max_participants":0, "creation_time":"{{now_s}}", "enabled_codecs":[{"mime":"audio/opus"}, {"mime":"video/VP8"}], "metadata":"{\"roomTitle\":\"Room <1> & \\\"co\\\"\",\"isRecording\":false}", "num_participants":1}, "participant":{"sid":"PA_7xKq3bV9fLwT", "identity":"user-42", "state":"ACTIVE", "joined_at":"{{now_s}}", "joined_at_ms":"{{now_ms}}", "name":"Zoë <b>", "version":3}, "id":"EV_6VbrsjnPuAl3", "created_at":"{{now_s}}"}"#;

    fn sign(body: &[u8], now: Timestamp) -> (Value, &'static str, String) {
        (json!({ "keys": { "APIbench": SECRET } }), "authorization", token(body, now))
    }
}

impl Sender for Hms {
    const BODY: &'static str = r#"{"version":"2.0","id":"ad42a8a5-9de1-4a2e-8b3e-7c8f2f0a1b11","account_id":"627cbb4ea30ec9cc9f6c24f1","timestamp":"{{now}}","type":"peer.join.success","data":{"joined_at":"{{now}}","peer_id":"peer-42","role":"guest","room_id":"room01","room_name":"Daily standup","session_id":"session-7","template_id":"66112497abcd52312556c4ff","type":"regular","user_id":"user-42","user_name":"Zoë <b>","user_data":"{\"team\":\"R&D\",\"isHandRaised\":false}","session_started_at":"{{now}}"}}"#;

    fn sign(body: &[u8], _: Timestamp) -> (Value, &'static str, String) {
        (json!({ "signing_secrets": [SECRET] }), "x-100ms-signature", HEXLOWER.encode(&mac(body)))
    }
}

impl Sender for VideoSdk {
    const BODY: &'static str = r#"{"webhookType":"participant-joined","data":{"meetingId":"abcd-efgh-ijkl","sessionId":"613a5ac4e4b0a1c2d3e4f5a6","participantId":"user-42","participantName":"Zoë <b>"}}"#;

    fn sign(body: &[u8], _: Timestamp) -> (Value, &'static str, String) {
        let keys: Value = serde_json::from_str(include_str!("../../../../events/keys.json")).unwrap();
        let private = pem::parse(keys["videosdk"]["private_key"].as_str().unwrap()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(private.contents()).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature).unwrap();
        let keys = json!({ "public_keys": keys["videosdk"]["public_keys"] });
        (keys, "videosdk-signature", BASE64.encode(&signature))
    }
}

fn token(body: &[u8], now: Timestamp) -> String {
    let now = now.as_second();
    let sha256 = BASE64.encode(BodyHash::of(body).as_bytes());
    let claims = json!({ "iss": "APIbench", "nbf": now, "exp": now + 300, "sha256": sha256 });
    let encode = |part: String| BASE64URL_NOPAD.encode(part.as_bytes());
    let signed =
        format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#.into()), encode(claims.to_string()));
    let signature = BASE64URL_NOPAD.encode(&mac(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn mac(bytes: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.chain_update(bytes).finalize().into_bytes().into()
}

/// The body with one more field at its end: a list of objects, as a large payload has.
fn padded(body: &str, bytes: usize) -> String {
    const ENTRY: &str =
        r#"{"id":"PA_7xKq3bV9fLwT","note":"a \"quoted\" word","at":1761815000123,"live":true},"#;
    let entries = bytes.saturating_sub(body.len()).div_ceil(ENTRY.len());
    if entries == 0 {
        return body.to_owned();
    }
    let list = ENTRY.repeat(entries);
    format!("{},\"others\":[{}]}}", body.strip_suffix('}').unwrap(), list.strip_suffix(',').unwrap())
}
