//! API Gateway's envelope, through the functions' whole handler.

use std::time::Duration;

use http::HeaderValue;
use jiff::SignedDuration;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_aws::{Ingest, Outcome, gateway};
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::NOW;
use crate::aws::{Calls, sdk};
use crate::sender::Sender;

struct Functions {
    runtime: Runtime,
    calls: Calls,
    hms: Ingest<Hms>,
    videosdk: Ingest<VideoSdk>,
    plugnmeet: Ingest<PlugNmeet>,
    livekit: Ingest<LiveKit>,
}

thread_local! {
    static FUNCTIONS: Functions = {
        let calls = Calls::default();
        Functions {
            runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
            hms: ingest(&calls),
            videosdk: ingest(&calls),
            plugnmeet: ingest(&calls),
            livekit: ingest(&calls),
            calls,
        }
    };
}

fn ingest<P: Sender>(calls: &Calls) -> Ingest<P> {
    let config = IngestConfig {
        table: "Events".into(),
        keys: KeySource::Inline(P::keys().to_string()),
        retention: SignedDuration::from_hours(24 * 90),
        deadline: Duration::from_secs(60),
        fallback: None,
    };
    Ingest::new(config, &sdk(calls.clone()))
}

/// The input is an event as Lambda hands it to a function behind API Gateway.
pub fn envelope(input: &[u8]) {
    let Ok(event) = std::str::from_utf8(input) else { return };
    let Ok(mut request) = gateway::request(event) else { return };
    FUNCTIONS.with(|functions| {
        functions.runtime.block_on(async {
            check_outcome(functions.hms.receive_at(&request, NOW).await);
            check_outcome(functions.videosdk.receive_at(&request, NOW).await);
            check_outcome(functions.plugnmeet.receive_at(&request, NOW).await);
            check_outcome(functions.livekit.receive_at(&request, NOW).await);

            // The one credential that suits every body.
            request.headers_mut().remove("x-100ms-signature");
            request
                .headers_mut()
                .insert("x-passcode", HeaderValue::from_static("fixture-secret-passcode-0001"));
            functions.calls.take();
            let outcome = functions.hms.receive_at(&request, NOW).await;
            assert!(matches!(outcome, Outcome::Stored(_) | Outcome::TooLarge { .. }), "{outcome:?}");
            functions.calls.take().iter().for_each(|call| check_item(call, request.body().as_ref()));
        });
    });
}

/// Nothing that a request holds makes it our fault.
fn check_outcome(outcome: Outcome) {
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let status = outcome.into_response().status().as_u16();
    assert!(matches!(status, 200 | 401 | 413), "{status}");
}

/// The item holds the body's exact bytes.
fn check_item(call: &[u8], body: &[u8]) {
    let call: Value = serde_json::from_slice(call).expect("the SDK writes JSON");
    let Some(event) = call["Item"]["event"]["S"].as_str() else { return };
    let body_text = std::str::from_utf8(body).unwrap_or_default().trim_ascii();
    let is_raw = event.contains(&format!("\"raw\":{body_text}}}"));
    let is_base64 = event.contains(&format!("\"raw_base64\":\"{}\"", data_encoding::BASE64.encode(body)));
    assert!(is_raw || is_base64, "the item has not the body that came");
}
