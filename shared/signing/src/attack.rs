//! What is done to authentic deliveries that they may no longer be accepted.

use jiff::SignedDuration;

/// What an attacker, a broken proxy or a wrong clock makes of an authentic delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// It comes without its credential.
    CredentialMissing,
    /// The credential lacks its last four characters.
    CredentialTruncated,
    /// The credential comes twice.
    CredentialDoubled,
    /// Somebody else has signed: [`Signer::other_keys`](crate::Signer::other_keys).
    OtherKey,
    /// The body is another one than was signed.
    BodyAltered,
    /// It comes late by [`Attack::CLOCK_OFF`].
    Late,
    /// It comes early by [`Attack::CLOCK_OFF`].
    Early,
}

impl Attack {
    /// How wrong the clock is.
    pub const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(10);
}
