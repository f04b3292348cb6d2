//! The event that subscribers receive: CloudEvents 1.0, JSON, structured mode.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_with::skip_serializing_none;
use std::borrow::Cow;

use crate::json::{Document, Object};
use crate::{BodyHash, Dedupe, EventType, Provider, Verified};

/// An event and its identity: everything the store needs.
#[derive(Clone, Debug)]
pub struct Normalized<'a> {
    /// The event. Its `id` is that of its key's first occurrence.
    pub event: Event<'a>,
    /// What makes two deliveries this event.
    pub dedupe: Dedupe,
    /// SHA-256 of the body, without the values of [`Provider::CHANGING_FIELDS`].
    pub body_hash: BodyHash,
    /// The JSON with which the provider wants this event to be acknowledged, if it reads the response.
    pub reply: Option<&'static str>,
}

impl Normalized<'_> {
    /// The item's hash key.
    pub fn event_key(&self) -> String {
        self.dedupe.event_key(self.event.provider)
    }

    /// The event as CloudEvents JSON, as the given occurrence of its key.
    ///
    /// # Errors
    /// No event causes one; serde_json's signature requires it.
    pub fn to_json(&mut self, occurrence: u64) -> serde_json::Result<String> {
        self.event.id = self.dedupe.event_id(occurrence);
        let raw_bytes = self.event.data.raw.map_or(0, |raw| raw.get().len());
        let mut json = Vec::with_capacity(raw_bytes + AROUND_RAW_BYTES);
        serde_json::to_writer(&mut json, &self.event)?;
        String::from_utf8(json).map_err(serde::ser::Error::custom)
    }
}

/// How many bytes most events need besides their raw part.
const AROUND_RAW_BYTES: usize = 1_024;

/// A CloudEvent. Attributes are those of the specification and of `schema/event.schema.json`.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize)]
pub struct Event<'a> {
    /// Version of the CloudEvents specification, always `1.0`.
    pub specversion: &'static str,
    /// Unique for this `source`.
    pub id: String,
    /// `/livehooks/<provider>[/<account>]`.
    pub source: String,
    /// What happened.
    pub r#type: EventType,
    /// The room's id.
    pub subject: Option<Cow<'a, str>>,
    /// When it happened, by the clock that `timebasis` names.
    pub time: Timestamp,
    /// When livehooks received it.
    pub recordedtime: Timestamp,
    /// Whose clock `time` is.
    pub timebasis: TimeBasis,
    /// The provider's name.
    pub provider: &'static str,
    /// The provider's own name for the type; absent if the body names none.
    pub providertype: Option<Cow<'a, str>>,
    /// What verification has proven.
    pub assurance: Assurance,
    /// How duplicates are detected.
    pub dedupebasis: DedupeBasis,
    /// Media type of `data`, always `application/json`.
    pub datacontenttype: &'static str,
    /// What is known about the event.
    pub data: Data<'a>,
}

/// Whose clock an event's `time` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeBasis {
    /// The provider's.
    Provider,
    /// Ours: the provider gave no time.
    Received,
}

/// What verification has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assurance {
    /// A key of this account signed this body.
    Signed,
    /// The provider signed this body, for any of its accounts.
    ProviderSigned,
    /// The delivery has a static header that only the provider should know. The body is not covered.
    SharedSecret,
}

impl Assurance {
    /// The value of the event's `assurance`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::ProviderSigned => "provider-signed",
            Self::SharedSecret => "shared-secret",
        }
    }
}

/// How duplicates are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DedupeBasis {
    /// By the provider's event id.
    ProviderId,
    /// By the body's hash.
    Body,
    /// By the latest event of the same sequence. If in doubt, a repeat is kept.
    Sequence,
}

/// Normalized objects, each present only if known, and the provider's own JSON.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Data<'a> {
    pub room: Option<Room<'a>>,
    pub session: Option<Session<'a>>,
    pub participant: Option<Participant<'a>>,
    pub track: Option<Track<'a>>,
    pub recording: Option<Recording<'a>>,
    pub stream: Option<Stream<'a>>,
    pub ingress: Option<Ingress<'a>>,
    pub transcription: Option<Transcription<'a>>,
    pub artifact: Option<Artifact<'a>>,
    pub usage: Option<Usage<'a>>,
    pub error: Option<ErrorInfo<'a>>,
    /// The provider's JSON, byte for byte.
    pub raw: Option<&'a RawValue>,
    /// The body in base64, if it is not JSON.
    pub raw_base64: Option<String>,
}

type Text<'a> = Cow<'a, str>;

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[skip_serializing_none]
            #[derive(Clone, Debug, Default, PartialEq, Serialize)]
            #[expect(missing_docs, reason = "the names are the documentation; details are in schema/")]
            pub struct $name<'a> {
                $(pub $field: $kind,)*
            }
        )*
    };
}

objects! {
    /// The room in which it happened. A room outlives its sessions.
    Room { id: Option<Text<'a>>, sid: Option<Text<'a>>, name: Option<Text<'a>>, }
    /// One use of a room, from the first join to the last leave.
    Session { id: Option<Text<'a>>, started_at: Option<Timestamp>, ended_at: Option<Timestamp>, duration_s: Option<f64>, }
    /// The participant. `id` is assigned by the provider, `user_id` by the application.
    Participant {
        id: Option<Text<'a>>,
        sid: Option<Text<'a>>,
        user_id: Option<Text<'a>>,
        name: Option<Text<'a>>,
        role: Option<Text<'a>>,
        joined_at: Option<Timestamp>,
        left_at: Option<Timestamp>,
        reason: Option<Text<'a>>,
    }
    /// A media track. `kind` and `source` are in lower case.
    Track { id: Option<Text<'a>>, kind: Option<Text<'a>>, source: Option<Text<'a>>, mime_type: Option<Text<'a>>, }
    /// A recording; `scope` says of what.
    Recording { id: Option<Text<'a>>, scope: Option<RecordingScope>, files: Option<Vec<File<'a>>>, }
    /// A file that the provider made. Its `url` may be presigned, which makes it a secret until it expires.
    File {
        url: Option<Text<'a>>,
        path: Option<Text<'a>>,
        size_bytes: Option<i64>,
        duration_s: Option<f64>,
        mime_type: Option<Text<'a>>,
    }
    /// A stream to viewers (HLS) or to other services (RTMP).
    Stream {
        id: Option<Text<'a>>,
        protocol: Option<&'static str>,
        playback_urls: Option<Vec<Cow<'a, str>>>,
        destinations: Option<Vec<Cow<'a, str>>>,
    }
    /// An external stream into the room.
    Ingress {
        id: Option<Text<'a>>,
        name: Option<Text<'a>>,
        started_at: Option<Timestamp>,
        ended_at: Option<Timestamp>,
        duration_s: Option<f64>,
        reason: Option<Text<'a>>,
    }
    /// A transcription, live or after the session.
    Transcription { id: Option<Text<'a>>, mode: Option<Text<'a>>, files: Option<Vec<File<'a>>>, }
    /// Anything else that the provider made from the session.
    Artifact { id: Option<Text<'a>>, kind: Option<Text<'a>>, file: Option<File<'a>>, }
    /// Billable usage.
    Usage {
        user_id: Option<Text<'a>>,
        total: Option<i64>,
        prompt_tokens: Option<i64>,
        completion_tokens: Option<i64>,
        total_tokens: Option<i64>,
        total_characters: Option<i64>,
        duration_s: Option<f64>,
        estimated_cost: Option<f64>,
    }
    /// The reason for a failure.
    ErrorInfo { code: Option<Text<'a>>, r#type: Option<Text<'a>>, message: Option<Text<'a>>, }
}

/// What a recording is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum RecordingScope {
    Room,
    Participant,
    Track,
    Stream,
}

/// What a provider's module has read from a body.
#[derive(Default)]
pub(crate) struct Reading<'a> {
    pub(crate) kind: Option<EventType>,
    pub(crate) provider_type: Option<Text<'a>>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) account: Option<Text<'a>>,
    pub(crate) dedupe: Option<Dedupe>,
    pub(crate) reply: Option<&'static str>,
    pub(crate) data: Data<'a>,
}

/// Makes an event from a verified body. `read` is called for JSON objects only; any other authentic body
/// becomes `live.unknown`.
pub(crate) fn normalize<'a, P: Provider>(
    verified: &'a Verified<'_, P>,
    received_at: Timestamp,
    read: impl FnOnce(Object<'_, 'a>) -> Reading<'a>,
) -> Normalized<'a> {
    let by_sequence = |_| Dedupe::by_id(P::NAME, None, verified.body());
    normalize_as(verified, received_at, read, by_sequence)
}

/// Like [`normalize`], for a provider whose events are identified by their bodies.
pub(crate) fn normalize_by_body<'a, P: Provider>(
    verified: &'a Verified<'_, P>,
    received_at: Timestamp,
    read: impl FnOnce(Object<'_, 'a>) -> Reading<'a>,
) -> Normalized<'a> {
    normalize_as(verified, received_at, read, Dedupe::Body)
}

fn normalize_as<'a, P: Provider>(
    verified: &'a Verified<'_, P>,
    received_at: Timestamp,
    read: impl FnOnce(Object<'_, 'a>) -> Reading<'a>,
    identity: impl FnOnce(BodyHash) -> Dedupe,
) -> Normalized<'a> {
    let body = verified.body();
    let raw: Option<&'a RawValue> = serde_json::from_slice(body).ok();
    let document = raw.map(Document::of);
    let object = document.as_ref().and_then(Document::object);
    let body_hash = match object.and_then(|object| object.without(P::CHANGING_FIELDS)) {
        Some(parts) => BodyHash::of_parts(parts.into_iter().map(str::as_bytes)),
        None => verified.body_hash(),
    };
    let mut reading = object.map(read).unwrap_or_default();
    reading.data.raw = raw;
    reading.data.raw_base64 = raw.is_none().then(|| data_encoding::BASE64.encode(body));

    let dedupe = reading.dedupe.unwrap_or_else(|| identity(body_hash));
    let account = verified.account().map(Cow::Borrowed).or(reading.account);
    let event = Event {
        specversion: "1.0",
        id: dedupe.event_id(0),
        source: source(P::NAME, account.as_deref()),
        r#type: reading.kind.unwrap_or(EventType::Unknown),
        subject: reading.data.room.as_ref().and_then(|room| room.id.clone()),
        time: reading.time.unwrap_or(received_at),
        recordedtime: received_at,
        timebasis: if reading.time.is_some() { TimeBasis::Provider } else { TimeBasis::Received },
        provider: P::NAME,
        providertype: reading.provider_type,
        assurance: verified.assurance(),
        dedupebasis: dedupe.basis(),
        datacontenttype: "application/json",
        data: reading.data,
    };
    Normalized { event, dedupe, body_hash, reply: reading.reply }
}

fn source(provider: &str, account: Option<&str>) -> String {
    const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    match account {
        Some(account) => format!("/livehooks/{provider}/{}", utf8_percent_encode(account, UNRESERVED)),
        None => format!("/livehooks/{provider}"),
    }
}

/// The value, unless every field is unknown.
pub(crate) fn known<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// The list, unless it is empty.
pub(crate) fn some<T>(list: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let list: Vec<T> = list.into_iter().collect();
    (!list.is_empty()).then_some(list)
}

/// Converts to lower case, without a copy if it is lower case already.
pub(crate) fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.chars().any(char::is_uppercase) { text.to_lowercase().into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiKeys, Delivery, Rejection};

    /// Everything is authentic.
    struct Any;

    impl Provider for Any {
        const NAME: &'static str = "any";
        const CHANGING_FIELDS: &'static [&'static str] = &["attempt"];
        type Keys = ApiKeys;

        fn verify<'a>(
            delivery: &Delivery<'a>,
            _: &ApiKeys,
            _: Timestamp,
        ) -> Result<Verified<'a, Self>, Rejection> {
            Ok(verified(delivery.body))
        }

        fn precheck(_: &Delivery<'_>, _: Timestamp) -> Result<(), Rejection> {
            Ok(())
        }

        fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a> {
            normalize_by_body(verified, received_at, |_| Reading::default())
        }
    }

    fn verified(body: &[u8]) -> Verified<'_, Any> {
        Verified::new(body, BodyHash::of(body), Assurance::Signed, None)
    }

    fn key_and_hash(body: &str) -> (String, BodyHash) {
        let verified = verified(body.as_bytes());
        let normalized = Any::normalize(&verified, Timestamp::UNIX_EPOCH);
        assert_eq!(normalized.event.dedupebasis, DedupeBasis::Body);
        (normalized.event_key(), normalized.body_hash)
    }

    #[test]
    fn bodies_that_differ_in_changing_fields_only_are_the_same_event() {
        let first = key_and_hash(r#"{"attempt":1,"a":{"attempt":1}}"#);
        assert_eq!(key_and_hash(r#"{"attempt":[2,{}],"a":{"attempt":1}}"#), first);
        for other in
            [r#"{"attempt":1,"a":{"attempt":2}}"#, r#"{"attempt":1,"a":{}}"#, r#"[{"attempt":1}]"#, "?"]
        {
            let (key, hash) = key_and_hash(other);
            assert!(key != first.0 && hash != first.1, "{other}");
        }
    }

    #[test]
    fn a_body_without_changing_fields_is_identified_by_its_sha_256() {
        for body in [r#"{"a":1}"#, "[]", "no JSON", ""] {
            let hash = BodyHash::of(body.as_bytes());
            assert_eq!(key_and_hash(body), (format!("any#{hash}"), hash));
        }
    }

    #[test]
    fn a_question_has_an_answer_and_an_event_has_none() {
        assert_eq!(verified(b"{}").answer(), None);
        assert_eq!(verified(b"{}").answered_with("[]".into()).answer(), Some("[]"));
    }
}
