//! The numbers that describe a meeting.

use std::str::FromStr;

use crate::commands::options::ArgumentError;

/// How fast a meeting runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Everything is sent at once, and the meeting ends now.
    Max,
    /// This many times faster than life, from now on.
    Times(f64),
}

impl FromStr for Speed {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Self, ArgumentError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().ok().filter(|times| (0.1..=100_000.0).contains(times));
        times
            .map(Self::Times)
            .ok_or_else(|| ArgumentError { expected: "max, or a number from 0.1 to 100000".into() })
    }
}

/// Parses a whole number from 1 to `MAX`.
pub(super) fn count<const MAX: u32>(text: &str) -> Result<u32, ArgumentError> {
    let count = text.parse().ok().filter(|count| (1..=MAX).contains(count));
    count.ok_or_else(|| ArgumentError { expected: format!("a whole number from 1 to {MAX}") })
}

/// Parses a percentage: a number from 0 to 100.
pub(super) fn percent(text: &str) -> Result<f64, ArgumentError> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| ArgumentError { expected: "a number from 0 to 100".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_rejected() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        for text in ["0", "-1", "nan", "inf", "fast", ""] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
        assert_eq!((count::<5>("5"), percent("2.5"), percent("100")), (Ok(5), Ok(2.5), Ok(100.0)));
        for text in ["0", "6", "-1", "1.5", ""] {
            assert!(count::<5>(text).is_err(), "{text}");
        }
        for text in ["-1", "101", "nan", "10%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
