//! Bodies that GetStream compresses after signing them, and what an attacker compresses.

use std::io::Write;
use std::sync::atomic::Ordering::SeqCst;

use flate2::Compression;
use flate2::write::GzEncoder;
use lambda_http::Request;
use livehooks_aws::Outcome;
use livehooks_core::BodyHash;
use livehooks_core::getstream::GetStream;

use crate::fake_aws::{FakeAws, START, after, public_keys, request, status_of};
use crate::harness::body;
use crate::recover::{inline, only};

const GETSTREAM: &str = "getstream";

fn gzip(body: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn joined() -> String {
    body(GETSTREAM, "call.session_participant_joined", |_| ())
}

/// A body under the signature of another one.
fn forged(signed: &[u8], body: &[u8]) -> Request {
    let mut request = request(GETSTREAM, signed, START);
    *request.body_mut() = body.to_vec().into();
    request
}

#[tokio::test]
async fn a_copy_is_a_duplicate_however_it_is_compressed_and_under_whatever_id() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<GetStream>(&public_keys(GETSTREAM));
    let body = joined();
    let copies = [
        gzip(body.as_bytes(), Compression::best()),
        body.clone().into_bytes(),
        gzip(body.as_bytes(), Compression::none()),
        [gzip(&body.as_bytes()[..9], Compression::fast()), gzip(&body.as_bytes()[9..], Compression::fast())]
            .concat(),
    ];
    let mut answers = Vec::new();
    for (copy, day) in copies.iter().zip(0..) {
        let at = after(day * 24 * 3_600);
        let mut request = request(GETSTREAM, copy, at);
        request.headers_mut().insert("x-webhook-id", day.into());
        answers.push(status_of(ingest.receive_at(&request, at).await));
    }
    assert_eq!(answers, ["accepted", "duplicate", "duplicate", "duplicate"]);
    let items = aws.items().await;
    assert_eq!(items.len(), 1);
    let hash = BodyHash::of(body.as_bytes()).to_string();
    assert_eq!(items[0]["body_sha256"].as_s().unwrap(), &hash);
    assert_eq!(items[0]["event_key"].as_s().unwrap(), &format!("{GETSTREAM}#{hash}"));
    let event = livehooks_aws::store::event_json(items[0].get("event"), items[0].get("raw")).unwrap();
    assert!(event.contains(&body), "the event holds what was inside, byte for byte");
}

#[tokio::test]
async fn a_compressed_delivery_is_queued_as_it_came_and_stored_as_what_is_inside() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<GetStream>(&public_keys(GETSTREAM));
    let body = joined();
    aws.down.table.store(true, SeqCst);
    let compressed = gzip(body.as_bytes(), Compression::best());
    assert_eq!(status_of(ingest.receive_at(&request(GETSTREAM, &compressed, START), START).await), "queued");
    aws.down.table.store(false, SeqCst);
    let recovered = aws.recover_batch(&aws.recover(GETSTREAM, inline(GETSTREAM)), after(60)).await;
    assert_eq!(only(&recovered), ("accepted".into(), true));
    let plain = ingest.receive_at(&request(GETSTREAM, body.as_bytes(), START), after(61)).await;
    assert_eq!(status_of(plain), "duplicate");
}

/// With the keys at hand, and while they cannot be read.
#[tokio::test]
async fn what_unpacks_to_too_much_or_to_nothing_is_rejected_and_never_queued() {
    let aws = FakeAws::start().await;
    aws.down.secrets.store(true, SeqCst);
    let with_keys = aws.ingest::<GetStream>(&public_keys(GETSTREAM));
    let without_keys = aws.ingest_with::<GetStream>(|_| ());
    let body = joined();
    let bomb = gzip(&vec![b' '; 512 << 20], Compression::best());
    assert!(bomb.len() < 1 << 20, "it is no larger than any delivery may be");
    let whole = gzip(body.as_bytes(), Compression::best());
    let cut = &whole[..whole.len() - 1];
    for ingest in [&with_keys, &without_keys] {
        for (request, status) in [
            (forged(body.as_bytes(), &bomb), 413),
            (forged(body.as_bytes(), cut), 401),
            (forged(body.as_bytes(), b"\x1f\x8b"), 401),
        ] {
            let outcome = ingest.receive_at(&request, START).await;
            assert_eq!(outcome.into_response().status().as_u16(), status);
        }
    }
    let altered = gzip(body.replace("host", "tsoh").as_bytes(), Compression::best());
    let outcome = with_keys.receive_at(&forged(body.as_bytes(), &altered), START).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(found) if found.code() == "signature_mismatch"),
        "{outcome:?}"
    );
    assert_eq!((aws.waiting(), aws.items().await.len()), (0, 0));
}
