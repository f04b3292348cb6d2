//! The identity of an event: which deliveries count as the same one.
//!
//! It is derived from authenticated bytes only. Parts are hashed with their lengths, so two different lists
//! of parts never collide by concatenation.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fmt;

use crate::DedupeBasis;

/// What makes two deliveries the same event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dedupe {
    /// The provider's own event id: every repeat is a duplicate, for as long as the item lives.
    ProviderId(String),
    /// The provider sends no id, but a body holds enough times that no two events have the same one: every repeat of
    /// this body is a duplicate, for as long as the item lives.
    Body(BodyHash),
    /// The provider sends no id. Events form a sequence, named by this hash. An event is a duplicate if and
    /// only if the latest one in its sequence has the same body and is recent.
    Sequence(String),
}

impl Dedupe {
    /// The longest provider id that can be a key; DynamoDB's own limit is 2,048 bytes.
    const ID_BYTES_MAX: usize = 512;

    /// Uses the provider's id. Without a usable one it uses the body, so unrelated events never share a key.
    pub(crate) fn by_id(provider: &str, id: Option<&str>, body: &[u8]) -> Self {
        match id.filter(|id| id.len() <= Self::ID_BYTES_MAX) {
            Some(id) => Self::ProviderId(id.to_owned()),
            None => Self::sequence_of_body(provider, body),
        }
    }

    /// The sequence of one resource. If a part is missing, the body names the sequence.
    pub(crate) fn by_sequence(provider: &str, name: &str, parts: &[Option<&str>], body: &[u8]) -> Self {
        let Some(parts) = parts.iter().copied().collect::<Option<Vec<_>>>() else {
            return Self::sequence_of_body(provider, body);
        };
        let all = [provider, "sequence", name].into_iter().chain(parts).map(str::as_bytes);
        Self::Sequence(hash_parts(all))
    }

    fn sequence_of_body(provider: &str, body: &[u8]) -> Self {
        Self::Sequence(hash_parts([provider.as_bytes(), b"body", body]))
    }

    /// The hash key of the event's item, `<provider>#<id, hash of the body, or sequence>`.
    pub fn event_key(&self, provider: &str) -> String {
        match self {
            Self::ProviderId(name) | Self::Sequence(name) => format!("{provider}#{name}"),
            Self::Body(hash) => format!("{provider}#{hash}"),
        }
    }

    /// The id of the event that is the given occurrence of its key.
    pub fn event_id(&self, occurrence: u64) -> String {
        match self {
            Self::ProviderId(id) => id.clone(),
            Self::Body(hash) => hash.to_string(),
            Self::Sequence(hash) => format!("{hash}.{occurrence}"),
        }
    }

    /// The event's `dedupebasis`.
    pub fn basis(&self) -> DedupeBasis {
        match self {
            Self::ProviderId(_) => DedupeBasis::ProviderId,
            Self::Body(_) => DedupeBasis::Body,
            Self::Sequence(_) => DedupeBasis::Sequence,
        }
    }
}

/// SHA-256 of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// Hashes a body.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// Hashes a body that is given in parts.
    pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let hash = parts.into_iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
        Self(hash.finalize().into())
    }

    /// The hash's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyHash({self})")
    }
}

/// The first 128 bits of SHA-256 over the parts, each prefixed with its length; hex.
fn hash_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_without_a_usable_id_never_share_a_key() {
        let long = "x".repeat(3_000);
        for id in [None, Some(long.as_str())] {
            let (first, second) = (Dedupe::by_id("p", id, b"1"), Dedupe::by_id("p", id, b"2"));
            assert_ne!(first, second);
            assert_eq!(first.basis(), DedupeBasis::Sequence);
            assert!(first.event_key("p").len() < 100);
        }
    }

    #[test]
    fn a_sequence_with_a_missing_part_is_named_by_the_body() {
        let of = |parts: &[Option<&str>], body: &[u8]| Dedupe::by_sequence("p", "presence", parts, body);
        assert_eq!(of(&[Some("s"), Some("u")], b"1"), of(&[Some("s"), Some("u")], b"2"));
        assert_ne!(of(&[Some("s"), None], b"1"), of(&[Some("s"), None], b"2"));
    }

    #[test]
    fn a_body_is_its_own_key_for_ever() {
        let dedupe = Dedupe::Body(BodyHash::of(b"{}"));
        assert_eq!(dedupe.event_id(0), BodyHash::of(b"{}").to_string());
        assert_eq!(dedupe.event_key("p"), format!("p#{}", dedupe.event_id(7)));
        assert_eq!(BodyHash::of_parts([&b"{"[..], b"}"]), BodyHash::of(b"{}"));
    }

    proptest! {
        #[test]
        fn different_parts_never_hash_alike_by_concatenation(
            a in prop::collection::vec("[ab]{0,3}", 0..4),
            b in prop::collection::vec("[ab]{0,3}", 0..4),
        ) {
            let hash = |parts: &[String]| hash_parts(parts.iter().map(String::as_bytes));
            prop_assert_eq!(a == b, hash(&a) == hash(&b));
        }
    }
}
