//! Deliveries that are questions of a provider: answered, and stored nowhere.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use livehooks_aws::Outcome;
use livehooks_aws::store::PutOutcome;
use livehooks_core::zoom::Zoom;
use livehooks_signing::{PROVIDERS, ProviderInfo};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::fake_aws::{FakeAws, after, public_keys, request, signed_request};
use crate::harness::{KEYS, Local, body, sample_values};

#[tokio::test]
async fn a_question_is_answered_each_time_and_neither_stored_nor_published() {
    let local = Local::start().await;
    let mut answered = 0;
    for entry in PROVIDERS {
        for question in entry.questions() {
            let body = question.body(&sample_values());
            for _ in 0..2 {
                let (status, answer) = local.post(entry.name, body.as_bytes()).await;
                assert_eq!(status, StatusCode::OK);
                assert!(answer["status"].is_null() && answer["id"].is_null(), "{answer}");
                answered += 1;
            }
        }
    }
    assert!(answered > 0);
    assert_eq!(local.published_by_now().await, Vec::<Value>::new());
    assert_eq!(local.events().await.len(), 1, "the one that published_by_now sends");
}

fn asking(token: &str) -> Vec<u8> {
    let payload = json!({ "plainToken": token });
    json!({ "payload": payload, "event_ts": 1_795_501_812_000_i64, "event": "endpoint.url_validation" })
        .to_string()
        .into_bytes()
}

/// Zoom's answer is an HMAC under the key that signs its deliveries.
#[tokio::test]
async fn the_answer_is_right_and_never_the_signature_of_a_delivery() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<Zoom>(&public_keys("zoom"));
    let secret = KEYS.signing(ProviderInfo::named("zoom").unwrap()).unwrap()["secret_tokens"][0].clone();
    let hmac = |text: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_str().unwrap().as_bytes()).unwrap();
        HEXLOWER.encode(&mac.chain_update(text).finalize().into_bytes())
    };
    for token in ["token", "v0", "v0\\u003a", " v0:", "V0:", "v1:", "é\"\n"] {
        let outcome = ingest.receive_at(&request("zoom", &asking(token), after(0)), after(0)).await;
        let Outcome::Answered(answer) = outcome else { panic!("{outcome:?}") };
        let expected = json!({ "plainToken": token, "encryptedToken": hmac(token) });
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), expected);
    }

    let forged = format!("v0:{}:{}", after(0).as_second(), r#"{"event":"meeting.ended"}"#);
    let escaped = String::from_utf8(asking(&forged)).unwrap().replace("v0:", r"\u00760\u003a");
    let rejected = async |request| match ingest.receive_at(&request, after(0)).await {
        Outcome::Rejected(rejection) => rejection.code(),
        other => panic!("{other:?}"),
    };
    for body in [asking(&forged), asking("v0:"), escaped.into_bytes()] {
        assert_eq!(rejected(request("zoom", &body, after(0))).await, "unsafe_question");
    }
    // A sender without the secret gets no answer.
    let guess = json!({ "secret_tokens": ["guess"] });
    for body in [asking(&forged), asking("token")] {
        assert_eq!(rejected(signed_request("zoom", &guess, &body, after(0))).await, "signature_mismatch");
        assert_eq!(rejected(lambda_http::Request::new(body.into())).await, "missing_header");
    }
    assert_eq!((aws.items().await.len(), aws.waiting()), (0, 0));
}

/// The last retry comes after 85 minutes. It may have a new signature and another download token.
#[tokio::test]
async fn a_retry_with_another_download_token_is_a_duplicate_and_any_other_change_is_an_event() {
    let aws = FakeAws::start().await;
    let ingest = aws.ingest::<Zoom>(&public_keys("zoom"));
    let receive = async |body: &str, signed_at: Timestamp, received_at: Timestamp| match ingest
        .receive_at(&request("zoom", body.as_bytes(), signed_at), received_at)
        .await
    {
        Outcome::Stored(receipt) => receipt.written,
        other => panic!("{other:?}"),
    };
    let first = body("zoom", "recording.completed", |_| ());
    let token = serde_json::from_str::<Value>(&first).unwrap()["download_token"].as_str().unwrap().to_owned();
    let retry = first.replace(&token, "another");
    const LAST_RETRY_S: i64 = 85 * 60;
    let PutOutcome::New { id } = receive(&first, after(0), after(0)).await else { panic!("not new") };
    let duplicate = PutOutcome::Duplicate { id, altered: false };
    for (body, signed_at) in
        [(&first, after(0)), (&first, after(LAST_RETRY_S)), (&retry, after(LAST_RETRY_S))]
    {
        assert_eq!(receive(body, signed_at, after(LAST_RETRY_S)).await, duplicate);
    }
    let other = first.replace(r#""recording_count":2"#, r#""recording_count":3"#);
    assert!(matches!(receive(&other, after(1), after(1)).await, PutOutcome::New { .. }));
    assert_eq!(aws.items().await.len(), 2);
}
