use std::collections::BTreeSet;

use jiff::Timestamp;
use livehooks::dev::{Options, Stack, StartError};
use livehooks_aws::Outcome;
use livehooks_core::EventType;
use livehooks_core::mux::Mux;
use livehooks_signing::{PROVIDERS, ProviderInfo};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fake_aws::{FakeAws, after, public_keys, request};
use crate::harness::{EXAMPLE, KEYS, Local, body, options};

#[tokio::test]
async fn every_sample_is_accepted_recognized_stored_and_published() {
    let local = Local::start().await;
    let mut count = 0;
    for entry in PROVIDERS {
        for sample in entry.samples() {
            let body = body(entry.name, sample.name, |_| ());
            let keys = KEYS.signing(entry).unwrap();
            let reply = (entry.normalize)(keys, body.as_bytes(), Timestamp::now()).unwrap().reply;
            assert_eq!(local.status(entry.name, body.as_bytes()).await, reply.unwrap_or("accepted"));
            count += 1;
        }
    }
    let stored = local.events().await;
    let published = local.notifications(count).await;
    assert_eq!(stored.len(), count);
    let messages: Vec<&Value> = published.iter().map(|notification| &notification["message"]).collect();
    assert!(stored.iter().all(|event| messages.contains(&event)), "every stored event is published");

    let found: BTreeSet<&str> = stored.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let all: BTreeSet<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    let without_sample = ["live.track.unmuted"];
    assert_eq!(all.difference(&found).copied().collect::<Vec<_>>(), without_sample);
    for event in stored.iter().filter(|event| event["type"] == "live.unknown") {
        let provider = ProviderInfo::named(event["provider"].as_str().unwrap()).unwrap();
        let name = event["providertype"].as_str().unwrap();
        let is_listed = provider.unmapped_types.iter().any(|unmapped| name.starts_with(unmapped));
        assert!(is_listed, "{name} raises the alarm for new types: list it in UNMAPPED_TYPES");
    }
}

#[tokio::test]
async fn a_question_about_settings_is_stored_and_answered_without_any_and_a_forged_one_is_not() {
    let local = Local::start().await;
    let question = body("jaas", "SETTINGS_PROVISIONING", |_| ());
    for _ in 0..2 {
        let (status, answer) = local.post("jaas", question.as_bytes()).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({})));
    }
    let url = format!("{}/webhooks/jaas", local.stack.url());
    let forged = local.client.post(url).body(question).send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
    let events = local.events().await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (&event["type"], &event["providertype"]),
        (&json!("live.unknown"), &json!("SETTINGS_PROVISIONING"))
    );
}

#[tokio::test]
async fn notification_attributes_match_the_event() {
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
        local.status(provider, body(provider, name, |values| values.room = room.into()).as_bytes()).await;
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
async fn a_rejection_gives_details_to_the_developer_but_not_to_the_sender() {
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
async fn the_api_accepts_loopback_host_names_only_and_webhooks_accept_any() {
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
async fn notifications_are_server_sent_events_of_one_line_each() {
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
async fn a_provider_without_keys_gets_503_and_the_page_says_how_to_set_them() {
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
async fn the_error_names_a_port_in_use() {
    let local = Local::start().await;
    let options = Options { port: local.stack.address.port(), ..options() };
    let error = Stack::start(options).await.err().unwrap();
    assert!(matches!(error, StartError::Port { .. }));
    let port = local.stack.address.port().to_string();
    assert!(
        error.to_string().contains(&port) && error.to_string().contains("--port (port 0 picks a free one)"),
        "{error}"
    );
}

#[tokio::test]
async fn notifications_reach_an_app_that_starts_late() {
    use axum::routing::post;
    let reserved = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let local =
        Local::start_with(|options| options.forward_to = Some(format!("http://{address}/events"))).await;
    local
        .status(EXAMPLE, body(EXAMPLE, "participant_joined", |values| values.room = "Zoë".into()).as_bytes())
        .await;
    local.notifications(1).await;

    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let failures = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(2));
    let accept = move |headers: axum::http::HeaderMap, body: String| async move {
        let is_down = failures.fetch_update(SeqCst, SeqCst, |left: u32| left.checked_sub(1)).is_ok();
        if is_down {
            return axum::http::StatusCode::BAD_GATEWAY;
        }
        sender.send((headers, body)).unwrap();
        axum::http::StatusCode::NO_CONTENT
    };
    use std::sync::atomic::Ordering::SeqCst;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(axum::serve(listener, axum::Router::new().route("/events", post(accept))).into_future());

    let (headers, body) = receiver.recv().await.unwrap();
    assert_eq!(headers["x-amz-sns-rawdelivery"], "true");
    assert_eq!(headers["x-livehooks-type"], "live.participant.joined");
    assert_eq!(headers["x-livehooks-room-id"], "Zo%C3%AB");
    crate::schema::check(&body).unwrap();
}

#[tokio::test]
async fn a_type_raises_the_alarm_for_new_types_unless_it_is_mapped_or_documented() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<Mux>(&public_keys("mux"));
    for (kind, expected) in [
        ("video.live_stream.idle", false),
        ("video.upload.created", false),
        ("video.asset.track.ready", false),
        ("video.hologram.started", true),
    ] {
        let body = format!(r#"{{"type":"{kind}","id":"{kind}","data":{{}}}}"#);
        let outcome = ingest.receive_at(&request("mux", body.as_bytes(), after(0)), after(0)).await;
        let Outcome::Stored(receipt) = outcome else { panic!("{kind}: {outcome:?}") };
        assert_eq!(receipt.is_new_type, expected, "{kind}");
    }
}
