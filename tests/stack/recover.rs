//! Queued deliveries are verified, and stored once.

use std::sync::atomic::Ordering::SeqCst;

use livehooks::dev::RECEIVES_MAX;
use livehooks_aws::Outcome;
use livehooks_aws::config::KeySource;
use livehooks_aws::recover::{Recovered, Unrecoverable, response};
use livehooks_core::Provider;
use livehooks_core::livekit::LiveKit;
use livehooks_core::videosdk::VideoSdk;
use livehooks_signing::Signer;
use serde_json::json;

use crate::dead_letters::reasons;
use crate::fake_aws::{FakeAws, START, after, batch, public_keys, request, signed_request, status_of};
use crate::harness::{EXAMPLE, Example, body};

pub fn inline(provider: &str) -> KeySource {
    KeySource::Inline(public_keys(provider).to_string())
}

/// The status of the only message, and whether it is settled.
pub fn only(recovered: &[Recovered]) -> (String, bool) {
    let [message] = recovered else { panic!("expected one message, found {recovered:?}") };
    (status_of(message.result.clone().unwrap().outcome), message.is_settled())
}

#[tokio::test]
async fn a_token_that_expires_in_the_queue_still_counts() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<LiveKit>(&public_keys("livekit"));
    let recover = aws.recover("livekit", inline("livekit"));
    let body = body("livekit", "participant_joined", |_| ());
    let request = request("livekit", body.as_bytes(), START);
    aws.down.table.store(true, SeqCst);
    assert_eq!(status_of(ingest.receive_at(&request, START).await), "queued");
    assert_eq!(only(&aws.recover_batch(&recover, after(60)).await), ("503".into(), false));
    assert_eq!(aws.waiting(), 1);

    aws.down.table.store(false, SeqCst);
    let tomorrow = after(86_400);
    assert_eq!(
        status_of(ingest.receive_at(&request, tomorrow).await),
        "401",
        "a new delivery would be rejected"
    );
    assert_eq!(only(&aws.recover_batch(&recover, tomorrow).await), ("accepted".into(), true));
    assert_eq!(aws.queue.bodies().unwrap(), (vec![], vec![]));
    let items = aws.items().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["received_at"].as_s().unwrap(), "2025-10-30T09:03:20.000000000Z");
}

#[tokio::test]
async fn if_keys_are_unavailable_at_a_cold_start_nothing_is_lost_and_no_forgery_is_accepted() {
    let aws = FakeAws::start().await;
    *aws.secret.lock().unwrap() = public_keys(EXAMPLE).to_string();
    aws.down.secrets.store(true, SeqCst);
    let ingest = aws.ingest_with::<Example>(|_| ());
    let recover = aws.recover(EXAMPLE, KeySource::SecretsManager("keys".into()));
    let forged = signed_request(EXAMPLE, &Example::other_keys(&public_keys(EXAMPLE)), b"{}", START);
    for request in [request(EXAMPLE, br#"{"id":"1"}"#, START), forged] {
        assert_eq!(status_of(ingest.receive_at(&request, START).await), "queued");
    }
    for message in aws.recover_batch(&recover, after(10)).await {
        assert!(!message.is_settled(), "without keys nothing is dropped: {message:?}");
    }

    aws.down.secrets.store(false, SeqCst);
    let recovered = aws.recover_batch(&recover, after(20)).await;
    let statuses: Vec<String> =
        recovered.iter().map(|message| status_of(message.result.clone().unwrap().outcome)).collect();
    assert_eq!(statuses, ["accepted", "401"]);
    assert_eq!((aws.waiting(), aws.items().await.len()), (0, 1));
    assert_eq!(reasons(&aws), ["wrong_key"]);
}

#[tokio::test]
async fn keys_that_are_added_after_the_first_read_are_used() {
    let aws = FakeAws::start().await;
    let keys = |secret: &str| json!({ "keys": { "a": secret } });
    *aws.secret.lock().unwrap() = keys("old").to_string();
    let recover = aws.recover(EXAMPLE, KeySource::SecretsManager("keys".into()));
    let ingest = aws.ingest_with::<Example>(|_| ());
    aws.down.table.store(true, SeqCst);
    let old = signed_request(EXAMPLE, &keys("old"), br#"{"id":"1"}"#, START);
    assert_eq!(status_of(ingest.receive_at(&old, START).await), "queued");
    aws.recover_batch(&recover, after(1)).await;

    *aws.secret.lock().unwrap() = json!({ "keys": { "a": "old", "b": "new" } }).to_string();
    let new = signed_request(EXAMPLE, &json!({ "keys": { "b": "new" } }), br#"{"id":"2"}"#, after(10));
    let ingest = aws.ingest_with::<Example>(|_| ());
    assert_eq!(status_of(ingest.receive_at(&new, after(10)).await), "queued");
    aws.down.table.store(false, SeqCst);
    // Recover's cached keys would reject the second delivery, but are old enough to be refreshed.
    assert!(aws.recover_batch(&recover, after(32)).await.iter().all(Recovered::is_settled));
    assert_eq!(aws.items().await.len(), 2);
}

#[tokio::test]
async fn a_message_received_twice_is_one_event() {
    for (provider, name) in [(EXAMPLE, "participant_joined"), ("videosdk", "participant-joined")] {
        let aws = FakeAws::start().await;
        let body = body(provider, name, |_| ());
        aws.down.table.store(true, SeqCst);
        queue(&aws, provider, &body, 0).await;
        aws.down.table.store(false, SeqCst);
        let recover = aws.recover(provider, inline(provider));
        let event = aws.queue.receive(10, after(100)).unwrap().event;
        let first = recover.recover_at(&event, after(100)).await;
        let second = recover.recover_at(&event, after(5_000)).await;
        assert_eq!(only(&first), ("accepted".into(), true));
        assert_eq!(only(&second), ("duplicate".into(), true));
        assert_eq!(aws.items().await.len(), 1);
    }
}

async fn receive(aws: &FakeAws, provider: &str, body: &str, seconds: i64) -> String {
    let request = request(provider, body.as_bytes(), after(seconds));
    let keys = public_keys(provider);
    status_of(match provider {
        "videosdk" => aws.ingest::<VideoSdk>(&keys).receive_at(&request, after(seconds)).await,
        _ => aws.ingest::<Example>(&keys).receive_at(&request, after(seconds)).await,
    })
}

async fn queue(aws: &FakeAws, provider: &str, body: &str, seconds: i64) {
    assert_eq!(receive(aws, provider, body, seconds).await, "queued");
}

/// Delivers events of one sequence, each received at its second. Recovers the queued ones afterwards, in this order.
/// Returns the number of stored events.
async fn stored(direct: &[(&str, i64)], queued: &[(&str, i64)]) -> usize {
    let aws = FakeAws::start().await;
    aws.down.table.store(true, SeqCst);
    for (name, seconds) in queued {
        queue(&aws, VideoSdk::NAME, &body("videosdk", name, |_| ()), *seconds).await;
    }
    aws.down.table.store(false, SeqCst);
    for (name, seconds) in direct {
        receive(&aws, VideoSdk::NAME, &body("videosdk", name, |_| ()), *seconds).await;
    }
    let recover = aws.recover("videosdk", inline("videosdk"));
    while aws.waiting() > 0 {
        // One by one, because recover sorts a batch.
        let event = aws.queue.receive(1, after(1_000)).unwrap().event;
        let message = recover.recover_at(&event, after(1_000)).await.remove(0);
        assert!(message.is_settled(), "{message:?}");
        aws.queue.delete(&message.message_id).unwrap();
    }
    aws.items().await.len()
}

const JOIN: &str = "participant-joined";
const LEAVE: &str = "participant-left";

#[tokio::test]
async fn a_sequence_is_the_same_in_any_order_of_recovery() {
    // Two copies of a join, recovered before and after a later leave.
    assert_eq!(stored(&[], &[(JOIN, 0), (LEAVE, 6), (JOIN, 1)]).await, 2);
    // The copy is already stored, and so is a later leave.
    assert_eq!(stored(&[(JOIN, 1), (LEAVE, 6)], &[(JOIN, 0)]).await, 2);
    // A join, a leave and another join within ten seconds are three events in any order.
    assert_eq!(stored(&[], &[(LEAVE, 3), (JOIN, 6), (JOIN, 0)]).await, 3);
    assert_eq!(stored(&[], &[(JOIN, 6), (LEAVE, 3), (JOIN, 0)]).await, 3);
    assert_eq!(stored(&[(LEAVE, 3)], &[(JOIN, 6), (JOIN, 0)]).await, 3);
    // An old join that was never stored is not a repeat of a much later one.
    assert_eq!(stored(&[(JOIN, 500)], &[(JOIN, 0)]).await, 2);
}

#[tokio::test]
async fn a_poison_message_is_dead_lettered_and_blocks_nothing() {
    let aws = FakeAws::start().await;
    aws.queue.send("poison", START).unwrap();
    aws.down.table.store(true, SeqCst);
    queue(&aws, EXAMPLE, "{}", 0).await;
    aws.down.table.store(false, SeqCst);
    let recover = aws.recover(EXAMPLE, inline(EXAMPLE));
    let first = aws.recover_batch(&recover, after(1)).await;
    assert!(matches!(&first[0].result, Err(Unrecoverable::Unreadable(_))), "{first:?}");
    assert!(first[1].is_settled());
    for _ in 1..RECEIVES_MAX {
        assert_eq!(aws.recover_batch(&recover, after(2)).await.len(), 1);
    }
    assert!(aws.recover_batch(&recover, after(3)).await.is_empty());
    assert_eq!(aws.queue.bodies().unwrap(), (vec![], vec!["poison".to_owned()]));
}

#[tokio::test]
async fn a_message_without_a_readable_delivery_is_retried() {
    let aws = FakeAws::start().await;
    let recover = aws.recover(EXAMPLE, inline(EXAMPLE));
    let good = json!({
        "provider": EXAMPLE, "received_at": "2025-10-30T09:03:20Z", "fault": "store",
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
        with("body", json!("not base64")),
        with("gzip", json!(true)),
    ] {
        let recovered = recover.recover_at(&batch(&message), START).await;
        assert!(recovered[0].result.is_err(), "{message}");
        assert_eq!(response(&recovered).batch_item_failures[0].item_identifier, "message");
    }
    let long = with("provider", json!("x".repeat(1_000)));
    let recovered = recover.recover_at(&batch(&long), START).await;
    let error = recovered[0].result.as_ref().unwrap_err().to_string();
    assert!(error.len() < 200, "a long string in a message is shortened for the log: {error}");
    let recovered = recover.recover_at(&batch(&good.to_string()), START).await;
    assert!(
        matches!(&recovered[0].result, Ok(recovered) if matches!(recovered.outcome, Outcome::Rejected(_)))
    );
    assert!(response(&recovered).batch_item_failures.is_empty());
}
