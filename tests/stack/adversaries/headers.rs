use lambda_http::Request;
use livehooks_core::hms::Hms;
use livehooks_core::plugnmeet::PlugNmeet;
use serde_json::json;

use super::{BODY, Function, SECRET, claims, token, tokens};

#[tokio::test]
async fn a_header_counts_in_any_case_and_only_once() {
    let good = token(&json!({ "alg": "HS256" }), &claims(BODY), SECRET);
    let forged = token(&json!({ "alg": "HS256" }), &claims(BODY), b"wrong");
    let function = tokens::<PlugNmeet>().await;
    assert_eq!(function.send(&[("aUTHORIZATION", &good)], None, BODY).await, (200, "accepted"));
    // API Gateway joins repeated headers with a comma.
    for both in [format!("{good},{forged}"), format!("{forged},{good}"), format!("{good},{good}")] {
        let result = function.send(&[("Authorization", &both)], None, BODY).await;
        assert_eq!(result, (401, "malformed_credential"));
    }
    // In case it ever forwards them separately:
    for (first, second) in [(&good, &forged), (&forged, &good), (&good, &good)] {
        let mut request = Request::new(BODY.into());
        for value in [first, second] {
            request.headers_mut().append("authorization", value.parse().unwrap());
        }
        assert_eq!(function.answer(&request).await, (401, "repeated_header"));
    }
    // Neither the copy in Hash-Token nor a similar header name helps.
    let pair = [("Authorization", forged.as_str()), ("Hash-Token", good.as_str())];
    assert_eq!(function.send(&pair, None, BODY).await, (401, "wrong_key"));
    for name in ["Authorization-", "X-Authorization", "Hash_Token", "Proxy-Authorization"] {
        assert_eq!(function.send(&[(name, &good)], None, BODY).await, (401, "missing_header"), "{name}");
    }
}

#[tokio::test]
async fn a_folded_or_non_ascii_header_is_rejected() {
    let good = token(&json!({ "alg": "HS256" }), &claims(BODY), SECRET);
    let function = tokens::<PlugNmeet>().await;
    let (start, end) = good.split_at(40);
    // A folded line arrives as one line with spaces in it.
    for (value, reason) in [
        (format!("{start} {end}"), "malformed_credential"),
        (format!("{start}\t{end}"), "malformed_credential"),
        (format!("\u{feff}{good}"), "malformed_credential"),
        (good.replace('.', "．"), "malformed_credential"),
        (good.replace('.', "\u{2024}"), "malformed_credential"),
        (format!("{good}é"), "wrong_key"),
        (format!("{good} "), "wrong_key"),
    ] {
        let result = function.send(&[("Authorization", &value)], None, BODY).await;
        assert_eq!(result, (401, reason), "{value}");
    }
    let mut request = Request::new(BODY.into());
    request.headers_mut().insert("authorization", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(function.answer(&request).await, (401, "malformed_credential"));

    let hms = json!({ "headers": [{ "name": "X-Passcode", "values": ["passcode"] }] });
    let function = Function::<Hms>::start(&hms).await;
    for value in ["pass code", "passcodé", "passcode\u{a0}", "passcode,passcode", "PASSCODE", "passcode;"] {
        let result = function.send(&[("X-Passcode", value)], None, BODY).await;
        assert_eq!(result, (401, "wrong_header_value"), "{value}");
    }
}
