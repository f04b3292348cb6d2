use data_encoding::BASE64;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Request};
use livehooks::dev::{Database, local_sdk_config};
use livehooks_aws::Ingest;
use livehooks_aws::config::{IngestConfig, KeySource};
use livehooks_core::Provider;
use livehooks_core::hms::Hms;
use livehooks_core::livekit::LiveKit;
use livehooks_core::plugnmeet::PlugNmeet;
use livehooks_core::videosdk::VideoSdk;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fixture::Fixture;

/// API Gateway's HTTP API, payload format 2.0.
fn envelope(fixture: &Fixture, is_base64: bool) -> Request {
    let mut headers = serde_json::Map::new();
    for name in fixture.headers.keys() {
        let values = fixture.headers.get_all(name).iter();
        // API Gateway joins what came more than once.
        let value: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        headers.insert(name.to_string(), value.join(",").into());
    }
    let body = match is_base64 {
        true => BASE64.encode(&fixture.body),
        false => String::from_utf8(fixture.body.clone()).unwrap(),
    };
    let token = fixture.url_token();
    let envelope = json!({
        "version": "2.0",
        "routeKey": "POST /webhooks",
        "rawPath": fixture.path,
        "rawQueryString": "",
        "headers": headers,
        "pathParameters": token.map(|token| json!({ "token": token })),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": fixture.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "Go-http-client/1.1",
            },
            "requestId": "id",
            "routeKey": "POST /webhooks",
            "stage": "$default",
            "time": "30/Oct/2025:09:03:20 +0000",
            "timeEpoch": 1_761_815_000_000_u64,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    });
    serde_json::from_value::<LambdaRequest>(envelope).unwrap().into()
}

async fn answers<P: Provider>(kind: &str, timeless: bool) -> Vec<(Fixture, bool, u16, Value)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sdk = local_sdk_config(listener.local_addr().unwrap());
    tokio::spawn(Database::open(None).unwrap().serve(listener));
    let mut answers = Vec::new();
    for fixture in Fixture::all(P::NAME, kind) {
        let config = IngestConfig {
            table: "Events".into(),
            keys: KeySource::Inline(fixture.keys.to_string()),
            retention: jiff::SignedDuration::from_hours(24 * 90),
        };
        let ingest = Ingest::<P>::new(config, &sdk);
        for is_base64 in [false, true] {
            if !is_base64 && std::str::from_utf8(&fixture.body).is_err() {
                continue;
            }
            let response = match timeless {
                true => ingest.handle(&envelope(&fixture, is_base64)).await,
                false => ingest.receive_at(&envelope(&fixture, is_base64), fixture.now).await.into_response(),
            };
            let status = response.status().as_u16();
            let Body::Text(body) = response.into_body() else { panic!("the answer is text") };
            answers.push((fixture.clone(), is_base64, status, serde_json::from_str(&body).unwrap()));
        }
    }
    answers
}

async fn accepted_in_both_encodings<P: Provider>(timeless: bool) {
    let mut seen = std::collections::HashSet::new();
    for (fixture, is_base64, status, answer) in answers::<P>("ok", timeless).await {
        let name = fixture.name();
        assert_eq!(status, 200, "{name}, base64 {is_base64}: {answer}");
        // Some cases share an id or a sequence with others; the second encoding never is a new event.
        let first = seen.insert(name.clone());
        assert!(first || answer["status"] == "duplicate", "{name}, base64 {is_base64}: {answer}");
    }
}

#[tokio::test]
async fn every_authentic_delivery_is_taken_through_api_gateway_plain_and_base64() {
    accepted_in_both_encodings::<Hms>(true).await;
    accepted_in_both_encodings::<VideoSdk>(true).await;
    accepted_in_both_encodings::<PlugNmeet>(false).await;
    accepted_in_both_encodings::<LiveKit>(false).await;
}

#[tokio::test]
async fn every_forged_delivery_is_refused_through_api_gateway_plain_and_base64() {
    let forged = [
        answers::<Hms>("err", true).await,
        answers::<VideoSdk>("err", true).await,
        answers::<PlugNmeet>("err", false).await,
        answers::<LiveKit>("err", false).await,
    ];
    for (fixture, is_base64, status, answer) in forged.into_iter().flatten() {
        assert_eq!(status, 401, "{}, base64 {is_base64}: {answer}", fixture.name());
        assert_eq!(answer["detail"], "The delivery could not be authenticated.");
    }
}
