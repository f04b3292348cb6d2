//! Cloudflare RealtimeKit. It retries after a 5xx answer and after none; how often is not documented, so two retries
//! are assumed.

use std::time::Duration;

use livehooks_core::realtimekit::RealtimeKit;
use livehooks_core::{Assurance, Delivery};
use serde_json::Value;

use super::rsa_signature;
use crate::sender::ASSUMED_TIMEOUT;
use crate::{Answer, Attack, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

const SIGNATURE_HEADER: &str = "rtk-signature";
const OLD_SIGNATURE_HEADER: &str = "dyte-signature";
const ASSUMED_WAITS: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(2)];

impl Signer for RealtimeKit {
    const SAMPLES: &'static str = include_str!("../../samples/realtimekit.ndjson");
    const TYPICAL: &'static str = "meeting.participantJoined";
    const FUNCTION: &'static str = "RealtimekitFunction";
    const PRIVATE_FIELDS: &'static [&'static str] = rsa_signature::PRIVATE_FIELDS;
    const STATIC_FIELDS: &'static [&'static str] = rsa_signature::STATIC_FIELDS;
    const SCHEMES: &'static [(Assurance, &'static str)] = &[
        (Assurance::Signed, "RSA-SHA256 of the body by RealtimeKit's key, and the token in the URL"),
        (Assurance::ProviderSigned, "RSA-SHA256 of the body by RealtimeKit's key"),
    ];
    const HAS_URL_TOKEN: bool = true;
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::After(retries),
        timeout: ASSUMED_TIMEOUT,
        queue: Queue::Independent,
    };

    fn make_keys() -> Value {
        rsa_signature::make_keys()
    }

    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, SignError> {
        rsa_signature::sign(SIGNATURE_HEADER, keys, body)
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        [SIGNATURE_HEADER, OLD_SIGNATURE_HEADER].map(Into::into).into()
    }

    fn other_keys(keys: &Value) -> Value {
        rsa_signature::other_keys(keys)
    }

    fn rejection(attack: Attack, _: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        rsa_signature::rejection(attack)
    }
}

fn retries(answer: &Answer) -> &'static [Duration] {
    match answer {
        Answer::Status(..500, _) => &[],
        Answer::Status(..) | Answer::Broken | Answer::Silence => ASSUMED_WAITS,
    }
}
