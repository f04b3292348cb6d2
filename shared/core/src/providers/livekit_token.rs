//! The scheme that LiveKit made and plugNmeet took over: a JWT, signed with HS256 by the secret of the API
//! key that it names as `iss`, whose `sha256` claim is the hash of the body.
//!
//! Source: livekit/protocol `auth/verifier.go` and `webhook/notifier.go`; plugnmeet-protocol
//! `webhook/verify.go`.

use std::collections::HashMap;

use data_encoding::{BASE64, BASE64URL_NOPAD, Encoding};
use jiff::Timestamp;
use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use crate::json::{Document, Object};
use crate::keys::{self, Keys, KeysError};
use crate::rejection::excerpt;
use crate::{BodyHash, Delivery, Rejection, weakness};

/// The API keys of an account, each with its secret; all of them count.
pub struct ApiKeys {
    secrets: HashMap<String, DecodingKey>,
    weakness: Option<String>,
}

impl Keys for ApiKeys {
    const SHAPE: &'static str = r#"{"keys": {"<api key>": "<secret>"}}"#;

    fn from_json(secret: &Value) -> Result<Self, KeysError> {
        let object = keys::object(".", secret, &["keys"])?;
        let keys = match object.get("keys") {
            Some(Value::Object(keys)) if !keys.is_empty() => keys,
            Some(Value::Object(_)) => return Err(KeysError::placeholder("keys", "at least one API key")),
            other => {
                let found = other.map_or("nothing", keys::kind);
                return Err(KeysError::new("keys", "an object of API keys and secrets", found));
            }
        };
        let mut parsed = Self { secrets: HashMap::new(), weakness: None };
        for (name, secret) in keys {
            let at = format!("keys.{name}");
            let secret = keys::text(&at, secret)?;
            let weakness = || weakness::of_secret(&format!("keys.{}", excerpt(name)), secret);
            parsed.weakness = parsed.weakness.or_else(weakness);
            parsed.secrets.insert(name.clone(), DecodingKey::from_secret(secret.as_bytes()));
        }
        Ok(parsed)
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }
}

/// The only algorithm, whatever a token says of itself.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// Senders and receivers whose clocks differ by no more than this still understand each other.
const LEEWAY_S: i64 = 60;

/// Verifies the token in the first of `headers` that is there, and that it was made for this body.
///
/// Returns the API key that signed, and the body's hash.
pub(crate) fn verify(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    keys: &ApiKeys,
    now: Timestamp,
) -> Result<(String, BodyHash), Rejection> {
    check(delivery, headers, now, |token, issuer| verify_signature(token, issuer, keys))
}

/// Verifies everything except that the issuer is known and that its secret has signed.
pub(crate) fn precheck(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    now: Timestamp,
) -> Result<(), Rejection> {
    check(delivery, headers, now, could_be_signed).map(drop)
}

/// Times and body are checked only after the signature: what is rejected there, the real sender has signed.
fn check<T>(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    now: Timestamp,
    signer: impl FnOnce(&str, Option<&str>) -> Result<T, Rejection>,
) -> Result<(T, BodyHash), Rejection> {
    let token = credential(delivery, headers)?;
    let unproven = insecure_decode::<Box<RawValue>>(token).map_err(|_| why_unreadable(token))?;
    let claims = Document::of(&unproven.claims);
    let claims = claims.object().ok_or_else(|| malformed("a payload that is no JSON object"))?;
    if unproven.header.alg != ALGORITHM {
        return Err(why_unreadable(token));
    }
    let signer = signer(token, claims.text("iss").as_deref())?;
    verify_time(claims, now.as_second())?;
    Ok((signer, verify_body(claims, delivery.body)?))
}

fn credential<'a>(delivery: &Delivery<'a>, headers: &[&'static str]) -> Result<&'a str, Rejection> {
    for name in headers {
        if let Some(value) = delivery.header(name)? {
            let text = std::str::from_utf8(value).map_err(|_| malformed("bytes that are no text"))?;
            // Neither sender writes the scheme, but a gateway in between may.
            return Ok(match text.split_at_checked(7) {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim_start(),
                _ => text,
            });
        }
    }
    Err(Rejection::MissingHeader { names: headers.iter().map(|name| name.to_string()).collect() })
}

fn verify_signature(token: &str, issuer: Option<&str>, keys: &ApiKeys) -> Result<String, Rejection> {
    let Some((api_key, secret)) = issuer.and_then(|issuer| keys.secrets.get_key_value(issuer)) else {
        return Err(unknown_issuer(issuer));
    };
    let (message, signature) = token.rsplit_once('.').unwrap_or_default();
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), secret, ALGORITHM) {
        Ok(true) => Ok(api_key.clone()),
        _ => Err(Rejection::WrongKey { issuer: excerpt(api_key) }),
    }
}

/// A token without issuer, or with a signature of another form, fits no keys at all.
fn could_be_signed(token: &str, issuer: Option<&str>) -> Result<(), Rejection> {
    let signature =
        token.rsplit_once('.').and_then(|(_, signature)| decode_hash(&BASE64URL_NOPAD, signature));
    match (issuer, signature) {
        (None, _) => Err(unknown_issuer(None)),
        (_, None) => Err(malformed("a signature that is no HMAC-SHA256 in base64url")),
        (Some(_), Some(_)) => Ok(()),
    }
}

/// Says why `jsonwebtoken` cannot read a token, or does not allow its algorithm.
fn why_unreadable(token: &str) -> Rejection {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, _] = parts[..] else { return malformed(format!("{} parts", parts.len())) };
    let Some(header) = decode_text(header) else {
        return malformed("a header that is no base64url text");
    };
    let Some(payload) = decode_text(payload) else {
        return malformed("a payload that is no base64url text");
    };
    if Document::parse(&payload).is_none_or(|payload| payload.object().is_none()) {
        return malformed("a payload that is no JSON object");
    }
    let header = Document::parse(&header);
    let Some(header) = header.as_ref().and_then(Document::object) else {
        return malformed("a header that is no JSON object");
    };
    match header.text("alg").as_deref() {
        Some("HS256") => malformed("a header field that stands twice or cannot be read"),
        Some(alg) => Rejection::AlgorithmNotAllowed { found: excerpt(alg) },
        None => Rejection::AlgorithmNotAllowed { found: "none named".into() },
    }
}

fn unknown_issuer(issuer: Option<&str>) -> Rejection {
    Rejection::UnknownIssuer { found: issuer.map_or_else(|| "none".into(), excerpt) }
}

fn verify_time(claims: Object<'_, '_>, now_s: i64) -> Result<(), Rejection> {
    let seconds = |name| {
        let number = |json: &str| json.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        claims.raw(name).map(|json| number(json).map(|seconds| seconds as i64))
    };
    let expiry = seconds("exp").flatten().ok_or(Rejection::NoExpiry)?;
    let expired_s = now_s.saturating_sub(expiry);
    if expired_s > LEEWAY_S {
        return Err(Rejection::Expired { by_s: expired_s });
    }
    match seconds("nbf") {
        None => Ok(()),
        Some(None) => Err(malformed("an nbf claim that is no number")),
        Some(Some(not_before)) => match not_before.saturating_sub(now_s) {
            early_s if early_s > LEEWAY_S => Err(Rejection::NotYetValid { by_s: early_s }),
            _ => Ok(()),
        },
    }
}

fn verify_body(claims: Object<'_, '_>, body: &[u8]) -> Result<BodyHash, Rejection> {
    let claimed = claims.text("sha256").ok_or(Rejection::NoBodyHash)?;
    let found = BodyHash::of(body);
    let fits = |claimed: [u8; 32]| claimed.ct_eq(found.as_bytes()).into();
    match decode_hash(&BASE64, &claimed).is_some_and(fits) {
        true => Ok(found),
        false => Err(Rejection::BodyAltered { body_bytes: body.len() }),
    }
}

fn decode_text(part: &str) -> Option<String> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
    String::from_utf8(bytes).ok()
}

/// `None` where the text is not 32 bytes in this encoding.
fn decode_hash(encoding: &Encoding, text: &str) -> Option<[u8; 32]> {
    // Room for a whole number of base64's groups.
    let mut bytes = [0; 33];
    let room = bytes.get_mut(..encoding.decode_len(text.len()).ok()?)?;
    let length = encoding.decode_mut(text.as_bytes(), room).ok()?;
    bytes[..length].try_into().ok()
}

fn malformed(found: impl Into<String>) -> Rejection {
    Rejection::MalformedCredential { expected: "a token of three parts (JWT)", found: found.into() }
}
