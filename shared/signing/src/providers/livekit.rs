//! LiveKit. Source: livekit/protocol, `ResourceURLNotifier` with its defaults.

use std::time::Duration;

use livehooks_core::livekit::LiveKit;
use livehooks_core::{Assurance, Delivery};
use serde_json::{Value, json};

use super::livekit_token;
use crate::keys::{other_secrets, secret};
use crate::{Attack, Lifetime, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

const TOKEN_HEADER: &str = "Authorization";

impl Signer for LiveKit {
    const SAMPLES: &'static str = include_str!("../../samples/livekit.ndjson");
    const TYPICAL: &'static str = "participant_joined";
    const SCHEMES: &'static [(Assurance, &'static str)] = livekit_token::SCHEMES;
    const NAMES_KEY: bool = true;
    const FUNCTION: &'static str = "LivekitFunction";
    const LIFETIME: Lifetime = Lifetime::UntilExpiry;
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::RetryableHttp { retry_max: 4 },
        timeout: None,
        queue: Queue::PerRoom {
            depth_max: 200,
            age_max: Duration::from_secs(30),
            outlives_room: Duration::MAX,
        },
    };

    fn make_keys() -> Value {
        json!({ "keys": { "APIdevelopment": secret() } })
    }

    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, SignError> {
        let token = livekit_token::sign(keys, body, validity)?;
        let headers = [
            (TOKEN_HEADER, token.as_str()),
            ("Content-Type", "application/webhook+json"),
            ("User-Agent", "LiveKit"),
        ];
        Ok(Signed {
            headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
            url_token: None,
            covers_body: true,
        })
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        vec![TOKEN_HEADER.into()]
    }

    fn other_keys(keys: &Value) -> Value {
        other_secrets(keys)
    }

    fn rejection(attack: Attack, delivery: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        livekit_token::rejection(attack, delivery, &[TOKEN_HEADER])
    }
}
