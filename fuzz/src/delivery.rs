//! Verifies and normalizes the input as it is, and again with its body signed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::BASE64;
use livehooks_core::{
    Assurance, Delivery, PROVIDER_NAMES, Provider, Rejection, Verified, for_each_provider, redact,
};
use livehooks_signing::Signer;
use serde_json::value::RawValue;

use crate::NOW;
use crate::provider::KeySet;
use crate::request::Request;

thread_local! {
    static CHECKS: Vec<Box<dyn Check>> = for_each_provider!(P => Box::new(KeySet::<P>::read()) as Box<dyn Check>).into();
}

/// The input is a request to the provider that its path names.
pub fn delivery(input: &[u8]) {
    let request = Request::parse(input);
    let named = request.path.split('/').nth(2);
    let index = PROVIDER_NAMES.iter().position(|name| Some(*name) == named);
    let index = index.unwrap_or_else(|| input.len() % PROVIDER_NAMES.len());
    CHECKS.with(|checks| checks[index].check(&request));
}

trait Check {
    fn check(&self, request: &Request<'_>);
}

impl<P: Signer> Check for KeySet<P> {
    fn check(&self, request: &Request<'_>) {
        let keys = &self.verifying;
        let delivery =
            Delivery { headers: &request.headers, url_token: request.url_token(), body: request.body };
        match P::verify(&delivery, keys, NOW) {
            Ok(verified) => {
                P::precheck(&delivery, NOW).expect("an authentic delivery passes the precheck");
                check_authentic(&delivery, &verified, keys);
            }
            Err(rejection) => check_rejection(&delivery, &rejection),
        }

        let headers = self.sign(request.body);
        let delivery = Delivery { headers: &headers, url_token: None, body: request.body };
        if let Err(Rejection::MalformedBody { .. } | Rejection::TooLarge { .. }) = P::precheck(&delivery, NOW)
        {
            return;
        }
        let verified = P::verify(&delivery, keys, NOW)
            .expect("a signed body is authentic, whatever it contains, if it can be unpacked");
        check_authentic(&delivery, &verified, keys);
    }
}

fn check_authentic<P: Provider>(delivery: &Delivery<'_>, verified: &Verified<'_, P>, keys: &P::Keys) {
    if verified.assurance() != Assurance::SharedSecret {
        let longer = [delivery.body, b" "].concat();
        assert!(P::verify(&Delivery { body: &longer, ..*delivery }, keys, NOW).is_err(), "an altered body");
    }
    let mut normalized = P::normalize(verified, NOW);
    let event = normalized.to_json(7).expect("every event is JSON");
    assert_eq!(event, P::normalize(verified, NOW).to_json(7).unwrap(), "the same bytes make the same event");
    assert!(normalized.event_key().len() <= 2048, "the key fits into DynamoDB's limit");
    check_raw(&event, verified.body());
    let redacted = redact(P::NAME, &event);
    serde_json::from_str::<&RawValue>(&redacted).expect("a redacted event is JSON");
}

fn check_raw(event: &str, body: &[u8]) {
    let event: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(event).expect("an event is an object");
    let data: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(event["data"].get()).expect("data is an object");
    match (data.get("raw"), data.get("raw_base64")) {
        (Some(raw), None) => assert_eq!(raw.get().as_bytes(), body.trim_ascii(), "raw is the body"),
        (None, Some(base64)) => {
            let base64: &str = serde_json::from_str(base64.get()).expect("base64 is a string");
            assert_eq!(BASE64.decode(base64.as_bytes()).expect("base64"), body, "raw is the body");
            assert!(serde_json::from_slice::<&RawValue>(body).is_err(), "JSON is stored as JSON");
        }
        _ => panic!("the body is in the event exactly once"),
    }
}

/// A rejection goes to the log: it must be one short line without a credential.
fn check_rejection(delivery: &Delivery<'_>, rejection: &Rejection) {
    let message = rejection.to_string();
    assert!(message.len() < 1024 && !message.contains(char::is_control), "{message:?}");
    assert!(!rejection.advice().is_empty() && !rejection.code().is_empty());
    let values = delivery.headers.values().filter_map(|value| value.to_str().ok());
    for value in values.filter(|value| value.len() >= 40) {
        assert!(!message.contains(value), "a rejection repeats the credential: {message}");
    }
}
