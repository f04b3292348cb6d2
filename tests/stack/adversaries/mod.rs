//! Named attacks through API Gateway's envelope and the complete handler. Checks the exact status and reason.

mod bodies;
mod headers;
mod keys;
mod tokens;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use lambda_http::Request;
use livehooks::dev::Database;
use livehooks::envelope::Delivered;
use livehooks::local::{LOCAL_TIMEOUT, local_sdk_config};
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_aws::store::PutOutcome;
use livehooks_aws::{Ingest, Outcome};
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::{BodyHash, Provider};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

const SECRET: &[u8] = b"the secret of API key a";
const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_761_815_000, 0);
const BODY: &[u8] = br#"{"event":"room_started","id":"EV_1","room":{"name":"r"}}"#;

/// A provider's function with an empty table.
struct Function<P: Provider>(Ingest<P>);

impl<P: Provider> Function<P> {
    async fn start(keys: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sdk = local_sdk_config(listener.local_addr().unwrap());
        tokio::spawn(Database::open(None).unwrap().serve(listener));
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(keys.to_string()),
            retention: jiff::SignedDuration::from_hours(24 * 90),
            deadline: LOCAL_TIMEOUT,
            fallback: None,
        };
        Self(Ingest::new(config, &sdk))
    }

    /// Sends a request. Returns the status and reason.
    async fn answer(&self, request: &Request) -> (u16, &'static str) {
        let outcome = self.0.receive_at(request, NOW).await;
        let reason = match &outcome {
            Outcome::Stored(receipt) if matches!(receipt.written, PutOutcome::New { .. }) => "accepted",
            Outcome::Stored(_) => "duplicate",
            Outcome::Answered(_) => "answered",
            Outcome::Rejected(rejection) => rejection.code(),
            Outcome::TooLarge { .. } => "too_large",
            Outcome::Failed(fault) | Outcome::Queued { fault, .. } => {
                panic!("a request caused a fault: {fault}")
            }
        };
        (outcome.into_response().status().as_u16(), reason)
    }

    /// Sends a delivery through an HTTP API. Returns the status and reason. Checks that a REST API gives the same, or
    /// `duplicate` if the delivery was accepted.
    async fn send(&self, headers: &[(&str, &str)], token: Option<&str>, body: &[u8]) -> (u16, &'static str) {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let path =
            format!("/webhooks/{}{}", P::NAME, token.map_or(String::new(), |token| format!("/{token}")));
        let delivered = Delivered {
            path: &path,
            url_token: token,
            headers: &headers,
            body,
            base64: false,
            received_at: NOW,
        };
        let first = self.answer(&request(delivered.http_api())).await;
        let second = self.answer(&request(delivered.rest_api())).await;
        let expected = if first.1 == "accepted" { (200, "duplicate") } else { first };
        assert_eq!(second, expected, "through a REST API");
        first
    }
}

fn request(envelope: Value) -> Request {
    livehooks_aws::gateway::request(&envelope.to_string()).unwrap()
}

async fn tokens<P: Provider>() -> Function<P> {
    Function::start(&json!({ "keys": { "a": "the secret of API key a", "b": "the secret of API key b" } }))
        .await
}

fn claims(body: &[u8]) -> Value {
    let sha256 = BASE64.encode(BodyHash::of(body).as_bytes());
    json!({ "iss": "a", "nbf": NOW.as_second(), "exp": NOW.as_second() + 300, "sha256": sha256 })
}

fn unsigned(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes())).join(".")
}

/// A token with any header, signed with HS256.
fn token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = unsigned(header, claims);
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&signed).finalize();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
}

/// Checks that both providers with a body hash in their tokens answer alike.
async fn both_answer(token: &str, body: &[u8], expected: (u16, &str)) {
    let headers = [("Authorization", token)];
    assert_eq!(tokens::<PlugNmeet>().await.send(&headers, None, body).await, expected, "plugNmeet: {token}");
    assert_eq!(tokens::<LiveKit>().await.send(&headers, None, body).await, expected, "LiveKit: {token}");
}
