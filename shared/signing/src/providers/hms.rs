//! 100ms, as documented.

use std::time::Duration;

use data_encoding::HEXLOWER;
use livehooks_core::hms::Hms;
use livehooks_core::{Assurance, Delivery};
use serde_json::{Value, json};

use super::signing_secrets;
use crate::keys::secret;
use crate::sender::ASSUMED_TIMEOUT;
use crate::{Attack, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

impl Signer for Hms {
    const SAMPLES: &'static str = include_str!("../../samples/100ms.ndjson");
    const TYPICAL: &'static str = "peer.join.success";
    const STATIC_FIELDS: &'static [&'static str] = &["headers"];
    const SCHEMES: &'static [(Assurance, &'static str)] = &[
        (Assurance::Signed, "HMAC-SHA256 of the body in X-100ms-Signature"),
        (Assurance::SharedSecret, "the value of the secret header"),
    ];
    const FUNCTION: &'static str = "HmsFunction";
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::Only200 {
            waits: &[Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)],
        },
        timeout: ASSUMED_TIMEOUT,
        queue: Queue::Independent,
    };

    fn make_keys() -> Value {
        json!({
            "signing_secrets": [secret()],
            "headers": [{ "name": "X-Livehooks-Secret", "values": [secret()] }],
        })
    }

    /// Sends the secret header, which 100ms documents; without one, signs the body.
    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, SignError> {
        let json_type = ("Content-Type".to_owned(), "application/json".to_owned());
        let header = &keys["headers"][0];
        if let (Some(name), Some(value)) = (header["name"].as_str(), header["values"][0].as_str()) {
            let headers = vec![(name.into(), value.into()), json_type];
            return Ok(Signed { headers, url_token: None, covers_body: false });
        }
        let expected = SignError::SigningKeys { expected: "signing_secrets or headers", found: "neither" };
        let secret = keys["signing_secrets"][0].as_str().ok_or(expected)?;
        let signature = HEXLOWER.encode(&signing_secrets::sign(secret, &[body])?);
        let headers = vec![(SIGNATURE_HEADER.into(), signature), json_type];
        Ok(Signed { headers, url_token: None, covers_body: true })
    }

    fn credential_headers(keys: &Value) -> Vec<String> {
        let headers = keys["headers"].as_array().into_iter().flatten();
        let names = headers.filter_map(|header| header["name"].as_str());
        names.chain([SIGNATURE_HEADER]).map(str::to_owned).collect()
    }

    fn other_keys(keys: &Value) -> Value {
        let mut keys = keys.clone();
        if let Some(secrets) = keys.get_mut("signing_secrets") {
            *secrets = json!(["another secret"]);
        }
        for header in keys.get_mut("headers").and_then(Value::as_array_mut).into_iter().flatten() {
            header["values"] = json!(["another value"]);
        }
        keys
    }

    fn rejection(attack: Attack, _: &Delivery<'_>, assurance: Assurance) -> Option<&'static str> {
        let is_signed = assurance == Assurance::Signed;
        match attack {
            Attack::CredentialMissing => Some("missing_header"),
            Attack::CredentialDoubled => Some("repeated_header"),
            Attack::CredentialTruncated if is_signed => Some("malformed_credential"),
            Attack::OtherKey | Attack::BodyAltered if is_signed => Some("signature_mismatch"),
            Attack::CredentialTruncated | Attack::OtherKey => Some("wrong_header_value"),
            Attack::BodyAltered | Attack::Late | Attack::Early => None,
        }
    }

    /// Hex may be in capitals.
    fn is_same_credential(right: &[u8], altered: &[u8]) -> bool {
        right.eq_ignore_ascii_case(altered)
    }
}

const SIGNATURE_HEADER: &str = "X-100ms-Signature";
