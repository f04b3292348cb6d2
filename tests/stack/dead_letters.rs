//! Deliveries that other keys might accept are kept in the dead-letter queue.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use jiff::Timestamp;
use lambda_http::Request;
use livehooks::dev::DeadLetter;
use livehooks::local::LOCAL_TIMEOUT;
use livehooks_aws::config::KeySource;
use livehooks_aws::fallback::message;
use livehooks_aws::recover::{RecoveredDelivery, response};
use livehooks_aws::{Fault, Outcome, Recover};
use livehooks_core::Delivery;
use serde_json::json;

use crate::fake_aws::{FakeAws, START, after, public_keys, request, signed_request, status_of};
use crate::harness::{EXAMPLE, Example};
use crate::recover::{inline, only};
use crate::sizes::{noise, padded};

/// The reasons of the dead letters.
pub fn reasons(aws: &FakeAws) -> Vec<String> {
    let letters = aws.queue.receive_dead(10, after(100_000), after(100_000)).unwrap();
    letters.into_iter().map(|letter| attribute(&letter, "reason")).collect()
}

fn attribute(letter: &DeadLetter, name: &str) -> String {
    letter.attributes.as_ref().unwrap()[name]["StringValue"].as_str().unwrap().to_owned()
}

/// Queues a delivery while the secret is unusable.
async fn queued_without_keys() -> (FakeAws, Recover) {
    let aws = FakeAws::start().await;
    *aws.secret.lock().unwrap() = "not JSON".into();
    let ingest = aws.ingest_with::<Example>(|_| ());
    let genuine = signed_request(EXAMPLE, &secret("right"), br#"{"id":"1"}"#, START);
    assert_eq!(status_of(ingest.receive_at(&genuine, START).await), "queued");
    let recover = aws.recover(EXAMPLE, KeySource::SecretsManager("keys".into()));
    (aws, recover)
}

fn secret(value: &str) -> serde_json::Value {
    let mut keys = public_keys(EXAMPLE);
    keys["keys"].as_object_mut().unwrap().values_mut().for_each(|secret| *secret = value.into());
    keys
}

#[tokio::test]
async fn a_typo_in_a_secret_loses_no_acknowledged_delivery() {
    let (aws, recover) = queued_without_keys().await;
    let body = aws.queue.bodies().unwrap().0;
    *aws.secret.lock().unwrap() = secret("right ").to_string();
    let recovered = aws.recover_batch(&recover, after(60)).await;
    assert_eq!(only(&recovered), ("401".into(), true));
    assert!(recovered[0].result.as_ref().unwrap().is_dead_lettered);
    assert_eq!(aws.queue.bodies().unwrap(), (vec![], body), "the message is unchanged");
    let letter = aws.queue.receive_dead(1, after(60), after(60)).unwrap().remove(0);
    assert_eq!(attribute(&letter, "reason"), "wrong_key");
    assert_eq!(attribute(&letter, "provider"), EXAMPLE);
    assert_eq!(attribute(&letter, "received_at"), START.to_string());

    *aws.secret.lock().unwrap() = secret("right").to_string();
    assert_eq!(aws.queue.redrive(after(90)).unwrap(), 1);
    assert_eq!(only(&aws.recover_batch(&recover, after(90)).await), ("accepted".into(), true));
    assert_eq!(aws.queue.bodies().unwrap(), (vec![], vec![]));
    let items = aws.items().await;
    assert_eq!(items[0]["received_at"].as_s().unwrap(), "2025-10-30T09:03:20.000000000Z");
}

#[tokio::test]
async fn a_message_that_the_dead_letter_queue_rejects_stays_in_the_fallback_queue() {
    for hangs in [false, true] {
        let (aws, _) = queued_without_keys().await;
        let wrong = || KeySource::Inline(secret("wrong").to_string());
        let deadline = if hangs { Duration::from_millis(300) } else { LOCAL_TIMEOUT };
        let recover = aws.recover_within(deadline, EXAMPLE, wrong());
        aws.down.dead_letters.store(true, SeqCst);
        aws.down.hangs.store(hangs, SeqCst);
        let recovered = aws.recover_batch(&recover, after(60)).await;
        assert_eq!(only(&recovered), ("503".into(), false));
        assert_eq!(response(&recovered).batch_item_failures.len(), 1);
        let Outcome::Failed(fault) = &recovered[0].result.as_ref().unwrap().outcome else { panic!() };
        assert_eq!(fault.code(), "dead_letter_queue");
        assert_eq!(aws.waiting(), 1);

        aws.down.dead_letters.store(false, SeqCst);
        let recover = aws.recover(EXAMPLE, wrong());
        assert_eq!(only(&aws.recover_batch(&recover, after(61)).await), ("401".into(), true));
        assert_eq!((aws.waiting(), reasons(&aws)), (0, vec!["wrong_key".to_owned()]));
    }
}

/// Queues and recovers a delivery. Returns the rejection's reason and whether the delivery is dead-lettered.
async fn rejected(request: &Request, received_at: Timestamp) -> (&'static str, bool) {
    let aws = FakeAws::start().await;
    let delivery = Delivery { headers: request.headers(), url_token: None, body: request.body().as_ref() };
    let message = message::<Example>(&delivery, received_at, &Fault::StoreTimeout(1)).unwrap();
    aws.queue.send(&message, received_at).unwrap();
    let recover = aws.recover(EXAMPLE, KeySource::Inline(secret("right").to_string()));
    let recovered = aws.recover_batch(&recover, received_at).await;
    assert!(recovered[0].is_settled() && aws.waiting() == 0);
    let Ok(RecoveredDelivery { outcome: Outcome::Rejected(rejection), is_dead_lettered, .. }) =
        &recovered[0].result
    else {
        panic!("{recovered:?}")
    };
    assert_eq!(reasons(&aws).len(), usize::from(*is_dead_lettered));
    (rejection.code(), *is_dead_lettered)
}

#[tokio::test]
async fn only_deliveries_that_no_keys_could_accept_are_dropped() {
    let signed = |keys: &serde_json::Value| signed_request(EXAMPLE, keys, br#"{"id":"1"}"#, START);
    let with = |change: fn(&mut Request)| {
        let mut request = signed(&secret("right"));
        change(&mut request);
        request
    };
    let strange = signed(&json!({ "keys": { "another": "right" } }));
    assert_eq!(rejected(&strange, START).await, ("unknown_issuer", true));
    assert_eq!(rejected(&signed(&secret("wrong")), START).await, ("wrong_key", true));

    let altered = with(|request| *request.body_mut() = "{}".into());
    assert_eq!(rejected(&altered, START).await, ("body_altered", false));
    assert_eq!(
        rejected(&with(|request| request.headers_mut().clear()), START).await,
        ("missing_header", false)
    );
    let malformed = with(|request| {
        for value in request.headers_mut().values_mut() {
            *value = http::HeaderValue::from_static("not a token");
        }
    });
    assert_eq!(rejected(&malformed, START).await, ("malformed_credential", false));
    assert_eq!(rejected(&signed(&secret("right")), after(3_600)).await, ("expired", false));
}

#[tokio::test]
async fn an_event_too_large_for_the_table_is_dead_lettered() {
    let aws = FakeAws::start().await;
    *aws.secret.lock().unwrap() = "not JSON".into();
    let request = request(EXAMPLE, &padded(&noise(700_000)), START);
    let ingest = aws.ingest_with::<Example>(|_| ());
    assert_eq!(status_of(ingest.receive_at(&request, START).await), "queued");
    let recover = aws.recover(EXAMPLE, inline(EXAMPLE));
    assert_eq!(only(&aws.recover_batch(&recover, after(60)).await), ("413".into(), true));
    assert_eq!((aws.waiting(), reasons(&aws)), (0, vec!["too_large".to_owned()]));
}
