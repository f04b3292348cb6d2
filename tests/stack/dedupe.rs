use futures::future::join_all;
use jiff::Timestamp;
use livehooks_aws::Outcome;
use livehooks_aws::store::PutOutcome;
use livehooks_core::BodyHash;
use livehooks_core::mux::Mux;
use livehooks_core::realtimekit::RealtimeKit;
use uuid::Uuid;

use crate::fake_aws::{FakeAws, START, after, public_keys, request};
use crate::harness::{EXAMPLE, Local, body};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_copies_at_once_make_one_item_and_one_notification() {
    for (provider, name) in [(EXAMPLE, "participant_joined"), ("videosdk", "participant-joined")] {
        let local = Local::start().await;
        let body = body(provider, name, |_| ());
        let copies = join_all((0..200).map(|_| local.status(provider, body.as_bytes()))).await;
        assert_eq!(copies.iter().filter(|status| *status == "accepted").count(), 1, "{provider}");
        assert_eq!(copies.iter().filter(|status| *status == "duplicate").count(), 199, "{provider}");
        assert_eq!(local.events().await.len(), 1, "{provider}");
        assert_eq!(local.published_by_now().await.len(), 1, "{provider}");
    }
}

#[tokio::test]
async fn a_join_after_a_leave_is_kept_even_if_its_bytes_equal_the_first_join() {
    let local = Local::start().await;
    let (join, leave) =
        (body("videosdk", "participant-joined", |_| ()), body("videosdk", "participant-left", |_| ()));
    let mut statuses = Vec::new();
    for body in [&join, &join, &leave, &leave, &join, &join] {
        statuses.push(local.status("videosdk", body.as_bytes()).await);
    }
    assert_eq!(statuses, ["accepted", "duplicate", "accepted", "duplicate", "accepted", "duplicate"]);
    let events = local.events().await;
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    let (sequence, _) = ids[0].split_once('.').unwrap();
    assert_eq!(ids, [0, 1, 2].map(|occurrence| format!("{sequence}.{occurrence}")));
    assert_eq!(local.published_by_now().await.len(), 3);
}

/// Its bodies hold no time: each time it goes live, the body is the same.
#[tokio::test]
async fn a_livestream_that_goes_live_again_is_a_new_event() {
    let local = Local::start().await;
    let now = Timestamp::now();
    let event = |status| {
        body("realtimekit", &format!("livestreaming.statusUpdate+{status}"), |values| values.now = now)
    };
    let (live, offline) = (event("LIVE"), event("OFFLINE"));
    let mut statuses = Vec::new();
    for body in [&live, &live, &offline, &offline, &live, &live] {
        statuses.push(local.status("realtimekit", body.as_bytes()).await);
    }
    assert_eq!(statuses, ["accepted", "duplicate", "accepted", "duplicate", "accepted", "duplicate"]);
    assert_eq!(local.events().await.len(), 3);
}

#[tokio::test]
async fn different_resources_of_a_session_do_not_hide_each_other() {
    let local = Local::start().await;
    for name in ["recording-started", "hls-started", "livestream-started", "participant-recording-started"] {
        assert_eq!(local.status("videosdk", body("videosdk", name, |_| ()).as_bytes()).await, "accepted");
    }
    for participant in ["one", "two"] {
        let join = body("videosdk", "participant-joined", |values| values.participant = participant.into());
        assert_eq!(local.status("videosdk", join.as_bytes()).await, "accepted");
    }
}

#[tokio::test]
async fn a_repeated_id_with_another_body_is_a_duplicate_and_the_first_event_is_kept() {
    let local = Local::start().await;
    let id = Uuid::new_v4().to_string();
    let first = body("100ms", "peer.join.success", |values| values.id = id.clone());
    let other =
        body("100ms", "peer.join.success", |values| (values.id, values.room) = (id.clone(), "other".into()));
    assert_eq!(local.status("100ms", first.as_bytes()).await, "accepted");
    assert_eq!(local.status("100ms", other.as_bytes()).await, "duplicate");
    let events = local.events().await;
    assert_eq!((events.len(), events[0]["subject"].as_str()), (1, Some("room01")));
}

#[tokio::test]
async fn the_same_id_from_two_providers_is_two_events() {
    let local = Local::start().await;
    for (provider, name) in [("100ms", "peer.join.success"), (EXAMPLE, "participant_joined")] {
        let body = body(provider, name, |values| values.id = "1".into());
        assert_eq!(local.status(provider, body.as_bytes()).await, "accepted");
    }
}

#[tokio::test]
async fn different_events_without_an_id_are_not_duplicates() {
    let local = Local::start().await;
    for (body, expected) in [
        (r#"{"type":"peer.join.success","data":{"room_id":"a"}}"#, "accepted"),
        (r#"{"type":"peer.join.success","data":{"room_id":"b"}}"#, "accepted"),
        (r#"{"id":"","type":"peer.join.success","data":{"room_id":"a"}}"#, "accepted"),
        (r#"{"id":"","type":"peer.join.success","data":{"room_id":"b"}}"#, "accepted"),
        (r#"{"type":"peer.join.success","data":{"room_id":"b"}}"#, "duplicate"),
        ("not JSON", "accepted"),
        ("nor this", "accepted"),
        ("not JSON", "duplicate"),
    ] {
        assert_eq!(local.status("100ms", body.as_bytes()).await, expected, "{body}");
    }
}

/// Mux lists the attempts in the body. It may sign each attempt, or send the first signature again.
#[tokio::test]
async fn a_retry_within_a_day_is_a_duplicate_and_only_another_content_is_altered() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<Mux>(&public_keys("mux"));
    let first = body("mux", "video.live_stream.connected", |places| places.id = "event".into());
    let attempts = r#""attempts":[{"id":"a-1","response_status_code":503}]"#;
    let retry = first.replace(r#""attempts":[]"#, attempts);
    let other = first.replace(r#""latency_mode":"low""#, r#""latency_mode":"reduced""#);
    assert!(retry != first && other != first);
    const DAY_S: i64 = 24 * 3_600;
    let duplicate = |altered| PutOutcome::Duplicate { id: "event".into(), altered };
    for (body, signed_s, received_s, expected) in [
        (&first, 0, 0, PutOutcome::New { id: "event".into() }),
        (&first, 0, DAY_S, duplicate(false)),
        (&retry, DAY_S, DAY_S, duplicate(false)),
        (&other, DAY_S, DAY_S, duplicate(true)),
    ] {
        let outcome =
            ingest.receive_at(&request("mux", body.as_bytes(), after(signed_s)), after(received_s)).await;
        let Outcome::Stored(receipt) = outcome else { panic!("{outcome:?}") };
        assert_eq!(receipt.written, expected, "{body}");
    }
    let late = ingest.receive_at(&request("mux", first.as_bytes(), START), after(26 * 3_600)).await;
    assert!(matches!(&late, Outcome::Rejected(rejection) if rejection.code() == "expired"), "{late:?}");
}

/// The provider's id for a delivery is in a header that it does not sign.
#[tokio::test]
async fn a_copy_under_another_delivery_id_is_a_duplicate_for_as_long_as_the_item_exists() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<RealtimeKit>(&public_keys("realtimekit"));
    let body = body("realtimekit", "meeting.participantJoined", |_| ());
    let id = BodyHash::of(body.as_bytes()).to_string();
    for (header, received_s) in [("first", 0), ("second", 60), ("third", 80 * 24 * 3_600)] {
        let mut request = request("realtimekit", body.as_bytes(), after(received_s));
        request.headers_mut().insert("rtk-uuid", header.parse().unwrap());
        let outcome = ingest.receive_at(&request, after(received_s)).await;
        let Outcome::Stored(receipt) = outcome else { panic!("{outcome:?}") };
        let expected = match received_s {
            0 => PutOutcome::New { id: id.clone() },
            _ => PutOutcome::Duplicate { id: id.clone(), altered: false },
        };
        assert_eq!(receipt.written, expected, "{header}");
    }
}
