use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use livehooks_core::videosdk::VideoSdk;
use livehooks_signing::ProviderInfo;
use serde_json::json;
use sha2::Sha256;

use super::{BODY, Function, NOW};
use crate::harness::{KEYS, body};

#[tokio::test]
async fn a_public_key_does_not_work_as_an_hmac_secret() {
    let entry = ProviderInfo::named("videosdk").unwrap();
    let keys = KEYS.secret(entry);
    let function = Function::<VideoSdk>::start(&keys).await;
    let public_key = keys["public_keys"][0].as_str().unwrap();
    for secret in [public_key.as_bytes(), pem_content(public_key).as_slice()] {
        let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(BODY).finalize();
        let signature = BASE64.encode(&mac.into_bytes());
        let result = function.send(&[("videosdk-signature", &signature)], None, BODY).await;
        assert_eq!(result, (401, "signature_mismatch"));
    }
}

fn pem_content(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64.decode(lines.as_bytes()).unwrap()
}

#[tokio::test]
async fn an_event_from_another_account_is_rejected_without_the_url_token() {
    let entry = ProviderInfo::named("videosdk").unwrap();
    let mut keys = KEYS.secret(entry);
    keys["url_tokens"] = json!(["url-token-of-this-account"]);
    let function = Function::<VideoSdk>::start(&keys).await;
    // VideoSDK has one key for all customers, so the signature is valid.
    let body =
        body("videosdk", "participant-joined", |values| values.room = "room-of-another-account".into());
    let signed = (entry.sign)(KEYS.signing(entry).unwrap(), body.as_bytes(), NOW.into()).unwrap();
    let headers: Vec<(&str, &str)> = signed.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    for (token, expected) in [
        (None, (401, "missing_url_token")),
        (Some("url-token-of-another-account"), (401, "wrong_url_token")),
        (Some("URL-TOKEN-OF-THIS-ACCOUNT"), (401, "wrong_url_token")),
        (Some("url-token-of-this-account"), (200, "accepted")),
    ] {
        assert_eq!(function.send(&headers, token, body.as_bytes()).await, expected, "{token:?}");
    }
    let forged = format!("{body} ");
    let result = function.send(&headers, Some("url-token-of-this-account"), forged.as_bytes()).await;
    assert_eq!(result, (401, "signature_mismatch"), "the token alone is not enough");
}
