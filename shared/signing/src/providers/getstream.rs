//! GetStream Video. It makes up to three attempts within 15 s, two if there is no connection; the delays between them
//! are not documented, so a second is assumed.

use std::io::Read;
use std::time::Duration;

use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use livehooks_core::getstream::GetStream;
use livehooks_core::{Assurance, Delivery, SecretList};
use serde_json::{Value, json};

use super::signing_secrets;
use crate::keys::secret;
use crate::{Answer, Attack, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

const SIGNATURE_HEADER: &str = "x-signature";
const GZIP: &[u8] = &[0x1f, 0x8b];
const ASSUMED_WAIT: Duration = Duration::from_secs(1);

impl Signer for GetStream {
    const SAMPLES: &'static str = include_str!("../../samples/getstream.ndjson");
    const TYPICAL: &'static str = "call.session_participant_joined";
    const SCHEMES: &'static [(Assurance, &'static str)] =
        &[(Assurance::Signed, "HMAC-SHA256 of the body, before compression, in x-signature")];
    const FUNCTION: &'static str = "GetstreamFunction";
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::After(retries),
        timeout: Some(Duration::from_secs(6)),
        queue: Queue::Independent,
    };

    fn make_keys() -> Value {
        json!({ "api_secrets": [secret()] })
    }

    fn sign(keys: &Value, body: &[u8], _validity: Validity) -> Result<Signed, SignError> {
        let secret = signing_secrets::first(keys, Self::FIELD)?;
        let signature = signing_secrets::sign(secret, &[&before_compression(body)])?;
        Ok(Signed {
            headers: vec![
                (SIGNATURE_HEADER.into(), HEXLOWER.encode(&signature)),
                ("Content-Type".into(), "application/json".into()),
            ],
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
        match attack {
            Attack::CredentialMissing => Some("missing_header"),
            Attack::CredentialDoubled => Some("repeated_header"),
            Attack::CredentialTruncated => Some("malformed_credential"),
            Attack::BodyAltered if delivery.body.starts_with(GZIP) => Some("malformed_body"),
            Attack::OtherKey | Attack::BodyAltered => Some("signature_mismatch"),
            Attack::Late | Attack::Early => None,
        }
    }
}

/// What GetStream signed, if it compressed the body.
fn before_compression(body: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    match body.starts_with(GZIP) && MultiGzDecoder::new(body).read_to_end(&mut unpacked).is_ok() {
        true => unpacked,
        false => body.to_vec(),
    }
}

fn retries(answer: &Answer) -> &'static [Duration] {
    match answer {
        Answer::Status(408 | 429 | 500.., _) | Answer::Silence => &[ASSUMED_WAIT; 2],
        Answer::Broken => &[ASSUMED_WAIT],
        Answer::Status(..) => &[],
    }
}
