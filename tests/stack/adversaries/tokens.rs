use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use livehooks_core::livekit::LiveKit;
use serde_json::json;
use sha2::{Sha256, Sha384, Sha512};

use super::{BODY, NOW, SECRET, both_answer, claims, token, tokens, unsigned};

#[tokio::test]
async fn a_token_with_algorithm_none_is_rejected_in_any_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": alg, "typ": "JWT" });
        let without = unsigned(&header, &claims(BODY)) + ".";
        both_answer(&without, BODY, (401, "algorithm_not_allowed")).await;
        both_answer(&token(&header, &claims(BODY), SECRET), BODY, (401, "algorithm_not_allowed")).await;
    }
}

#[tokio::test]
async fn a_token_that_names_another_algorithm_is_rejected_even_with_a_valid_hs256_signature() {
    for alg in
        [json!("RS256"), json!("ES256"), json!("PS256"), json!("EdDSA"), json!("hs256"), json!(["HS256"])]
    {
        let confused = token(&json!({ "alg": alg }), &claims(BODY), SECRET);
        both_answer(&confused, BODY, (401, "algorithm_not_allowed")).await;
    }
}

#[tokio::test]
async fn hs384_and_hs512_with_the_right_secret_are_rejected_under_either_name() {
    for (alg, bits) in [("HS384", 384), ("HS512", 512), ("HS256", 384), ("HS256", 512)] {
        let signed = unsigned(&json!({ "alg": alg }), &claims(BODY));
        let signature = if bits == 384 {
            BASE64URL_NOPAD.encode(
                &Hmac::<Sha384>::new_from_slice(SECRET)
                    .unwrap()
                    .chain_update(&signed)
                    .finalize()
                    .into_bytes(),
            )
        } else {
            BASE64URL_NOPAD.encode(
                &Hmac::<Sha512>::new_from_slice(SECRET)
                    .unwrap()
                    .chain_update(&signed)
                    .finalize()
                    .into_bytes(),
            )
        };
        let reason = if alg == "HS256" { "wrong_key" } else { "algorithm_not_allowed" };
        both_answer(&format!("{signed}.{signature}"), BODY, (401, reason)).await;
    }
}

#[tokio::test]
async fn a_valid_access_token_without_a_body_hash_is_rejected() {
    let mut access = claims(BODY);
    access.as_object_mut().unwrap().remove("sha256");
    access["sub"] = json!("user-42");
    access["video"] = json!({ "roomJoin": true, "room": "r" });
    both_answer(&token(&json!({ "alg": "HS256" }), &access, SECRET), BODY, (401, "no_body_hash")).await;
}

#[tokio::test]
async fn a_token_is_valid_for_one_body_only() {
    let function = tokens::<LiveKit>().await;
    let seen = token(&json!({ "alg": "HS256" }), &claims(BODY), SECRET);
    assert_eq!(function.send(&[("Authorization", &seen)], None, BODY).await, (200, "accepted"));
    let other = br#"{"event":"room_finished","id":"EV_2","room":{"name":"r"}}"#;
    assert_eq!(function.send(&[("Authorization", &seen)], None, other).await, (401, "body_altered"));
    assert_eq!(function.send(&[("Authorization", &seen)], None, b"").await, (401, "body_altered"));
    assert_eq!(
        function.send(&[("Authorization", &seen)], None, BODY).await,
        (200, "duplicate"),
        "an exact replay"
    );
}

#[tokio::test]
async fn a_token_cannot_contain_its_own_key() {
    let own = b"the attacker's own secret";
    let jwk = json!({ "kty": "oct", "k": BASE64URL_NOPAD.encode(own), "alg": "HS256" });
    for trick in [
        json!({ "alg": "HS256", "kid": "b" }),
        json!({ "alg": "HS256", "kid": "../../../../dev/null" }),
        json!({ "alg": "HS256", "kid": "a' UNION SELECT 'the attacker''s own secret" }),
        json!({ "alg": "HS256", "jku": "https://attacker.example/jwks.json" }),
        json!({ "alg": "HS256", "x5u": "https://attacker.example/cert.pem" }),
        json!({ "alg": "HS256", "x5c": [BASE64.encode(own)] }),
        json!({ "alg": "HS256", "jwk": jwk }),
    ] {
        for secret in [&own[..], b"", b"the secret of API key b"] {
            both_answer(&token(&trick, &claims(BODY), secret), BODY, (401, "wrong_key")).await;
        }
        // They are ignored if the key is right, too.
        both_answer(&token(&trick, &claims(BODY), SECRET), BODY, (200, "accepted")).await;
    }
    let mut foreign = claims(BODY);
    foreign["iss"] = json!("../a");
    both_answer(&token(&json!({ "alg": "HS256" }), &foreign, SECRET), BODY, (401, "unknown_issuer")).await;
}

#[tokio::test]
async fn a_token_whose_header_names_a_field_twice_is_rejected() {
    for header in [r#"{"alg":"none","alg":"HS256"}"#, r#"{"alg":"HS256","alg":"none"}"#] {
        let claims = claims(BODY).to_string();
        let signed = [header, &claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes())).join(".");
        let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(&signed).finalize();
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()));
        let reason =
            if header.ends_with(r#""HS256"}"#) { "malformed_credential" } else { "algorithm_not_allowed" };
        both_answer(&token, BODY, (401, reason)).await;
    }
}

#[tokio::test]
async fn a_token_with_unusual_json_is_rejected() {
    let header = BASE64URL_NOPAD.encode(br#"{"alg":"HS256"}"#);
    let now = NOW.as_second();
    for (claims, reason) in [
        (format!(r#"{{"iss":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000)), "unknown_issuer"),
        (r#"{"iss":"\ud800"}"#.into(), "unknown_issuer"),
        (format!(r#"{{"iss":"a","exp":1e400,"nbf":{now}}}"#), "no_expiry"),
        (format!(r#"{{"iss":"a","exp":"{}"}}"#, now + 300), "no_expiry"),
        (format!(r#"{{"iss":"a","exp":{},"exp":{}}}"#, now + 300, now - 300), "expired"),
        (r#"{"iss":"a","exp":1e18,"nbf":1e18}"#.into(), "not_yet_valid"),
        (format!(r#"{{"iss":"a","exp":{},"sha256":null}}"#, now + 300), "no_body_hash"),
        (format!(r#"{{"iss":"a","exp":{},"sha256":[""]}}"#, now + 300), "no_body_hash"),
        (format!(r#"{{"iss":"a","exp":{},"sha256":"AA=="}}"#, now + 300), "body_altered"),
        (" ".repeat(8_000), "malformed_credential"),
    ] {
        let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.as_bytes()));
        let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(&signed).finalize();
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()));
        both_answer(&token, BODY, (401, reason)).await;
    }
}
