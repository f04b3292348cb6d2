//! The receive time is API Gateway's, not the time at which the function started.

use std::sync::atomic::Ordering::SeqCst;

use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use livehooks::envelope::Delivered;
use livehooks::history::Stored;
use livehooks::timeline::{LaneKind, Timeline};
use livehooks_aws::config::KeySource;
use livehooks_core::livekit::LiveKit;
use livehooks_core::videosdk::VideoSdk;
use livehooks_signing::ProviderInfo;

use crate::fake_aws::{FakeAws, START, after, public_keys, request, status_of};
use crate::harness::{KEYS, body};

/// A delivery as API Gateway forwards it, signed and received at `at`.
fn sent(provider: &str, name: &str, at: Timestamp, is_rest: bool) -> Request {
    envelope(provider, &body(provider, name, |_| ()), at, at, is_rest)
}

fn envelope(
    provider: &str,
    body: &str,
    signed_at: Timestamp,
    received_at: Timestamp,
    is_rest: bool,
) -> Request {
    let entry = ProviderInfo::named(provider).unwrap();
    let signed = (entry.sign)(KEYS.signing(entry).unwrap(), body.as_bytes(), signed_at.into()).unwrap();
    let url_token = signed.url_token.as_deref();
    let delivered = Delivered {
        path: &[&["/webhooks", provider], url_token.as_slice()].concat().join("/"),
        url_token,
        headers: &signed.headers,
        body: body.as_bytes(),
        base64: false,
        received_at,
    };
    let envelope = if is_rest { delivered.rest_api() } else { delivered.http_api() };
    livehooks_aws::gateway::request(&envelope.to_string()).unwrap()
}

async fn stored(aws: &FakeAws) -> Vec<Stored> {
    aws.items().await.iter().map(|item| Stored::read(item).unwrap()).collect()
}

#[tokio::test]
async fn a_participant_who_rejoins_while_the_leave_waits_for_a_cold_start_is_present() {
    for is_rest in [false, true] {
        let aws = FakeAws::start().await;
        let warm = aws.ingest::<VideoSdk>(&public_keys("videosdk"));
        let cold = aws.ingest::<VideoSdk>(&public_keys("videosdk"));
        let delivery = |name, second| sent("videosdk", name, after(second), is_rest);
        let (join, leave, rejoin) = (
            delivery("participant-joined", 0),
            delivery("participant-left", 60),
            delivery("participant-joined", 61),
        );
        assert_eq!(status_of(warm.receive_at(&join, after(0)).await), "accepted");
        assert_eq!(status_of(warm.receive_at(&rejoin, after(62)).await), "accepted");
        assert_eq!(status_of(cold.receive_at(&leave, after(64)).await), "accepted");

        let stored = stored(&aws).await;
        let timelines = Timeline::of_rooms(stored.iter().map(|stored| &stored.event));
        let mut lanes = timelines.iter().flat_map(|timeline| &timeline.lanes);
        let participant = lanes.find(|lane| lane.kind == LaneKind::Participant).unwrap();
        assert_eq!(participant.spans.len(), 2, "{participant:?}");
        assert_eq!(participant.spans[0].to, Some(after(60)));
        assert_eq!(participant.spans[1].from, Some(after(61)));
        assert!(participant.spans[1].is_running(), "{participant:?}");
    }
}

#[tokio::test]
async fn a_repeat_is_a_duplicate_for_ten_seconds_by_the_gateways_clock() {
    for (second, expected) in [(9, "duplicate"), (10, "accepted")] {
        let aws = FakeAws::start().await;
        let ingest = aws.ingest::<VideoSdk>(&public_keys("videosdk"));
        let delivery = |second| sent("videosdk", "participant-joined", after(second), false);
        assert_eq!(status_of(ingest.receive_at(&delivery(0), after(8)).await), "accepted");
        assert_eq!(status_of(ingest.receive_at(&delivery(second), after(20)).await), expected);
    }
}

#[tokio::test]
async fn deliveries_in_the_same_millisecond_keep_their_order() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<VideoSdk>(&public_keys("videosdk"));
    for name in ["participant-joined", "participant-left", "participant-joined"] {
        let request = sent("videosdk", name, START, false);
        assert_eq!(status_of(ingest.receive_at(&request, after(1)).await), "accepted", "{name}");
    }
    let times: Vec<_> = stored(&aws).await.iter().map(|stored| stored.received_at).collect();
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
}

#[tokio::test]
async fn a_token_that_expires_during_a_cold_start_or_in_the_queue_still_counts() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<LiveKit>(&public_keys("livekit"));
    let body = body("livekit", "participant_joined", |_| ());
    // Five minutes and the leeway ago: the last second in which the token is valid.
    let signed_at = START - SignedDuration::from_mins(6);
    let direct = request("livekit", body.as_bytes(), signed_at);
    assert_eq!(status_of(ingest.receive_at(&direct, after(1)).await), "401");
    let through_the_gateway = envelope("livekit", &body, signed_at, START, false);
    assert_eq!(status_of(ingest.receive_at(&through_the_gateway, after(1)).await), "accepted");

    let late = sent("livekit", "participant_left", START, false);
    aws.down.table.store(true, SeqCst);
    assert_eq!(status_of(ingest.receive_at(&late, after(3)).await), "queued");
    aws.down.table.store(false, SeqCst);
    let recover = aws.recover("livekit", KeySource::Inline(public_keys("livekit").to_string()));
    assert!(aws.recover_batch(&recover, after(86_400)).await[0].is_settled());
    let times: Vec<_> = stored(&aws).await.iter().map(|stored| stored.received_at.as_second()).collect();
    assert_eq!(times, [START.as_second(); 2]);
}
