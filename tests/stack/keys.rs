use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use livehooks::local::local_sdk_config;
use livehooks_aws::config::KeySource;
use livehooks_aws::{Fault, KeyRing};
use livehooks_core::hms::HmsKeys;
use livehooks_core::{ApiKeys, Delivery, Keys, Provider, RsaKeys};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{EXAMPLE, Example};
use livehooks_signing::ProviderInfo;

/// A fake Secrets Manager with at most one secret.
#[derive(Clone, Default)]
struct Secrets {
    secret: Arc<Mutex<Option<String>>>,
    calls: Arc<Mutex<u32>>,
}

impl Secrets {
    async fn serve<K: Keys>(&self) -> KeyRing<K> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sdk = local_sdk_config(listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        let client = aws_sdk_secretsmanager::Client::new(&sdk);
        KeyRing::new(EXAMPLE, KeySource::SecretsManager("livehooks/example".into()), client)
    }

    fn set(&self, secret: Option<&str>) {
        *self.secret.lock().unwrap() = secret.map(str::to_owned);
    }

    fn calls(&self) -> u32 {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

async fn answer(State(secrets): State<Secrets>) -> Response {
    *secrets.calls.lock().unwrap() += 1;
    let json = "application/x-amz-json-1.1";
    match secrets.secret.lock().unwrap().as_deref() {
        Some(secret) => {
            ([("content-type", json)], json!({ "SecretString": secret }).to_string()).into_response()
        }
        None => {
            let body = json!({ "__type": "ResourceNotFoundException", "Message": "not there" }).to_string();
            (StatusCode::BAD_REQUEST, [("content-type", json)], body).into_response()
        }
    }
}

const START: Timestamp = Timestamp::constant(1_761_815_000, 0);

fn after(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn keys(secrets: &[(&str, &str)]) -> String {
    json!({ "keys": secrets.iter().map(|(name, secret)| (name.to_string(), json!(secret))).collect::<Value>() })
        .to_string()
}

#[tokio::test]
async fn keys_are_read_once_in_five_minutes_and_stay_in_use_during_an_outage() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    secrets.set(Some(&keys(&[("a", "1")])));
    for seconds in [0, 1, 299] {
        ring.current(after(seconds)).await.unwrap();
    }
    assert_eq!(secrets.calls(), 1);
    secrets.set(None);
    ring.current(after(300)).await.unwrap();
    assert_eq!(secrets.calls(), 1);
}

#[tokio::test]
async fn failed_verifications_read_the_keys_again_at_most_once_in_thirty_seconds() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    secrets.set(Some(&keys(&[("a", "1")])));
    ring.current(START).await.unwrap();
    secrets.calls();
    let mut read = Vec::new();
    for seconds in [1, 29, 30, 31, 59, 60] {
        read.push(ring.newer(after(seconds)).await.unwrap().is_some());
    }
    assert_eq!(read, [false, false, true, false, false, true]);
    assert_eq!(secrets.calls(), 2);
}

#[tokio::test]
async fn a_failed_verification_is_our_fault_while_the_keys_cannot_be_refreshed() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    secrets.set(Some(&keys(&[("a", "1")])));
    ring.current(START).await.unwrap();
    for unreadable in [None, Some("no JSON")] {
        secrets.set(unreadable);
        let first = after(if unreadable.is_none() { 30 } else { 60 });
        assert!(ring.newer(first).await.is_err());
        // The sender's retry comes before the next read. It must not be rejected permanently either.
        assert!(ring.newer(first + SignedDuration::from_secs(1)).await.is_err());
        ring.current(first).await.unwrap();
    }
    secrets.set(Some(&keys(&[("a", "2")])));
    assert!(ring.newer(after(90)).await.unwrap().is_some());
    assert!(ring.newer(after(91)).await.unwrap().is_none());
}

#[tokio::test]
async fn unusable_keys_are_our_fault_and_the_log_says_how_to_set_them() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    let fault = ring.current(START).await.err().unwrap();
    assert!(matches!(fault, Fault::KeysUnavailable { .. }), "{fault}");
    assert!(fault.to_string().contains("ResourceNotFoundException: not there"), "{fault}");

    secrets.set(Some(r#"{"keys": {"a": ["hunter2"]}}"#));
    let fault = ring.current(after(5)).await.err().unwrap().to_string();
    assert_eq!(
        fault,
        "the keys in secret livehooks/example cannot be used: field keys.a: expected a string, found an array; \
         fill them with: aws secretsmanager put-secret-value --secret-id livehooks/example \
         --secret-string '{\"keys\": {\"<api key>\": \"<secret>\"}}'"
    );

    secrets.set(Some("hunter2"));
    let fault = ring.current(after(20)).await.err().unwrap().to_string();
    assert!(fault.contains("expected JSON, found none at line 1"), "{fault}");
    assert!(!fault.contains("hunter2"));

    secrets.set(Some(&keys(&[("a", "1")])));
    ring.current(after(60)).await.unwrap();
}

#[tokio::test]
async fn an_unreadable_secret_is_retried_after_5_s_then_10_20_and_every_30() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    let mut read_at = Vec::new();
    for seconds in 0..=100 {
        assert!(ring.current(after(seconds)).await.is_err());
        assert!(ring.newer(after(seconds)).await.is_err());
        read_at.extend(vec![seconds; secrets.calls() as usize]);
    }
    assert_eq!(read_at, [0, 5, 15, 35, 65, 95]);
    secrets.set(Some(&keys(&[("a", "1")])));
    assert!(ring.current(after(124)).await.is_err());
    ring.current(after(125)).await.unwrap();
    secrets.set(None);
    assert!(ring.newer(after(155)).await.is_err());
    assert!(ring.newer(after(159)).await.is_err());
    assert_eq!(secrets.calls(), 2, "after a success the delay is 5 s again");
    assert!(ring.newer(after(160)).await.is_err());
    assert_eq!(secrets.calls(), 1);
}

async fn fault_of<K: Keys>(secret: &str) -> Fault {
    let secrets = Secrets::default();
    secrets.set(Some(secret));
    secrets.serve::<K>().await.current(START).await.err().unwrap()
}

#[tokio::test]
async fn the_fault_of_a_placeholder_secret_says_that_keys_were_never_set_and_how_to_set_them() {
    for fault in [
        fault_of::<ApiKeys>(r#"{"keys": {}}"#).await,
        fault_of::<RsaKeys>(r#"{"public_keys": [], "url_tokens": ["a token that the stack has made"]}"#)
            .await,
        fault_of::<RsaKeys>(r#"{"url_tokens": []}"#).await,
        fault_of::<HmsKeys>(r#"{"headers": [], "signing_secrets": []}"#).await,
        fault_of::<HmsKeys>("{}").await,
    ] {
        assert!(matches!(fault, Fault::KeysNotSet { .. }), "{fault:?}");
        assert_eq!(fault.code(), "keys_not_set");
        let command = "put-secret-value --secret-id livehooks/example --secret-string '{\"";
        assert!(fault.to_string().contains(command), "{fault}");
    }
    for misshapen in [r#"{"keys": []}"#, r#"{"keys": {"a": ""}}"#, r#"{"keys": {"a": {}}}"#, "{}", "[]", ""] {
        let fault = fault_of::<ApiKeys>(misshapen).await;
        assert!(matches!(fault, Fault::KeysInvalid { .. }), "{misshapen}: {fault:?}");
    }
}

#[tokio::test]
async fn keys_stay_in_use_after_the_secret_is_emptied_but_a_mismatch_is_our_fault() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    secrets.set(Some(&keys(&[("a", "1")])));
    ring.current(START).await.unwrap();
    secrets.set(Some(r#"{"keys": {}}"#));
    let fault = ring.newer(after(30)).await.err().unwrap();
    assert!(matches!(fault, Fault::KeysInvalid { .. }), "{fault:?}");
    ring.current(after(30)).await.unwrap();
    ring.current(after(600)).await.unwrap();
    assert!(ring.are_available());
}

#[tokio::test]
async fn after_a_secret_is_replaced_only_the_new_key_counts() {
    let secrets = Secrets::default();
    let ring = secrets.serve::<ApiKeys>().await;
    let verified = async |secret: &str, now: Timestamp| {
        let entry = ProviderInfo::named(EXAMPLE).unwrap();
        let signed = (entry.sign)(&json!({ "keys": { "a": secret } }), b"{}", now.into()).unwrap();
        let headers =
            signed.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers: http::HeaderMap = headers.collect();
        let delivery = Delivery { headers: &headers, url_token: None, body: b"{}" };
        let first = Example::verify(&delivery, &*ring.current(now).await.unwrap(), now).is_ok();
        match ring.newer(now).await.unwrap() {
            Some(keys) if !first => Example::verify(&delivery, &keys, now).is_ok(),
            _ => first,
        }
    };
    secrets.set(Some(&keys(&[("a", "old")])));
    assert!(verified("old", START).await);
    assert!(!verified("new", after(10)).await);
    secrets.set(Some(&keys(&[("a", "new")])));
    assert!(verified("new", after(40)).await, "a failed verification reads the keys again");
    assert!(!verified("old", after(41)).await);
}
