//! What comes out of the queue is verified, and stored once.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use jiff::Timestamp;
use lambda_http::Request;
use livehooks::dev::{DeadLetter, RECEIVES_MAX};
use livehooks::local::PATIENCE;
use livehooks_aws::config::KeySource;
use livehooks_aws::fallback::message;
use livehooks_aws::recover::{Recovered, Taken, Unrecoverable, response};
use livehooks_aws::{Fault, Outcome, Recover};
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{Delivery, Provider};
use serde_json::json;

use crate::cloud::{Cloud, START, after, batch, public_keys, request, said, signed_request};
use crate::harness::body;
use crate::sizes::{noise, padded};

fn inline(provider: &str) -> KeySource {
    KeySource::Inline(public_keys(provider).to_string())
}

/// What was said of the one message, and whether it is done with.
fn only(recovered: &[Recovered]) -> (String, bool) {
    let [message] = recovered else { panic!("expected one message, found {recovered:?}") };
    (said(message.result.clone().unwrap().outcome), message.is_settled())
}

#[tokio::test]
async fn a_token_that_has_expired_while_it_waited_still_counts() {
    let cloud = Cloud::start().await;
    let ingest = cloud.ingest::<LiveKit>(&public_keys("livekit"));
    let recover = cloud.recover("livekit", inline("livekit"));
    let body = body("livekit", "participant_joined", |_| ());
    let request = request("livekit", body.as_bytes(), START);
    cloud.down.table.store(true, SeqCst);
    assert_eq!(said(ingest.receive_at(&request, START).await), "queued");
    assert_eq!(only(&cloud.recover_batch(&recover, after(60)).await), ("503".into(), false));
    assert_eq!(cloud.waiting(), 1);

    cloud.down.table.store(false, SeqCst);
    let (tomorrow, still) = (after(86_400), cloud.queue.clone());
    assert_eq!(said(ingest.receive_at(&request, tomorrow).await), "401", "sent again it would be refused");
    assert_eq!(only(&cloud.recover_batch(&recover, tomorrow).await), ("accepted".into(), true));
    assert_eq!(still.bodies().unwrap(), (vec![], vec![]));
    let items = cloud.items().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["received_at"].as_s().unwrap(), "2025-10-30T09:03:20.000000000Z");
}

#[tokio::test]
async fn an_outage_of_the_keys_at_a_cold_start_loses_nothing_and_lets_nobody_in() {
    let cloud = Cloud::start().await;
    *cloud.secret.lock().unwrap() = public_keys("plugnmeet").to_string();
    cloud.down.secrets.store(true, SeqCst);
    let ingest = cloud.ingest_with::<PlugNmeet>(|_| ());
    let recover = cloud.recover("plugnmeet", KeySource::SecretsManager("keys".into()));
    let forged = signed_request("plugnmeet", &json!({ "keys": { "plugnmeet-dev": "forged" } }), b"{}", START);
    for request in [request("plugnmeet", br#"{"id":"1"}"#, START), forged] {
        assert_eq!(said(ingest.receive_at(&request, START).await), "queued");
    }
    for message in cloud.recover_batch(&recover, after(10)).await {
        assert!(!message.is_settled(), "without keys nothing is dropped: {message:?}");
    }

    cloud.down.secrets.store(false, SeqCst);
    let recovered = cloud.recover_batch(&recover, after(20)).await;
    let said: Vec<String> =
        recovered.iter().map(|message| said(message.result.clone().unwrap().outcome)).collect();
    assert_eq!(said, ["accepted", "401"]);
    assert_eq!((cloud.waiting(), cloud.items().await.len()), (0, 1));
    assert_eq!(reasons(&cloud), ["wrong_key"]);
}

/// The reasons of the dead letters.
fn reasons(cloud: &Cloud) -> Vec<String> {
    let letters = cloud.queue.receive_dead(10, after(100_000), after(100_000)).unwrap();
    letters.into_iter().map(|letter| attribute(&letter, "reason")).collect()
}

fn attribute(letter: &DeadLetter, name: &str) -> String {
    letter.attributes.as_ref().unwrap()[name]["StringValue"].as_str().unwrap().to_owned()
}

/// A plugNmeet delivery that was answered 200 while the secret was unusable, and the recover function.
async fn queued_without_keys() -> (Cloud, Recover) {
    let cloud = Cloud::start().await;
    *cloud.secret.lock().unwrap() = "not JSON".into();
    let ingest = cloud.ingest_with::<PlugNmeet>(|_| ());
    let genuine = signed_request("plugnmeet", &secret("right"), br#"{"id":"1"}"#, START);
    assert_eq!(said(ingest.receive_at(&genuine, START).await), "queued");
    let recover = cloud.recover("plugnmeet", KeySource::SecretsManager("keys".into()));
    (cloud, recover)
}

fn secret(value: &str) -> serde_json::Value {
    json!({ "keys": { "plugnmeet-dev": value } })
}

#[tokio::test]
async fn a_typo_in_a_secret_costs_no_delivery_that_was_answered_200() {
    let (cloud, recover) = queued_without_keys().await;
    let body = cloud.queue.bodies().unwrap().0;
    *cloud.secret.lock().unwrap() = secret("right ").to_string();
    let recovered = cloud.recover_batch(&recover, after(60)).await;
    assert_eq!(only(&recovered), ("401".into(), true));
    assert!(recovered[0].result.as_ref().unwrap().is_dead_lettered);
    assert_eq!(cloud.queue.bodies().unwrap(), (vec![], body), "it is kept as it was");
    let letter = cloud.queue.receive_dead(1, after(60), after(60)).unwrap().remove(0);
    assert_eq!(attribute(&letter, "reason"), "wrong_key");
    assert_eq!(attribute(&letter, "provider"), "plugnmeet");
    assert_eq!(attribute(&letter, "received_at"), START.to_string());

    *cloud.secret.lock().unwrap() = secret("right").to_string();
    assert_eq!(cloud.queue.redrive(after(90)).unwrap(), 1);
    assert_eq!(only(&cloud.recover_batch(&recover, after(90)).await), ("accepted".into(), true));
    assert_eq!(cloud.queue.bodies().unwrap(), (vec![], vec![]));
    let items = cloud.items().await;
    assert_eq!(items[0]["received_at"].as_s().unwrap(), "2025-10-30T09:03:20.000000000Z");
}

#[tokio::test]
async fn what_the_dead_letter_queue_does_not_take_stays_in_the_fallback_queue() {
    for hangs in [false, true] {
        let (cloud, _) = queued_without_keys().await;
        let wrong = || KeySource::Inline(secret("wrong").to_string());
        let deadline = if hangs { Duration::from_millis(300) } else { PATIENCE };
        let recover = cloud.recover_within(deadline, "plugnmeet", wrong());
        cloud.down.dead_letters.store(true, SeqCst);
        cloud.down.hangs.store(hangs, SeqCst);
        let recovered = cloud.recover_batch(&recover, after(60)).await;
        assert_eq!(only(&recovered), ("503".into(), false));
        assert_eq!(response(&recovered).batch_item_failures.len(), 1);
        let Outcome::Failed(fault) = &recovered[0].result.as_ref().unwrap().outcome else { panic!() };
        assert_eq!(fault.code(), "dead_letter_queue");
        assert_eq!(cloud.waiting(), 1);

        cloud.down.dead_letters.store(false, SeqCst);
        let recover = cloud.recover("plugnmeet", wrong());
        assert_eq!(only(&cloud.recover_batch(&recover, after(61)).await), ("401".into(), true));
        assert_eq!((cloud.waiting(), reasons(&cloud)), (0, vec!["wrong_key".to_owned()]));
    }
}

/// What becomes of a plugNmeet delivery that is queued as it is: its reason, and whether it is dead-lettered.
async fn rejected(request: &Request, received_at: Timestamp) -> (&'static str, bool) {
    let cloud = Cloud::start().await;
    let delivery = Delivery { headers: request.headers(), url_token: None, body: request.body().as_ref() };
    let message = message::<PlugNmeet>(&delivery, received_at, &Fault::StoreTimeout(1)).unwrap();
    cloud.queue.send(&message, received_at).unwrap();
    let recover = cloud.recover("plugnmeet", KeySource::Inline(secret("right").to_string()));
    let recovered = cloud.recover_batch(&recover, received_at).await;
    assert!(recovered[0].is_settled() && cloud.waiting() == 0);
    let Ok(Taken { outcome: Outcome::Rejected(rejection), is_dead_lettered, .. }) = &recovered[0].result
    else {
        panic!("{recovered:?}")
    };
    assert_eq!(reasons(&cloud).len(), usize::from(*is_dead_lettered));
    (rejection.code(), *is_dead_lettered)
}

#[tokio::test]
async fn only_what_no_change_of_keys_could_let_in_is_dropped() {
    let signed = |keys: &serde_json::Value| signed_request("plugnmeet", keys, br#"{"id":"1"}"#, START);
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
            *value = http::HeaderValue::from_static("no token");
        }
    });
    assert_eq!(rejected(&malformed, START).await, ("malformed_credential", false));
    assert_eq!(rejected(&signed(&secret("right")), after(3_600)).await, ("expired", false));
}

#[tokio::test]
async fn what_the_table_cannot_hold_is_dead_lettered() {
    let cloud = Cloud::start().await;
    *cloud.secret.lock().unwrap() = "not JSON".into();
    let request = request("plugnmeet", &padded(&noise(700_000)), START);
    let ingest = cloud.ingest_with::<PlugNmeet>(|_| ());
    assert_eq!(said(ingest.receive_at(&request, START).await), "queued");
    let recover = cloud.recover("plugnmeet", inline("plugnmeet"));
    assert_eq!(only(&cloud.recover_batch(&recover, after(60)).await), ("413".into(), true));
    assert_eq!((cloud.waiting(), reasons(&cloud)), (0, vec!["too_large".to_owned()]));
}

#[tokio::test]
async fn keys_that_were_added_since_they_were_read_let_in_what_they_signed() {
    let cloud = Cloud::start().await;
    let keys = |secret: &str| json!({ "keys": { "a": secret } });
    *cloud.secret.lock().unwrap() = keys("old").to_string();
    let recover = cloud.recover("plugnmeet", KeySource::SecretsManager("keys".into()));
    let ingest = cloud.ingest_with::<PlugNmeet>(|_| ());
    cloud.down.table.store(true, SeqCst);
    let old = signed_request("plugnmeet", &keys("old"), br#"{"id":"1"}"#, START);
    assert_eq!(said(ingest.receive_at(&old, START).await), "queued");
    cloud.recover_batch(&recover, after(1)).await;

    *cloud.secret.lock().unwrap() = json!({ "keys": { "a": "old", "b": "new" } }).to_string();
    let new = signed_request("plugnmeet", &json!({ "keys": { "b": "new" } }), br#"{"id":"2"}"#, after(10));
    let ingest = cloud.ingest_with::<PlugNmeet>(|_| ());
    assert_eq!(said(ingest.receive_at(&new, after(10)).await), "queued");
    cloud.down.table.store(false, SeqCst);
    // Its own keys would reject the second one, and are old enough to be read again.
    assert!(cloud.recover_batch(&recover, after(32)).await.iter().all(Recovered::is_settled));
    assert_eq!(cloud.items().await.len(), 2);
}

#[tokio::test]
async fn a_message_that_comes_twice_is_one_event() {
    for (provider, name) in [("plugnmeet", "participant_joined"), ("videosdk", "participant-joined")] {
        let cloud = Cloud::start().await;
        let body = body(provider, name, |_| ());
        cloud.down.table.store(true, SeqCst);
        queue(&cloud, provider, &body, 0).await;
        cloud.down.table.store(false, SeqCst);
        let recover = cloud.recover(provider, inline(provider));
        let event = cloud.queue.receive(10, after(100)).unwrap().event;
        let first = recover.recover_at(&event, after(100)).await;
        let second = recover.recover_at(&event, after(5_000)).await;
        assert_eq!(only(&first), ("accepted".into(), true));
        assert_eq!(only(&second), ("duplicate".into(), true));
        assert_eq!(cloud.items().await.len(), 1);
    }
}

async fn receive(cloud: &Cloud, provider: &str, body: &str, seconds: i64) -> String {
    let request = request(provider, body.as_bytes(), after(seconds));
    let keys = public_keys(provider);
    said(match provider {
        "videosdk" => cloud.ingest::<VideoSdk>(&keys).receive_at(&request, after(seconds)).await,
        _ => cloud.ingest::<PlugNmeet>(&keys).receive_at(&request, after(seconds)).await,
    })
}

async fn queue(cloud: &Cloud, provider: &str, body: &str, seconds: i64) {
    assert_eq!(receive(cloud, provider, body, seconds).await, "queued");
}

/// Events of one sequence, each received at its second: those that are queued come into the table later, in
/// the order in which they stand here. Returns how many events there are then.
async fn stored(direct: &[(&str, i64)], queued: &[(&str, i64)]) -> usize {
    let cloud = Cloud::start().await;
    cloud.down.table.store(true, SeqCst);
    for (name, seconds) in queued {
        queue(&cloud, VideoSdk::NAME, &body("videosdk", name, |_| ()), *seconds).await;
    }
    cloud.down.table.store(false, SeqCst);
    for (name, seconds) in direct {
        receive(&cloud, VideoSdk::NAME, &body("videosdk", name, |_| ()), *seconds).await;
    }
    let recover = cloud.recover("videosdk", inline("videosdk"));
    while cloud.waiting() > 0 {
        // One by one: a batch would be put in order.
        let event = cloud.queue.receive(1, after(1_000)).unwrap().event;
        let message = recover.recover_at(&event, after(1_000)).await.remove(0);
        assert!(message.is_settled(), "{message:?}");
        cloud.queue.delete(&message.message_id).unwrap();
    }
    cloud.items().await.len()
}

const JOIN: &str = "participant-joined";
const LEAVE: &str = "participant-left";

#[tokio::test]
async fn a_sequence_is_the_same_in_whatever_order_its_events_come_out_of_the_queue() {
    // Two copies of a join around a leave that came after both.
    assert_eq!(stored(&[], &[(JOIN, 0), (LEAVE, 6), (JOIN, 1)]).await, 2);
    // The copy is already in the table, behind what came later.
    assert_eq!(stored(&[(JOIN, 1), (LEAVE, 6)], &[(JOIN, 0)]).await, 2);
    // A join, a leave and a join again, within ten seconds, in any order: three events.
    assert_eq!(stored(&[], &[(LEAVE, 3), (JOIN, 6), (JOIN, 0)]).await, 3);
    assert_eq!(stored(&[], &[(JOIN, 6), (LEAVE, 3), (JOIN, 0)]).await, 3);
    assert_eq!(stored(&[(LEAVE, 3)], &[(JOIN, 6), (JOIN, 0)]).await, 3);
    // An old join that was never stored is no repeat of a much later one.
    assert_eq!(stored(&[(JOIN, 500)], &[(JOIN, 0)]).await, 2);
}

#[tokio::test]
async fn a_poison_message_ends_in_the_dead_letter_queue_and_holds_nothing_up() {
    let cloud = Cloud::start().await;
    cloud.queue.send("poison", START).unwrap();
    cloud.down.table.store(true, SeqCst);
    queue(&cloud, "plugnmeet", "{}", 0).await;
    cloud.down.table.store(false, SeqCst);
    let recover = cloud.recover("plugnmeet", inline("plugnmeet"));
    let first = cloud.recover_batch(&recover, after(1)).await;
    assert!(matches!(&first[0].result, Err(Unrecoverable::Unreadable(_))), "{first:?}");
    assert!(first[1].is_settled());
    for _ in 1..RECEIVES_MAX {
        assert_eq!(cloud.recover_batch(&recover, after(2)).await.len(), 1);
    }
    assert!(cloud.recover_batch(&recover, after(3)).await.is_empty());
    assert_eq!(cloud.queue.bodies().unwrap(), (vec![], vec!["poison".to_owned()]));
}

#[tokio::test]
async fn whatever_is_no_delivery_of_a_known_provider_is_wanted_again() {
    let cloud = Cloud::start().await;
    let recover = cloud.recover("plugnmeet", inline("plugnmeet"));
    let good = json!({
        "provider": "plugnmeet", "received_at": "2025-10-30T09:03:20Z", "fault": "store",
        "url_token": null, "headers": [], "body": "e30=", "gzip": false,
    });
    let with = |field: &str, value: serde_json::Value| {
        let mut message = good.clone();
        message[field] = value;
        message.to_string()
    };
    for message in [
        "".to_owned(),
        "{}".to_owned(),
        with("provider", json!("livekit")),
        with("provider", json!("nobody")),
        with("received_at", json!("yesterday")),
        with("headers", json!([["a b", ""]])),
        with("headers", json!([["a", "Cg=="]])),
        with("body", json!("no base64")),
        with("gzip", json!(true)),
    ] {
        let recovered = recover.recover_at(&batch(&message), START).await;
        assert!(recovered[0].result.is_err(), "{message}");
        assert_eq!(response(&recovered).batch_item_failures[0].item_identifier, "message");
    }
    let recovered = recover.recover_at(&batch(&good.to_string()), START).await;
    assert!(matches!(&recovered[0].result, Ok(taken) if matches!(taken.outcome, Outcome::Rejected(_))));
    assert!(response(&recovered).batch_item_failures.is_empty());
}
