//! Times as the providers write them. Invalid times and zero times are absent.

use jiff::Timestamp;

/// An RFC 3339 time, such as `2025-10-30T09:03:20Z`.
pub(crate) fn rfc3339(text: &str) -> Option<Timestamp> {
    text.parse().ok().and_then(nonzero)
}

/// Seconds since 1970.
pub(crate) fn unix_s(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok().and_then(nonzero)
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms(milliseconds: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(milliseconds).ok().and_then(nonzero)
}

/// Nanoseconds since 1970.
pub(crate) fn unix_ns(nanoseconds: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds.into()).ok().and_then(nonzero)
}

/// Go's zero time (year 1) and the Unix epoch both mean "never".
fn nonzero(time: Timestamp) -> Option<Timestamp> {
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_and_zero_times_are_absent() {
        assert_eq!(rfc3339("2022-07-05T15:60:35.047+00:00"), None, "minute 60, from VideoSDK's own docs");
        assert_eq!(rfc3339("0001-01-01T00:00:00Z"), None);
        assert_eq!(rfc3339(""), None);
        assert_eq!(unix_s(0), None);
        assert_eq!(unix_s(i64::MAX), None);
        assert_eq!(unix_ms(-1), None);
        assert_eq!(unix_ns(0), None);
    }

    #[test]
    fn times_are_read_to_the_nanosecond_and_written_in_utc() {
        let time = rfc3339("2021-11-30T18:28:49.97291247+05:30").unwrap();
        assert_eq!(time.to_string(), "2021-11-30T12:58:49.97291247Z");
        assert_eq!(unix_ns(1_638_277_129_972_912_470), Some(time));
    }
}
