//! Zoom. It retries after 5, 25 and 85 minutes, and only if the answer is 500 or higher or does not come in 3 s. Whether
//! a retry is signed again is not documented; the same signature is assumed.

use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::SignedDuration;
use livehooks_core::zoom::Zoom;
use livehooks_core::{Assurance, Delivery, SecretList};
use serde_json::{Value, json};

use super::signing_secrets;
use crate::keys::secret;
use crate::{Answer, Attack, Lifetime, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

const SIGNATURE_HEADER: &str = "x-zm-signature";
const TIME_HEADER: &str = "x-zm-request-timestamp";

const WAITS: &[Duration] = &[Duration::from_mins(5), Duration::from_mins(20), Duration::from_mins(60)];

impl Signer for Zoom {
    const SAMPLES: &'static str = include_str!("../../samples/zoom.ndjson");
    const TYPICAL: &'static str = "meeting.participant_joined";
    const SCHEMES: &'static [(Assurance, &'static str)] =
        &[(Assurance::Signed, "HMAC-SHA256 of time and body in x-zm-signature, not older than 2.5 h")];
    const LIFETIME: Lifetime = Lifetime::SinceSigning(SignedDuration::from_mins(150));
    const FUNCTION: &'static str = "ZoomFunction";
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::After(|answer| match answer {
            Answer::Status(..500, _) => &[],
            Answer::Status(..) | Answer::Broken | Answer::Silence => WAITS,
        }),
        timeout: Some(Duration::from_secs(3)),
        queue: Queue::Independent,
    };

    fn make_keys() -> Value {
        json!({ "secret_tokens": [secret()] })
    }

    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, SignError> {
        let time = validity.now.as_second().to_string();
        let message = [b"v0:", time.as_bytes(), b":", body];
        let signature = signing_secrets::sign(signing_secrets::first(keys, Self::FIELD)?, &message)?;
        let headers = [
            (SIGNATURE_HEADER, format!("v0={}", HEXLOWER.encode(&signature))),
            (TIME_HEADER, time),
            ("Content-Type", "application/json; charset=utf-8".into()),
            ("User-Agent", "Zoom Marketplace/1.0a".into()),
        ];
        Ok(Signed {
            headers: headers.map(|(name, value)| (name.into(), value)).into(),
            url_token: None,
            covers_body: true,
        })
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        vec![SIGNATURE_HEADER.into(), TIME_HEADER.into()]
    }

    fn other_keys(keys: &Value) -> Value {
        signing_secrets::other(keys, Self::FIELD)
    }

    fn rejection(attack: Attack, _: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        Some(match attack {
            Attack::CredentialMissing => "missing_header",
            Attack::CredentialDoubled => "repeated_header",
            Attack::CredentialTruncated => "malformed_credential",
            Attack::OtherKey | Attack::BodyAltered => "signature_mismatch",
            Attack::Late => "expired",
            Attack::Early => "not_yet_valid",
        })
    }
}
