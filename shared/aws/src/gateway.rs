//! API Gateway's events, responses and clock.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Mutex, PoisonError};

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;

/// No gateway waits longer for its function. An older time is not the time of this request: the event was written for a
/// test, or resent by hand.
const REQUEST_AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

/// An event that is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEvent {
    /// It is from neither an HTTP API nor a REST API, or has an invalid header.
    #[error("expected an event from API Gateway, found something else")]
    NotARequest,
    /// Its body is flagged as base64, but is not.
    #[error("expected a body in base64, as isBase64Encoded says, found something else")]
    NotBase64,
}

/// Reads an event from an HTTP API or a REST API. Drops path, query, host and scheme, which no function reads:
/// `lambda_http` builds a URI from them, and panics if a sender has made that impossible.
///
/// # Errors
/// If the event is not a request. The error never repeats the event.
pub fn request(event: &str) -> Result<Request, MalformedEvent> {
    let mut event: LambdaRequest = serde_json::from_str(event).map_err(|_| MalformedEvent::NotARequest)?;
    let (headers, body, is_base64) = match &mut event {
        LambdaRequest::ApiGatewayV1(event) => {
            event.path = None;
            event.query_string_parameters = Default::default();
            event.multi_value_query_string_parameters = Default::default();
            event.request_context.domain_name = None;
            event.request_context.stage = None;
            let mut headers = take(&mut event.multi_value_headers);
            headers.extend(take(&mut event.headers));
            (headers, event.body.take(), event.is_base64_encoded)
        }
        LambdaRequest::ApiGatewayV2(event) => {
            event.raw_path = None;
            event.raw_query_string = None;
            event.request_context.domain_name = None;
            event.request_context.stage = None;
            (take(&mut event.headers), event.body.take(), event.is_base64_encoded)
        }
        _ => return Err(MalformedEvent::NotARequest),
    };
    let mut request = Request::from(event);
    request.headers_mut().extend(headers);
    *request.body_mut() = match body {
        None => Body::Empty,
        Some(text) if is_base64 => {
            Body::Binary(BASE64.decode(text.as_bytes()).map_err(|_| MalformedEvent::NotBase64)?)
        }
        Some(text) => Body::Text(text),
    };
    Ok(request)
}

/// A response in the format that both kinds of API accept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: String,
    is_base64_encoded: bool,
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = response.headers().iter();
        Self {
            status_code: response.status().as_u16(),
            headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(response.body().as_ref()),
            is_base64_encoded: false,
        }
    }
}

/// Determines when the deliveries of one function instance were received.
#[derive(Debug, Default)]
pub(crate) struct ReceiveClock {
    last: Mutex<Timestamp>,
}

impl ReceiveClock {
    /// API Gateway's time, or `now` if that is missing or implausible. Never later than `now`, the handler's clock.
    pub(crate) fn received_at(&self, request: &Request, now: Timestamp) -> Timestamp {
        match gateway_time(request) {
            Some(time) if time <= now && now.duration_since(time) <= REQUEST_AGE_MAX => self.in_order(time),
            _ => now,
        }
    }

    /// The gateway's clock has milliseconds: deliveries within one millisecond keep the order of handling.
    fn in_order(&self, time: Timestamp) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = last.as_millisecond() == time.as_millisecond();
        *last = if is_same { *last + SignedDuration::from_nanos(1) } else { time };
        *last
    }
}

fn gateway_time(request: &Request) -> Option<Timestamp> {
    let milliseconds = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.request_time_epoch,
        RequestContext::ApiGatewayV2(context) => context.time_epoch,
        _ => return None,
    };
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_761_815_000, 0);

    fn http_api(time: i64) -> Request {
        let context = json!({ "http": { "method": "POST" }, "timeEpoch": time });
        request(&json!({ "requestContext": context }).to_string()).unwrap()
    }

    fn rest_api(time: i64) -> Request {
        let context = json!({ "httpMethod": "POST", "requestTimeEpoch": time });
        request(&json!({ "httpMethod": "POST", "requestContext": context }).to_string()).unwrap()
    }

    #[test]
    fn hostile_paths_queries_and_hosts_are_dropped() {
        let hostile =
            ["<", "\"", " ", "{", "\\", "#", "?", "%", "%zz", "\u{0}", "\n", "ä", "[", ":", "//", "\u{202e}"];
        for hostile in hostile.map(str::to_owned).into_iter().chain(["/".repeat(70_000)]) {
            let headers = json!({ "Host": "a b", "X-Forwarded-Proto": "<", "Authorization": "token" });
            let mut http_api = json!({
                "rawPath": hostile, "rawQueryString": hostile, "headers": headers, "body": "{}",
                "queryStringParameters": { &hostile: &hostile }, "pathParameters": { "token": hostile },
                "requestContext": { "domainName": hostile, "stage": hostile, "http": { "method": "POST" } },
            });
            let mut rest_api = http_api.clone();
            (rest_api["path"], rest_api["httpMethod"]) = (json!(hostile), json!("POST"));
            rest_api["requestContext"]["httpMethod"] = json!("POST");
            rest_api["multiValueQueryStringParameters"] = json!({ &hostile: [&hostile] });
            for event in [&mut http_api, &mut rest_api] {
                let request = request(&event.to_string()).unwrap();
                assert_eq!(request.headers()["authorization"], "token");
                assert_eq!(request.headers()["x-forwarded-proto"], "<", "verification reads the original");
                assert_eq!(request.body().as_ref(), b"{}");
                let parameters = request.path_parameters_ref().unwrap();
                assert_eq!(parameters.first("token"), Some(hostile.as_str()));
            }
        }
    }

    #[test]
    fn an_event_that_is_not_a_request_is_an_error() {
        let event = |headers: Value, body: &str| {
            let context = json!({ "http": { "method": "POST" } });
            json!({ "requestContext": context, "headers": headers, "body": body, "isBase64Encoded": true })
                .to_string()
        };
        for (event, expected) in [
            (event(json!({}), "{}"), MalformedEvent::NotBase64),
            (event(json!({}), "AA"), MalformedEvent::NotBase64),
            (event(json!({ "User-Agent": "\n" }), "AA=="), MalformedEvent::NotARequest),
            (event(json!({ "a b": "" }), "AA=="), MalformedEvent::NotARequest),
            ("{}".into(), MalformedEvent::NotARequest),
            ("".into(), MalformedEvent::NotARequest),
        ] {
            assert_eq!(request(&event).unwrap_err(), expected, "{event}");
        }
        assert_eq!(request(&event(json!({}), "AA==")).unwrap().body().as_ref(), [0]);
    }

    #[test]
    fn the_gateway_says_when_a_delivery_was_received() {
        let earlier = NOW - SignedDuration::from_millis(2_345);
        for request in [http_api, rest_api] {
            let request = request(earlier.as_millisecond());
            assert_eq!(ReceiveClock::default().received_at(&request, NOW), earlier);
        }
    }

    #[test]
    fn the_handlers_clock_replaces_an_implausible_time() {
        let ms = NOW.as_millisecond();
        for time in [0, -1, i64::MIN, i64::MAX, ms + 1, ms + 60_000, ms - 300_001, ms - 86_400_000] {
            for request in [http_api, rest_api] {
                assert_eq!(ReceiveClock::default().received_at(&request(time), NOW), NOW, "{time}");
            }
        }
        assert_eq!(ReceiveClock::default().received_at(&Request::default(), NOW), NOW);
    }

    #[test]
    fn deliveries_within_a_millisecond_keep_their_order() {
        let clock = ReceiveClock::default();
        let ms = NOW.as_millisecond() - 10;
        let received: Vec<_> = [ms, ms, ms, ms + 1].map(|ms| clock.received_at(&http_api(ms), NOW)).into();
        assert!(received.is_sorted_by(|one, next| one < next), "{received:?}");
        assert!(received.iter().map(|time| time.as_millisecond()).eq([ms, ms, ms, ms + 1]), "{received:?}");
    }
}
