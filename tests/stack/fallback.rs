//! Only our own faults send a delivery to the fallback queue.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use lambda_http::{Request, RequestExt};
use livehooks::local::LOCAL_TIMEOUT;
use livehooks_aws::fallback::{MESSAGE_BYTES_MAX, QueuedDelivery, message};
use livehooks_aws::{Fault, Outcome};
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::videosdk::VideoSdk;
use livehooks_core::{Delivery, Keys, Provider, Rejection, for_each_provider};
use livehooks_signing::PROVIDERS;
use reqwest::StatusCode;
use serde_json::json;

use crate::fake_aws::{FakeAws, START, after, public_keys, request, signed_request, status_of};
use crate::fixture::Fixture;
use crate::harness::{EXAMPLE, Example, Local, body};

#[tokio::test]
async fn an_outage_of_the_table_loses_nothing_and_senders_do_not_notice() {
    let local = Local::start().await;
    local.faults.reject_table.store(true, SeqCst);
    for entry in PROVIDERS {
        let name = entry.samples()[0].name;
        assert_eq!(local.status(entry.name, body(entry.name, name, |_| ()).as_bytes()).await, "queued");
    }
    local.faults.reject_table.store(false, SeqCst);
    let published = local.notifications(PROVIDERS.len()).await;
    let stored = local.events().await;
    assert_eq!(stored.len(), PROVIDERS.len());
    assert!(published.iter().all(|notification| stored.contains(&notification["message"])));
    // A message is deleted only after its event is stored.
    while !local.stack.queue.bodies().unwrap().0.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(local.stack.queue.bodies().unwrap(), (vec![], vec![]));
    assert_eq!(local.published_by_now().await.len(), PROVIDERS.len());
}

#[tokio::test]
async fn with_table_and_queue_down_the_sender_gets_503() {
    let local = Local::start().await;
    local.faults.reject_table.store(true, SeqCst);
    local.faults.reject_fallback.store(true, SeqCst);
    let (status, problem) = local.post(EXAMPLE, body(EXAMPLE, "participant_joined", |_| ()).as_bytes()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert_eq!(local.stack.queue.bodies().unwrap(), (vec![], vec![]));
}

#[tokio::test]
async fn a_queued_delivery_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let data = folder.path().to_owned();
        Local::start_with(|options| options.data = Some(data)).await
    };
    let first = start().await;
    first.faults.reject_table.store(true, SeqCst);
    let body = body(EXAMPLE, "participant_joined", |values| values.id = "1".into());
    assert_eq!(first.status(EXAMPLE, body.as_bytes()).await, "queued");
    first.stop().await;

    let second = start().await;
    assert_eq!(second.notifications(1).await[0]["message"]["id"], "1");
    assert_eq!(second.events().await.len(), 1);
}

#[tokio::test]
async fn if_the_table_or_the_keys_hang_a_delivery_is_queued_after_the_deadline() {
    let aws = FakeAws::start().await;
    *aws.secret.lock().unwrap() = public_keys(EXAMPLE).to_string();
    aws.down.hangs.store(true, SeqCst);
    for (down, code) in [(&aws.down.secrets, "keys_unavailable"), (&aws.down.table, "store_timeout")] {
        down.store(true, SeqCst);
        let ingest = aws.ingest_with::<Example>(|config| config.deadline = Duration::from_millis(300));
        let outcome = ingest.receive_at(&request(EXAMPLE, b"{}", START), START).await;
        let Outcome::Queued { id, fault } = &outcome else { panic!("{outcome:?}") };
        assert_eq!(fault.code(), code);
        let event = aws.queue.receive(1, START).unwrap().event;
        assert_eq!(event.records[0].message_id.as_ref(), Some(id));
        down.store(false, SeqCst);
    }
}

#[tokio::test]
async fn a_canceled_read_of_the_keys_never_causes_a_rejection() {
    let aws = FakeAws::start().await;
    *aws.secret.lock().unwrap() = json!({ "keys": { "a": "old" } }).to_string();
    let ingest = aws.ingest_with::<Example>(|config| config.deadline = Duration::from_millis(300));
    let old = signed_request(EXAMPLE, &json!({ "keys": { "a": "old" } }), b"{}", START);
    assert_eq!(status_of(ingest.receive_at(&old, START).await), "accepted");

    *aws.secret.lock().unwrap() = json!({ "keys": { "a": "new" } }).to_string();
    aws.down.secrets.store(true, SeqCst);
    aws.down.hangs.store(true, SeqCst);
    // The first delivery's read is canceled. The second comes before the next read is due.
    for seconds in [40, 41] {
        let new = signed_request(EXAMPLE, &json!({ "keys": { "a": "new" } }), b"{}", after(seconds));
        assert_eq!(status_of(ingest.receive_at(&new, after(seconds)).await), "queued");
    }
}

/// Uses a cold function that cannot read its keys.
async fn queues_only_what_some_keys_may_accept<P: Provider>() {
    let aws = FakeAws::start().await;
    aws.down.secrets.store(true, SeqCst);
    let [mut queued, mut rejected] = [0, 0];
    for fixture in ["ok", "err"].iter().flat_map(|kind| Fixture::all(P::NAME, kind)) {
        let ingest = aws.ingest_with::<P>(|_| ());
        let outcome = ingest.receive_at(&recorded(&fixture), fixture.now).await;
        match (P::precheck(&fixture.delivery(), fixture.now), outcome) {
            (Ok(()), Outcome::Queued { .. }) => queued += 1,
            (Err(expected), Outcome::Rejected(found)) => {
                assert_eq!(found, expected, "{}", fixture.name());
                rejected += 1;
            }
            (Err(Rejection::TooLarge { .. }), Outcome::TooLarge { .. }) => rejected += 1,
            other => panic!("{}: {other:?}", fixture.name()),
        }
    }
    assert!(queued > 10 && rejected > 0, "{}: {queued} and {rejected}", P::NAME);
    assert_eq!(aws.waiting(), queued);
}

#[tokio::test]
async fn without_keys_deliveries_are_queued_unless_no_keys_could_accept_them() {
    for_each_provider!(P => queues_only_what_some_keys_may_accept::<P>().await);
}

#[tokio::test]
async fn noise_neither_waits_for_keys_nor_is_queued() {
    let aws = FakeAws::start().await;
    let keys = public_keys(EXAMPLE).to_string();
    *aws.secret.lock().unwrap() = keys.clone();
    let short_deadline = |config: &mut livehooks_aws::config::IngestConfig| {
        config.deadline = Duration::from_millis(300);
    };
    let ingest = aws.ingest_with::<Example>(short_deadline);
    let authentic = |seconds| request(EXAMPLE, format!(r#"{{"id":"{seconds}"}}"#).as_bytes(), after(seconds));
    let noise = Request::new("{}".into());
    assert_eq!(status_of(ingest.receive_at(&authentic(0), START).await), "accepted");

    aws.down.secrets.store(true, SeqCst);
    aws.down.hangs.store(true, SeqCst);
    let started = std::time::Instant::now();
    for seconds in 40..50 {
        assert_eq!(status_of(ingest.receive_at(&noise, after(seconds)).await), "401");
    }
    let cold = aws.ingest_with::<Example>(|_| ());
    assert_eq!(status_of(cold.receive_at(&noise, START).await), "401");
    assert!(started.elapsed() < LOCAL_TIMEOUT, "noise does not wait for the keys");
    // Expired keys are read again before any delivery is checked.
    assert_eq!(status_of(ingest.receive_at(&noise, after(400)).await), "401");
    assert_eq!(status_of(ingest.receive_at(&authentic(401), after(401)).await), "accepted");
    assert_eq!(aws.waiting(), 0);
}

#[tokio::test]
async fn if_keys_were_never_set_the_sender_gets_503_and_nothing_is_queued() {
    let aws = FakeAws::start().await;
    *aws.secret.lock().unwrap() = json!({ "keys": {} }).to_string();
    let ingest = aws.ingest_with::<Example>(|_| ());
    let delivery = |seconds| request(EXAMPLE, b"{}", after(seconds));
    let outcome = ingest.receive_at(&delivery(0), START).await;
    assert!(matches!(&outcome, Outcome::Failed(Fault::KeysNotSet { .. })), "{outcome:?}");
    assert_eq!(status_of(outcome), "503");
    assert_eq!(status_of(ingest.receive_at(&Request::new("{}".into()), after(1)).await), "401");
    assert_eq!(aws.waiting(), 0);

    *aws.secret.lock().unwrap() = public_keys(EXAMPLE).to_string();
    assert_eq!(
        status_of(ingest.receive_at(&delivery(4), after(4)).await),
        "503",
        "the secret is not read on every request"
    );
    assert_eq!(status_of(ingest.receive_at(&delivery(5), after(5)).await), "accepted");
}

/// A recorded delivery as a request.
fn recorded(fixture: &Fixture) -> Request {
    let mut request = Request::new(fixture.body.clone().into());
    *request.headers_mut() = fixture.headers.clone();
    let token = fixture.url_token().map(|token| ("token".to_owned(), vec![token.to_owned()]));
    request.with_path_parameters(token.into_iter().collect::<std::collections::HashMap<_, _>>())
}

async fn never_queues_without_a_fault<P: Provider>() {
    let aws = FakeAws::start().await;
    for kind in ["ok", "err"] {
        for fixture in Fixture::all(P::NAME, kind) {
            let ingest = aws.ingest::<P>(&fixture.keys);
            let outcome = ingest.receive_at(&recorded(&fixture), fixture.now).await;
            match outcome {
                Outcome::Stored(_) | Outcome::Answered(_) => assert_eq!(kind, "ok", "{}", fixture.name()),
                Outcome::Rejected(_) | Outcome::TooLarge { .. } => {
                    assert_eq!(kind, "err", "{}", fixture.name())
                }
                other => panic!("{}: {other:?}", fixture.name()),
            }
        }
    }
    let mut hostile = request(P::NAME, &vec![b'['; 1 << 16], START);
    hostile.headers_mut().append("authorization", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    hostile.headers_mut().append("x-large", HeaderValue::from_str(&"x".repeat(8_000)).unwrap());
    let ingest = aws.ingest::<P>(&public_keys(P::NAME));
    for body in [vec![], vec![0xff; 1 << 16], vec![b'x'; (1 << 20) + 1], noise(1 << 16)] {
        let mut request = request(P::NAME, &body, START);
        ingest.receive_at(&request, START).await;
        *request.headers_mut() = HeaderMap::new();
        ingest.receive_at(&request, START).await;
    }
    ingest.receive_at(&hostile, START).await;
    assert_eq!(aws.waiting(), 0, "{}", P::NAME);
}

#[tokio::test]
async fn nothing_that_a_sender_sends_is_queued_without_a_fault() {
    for_each_provider!(P => never_queues_without_a_fault::<P>().await);
}

fn verifies_queued_deliveries_alike<P: Provider>() {
    let mut repeated = 0;
    for fixture in ["ok", "err"].iter().flat_map(|kind| Fixture::all(P::NAME, kind)) {
        let delivery =
            Delivery { headers: &fixture.headers, url_token: fixture.url_token(), body: &fixture.body };
        let text = message::<P>(&delivery, fixture.now, &Fault::StoreTimeout(1)).unwrap();
        let queued = QueuedDelivery::read(&text).unwrap();
        let keys = P::Keys::from_json(&fixture.keys).unwrap();
        let verify = |delivery: &Delivery<'_>, now| {
            P::verify(delivery, &keys, now).map(|it| (it.body().to_vec(), it.assurance()))
        };
        let (before, after) =
            (verify(&delivery, fixture.now), verify(&queued.delivery(), queued.received_at));
        assert_eq!(before, after, "{}", fixture.folder.display());
        repeated += usize::from(before.is_err_and(|rejection| rejection.code() == "repeated_header"));
    }
    assert!(repeated > 0, "{}: expected a fixture with a repeated header", P::NAME);
}

#[test]
fn a_queued_delivery_is_verified_as_on_arrival() {
    for_each_provider!(P => verifies_queued_deliveries_alike::<P>());
}

#[test]
fn a_queued_delivery_keeps_only_the_headers_that_verification_reads() {
    let mut headers = HeaderMap::new();
    for name in ["authorization", "hash-token", "videosdk-signature", "cookie", "x-forwarded-for"] {
        headers.insert(name, HeaderValue::from_bytes(b"b\xff").unwrap());
    }
    let delivery = Delivery { headers: &headers, url_token: None, body: b"{}" };
    fn kept<P: Provider>(delivery: &Delivery<'_>) -> Vec<String> {
        let text = message::<P>(delivery, START, &Fault::StoreTimeout(1)).unwrap();
        let queued = QueuedDelivery::read(&text).unwrap();
        let headers = queued.delivery().headers.clone();
        assert!(headers.values().all(|value| value.as_bytes() == b"b\xff"));
        headers.keys().map(ToString::to_string).collect()
    }
    assert_eq!(kept::<Example>(&delivery), ["authorization", "hash-token"]);
    assert_eq!(kept::<LiveKit>(&delivery), ["authorization"]);
    assert_eq!(kept::<VideoSdk>(&delivery), ["videosdk-signature"]);
    assert_eq!(kept::<Hms>(&delivery).len(), 5, "the keys name the header");
}

/// Incompressible bytes.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[tokio::test]
async fn a_compressible_body_of_one_mebibyte_fits_into_a_message() {
    let headers = HeaderMap::new();
    let fault = Fault::StoreTimeout(1);
    let queued = |body: &[u8]| {
        let delivery = Delivery { headers: &headers, url_token: None, body };
        message::<Example>(&delivery, START, &fault)
    };
    let text = vec![b'x'; 1 << 20];
    let message = queued(&text).unwrap();
    assert!(message.len() < MESSAGE_BYTES_MAX);
    assert_eq!(QueuedDelivery::read(&message).unwrap().delivery().body, text);
    // The size of the largest item, and almost twice that.
    for bytes in [400 << 10, 740 << 10] {
        assert_eq!(
            QueuedDelivery::read(&queued(&noise(bytes)).unwrap()).unwrap().delivery().body,
            noise(bytes)
        );
    }
    assert!(
        queued(&noise(1 << 20))
            .unwrap_err()
            .to_string()
            .starts_with("expected a message of at most 1048320 bytes")
    );

    let aws = FakeAws::start().await;
    aws.down.table.store(true, SeqCst);
    let ingest = aws.ingest::<Example>(&public_keys(EXAMPLE));
    for (body, expected) in [(&text, "queued"), (&noise(1 << 20), "503")] {
        let request = request(EXAMPLE, body, START);
        assert_eq!(status_of(ingest.receive_at(&request, START).await), expected);
    }
}
