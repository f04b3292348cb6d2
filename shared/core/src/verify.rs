//! The trait of a provider, and the types that keep unverified bytes from being normalized.

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use std::borrow::Cow;
use std::marker::PhantomData;

use crate::{Assurance, BodyHash, Keys, Normalized, Rejection};

/// A provider of webhooks: how to verify its deliveries, and how to normalize them.
pub trait Provider: Sized + Send + Sync + 'static {
    /// The provider's public name: in the URL, the `provider` attribute and the table's keys.
    const NAME: &'static str;

    /// The shape of the provider's secret.
    type Keys: Keys;

    /// Fields of a body whose values are never published or shown, at any depth, besides those that no provider's are.
    const SECRET_FIELDS: &'static [&'static str] = &[];

    /// Fields of a body's root that the provider may change when it retries: two bodies that differ in these only are
    /// the same.
    const CHANGING_FIELDS: &'static [&'static str] = &[];

    /// Types that the provider documents and that have no equivalent in the vocabulary, by their first letters. They
    /// become `live.unknown` like types that are new, but raise no alarm.
    const UNMAPPED_TYPES: &'static [&'static str] = &[];

    /// Proves that `delivery` was sent by the provider, over the exact bytes received.
    ///
    /// `now` is when the delivery was received.
    ///
    /// # Errors
    /// A [`Rejection`], which is always the sender's fault.
    fn verify<'a>(
        delivery: &Delivery<'a>,
        keys: &Self::Keys,
        now: Timestamp,
    ) -> Result<Verified<'a, Self>, Rejection>;

    /// Checks everything that needs no key: presence and form of the credential, algorithm, times and body hash.
    ///
    /// A delivery that fails here at `now` fails [`Provider::verify`] at `now` with any keys. One that passes
    /// may be authentic under keys that are not available.
    ///
    /// # Errors
    /// A [`Rejection`] that no change of keys could prevent.
    fn precheck(delivery: &Delivery<'_>, now: Timestamp) -> Result<(), Rejection>;

    /// Whether [`Provider::verify`] may read this header. A delivery that is verified later must keep it.
    /// True for any header if the keys choose the header.
    fn reads(_header: &HeaderName) -> bool {
        true
    }

    /// Translates an authentic body into the common vocabulary. Never fails.
    fn normalize<'a>(verified: &'a Verified<'_, Self>, received_at: Timestamp) -> Normalized<'a>;
}

/// A webhook as it arrived; nothing in it is trusted yet.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The `{token}` of `/webhooks/<provider>/{token}`, if the URL has one.
    pub url_token: Option<&'a str>,
    /// The body's exact bytes, after decoding API Gateway's base64.
    pub body: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// The value of a header that must not be repeated; `None` if it is absent.
    pub(crate) fn header(&self, name: &'static str) -> Result<Option<&'a [u8]>, Rejection> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next().map(http::HeaderValue::as_bytes);
        match values.count() {
            0 => Ok(first),
            more => Err(Rejection::RepeatedHeader { name: name.into(), found: more + 1 }),
        }
    }

    /// The value of the first of these headers that is present.
    pub(crate) fn first_header(&self, names: &[&'static str]) -> Result<&'a [u8], Rejection> {
        for name in names {
            if let Some(value) = self.header(name)? {
                return Ok(value);
            }
        }
        Err(Rejection::MissingHeader { names: names.iter().map(|name| name.to_string()).collect() })
    }
}

/// An authentic body. Only [`Provider::verify`] makes one, and events are made from nothing else.
#[derive(Clone, Debug)]
pub struct Verified<'a, P> {
    body: Cow<'a, [u8]>,
    body_hash: BodyHash,
    assurance: Assurance,
    account: Option<String>,
    answer: Option<String>,
    provider: PhantomData<P>,
}

impl<'a, P: Provider> Verified<'a, P> {
    /// `body_hash` is the hash of `body`, passed in because some schemes have already computed it.
    pub(crate) fn new(
        body: impl Into<Cow<'a, [u8]>>,
        body_hash: BodyHash,
        assurance: Assurance,
        account: Option<String>,
    ) -> Self {
        Self { body: body.into(), body_hash, assurance, account, answer: None, provider: PhantomData }
    }

    /// The same delivery as a question of the provider, with the JSON that answers it.
    pub(crate) fn answered_with(self, answer: String) -> Self {
        Self { answer: Some(answer), ..self }
    }

    /// The answer, as JSON, if the delivery is a question of the provider and not an event. It may be derived from a
    /// secret, so only the sender of the delivery may see it.
    pub fn answer(&self) -> Option<&str> {
        self.answer.as_deref()
    }

    /// The body's exact bytes; of a compressed body whose provider signs what is inside, those inside.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// SHA-256 of the body.
    pub fn body_hash(&self) -> BodyHash {
        self.body_hash
    }

    /// What verification has proven.
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }

    /// The account that signed, if the scheme names one. LiveKit's token names the API key.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }
}
