//! When senders retry: from their source code if it is public, otherwise from their documentation.

use std::time::Duration;

/// How a provider's sender behaves.
#[derive(Clone, Copy, Debug)]
pub struct SenderRules {
    /// When it retries.
    pub retries: RetryPolicy,
    /// How long it waits for a response; `None` if it waits forever.
    pub timeout: Option<Duration>,
    /// Which events wait for each other.
    pub queue: Queue,
}

/// What a sender gets in response to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status, and its `Retry-After` header.
    Status(u16, Option<String>),
    /// No connection, or one that was closed.
    Broken,
    /// No response, however long the sender waits.
    Silence,
}

/// What a sender does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It retries after this time.
    RetryAfter(Duration),
    /// It stops: the event counts as delivered.
    CountsAsDelivered,
    /// It stops: the event is lost.
    GivesUp,
    /// It waits for the response forever.
    WaitsForever,
}

/// When a sender retries a delivery.
#[derive(Clone, Copy, Debug)]
pub enum RetryPolicy {
    /// hashicorp/go-retryablehttp v0.7.8 with its defaults.
    RetryableHttp {
        /// How many retries follow the first attempt.
        retry_max: u32,
    },
    /// Any response but 200 is retried after these delays.
    Only200 {
        /// The delay before each retry.
        waits: &'static [Duration],
    },
    /// Any 2xx is a success. Another response is retried after the delays that this function gives for it, one
    /// before each retry.
    After(fn(&Answer) -> &'static [Duration]),
    /// One attempt; any 2xx is a success.
    Once,
}

/// Which events wait for each other.
#[derive(Clone, Copy, Debug)]
pub enum Queue {
    /// No events wait for others.
    Independent,
    /// Events of the same room wait for each other.
    PerRoom {
        /// How many events can wait; further ones are dropped.
        depth_max: usize,
        /// An event that has waited longer is dropped when its turn comes.
        age_max: Duration,
        /// How long after the end of the room the queue is dropped.
        outlives_room: Duration,
    },
}

/// For senders that document that they have a timeout, but not how long it is.
pub(crate) const ASSUMED_TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));

/// For senders that document growing delays, and for how long at most: a day, or nothing.
pub(crate) const DOUBLING_FOR_A_DAY: &[Duration] = &{
    let mut waits = [Duration::from_secs(60); 10];
    let mut at = 1;
    while at < waits.len() {
        waits[at] = waits[at - 1].saturating_mul(2);
        at += 1;
    }
    waits
};

const RETRY_WAIT_MIN: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

impl RetryPolicy {
    /// What the sender does after this response, having made `tries_before` attempts before this one.
    pub fn next(self, tries_before: u32, answer: &Answer) -> Next {
        match self {
            Self::RetryableHttp { .. } if *answer == Answer::Silence => Next::WaitsForever,
            Self::RetryableHttp { .. } if !is_retried(answer) => Next::CountsAsDelivered,
            Self::RetryableHttp { retry_max } if tries_before >= retry_max => Next::GivesUp,
            Self::RetryableHttp { .. } => Next::RetryAfter(backoff(tries_before, answer)),
            Self::Only200 { .. } if matches!(answer, Answer::Status(200, _)) => Next::CountsAsDelivered,
            Self::Only200 { waits } => {
                waits.get(tries_before as usize).map_or(Next::GivesUp, |w| Next::RetryAfter(*w))
            }
            Self::After(_) | Self::Once if matches!(answer, Answer::Status(200..300, _)) => {
                Next::CountsAsDelivered
            }
            Self::After(waits) => {
                waits(answer).get(tries_before as usize).map_or(Next::GivesUp, |w| Next::RetryAfter(*w))
            }
            Self::Once => Next::GivesUp,
        }
    }
}

/// `baseRetryPolicy` of go-retryablehttp.
fn is_retried(answer: &Answer) -> bool {
    match answer {
        Answer::Status(status, _) => *status == 429 || (*status >= 500 && *status != 501),
        Answer::Broken | Answer::Silence => true,
    }
}

/// `DefaultBackoff` of go-retryablehttp. Supports `Retry-After` in seconds only, not as a date.
fn backoff(tries_before: u32, answer: &Answer) -> Duration {
    if let Answer::Status(429 | 503, Some(retry_after)) = answer
        && let Ok(seconds) = retry_after.parse::<i64>()
        && let Ok(seconds) = u64::try_from(seconds)
    {
        return Duration::from_secs(seconds);
    }
    RETRY_WAIT_MIN.saturating_mul(2_u32.saturating_pow(tries_before)).min(RETRY_WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    fn status(status: u16) -> Answer {
        Answer::Status(status, None)
    }

    fn with_retry_after(status: u16, retry_after: &str) -> Answer {
        Answer::Status(status, Some(retry_after.into()))
    }

    /// When the attempts are made, in seconds, if each gets this response immediately.
    fn schedule(policy: RetryPolicy, answer: &Answer) -> Vec<u64> {
        let (mut at, mut schedule) = (Duration::ZERO, Vec::new());
        for tries_before in 0.. {
            schedule.push(at.as_secs());
            match policy.next(tries_before, answer) {
                Next::RetryAfter(wait) => at += wait,
                _ => break,
            }
        }
        schedule
    }

    const fn retryable(retry_max: u32) -> RetryPolicy {
        RetryPolicy::RetryableHttp { retry_max }
    }

    #[test]
    fn retryable_http_doubles_its_waits_from_one_second_to_thirty() {
        assert_eq!(schedule(retryable(2), &status(500)), [0, 1, 3]);
        assert_eq!(schedule(retryable(4), &status(500)), [0, 1, 3, 7, 15]);
        assert_eq!(schedule(retryable(8), &Answer::Broken), [0, 1, 3, 7, 15, 31, 61, 91, 121]);
        assert_eq!(schedule(retryable(40), &status(500)).last(), Some(&(31 + 35 * 30)));
    }

    #[test]
    fn retryable_http_retries_429_and_500_and_above_except_501() {
        for code in 100..1000 {
            let retried = matches!(retryable(4).next(0, &status(code)), Next::RetryAfter(_));
            assert_eq!(retried, code == 429 || (code >= 500 && code != 501), "{code}");
        }
        assert_eq!(retryable(4).next(0, &status(401)), Next::CountsAsDelivered);
        assert_eq!(retryable(4).next(4, &status(503)), Next::GivesUp);
        assert_eq!(retryable(4).next(0, &Answer::Silence), Next::WaitsForever);
    }

    #[test]
    fn retryable_http_honors_retry_after_of_any_length_with_429_and_503_only() {
        assert_eq!(schedule(retryable(2), &with_retry_after(503, "1")), [0, 1, 2]);
        assert_eq!(schedule(retryable(4), &with_retry_after(503, "1")), [0, 1, 2, 3, 4]);
        assert_eq!(schedule(retryable(2), &with_retry_after(429, "86400")), [0, 86_400, 172_800]);
        assert_eq!(schedule(retryable(4), &with_retry_after(503, "0")), [0; 5]);
        assert_eq!(schedule(retryable(2), &with_retry_after(500, "60")), [0, 1, 3]);
        for unread in ["-1", "soon", "1.5", ""] {
            assert_eq!(schedule(retryable(2), &with_retry_after(503, unread)), [0, 1, 3], "{unread}");
        }
    }

    #[test]
    fn hms_retries_any_response_but_200_after_1_3_and_10_seconds() {
        let policy = livehooks_core::hms::Hms::SENDER.retries;
        for code in (201..=599).map(status).chain([Answer::Broken, Answer::Silence]) {
            assert_eq!(schedule(policy, &code), [0, 1, 4, 14], "{code:?}");
        }
        assert_eq!(policy.next(0, &status(200)), Next::CountsAsDelivered);
        assert_eq!(policy.next(3, &status(200)), Next::CountsAsDelivered);
        assert_eq!(policy.next(3, &status(204)), Next::GivesUp);
    }
}
