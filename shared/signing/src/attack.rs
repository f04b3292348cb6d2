//! Changes to authentic deliveries after which they must be rejected.

/// What an attacker, a broken proxy or a wrong clock does to an authentic delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// The credential is missing.
    CredentialMissing,
    /// The credential lacks its last four characters.
    CredentialTruncated,
    /// The credential is sent twice.
    CredentialDoubled,
    /// It is signed with other keys: [`Signer::other_keys`](crate::Signer::other_keys).
    OtherKey,
    /// The body was changed after signing.
    BodyAltered,
    /// It arrives late by [`Lifetime::clock_off`](crate::Lifetime::clock_off).
    Late,
    /// It arrives early by [`Lifetime::clock_off`](crate::Lifetime::clock_off).
    Early,
}
