//! The scheme that LiveKit made and plugNmeet took over: a JWT, signed with HS256 by the secret of the API
//! key that it names as `iss`, whose `sha256` claim is the hash of the body.
//!
//! Source: livekit/protocol `auth/verifier.go` and `webhook/notifier.go`; plugnmeet-protocol
//! `webhook/verify.go`.

use std::collections::HashMap;

use data_encoding::{BASE64, BASE64URL_NOPAD, Encoding};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::json::{Document, Object};
use crate::keys::{self, Keys, KeysError};
use crate::rejection::excerpt;
use crate::{BodyHash, Delivery, Rejection, weakness};

/// The API keys of an account, each with its secret; all of them count.
pub struct ApiKeys {
    secrets: HashMap<String, Hmac<Sha256>>,
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
            parsed.secrets.insert(name.clone(), keys::hmac(&at, secret)?);
        }
        Ok(parsed)
    }

    fn weakness(&self) -> Option<&str> {
        self.weakness.as_deref()
    }
}

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

/// Verifies all of it but that the issuer is known and that its secret has signed.
pub(crate) fn precheck(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    now: Timestamp,
) -> Result<(), Rejection> {
    check(delivery, headers, now, could_be_signed).map(drop)
}

/// Times and body are looked at only after the signature: what is refused there, the real sender has signed.
fn check<T>(
    delivery: &Delivery<'_>,
    headers: &[&'static str],
    now: Timestamp,
    signer: impl FnOnce(&Token<'_>, Option<&str>) -> Result<T, Rejection>,
) -> Result<(T, BodyHash), Rejection> {
    let token = Token::parse(credential(delivery, headers)?)?;
    let claims = Document::parse(&token.claims);
    let claims = claims.as_ref().and_then(Document::object);
    let claims = claims.ok_or_else(|| malformed("a payload that is no JSON object"))?;
    verify_algorithm(&token)?;
    let signer = signer(&token, claims.text("iss").as_deref())?;
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

/// A token taken apart, nothing in it proven.
struct Token<'a> {
    signed: &'a str,
    /// `None` where it is no HMAC-SHA256 in base64url.
    signature: Option<[u8; 32]>,
    header: String,
    claims: String,
}

impl<'a> Token<'a> {
    fn parse(token: &'a str) -> Result<Self, Rejection> {
        let other = || malformed(format!("{} parts", token.split('.').count()));
        let (signed, signature) = token.rsplit_once('.').ok_or_else(other)?;
        let (header, claims) = signed.split_once('.').ok_or_else(other)?;
        if claims.contains('.') {
            return Err(other());
        }
        let signature = decode_hash(&BASE64URL_NOPAD, signature);
        Ok(Self { signed, signature, header: decode(header, "header")?, claims: decode(claims, "payload")? })
    }
}

fn verify_algorithm(token: &Token<'_>) -> Result<(), Rejection> {
    let header = Document::parse(&token.header);
    let header = header.as_ref().and_then(Document::object);
    let header = header.ok_or_else(|| malformed("a header that is no JSON object"))?;
    match header.text("alg").as_deref() {
        Some("HS256") => Ok(()),
        Some(alg) => Err(Rejection::AlgorithmNotAllowed { found: excerpt(alg) }),
        None => Err(Rejection::AlgorithmNotAllowed { found: "none named".into() }),
    }
}

fn verify_signature(token: &Token<'_>, issuer: Option<&str>, keys: &ApiKeys) -> Result<String, Rejection> {
    let Some((api_key, mac)) = issuer.and_then(|issuer| keys.secrets.get_key_value(issuer)) else {
        return Err(unknown_issuer(issuer));
    };
    let fits = |signature: [u8; 32]| mac.clone().chain_update(token.signed).verify_slice(&signature).is_ok();
    match token.signature.is_some_and(fits) {
        true => Ok(api_key.clone()),
        false => Err(Rejection::WrongKey { issuer: excerpt(api_key) }),
    }
}

/// A token without issuer, or with a signature of another form, fits no keys at all.
fn could_be_signed(token: &Token<'_>, issuer: Option<&str>) -> Result<(), Rejection> {
    match (issuer, token.signature) {
        (None, _) => Err(unknown_issuer(None)),
        (_, None) => Err(malformed("a signature that is no HMAC-SHA256 in base64url")),
        (Some(_), Some(_)) => Ok(()),
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

fn decode(part: &str, name: &str) -> Result<String, Rejection> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes());
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| malformed(format!("a {name} that is no base64url text")))
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
