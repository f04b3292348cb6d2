//! Signed timestamps: how old one may be, and how far in the future.

use jiff::{SignedDuration, Timestamp};

use crate::Rejection;

/// How far a sender's clock may be ahead.
const AHEAD_S_MAX: i64 = 300;

/// Seconds since 1970, written with digits only.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Rejects a delivery that was signed longer than `age_max` ago, or over five minutes in the future.
///
/// `age_max` must exceed the time in which the provider retries, because a retry may carry the first signature.
pub(super) fn check(signed_s: i64, now: Timestamp, age_max: SignedDuration) -> Result<(), Rejection> {
    let age_s = now.as_second().saturating_sub(signed_s);
    match age_s.saturating_sub(age_max.as_secs()) {
        by_s if by_s > 0 => Err(Rejection::Expired { by_s }),
        _ if age_s < -AHEAD_S_MAX => Err(Rejection::NotYetValid { by_s: -age_s }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_digits_only() {
        assert_eq!(seconds(b"1795501812"), Some(1_795_501_812));
        for text in ["", "+1", "-1", "1.0", "1e9", " 1", "1795501812abc", "99999999999999999999"] {
            assert_eq!(seconds(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_limits_themselves_are_accepted() {
        let now = Timestamp::constant(1_000_000, 0);
        let check = |signed_s| check(signed_s, now, SignedDuration::from_hours(1));
        assert_eq!((check(1_000_000 - 3_600), check(1_000_300)), (Ok(()), Ok(())));
        assert_eq!(check(1_000_000 - 3_601), Err(Rejection::Expired { by_s: 1 }));
        assert_eq!(check(1_000_301), Err(Rejection::NotYetValid { by_s: 301 }));
        assert_eq!(check(i64::MAX), Err(Rejection::NotYetValid { by_s: i64::MAX - 1_000_000 }));
        assert_eq!(check(0), Err(Rejection::Expired { by_s: 996_400 }));
    }
}
