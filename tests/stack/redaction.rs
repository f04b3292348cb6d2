use aws_sdk_dynamodb::Client;
use livehooks::local::local_sdk_config;
use livehooks_aws::store;
use serde_json::Value;

use crate::harness::{Local, body};

#[tokio::test]
async fn secrets_in_bodies_stay_in_the_table() {
    let local = Local::start().await;
    for (provider, name, pointer) in [
        ("livekit", "room_started", "/room/turnPassword"),
        ("livekit", "ingress_started", "/ingressInfo/streamKey"),
        ("mux", "video.live_stream.connected", "/data/stream_key"),
        ("mux", "video.live_stream.created", "/data/srt_passphrase"),
        ("zoom", "recording.completed", "/download_token"),
        ("zoom", "recording.completed", "/payload/object/password"),
        ("zoom", "recording.completed", "/payload/object/recording_play_passcode"),
        ("zoom", "session.user_joined", "/payload/object/session_key"),
        ("zoom", "session.stream_ingestion_connected", "/payload/object/stream_ingestion/stream_key"),
        ("zoom", "meeting.registration_approved", "/payload/object/registrant/participant_pin_code"),
        ("realtimekit", "livestreaming.statusUpdate+IDLE", "/streamKey"),
        ("realtimekit", "livestreaming.statusUpdate+LIVE", "/ingestServer"),
        ("getstream", "call.session_started", "/call/egress/rtmps/0/stream_key"),
    ] {
        let body = body(provider, name, |_| ());
        let secret = serde_json::from_str::<Value>(&body).unwrap().pointer(pointer).unwrap().to_string();
        assert_eq!(local.status(provider, body.as_bytes()).await, "accepted");

        let client = Client::new(&local_sdk_config(local.stack.dynamodb));
        let items = client.scan().table_name("Events").send().await.unwrap();
        let stored: Vec<String> = items
            .items()
            .iter()
            .map(|item| store::event_json(item.get("event"), item.get("raw")).unwrap())
            .collect();
        assert!(stored.iter().any(|event| event.contains(&body)), "the table keeps the body byte for byte");

        let published = local.published_by_now().await;
        let shown = local.get("/api/events").await;
        for json in [serde_json::to_string(&published).unwrap(), shown] {
            assert!(!json.contains(secret.trim_matches('"')), "{pointer} is shown");
            assert!(json.contains("[redacted]"));
        }
    }
}
