//! LiveKit's token, which other providers use too.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use livehooks_core::{Assurance, BodyHash, Delivery};
use serde::Serialize;
use serde_json::Value;

use crate::{Attack, SignError, Validity};

pub const SCHEMES: &[(Assurance, &str)] =
    &[(Assurance::Signed, "unexpired HS256 token with the SHA-256 of the body")];

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    sha256: String,
}

/// Makes a token for the body, signed with the first of the API keys.
pub fn sign(keys: &Value, body: &[u8], validity: Validity) -> Result<String, SignError> {
    let first = keys["keys"].as_object().and_then(|keys| keys.iter().next());
    let none = SignError::SigningKeys { expected: "an API key in keys", found: "none" };
    let (api_key, secret) = first.ok_or(none)?;
    let now = validity.now.as_second();
    let sha256 = BASE64.encode(BodyHash::of(body).as_bytes());
    let claims = Claims { iss: api_key, exp: validity.expires.as_second(), nbf: now, iat: now, sha256 };
    let key = EncodingKey::from_secret(secret.as_str().unwrap_or_default().as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

/// The rejection that an attack on a delivery with a token in one of these headers must cause.
pub fn rejection(attack: Attack, delivery: &Delivery<'_>, headers: &[&str]) -> Option<&'static str> {
    match attack {
        Attack::CredentialMissing => Some("missing_header"),
        Attack::CredentialDoubled => Some("repeated_header"),
        Attack::CredentialTruncated | Attack::OtherKey => Some("wrong_key"),
        Attack::BodyAltered => Some("body_altered"),
        Attack::Late => Some("expired"),
        Attack::Early => has_not_before(delivery, headers).then_some("not_yet_valid"),
    }
}

/// Whether the token has an `nbf` claim.
fn has_not_before(delivery: &Delivery<'_>, headers: &[&str]) -> bool {
    let token = headers.iter().find_map(|name| delivery.headers.get(*name)?.to_str().ok());
    let claims = token.and_then(|token| token.split('.').nth(1));
    let claims = claims.and_then(|claims| BASE64URL_NOPAD.decode(claims.as_bytes()).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Value>(&claims).ok());
    claims.is_some_and(|claims| claims.get("nbf").is_some())
}
