//! The scheme `t=<seconds>,v1=<signature>[,v1=<signature>…]`: HMAC-SHA256 over `<seconds>.<body>`.
//!
//! Several `v1` are how a provider rotates its secret: one good signature is enough. Other elements are ignored,
//! as newer versions of the scheme may add some.

use data_encoding::Encoding;
use hmac::Hmac;
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use super::{freshness, signing_secrets};
use crate::{Delivery, Rejection};

/// One provider's use of the scheme.
pub(super) struct TimestampedSignature {
    pub(super) header: &'static str,
    /// Of the signatures.
    pub(super) encoding: Encoding,
    /// The form of the header, for messages.
    pub(super) form: &'static str,
    /// How old a signature may be.
    pub(super) age_max: SignedDuration,
}

struct Header<'a> {
    /// As signed: the digits themselves.
    time: &'a [u8],
    signed_s: i64,
    signatures: Vec<[u8; 32]>,
}

impl TimestampedSignature {
    /// The signature is checked before the time: what is rejected for its time, the real sender has signed.
    pub(super) fn verify(
        &self,
        delivery: &Delivery<'_>,
        secrets: &[Hmac<Sha256>],
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let Header { time, signed_s, signatures } = self.header(delivery)?;
        signing_secrets::verify_signature(secrets, &[time, b"."], delivery.body, &signatures)?;
        freshness::check(signed_s, now, self.age_max)
    }

    /// Verifies everything except that one of the secrets signed.
    pub(super) fn precheck(&self, delivery: &Delivery<'_>, now: Timestamp) -> Result<(), Rejection> {
        freshness::check(self.header(delivery)?.signed_s, now, self.age_max)
    }

    fn header<'a>(&self, delivery: &Delivery<'a>) -> Result<Header<'a>, Rejection> {
        let value = delivery.first_header(&[self.header])?;
        let malformed = |found| Rejection::MalformedCredential { expected: self.form, found };
        let elements = |name: &'static [u8]| {
            value.split(|byte| *byte == b',').filter_map(move |element| {
                element.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"="))
            })
        };
        let times: Vec<&[u8]> = elements(b"t").collect();
        let [time] = times[..] else { return Err(malformed(format!("{} times t", times.len()))) };
        let signed_s = freshness::seconds(time)
            .ok_or_else(|| malformed("a time t that is not a whole number of seconds".into()))?;
        let signatures: Vec<[u8; 32]> =
            elements(b"v1").filter_map(|text| self.encoding.decode(text).ok()?.try_into().ok()).collect();
        match signatures.is_empty() {
            true => Err(malformed(format!("{} signatures v1, none of this form", elements(b"v1").count()))),
            false => Ok(Header { time, signed_s, signatures }),
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};
    use hmac::Mac;
    use http::HeaderMap;

    use super::*;
    use crate::keys;

    const SIGNED_S: i64 = 1_795_501_812;
    const BODY: &[u8] = b"{}";

    fn scheme(encoding: Encoding) -> TimestampedSignature {
        TimestampedSignature {
            header: "x-signature",
            encoding,
            form: "the form",
            age_max: SignedDuration::from_hours(25),
        }
    }

    fn secret(text: &str) -> Hmac<Sha256> {
        keys::hmac("secrets", text).unwrap()
    }

    fn signature(secret: &Hmac<Sha256>, time: &str) -> [u8; 32] {
        secret.clone().chain_update(time).chain_update(".").chain_update(BODY).finalize().into_bytes().into()
    }

    /// The codes of verification and precheck at an age in seconds.
    fn codes(
        scheme: &TimestampedSignature,
        value: &str,
        age_s: i64,
    ) -> (Option<&'static str>, Option<&'static str>) {
        let headers = HeaderMap::from_iter([("x-signature".parse().unwrap(), value.parse().unwrap())]);
        let delivery = Delivery { headers: &headers, url_token: None, body: BODY };
        let now = Timestamp::from_second(SIGNED_S + age_s).unwrap();
        let secrets = [secret("one"), secret("other")];
        let code = |result: Result<(), Rejection>| result.err().map(|rejection| rejection.code());
        (code(scheme.verify(&delivery, &secrets, now)), code(scheme.precheck(&delivery, now)))
    }

    #[test]
    fn any_signature_by_any_secret_is_enough() {
        for encoding in [HEXLOWER, BASE64] {
            let scheme = scheme(encoding.clone());
            let signed = |by: &str| encoding.encode(&signature(&secret(by), &SIGNED_S.to_string()));
            let (one, other, forged) = (signed("one"), signed("other"), signed("forger"));
            for value in [
                format!("t={SIGNED_S},v1={one}"),
                format!("t={SIGNED_S},v1={other}"),
                format!("v1={other},t={SIGNED_S}"),
                format!("t={SIGNED_S},v1={forged},v1={one}"),
                format!("t={SIGNED_S},v1=short,v0={forged},v1={one},"),
            ] {
                assert_eq!(codes(&scheme, &value, 0), (None, None), "{value}");
            }
            let forged = format!("t={SIGNED_S},v1={forged},v0={one}");
            assert_eq!(codes(&scheme, &forged, 0), (Some("signature_mismatch"), None));
        }
    }

    #[test]
    fn a_malformed_header_is_rejected_without_keys() {
        let scheme = scheme(HEXLOWER);
        let signed = |time: &str| HEXLOWER.encode(&signature(&secret("one"), time));
        let (right, upper) = (signed("1795501812"), signed("1795501812").to_uppercase());
        for value in [
            String::new(),
            format!("v1={right}"),
            "t=1795501812".into(),
            format!("t=1795501812,t=1795501812,v1={right}"),
            format!("t=1795501812, v1={right}"),
            format!("t=1795501812,v1={upper}"),
            format!("t=1795501812,v1={}", &right[..60]),
            format!("t=1795501812.0,v1={}", signed("1795501812.0")),
            format!("t=1795501812abc,v1={}", signed("1795501812abc")),
            format!("t=+1795501812,v1={}", signed("+1795501812")),
            format!("t=,v1={}", signed("")),
        ] {
            let malformed = Some("malformed_credential");
            assert_eq!(codes(&scheme, &value, 0), (malformed, malformed), "{value}");
        }
    }

    #[test]
    fn a_signature_counts_for_25_hours_and_may_be_five_minutes_ahead() {
        let scheme = scheme(HEXLOWER);
        let value =
            format!("t={SIGNED_S},v1={}", HEXLOWER.encode(&signature(&secret("one"), &SIGNED_S.to_string())));
        let at = |age_s| codes(&scheme, &value, age_s);
        assert_eq!((at(25 * 3_600), at(-300)), ((None, None), (None, None)));
        assert_eq!(at(25 * 3_600 + 1), (Some("expired"), Some("expired")));
        assert_eq!(at(-301), (Some("not_yet_valid"), Some("not_yet_valid")));
        let other_time = value.replace("t=1795501812", "t=1795501813");
        assert_eq!(codes(&scheme, &other_time, 26 * 3_600), (Some("signature_mismatch"), Some("expired")));
    }
}
