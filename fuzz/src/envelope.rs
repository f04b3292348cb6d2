//! Passes API Gateway's events through the complete handlers.

use std::pin::Pin;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::SignedDuration;
use lambda_http::Request;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_aws::{Ingest, Outcome, gateway};
use livehooks_core::{Provider, for_each_provider};
use livehooks_signing::Signer;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::NOW;
use crate::aws::{Calls, sdk};
use crate::provider::KeySet;

struct Functions {
    runtime: Runtime,
    calls: Calls,
    all: Vec<Function>,
}

struct Function {
    ingest: Box<dyn Receive>,
    /// The headers that may carry the provider's credential.
    credentials: Vec<HeaderName>,
    /// A credential that is valid for any body, if the provider has one.
    static_headers: Option<HeaderMap>,
}

thread_local! {
    static FUNCTIONS: Functions = {
        let calls = Calls::default();
        Functions {
            runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
            all: for_each_provider!(P => Function::new::<P>(&calls)).into(),
            calls,
        }
    };
}

impl Function {
    fn new<P: Signer>(calls: &Calls) -> Self {
        let keys = KeySet::<P>::read();
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(keys.secret.to_string()),
            retention: SignedDuration::from_hours(24 * 90),
            deadline: Duration::from_secs(60),
            fallback: None,
        };
        let credentials = P::credential_headers(&keys.secret).into_iter();
        Self {
            ingest: Box::new(Ingest::<P>::new(config, &sdk(calls.clone()))),
            credentials: credentials.map(|name| name.parse().expect("a header's name")).collect(),
            static_headers: keys.static_headers(),
        }
    }
}

trait Receive {
    fn receive<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;
}

impl<P: Provider> Receive for Ingest<P> {
    fn receive<'a>(&'a self, request: &'a Request) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        Box::pin(self.receive_at(request, NOW))
    }
}

/// The input is an event as Lambda passes it to a function behind API Gateway.
pub fn envelope(input: &[u8]) {
    let Ok(event) = std::str::from_utf8(input) else { return };
    let Ok(mut request) = gateway::request(event) else { return };
    FUNCTIONS.with(|functions| {
        functions.runtime.block_on(async {
            for function in &functions.all {
                check_outcome(function.ingest.receive(&request).await);
            }
            for function in &functions.all {
                let Some(static_headers) = &function.static_headers else { continue };
                for name in &function.credentials {
                    request.headers_mut().remove(name);
                }
                request.headers_mut().extend(static_headers.clone());
                functions.calls.take();
                let outcome = function.ingest.receive(&request).await;
                assert!(matches!(outcome, Outcome::Stored(_) | Outcome::TooLarge { .. }), "{outcome:?}");
                functions.calls.take().iter().for_each(|call| check_item(call, request.body().as_ref()));
            }
        });
    });
}

/// No request causes a fault of ours.
fn check_outcome(outcome: Outcome) {
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let status = outcome.into_response().status().as_u16();
    assert!(matches!(status, 200 | 401 | 413), "{status}");
}

/// The item holds the body's exact bytes, if it is not compressed: JSON in `raw`, anything else in the event.
fn check_item(call: &[u8], body: &[u8]) {
    let call: Value = serde_json::from_slice(call).expect("the SDK writes JSON");
    let item = &call["Item"];
    // Only a put has an item.
    let Some(event) = item["event"]["S"].as_str() else { return };
    let is_held = match &item["raw"] {
        Value::Null => event.contains(&format!("\"raw_base64\":\"{}\"", data_encoding::BASE64.encode(body))),
        raw => raw["S"].as_str().is_none_or(|raw| raw.as_bytes() == body.trim_ascii()),
    };
    assert!(is_held, "the item does not hold the body");
}
