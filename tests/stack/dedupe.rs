use futures::future::join_all;
use uuid::Uuid;

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
