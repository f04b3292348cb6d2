use std::collections::BTreeSet;

use livehooks::dev::{Options, Stack, StartError};
use livehooks::providers::ALL;
use livehooks::samples;
use livehooks_core::EventType;
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{EXAMPLE, Local, body, options};

#[tokio::test]
async fn every_sample_is_accepted_known_stored_and_published() {
    let local = Local::start().await;
    let mut count = 0;
    for entry in ALL {
        for sample in samples::of(entry) {
            assert_eq!(
                local.status(entry.name, body(entry.name, sample.name, |_| ()).as_bytes()).await,
                "accepted"
            );
            count += 1;
        }
    }
    let stored = local.events().await;
    let published = local.notifications(count).await;
    assert_eq!(stored.len(), count);
    let messages: Vec<&Value> = published.iter().map(|notification| &notification["message"]).collect();
    assert!(stored.iter().all(|event| messages.contains(&event)), "what is published is what is stored");

    let found: BTreeSet<&str> = stored.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let all: BTreeSet<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    let without_sample = ["live.participant.waiting", "live.participant.waiting_left", "live.track.unmuted"];
    assert_eq!(all.difference(&found).copied().collect::<Vec<_>>(), without_sample);
    for event in stored.iter().filter(|event| event["type"] == "live.unknown") {
        assert!(event["providertype"].is_string(), "{event}");
    }
}

#[tokio::test]
async fn attributes_are_those_of_the_event() {
    let local = Local::start().await;
    local.status(EXAMPLE, body(EXAMPLE, "participant_joined", |_| ()).as_bytes()).await;
    let attributes = &local.notifications(1).await[0]["attributes"];
    assert_eq!(attributes["provider"], EXAMPLE);
    assert_eq!(attributes["type"], "live.participant.joined");
    assert_eq!(attributes["room_id"], "room01");
    assert_eq!(attributes["session_id"], "session01");
    assert_eq!(attributes["assurance"], "signed");
}

#[tokio::test]
async fn events_are_filtered_and_limited_newest_first() {
    let local = Local::start().await;
    for (provider, name, room) in [
        (EXAMPLE, "room_created", "a"),
        (EXAMPLE, "participant_joined", "b"),
        ("videosdk", "participant-joined", "b"),
    ] {
        local.status(provider, body(provider, name, |places| places.room = room.into()).as_bytes()).await;
    }
    let providers = async |query: &str| {
        let events: Vec<Value> =
            serde_json::from_str(&local.get(&format!("/api/events{query}")).await).unwrap();
        events.iter().map(|event| event["provider"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(providers("").await, ["videosdk", EXAMPLE, EXAMPLE]);
    assert_eq!(providers("?limit=1").await, ["videosdk"]);
    assert_eq!(providers("?room=b").await, ["videosdk", EXAMPLE]);
    assert_eq!(providers(&format!("?provider={EXAMPLE}&type=live.participant.joined")).await, [EXAMPLE]);
    assert!(providers("?type=live.session.ended").await.is_empty());
}

#[tokio::test]
async fn a_rejection_tells_the_sender_nothing_and_the_developer_all() {
    let local = Local::start().await;
    let url = format!("{}/webhooks/videosdk", local.stack.url());
    let answer = local.client.post(url).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["detail"], "The delivery could not be authenticated.");

    let rejections: Value = serde_json::from_str(&local.get("/api/rejections").await).unwrap();
    assert_eq!(rejections[0]["provider"], "videosdk");
    assert_eq!(rejections[0]["reason"], "missing_header");
    assert!(rejections[0]["advice"].as_str().unwrap().len() > 20);
}

#[tokio::test]
async fn the_api_answers_to_loopback_names_only_and_webhooks_to_any() {
    let local = Local::start().await;
    let get = async |path: &str, host: &str| {
        let request = local.client.get(format!("{}{path}", local.stack.url())).header("host", host);
        request.send().await.unwrap().status()
    };
    assert_eq!(get("/api/events", "localhost:3000").await, StatusCode::OK);
    assert_eq!(get("/api/events", "rebound.example").await, StatusCode::FORBIDDEN);
    assert_eq!(get("/healthz", "tunnel.example").await, StatusCode::OK);
    assert_eq!(get("/nowhere", "localhost").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn notifications_come_as_server_sent_events_one_line_each() {
    let local = Local::start().await;
    let pretty = "{\n  \"event\": \"room_created\",\r\n  \"room\": {\"room_id\": \"r\"},\n  \"id\": \"1\"\n}";
    local.status(EXAMPLE, pretty.as_bytes()).await;
    local.notifications(1).await;
    let url = format!("{}/api/announcements?replay=all", local.stack.url());
    let mut answer = local.client.get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    let data = text.trim_end().strip_prefix("data: ").unwrap();
    let notification: Value = serde_json::from_str(data).unwrap();
    assert_eq!(notification["message"]["data"]["raw"]["room"]["room_id"], "r");
}

#[tokio::test]
async fn a_provider_without_keys_is_asked_to_come_again_and_the_page_says_how_to_set_them() {
    let keys = serde_json::json!({ EXAMPLE: { "keys": { "a": "b" } } });
    let keys = livehooks::keys_file::KeysFile::from_json(&keys).unwrap();
    let local = Local::start_with(|options| options.keys = keys).await;
    let (status, problem) = local.post("videosdk", b"{}").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert_eq!(local.stack.queue.bodies().unwrap(), (vec![], vec![]));
    let (rows, _) = local.stack.report.log().changes(0, 10);
    assert_eq!(rows[0].reason.as_deref(), Some("keys_not_set"));
    assert!(rows[0].advice.unwrap().contains("--keys FILE"));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let local = Local::start().await;
    let options = Options { port: local.stack.address.port(), ..options() };
    let error = Stack::start(options).await.err().unwrap();
    assert!(matches!(error, StartError::Port { .. }));
    let port = local.stack.address.port().to_string();
    assert!(
        error.to_string().contains(&port) && error.to_string().contains("--port (port 0 takes a free one)"),
        "{error}"
    );
}

#[tokio::test]
async fn notifications_reach_the_developers_app_even_if_it_comes_late() {
    use axum::routing::post;
    let reserved = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let local =
        Local::start_with(|options| options.forward_to = Some(format!("http://{address}/events"))).await;
    local
        .status(EXAMPLE, body(EXAMPLE, "participant_joined", |places| places.room = "Zoë".into()).as_bytes())
        .await;
    local.notifications(1).await;

    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let failures = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(2));
    let take = move |headers: axum::http::HeaderMap, body: String| async move {
        let is_down = failures.fetch_update(SeqCst, SeqCst, |left: u32| left.checked_sub(1)).is_ok();
        if is_down {
            return axum::http::StatusCode::BAD_GATEWAY;
        }
        sender.send((headers, body)).unwrap();
        axum::http::StatusCode::NO_CONTENT
    };
    use std::sync::atomic::Ordering::SeqCst;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(axum::serve(listener, axum::Router::new().route("/events", post(take))).into_future());

    let (headers, body) = receiver.recv().await.unwrap();
    assert_eq!(headers["x-amz-sns-rawdelivery"], "true");
    assert_eq!(headers["x-livehooks-type"], "live.participant.joined");
    assert_eq!(headers["x-livehooks-room-id"], "Zo%C3%AB");
    crate::schema::check(&body).unwrap();
}
