//! One event in full, and one room's timeline.

use std::borrow::Cow;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use livehooks_signing::ProviderInfo;
use percent_encoding::percent_decode_str;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{DeliveryStatus, Inspected, Row};
use crate::history::{Filter, HistoryError, Stored, Tombstone, decision};
use crate::local::problem;
use crate::timeline::Timeline;

/// Identifies an event.
#[derive(Deserialize)]
pub(super) struct EventQuery {
    pub(super) provider: String,
    pub(super) id: String,
}

#[derive(Serialize)]
struct EventDetail<'a> {
    provider: &'a str,
    id: &'a str,
    r#type: &'a str,
    provider_type: Option<&'a str>,
    room: Option<&'a str>,
    participant: Option<&'a str>,
    /// The event without the provider's JSON, as a string so that numbers keep their digits.
    normalized: String,
    raw: Option<&'a str>,
    raw_base64: Option<String>,
    raw_bytes: usize,
    is_redacted: bool,
    /// When a person and the provider's JSON were erased from it.
    forgotten: Option<Timestamp>,
    body_sha256: &'a str,
    times: Times<'a>,
    verification: Verification<'a>,
    dedupe: DedupeFacts<'a>,
    deliveries: Vec<Row>,
}

#[derive(Serialize)]
struct Times<'a> {
    occurred: Timestamp,
    basis: &'a str,
    received: Timestamp,
    stored: Option<Timestamp>,
    published: Option<Timestamp>,
}

#[derive(Serialize)]
struct Verification<'a> {
    assurance: &'a str,
    scheme: &'static str,
    key: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct DedupeFacts<'a> {
    basis: &'a str,
    decision: String,
    event_key: &'a str,
    occurrence: u64,
}

impl Inspected {
    /// The event with this provider and id.
    pub(super) async fn find(&self, query: &EventQuery) -> Result<Stored, Response> {
        let found = self.source.events_with_id(&query.id).await.map_err(unreadable)?;
        if let Some(found) = found.into_iter().find(|stored| stored.event.provider == query.provider) {
            return Ok(found);
        }
        let forgotten = self.source.tombstones_with_id(&query.id).await.map_err(unreadable)?;
        let is_wanted =
            |tombstone: &&Tombstone| tombstone.event_key.split('#').next() == Some(&query.provider);
        Err(match forgotten.iter().find(is_wanted) {
            Some(Tombstone { forgotten_at, .. }) => problem(
                StatusCode::GONE,
                &format!("This event was erased with `livehooks forget` at {forgotten_at:.0}."),
            ),
            None => problem(StatusCode::NOT_FOUND, "The table holds no event of this provider with this id."),
        })
    }
}

pub(super) async fn event(State(inspected): State<Inspected>, Query(query): Query<EventQuery>) -> Response {
    let stored = match inspected.find(&query).await {
        Ok(stored) => stored,
        Err(answer) => return answer,
    };
    let deliveries = inspected.log.of_event(&query.provider, &query.id);
    let first = deliveries.iter().find(|row| row.status == DeliveryStatus::Stored);
    let event = &stored.event;
    let decision = match decision(&inspected.source, &stored).await {
        Ok(decision) => decision,
        Err(error) => return problem(StatusCode::BAD_GATEWAY, &error.to_string()),
    };
    let Some(Parts { normalized, raw, raw_base64 }) = Parts::of(&stored.json) else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "The item does not contain a valid event.");
    };
    let raw_bytes = raw.map_or(raw_base64.as_ref().map_or(0, |text| text.len() / 4 * 3), str::len);
    no_store(axum::Json(EventDetail {
        provider: &event.provider,
        id: &event.id,
        r#type: event.r#type.as_str(),
        provider_type: event.providertype.as_deref(),
        room: event.subject.as_deref(),
        participant: event.participant_name(),
        normalized,
        raw,
        raw_base64,
        raw_bytes,
        is_redacted: stored.json.contains(r#""[redacted]""#),
        forgotten: stored.forgotten_at,
        body_sha256: &stored.body_sha256,
        times: Times {
            occurred: event.time,
            basis: event.timebasis.as_str(),
            received: stored.received_at,
            stored: first.and_then(|row| row.stored),
            published: first.and_then(|row| row.published),
        },
        verification: Verification::of(&stored),
        dedupe: DedupeFacts {
            basis: event.dedupebasis.as_str(),
            decision,
            event_key: &stored.event_key,
            occurrence: stored.occurrence,
        },
        deliveries,
    }))
}

impl<'a> Verification<'a> {
    /// The account in the event's `source` is the token's issuer, which names the signing key.
    fn of(stored: &'a Stored) -> Self {
        let event = &stored.event;
        let provider = ProviderInfo::named(&event.provider);
        let schemes = provider.map_or(&[][..], |provider| provider.schemes);
        let scheme = schemes.iter().find(|(assurance, _)| assurance.as_str() == event.assurance.as_str());
        let account =
            event.source.split('/').nth(3).filter(|_| provider.is_some_and(|provider| provider.names_key));
        Self {
            assurance: event.assurance.as_str(),
            scheme: scheme.map_or("unknown", |(_, scheme)| scheme),
            key: account.map(|account| percent_decode_str(account).decode_utf8_lossy()),
        }
    }
}

/// An event's JSON, split into the normalized part and the provider's own.
pub(super) struct Parts<'a> {
    pub(super) normalized: String,
    pub(super) raw: Option<&'a str>,
    pub(super) raw_base64: Option<String>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(event: &'a str) -> Option<Self> {
        let mut parts = Self { normalized: String::new(), raw: None, raw_base64: None };
        let mut attributes = Vec::new();
        for (name, value) in fields(event)? {
            if name != "data" {
                attributes.push((name, Cow::Borrowed(value)));
                continue;
            }
            let mut data = Vec::new();
            for (name, value) in fields(value)? {
                match name.as_str() {
                    "raw" => parts.raw = Some(value),
                    "raw_base64" => parts.raw_base64 = serde_json::from_str(value).ok(),
                    _ => data.push((name, Cow::Borrowed(value))),
                }
            }
            attributes.push((name, Cow::Owned(object(&data))));
        }
        parts.normalized = object(&attributes);
        Some(parts)
    }
}

fn object(fields: &[(String, Cow<'_, str>)]) -> String {
    let field = |(name, value): &(String, Cow<'_, str>)| format!("{}:{value}", json!(name));
    format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
}

fn fields(object: &str) -> Option<Vec<(String, &str)>> {
    let Fields(fields) = serde_json::from_str(object).ok()?;
    Some(fields.into_iter().map(|(name, value)| (name, value.get())).collect())
}

/// An object's fields in their original order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder).map(Fields)
    }
}

#[derive(Deserialize)]
pub(super) struct RoomQuery {
    provider: String,
    room: String,
}

pub(super) async fn timeline(State(inspected): State<Inspected>, Query(query): Query<RoomQuery>) -> Response {
    let filter =
        Filter { provider: Some(query.provider), room: Some(query.room.clone()), ..Filter::default() };
    let events = match inspected.source.events_without_raw(&filter).await {
        Ok(events) => events,
        Err(error) => return unreadable(error),
    };
    match Timeline::of_rooms(&events).into_iter().next() {
        Some(timeline) => no_store(axum::Json(timeline)),
        None => problem(StatusCode::NOT_FOUND, "The table holds no event of this room."),
    }
}

pub(super) fn unreadable(error: HistoryError) -> Response {
    problem(StatusCode::BAD_GATEWAY, &error.to_string())
}

/// Keeps events out of the browser's cache, where they would outlive their deletion from the table.
pub(super) fn no_store(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_an_event_keeps_every_byte_and_the_order() {
        let event = r#"{"z":1,"data":{"b":12345678901234567890,"raw":{"x": 1.0e0},"a":{}},"id":"é\u0000"}"#;
        let parts = Parts::of(event).unwrap();
        assert_eq!(parts.normalized, r#"{"z":1,"data":{"b":12345678901234567890,"a":{}},"id":"é\u0000"}"#);
        assert_eq!(parts.raw, Some(r#"{"x": 1.0e0}"#));
        let parts = Parts::of(r#"{"data":{"raw_base64":"AAE="}}"#).unwrap();
        assert_eq!(
            (parts.normalized.as_str(), parts.raw_base64.as_deref()),
            (r#"{"data":{}}"#, Some("AAE="))
        );
    }
}
