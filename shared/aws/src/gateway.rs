//! API Gateway's clock: when a delivery was received, however long its function took to start.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

/// No gateway waits longer for its function. What an event says beyond that is not the time of this request: the
/// event was written for a test, or is sent again by hand.
const GATEWAY_WAITS_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Tells when one instance's deliveries were received.
#[derive(Debug, Default)]
pub(crate) struct ReceiveClock {
    last: Mutex<Timestamp>,
}

impl ReceiveClock {
    /// API Gateway's time, or `now` where it gives none, or none that can be true. Never later than `now`, the clock
    /// of the handler.
    pub(crate) fn received_at(&self, request: &Request, now: Timestamp) -> Timestamp {
        match gateway_time(request) {
            Some(time) if time <= now && now.duration_since(time) <= GATEWAY_WAITS_MAX => self.in_order(time),
            _ => now,
        }
    }

    /// The gateway counts milliseconds: the deliveries within one are told apart in the order of their handling.
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
    use lambda_http::request::LambdaRequest;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_761_815_000, 0);

    fn http_api(time: i64) -> Request {
        let http = json!({ "method": "POST" });
        let context = json!({ "http": http, "timeEpoch": time });
        serde_json::from_value::<LambdaRequest>(json!({ "requestContext": context })).unwrap().into()
    }

    fn rest_api(time: i64) -> Request {
        let context = json!({ "httpMethod": "POST", "requestTimeEpoch": time });
        let event = json!({ "httpMethod": "POST", "requestContext": context });
        serde_json::from_value::<LambdaRequest>(event).unwrap().into()
    }

    #[test]
    fn a_delivery_was_received_when_the_gateway_says() {
        let earlier = NOW - SignedDuration::from_millis(2_345);
        for request in [http_api, rest_api] {
            let request = request(earlier.as_millisecond());
            assert_eq!(ReceiveClock::default().received_at(&request, NOW), earlier);
        }
    }

    #[test]
    fn a_time_that_cannot_be_true_gives_way_to_the_handlers_clock() {
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
