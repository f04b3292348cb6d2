use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{EXAMPLE, Local};

pub fn padded(padding: &str) -> Vec<u8> {
    json!({ "event": "room_created", "room": { "room_id": "r", "metadata": padding }, "id": "large" })
        .to_string()
        .into_bytes()
}

/// Nearly incompressible text.
pub fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    std::iter::repeat_with(next).filter(|c| !matches!(c, '"' | '\\')).take(bytes).collect()
}

#[tokio::test]
async fn a_large_event_is_stored_completely_and_published_with_a_reference() {
    let local = Local::start().await;
    let body = padded(&"x".repeat(400_000));
    assert_eq!(local.status(EXAMPLE, &body).await, "accepted");
    let stored = local.events().await;
    assert_eq!(serde_json::to_vec(&stored[0]["data"]["raw"]).unwrap().len(), body.len());
    let published = &local.notifications(1).await[0]["message"];
    assert_eq!(published["dataref"], format!("dynamodb://Events/{EXAMPLE}%23large/0"));
    assert_eq!(published["data"], json!({ "room": { "id": "r" } }));
}

#[tokio::test]
async fn an_event_too_large_for_an_item_is_rejected() {
    let local = Local::start().await;
    let (status, problem) = local.post(EXAMPLE, &padded(&noise(700_000))).await;
    assert_eq!(
        (status, problem["title"].as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, Some("Payload Too Large"))
    );
    let rejections: Value = serde_json::from_str(&local.get("/api/rejections").await).unwrap();
    assert_eq!(rejections[0]["reason"], "too_large");
    assert!(rejections[0]["detail"].as_str().unwrap().starts_with("expected at most 399360 bytes, found "));
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_accepted_and_one_byte_more_is_not() {
    let local = Local::start().await;
    let around = padded("").len();
    let body = padded(&"x".repeat((1 << 20) - around));
    assert_eq!(local.status(EXAMPLE, &body).await, "accepted");
    let (status, _) = local.post(EXAMPLE, &padded(&"x".repeat((1 << 20) - around + 1))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
