//! VideoSDK. Retries are not documented, so none are assumed.

use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{Assurance, Delivery};
use serde_json::Value;

use super::rsa_signature;
use crate::sender::ASSUMED_TIMEOUT;
use crate::{Attack, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

impl Signer for VideoSdk {
    const SAMPLES: &'static str = include_str!("../../samples/videosdk.ndjson");
    const TYPICAL: &'static str = "participant-joined";
    const FUNCTION: &'static str = "VideosdkFunction";
    const PRIVATE_FIELDS: &'static [&'static str] = rsa_signature::PRIVATE_FIELDS;
    const STATIC_FIELDS: &'static [&'static str] = rsa_signature::STATIC_FIELDS;
    const SCHEMES: &'static [(Assurance, &'static str)] = &[
        (Assurance::Signed, "RSA-SHA256 of the body by VideoSDK's key, and the token in the URL"),
        (Assurance::ProviderSigned, "RSA-SHA256 of the body by VideoSDK's key"),
    ];
    const HAS_URL_TOKEN: bool = true;
    const SENDER: SenderRules =
        SenderRules { retries: RetryPolicy::Once, timeout: ASSUMED_TIMEOUT, queue: Queue::Independent };

    fn make_keys() -> Value {
        rsa_signature::make_keys()
    }

    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, SignError> {
        rsa_signature::sign(SIGNATURE_HEADER, keys, body)
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        vec![SIGNATURE_HEADER.into()]
    }

    fn other_keys(keys: &Value) -> Value {
        rsa_signature::other_keys(keys)
    }

    fn rejection(attack: Attack, _: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        rsa_signature::rejection(attack)
    }
}

const SIGNATURE_HEADER: &str = "videosdk-signature";
