//! plugNmeet. Source: plugnmeet-server v2.4, `NewNotifier(ctx, 1, 2, …)`. Each room has one worker, without limits,
//! which is killed when the room's analytics are done, at least 50 s after the room ends.

use std::time::Duration;

use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::{Assurance, Delivery};
use serde_json::{Value, json};

use super::livekit_token;
use crate::keys::{other_secrets, secret};
use crate::{Attack, Lifetime, Queue, RetryPolicy, SenderRules, SignError, Signed, Signer, Validity};

const TOKEN_HEADERS: [&str; 2] = ["Authorization", "Hash-Token"];

impl Signer for PlugNmeet {
    const SAMPLES: &'static str = include_str!("../../samples/plugnmeet.ndjson");
    const TYPICAL: &'static str = "participant_joined";
    const SCHEMES: &'static [(Assurance, &'static str)] = livekit_token::SCHEMES;
    const NAMES_KEY: bool = true;
    const FUNCTION: &'static str = "PlugnmeetFunction";
    const LIFETIME: Lifetime = Lifetime::UntilExpiry;
    const SENDER: SenderRules = SenderRules {
        retries: RetryPolicy::RetryableHttp { retry_max: 2 },
        timeout: None,
        queue: Queue::PerRoom {
            depth_max: usize::MAX,
            age_max: Duration::MAX,
            outlives_room: Duration::from_secs(50),
        },
    };

    fn make_keys() -> Value {
        json!({ "keys": { "plugnmeet-dev": secret() } })
    }

    fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<Signed, SignError> {
        let token = livekit_token::sign(keys, body, validity)?;
        let headers = TOKEN_HEADERS.map(|name| (name.to_owned(), token.clone()));
        let json_type = ("Content-Type".to_owned(), "application/json".to_owned());
        Ok(Signed {
            headers: headers.into_iter().chain([json_type]).collect(),
            url_token: None,
            covers_body: true,
        })
    }

    fn credential_headers(_: &Value) -> Vec<String> {
        TOKEN_HEADERS.map(str::to_owned).into()
    }

    fn other_keys(keys: &Value) -> Value {
        other_secrets(keys)
    }

    fn rejection(attack: Attack, delivery: &Delivery<'_>, _: Assurance) -> Option<&'static str> {
        livekit_token::rejection(attack, delivery, &TOKEN_HEADERS)
    }
}
