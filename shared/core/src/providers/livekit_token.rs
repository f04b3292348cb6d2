//! LiveKit's scheme, which plugNmeet uses too: a JWT whose `iss` names an API key, which is signed with the secret of
//! that key (HS256), and whose `sha256` claim is the hash of the body.
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

/// The API keys of an account, each with its secret; all are valid.
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
            let secret = keys::string(&at, secret)?;
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

/// The only accepted algorithm, whatever a token claims.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// How far the clocks of sender and receiver may differ.
const LEEWAY_S: i64 = 60;

/// Verifies the token in the first of `headers` that is present, and that it was made for this body.
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

/// Verifies everything except the issuer and its signature.
pub(crate) fn precheck(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    now: Timestamp,
) -> Result<(), Rejection> {
    check(delivery, headers, now, could_be_signed).map(drop)
}

/// Checks times and body only after the signature, so those rejections imply a valid signature.
fn check<T>(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    now: Timestamp,
    signer: impl FnOnce(&str, Option<&str>) -> Result<T, Rejection>,
) -> Result<(T, BodyHash), Rejection> {
    let token = credential(delivery, headers)?;
    let unproven = insecure_decode::<Box<RawValue>>(token).map_err(|_| unreadable(token))?;
    let claims = Document::of(&unproven.claims);
    let claims = claims.object().ok_or_else(|| malformed("a payload that is not a JSON object"))?;
    if unproven.header.alg != ALGORITHM {
        return Err(unreadable(token));
    }
    let signer = signer(token, claims.text("iss").as_deref())?;
    verify_time(claims, now.as_second())?;
    Ok((signer, verify_body(claims, delivery.body)?))
}

fn credential<'a>(delivery: &Delivery<'a>, headers: &[&'static str]) -> Result<&'a str, Rejection> {
    let value = delivery.first_header(headers)?;
    let text = std::str::from_utf8(value).map_err(|_| malformed("bytes that are not UTF-8"))?;
    // Neither sender writes the scheme, but a gateway may add it.
    Ok(match text.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim_start(),
        _ => text,
    })
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

/// A token without an issuer, or with a malformed signature, is invalid under any keys.
fn could_be_signed(token: &str, issuer: Option<&str>) -> Result<(), Rejection> {
    let signature =
        token.rsplit_once('.').and_then(|(_, signature)| decode_hash(&BASE64URL_NOPAD, signature));
    match (issuer, signature) {
        (None, _) => Err(unknown_issuer(None)),
        (_, None) => Err(malformed("a signature that is not an HMAC-SHA256 in base64url")),
        (Some(_), Some(_)) => Ok(()),
    }
}

/// The rejection of a token that `jsonwebtoken` cannot read, or whose algorithm is not allowed.
fn unreadable(token: &str) -> Rejection {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, _] = parts[..] else { return malformed(format!("{} parts", parts.len())) };
    let Some(header) = decode_text(header) else {
        return malformed("a header that is not text in base64url");
    };
    let Some(payload) = decode_text(payload) else {
        return malformed("a payload that is not text in base64url");
    };
    if Document::parse(&payload).is_none_or(|payload| payload.object().is_none()) {
        return malformed("a payload that is not a JSON object");
    }
    let header = Document::parse(&header);
    let Some(header) = header.as_ref().and_then(Document::object) else {
        return malformed("a header that is not a JSON object");
    };
    match header.text("alg").as_deref() {
        Some("HS256") => malformed("a header field that is repeated or cannot be read"),
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
        Some(None) => Err(malformed("an nbf claim that is not a number")),
        Some(Some(not_before)) => match not_before.saturating_sub(now_s) {
            early_s if early_s > LEEWAY_S => Err(Rejection::NotYetValid { by_s: early_s }),
            _ => Ok(()),
        },
    }
}

fn verify_body(claims: Object<'_, '_>, body: &[u8]) -> Result<BodyHash, Rejection> {
    let claimed = claims.text("sha256").ok_or(Rejection::NoBodyHash)?;
    let found = BodyHash::of(body);
    let matches = |claimed: [u8; 32]| claimed.ct_eq(found.as_bytes()).into();
    match decode_hash(&BASE64, &claimed).is_some_and(matches) {
        true => Ok(found),
        false => Err(Rejection::BodyAltered { body_bytes: body.len() }),
    }
}

fn decode_text(part: &str) -> Option<String> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
    String::from_utf8(bytes).ok()
}

/// `None` if the text is not 32 bytes in this encoding.
fn decode_hash(encoding: &Encoding, text: &str) -> Option<[u8; 32]> {
    // A multiple of three bytes, because base64 decodes in groups.
    let mut bytes = [0; 33];
    let room = bytes.get_mut(..encoding.decode_len(text.len()).ok()?)?;
    let length = encoding.decode_mut(text.as_bytes(), room).ok()?;
    bytes[..length].try_into().ok()
}

fn malformed(found: impl Into<String>) -> Rejection {
    Rejection::MalformedCredential { expected: "a token of three parts (JWT)", found: found.into() }
}
