//! JaaS. It retries with exponential back-off; how often is not documented: a day with doubling delays is assumed.
//! Whether a retry is signed again is not documented either; the same signature is assumed.

use data_encoding::BASE64;
use jiff::SignedDuration;
use livehooks_core::jaas::Jaas;
use livehooks_core::{Assurance, Delivery, SecretList};
use serde_json::{Value, json};

use super::{signing_secrets, timestamped_signature};
use crate::keys::secret;
use crate::sender::{ASSUMED_TIMEOUT, DOUBLING_FOR_A_DAY};
use crate::{Attack, Lifetime, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

const SIGNATURE_HEADER: &str = "X-Jaas-Signature";

impl Signer for Jaas {
    const SAMPLES: &'static str = include_str!("../../samples/jaas.ndjson");
    const TYPICAL: &'static str = "PARTICIPANT_JOINED";
    const SCHEMES: &'static [(Assurance, &'static str)] =
        &[(Assurance::Signed, "HMAC-SHA256 of time and body in X-Jaas-Signature, not older than 25 h")];
    const LIFETIME: Lifetime = Lifetime::SinceSigning(SignedDuration::from_hours(25));
    const FUNCTION: &'static str = "JaasFunction";
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::After(|_| DOUBLING_FOR_A_DAY),
        timeout: ASSUMED_TIMEOUT,
        queue: Queue::Independent,
    };

    fn make_keys() -> Value {
        json!({ "signing_secrets": [format!("whsec_{}", secret())] })
    }

    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, SignError> {
        let secret = signing_secrets::first(keys, Self::FIELD)?;
        let signature = timestamped_signature::sign(secret, &BASE64, body, validity)?;
        let headers = [(SIGNATURE_HEADER, signature.as_str()), ("Content-Type", "application/json")];
        Ok(Signed {
            headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
            url_token: None,
            covers_body: true,
        })
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        vec![SIGNATURE_HEADER.into()]
    }

    fn other_keys(keys: &Value) -> Value {
        signing_secrets::other(keys, Self::FIELD)
    }

    fn rejection(attack: Attack, delivery: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        Some(timestamped_signature::rejection(attack, delivery, SIGNATURE_HEADER))
    }

    fn is_same_credential(right: &[u8], altered: &[u8]) -> bool {
        timestamped_signature::is_same_credential(right, altered)
    }
}
