use data_encoding::BASE64;
use livehooks::envelope::Delivered;
use livehooks_core::livekit::LiveKit;
use serde_json::json;

use super::{BODY, Function, NOW, SECRET, claims, request, token, tokens};
use crate::fixture::Fixture;
use crate::harness::{EXAMPLE, Example};

#[tokio::test]
async fn an_authentic_body_is_accepted_whatever_its_content() {
    let deep =
        format!(r#"{{"id":"deep","event":"room_started","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!(r#"{}1{}"#, r#"{"room":"#.repeat(10_000), "}".repeat(10_000));
    let mebibyte = 1 << 20;
    let padded = [&[b' '; 1 << 20][..mebibyte - BODY.len()], BODY].concat();
    let bodies: [(&str, Vec<u8>); 11] = [
        ("10,000 arrays deep", deep.into()),
        ("10,000 objects deep", objects.into()),
        ("duplicate keys", br#"{"id":"1","id":"2","event":"room_started","event":"room_finished"}"#.into()),
        ("lone surrogates", br#"{"id":"\ud800","event":"\udfff","room":{"name":"\ud83d"}}"#.into()),
        ("a huge exponent", br#"{"id":"e","event":"room_started","createdAt":1e400}"#.into()),
        ("huge digits", format!(r#"{{"id":"d","createdAt":{}}}"#, "9".repeat(10_000)).into()),
        ("a mebibyte of whitespace", vec![b' '; mebibyte]),
        ("a mebibyte of whitespace before JSON", padded),
        ("not UTF-8", b"{\"id\":\"\xff\xfe\"}".to_vec()),
        ("empty", Vec::new()),
        ("a byte order mark", [b"\xef\xbb\xbf", BODY].concat()),
    ];
    let function = tokens::<LiveKit>().await;
    for (what, body) in bodies {
        let token = token(&json!({ "alg": "HS256" }), &claims(&body), SECRET);
        assert_eq!(
            function.send(&[("Authorization", &token)], None, &body).await,
            (200, "accepted"),
            "{what}"
        );
        let longer = [&body[..], b" "].concat();
        let expected = if longer.len() > mebibyte { (413, "too_large") } else { (401, "body_altered") };
        assert_eq!(function.send(&[("Authorization", &token)], None, &longer).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_wrong_base64_flag_changes_the_body() {
    let fixture = Fixture::read(&crate::fixture::root().join(EXAMPLE).join("ok/participant_joined"));
    let function = Function::<Example>::start(&fixture.keys).await;
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers: Vec<_> =
        fixture.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let delivered = |body| Delivered {
        path: &fixture.path,
        url_token: None,
        headers: &headers,
        body,
        base64: false,
        received_at: NOW,
    };
    let encoded = BASE64.encode(&fixture.body);
    for envelope in [delivered(encoded.as_bytes()).http_api(), delivered(encoded.as_bytes()).rest_api()] {
        let mut correct = envelope.clone();
        correct["isBase64Encoded"] = json!(true);
        // Base64 flagged as text.
        assert_eq!(function.answer(&request(envelope)).await, (401, "body_altered"));
        assert_eq!(function.answer(&request(correct)).await.0, 200);
    }
    // Text flagged as base64, which it happens to be.
    let mut mislabeled = delivered(b"abcd").http_api();
    mislabeled["isBase64Encoded"] = json!(true);
    assert_eq!(function.answer(&request(mislabeled)).await, (401, "body_altered"));
}
