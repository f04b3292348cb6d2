//! When the senders try again: by their own code where it is public, else by their documentation.

use std::time::Duration;

/// What a sender gets for one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status, and the `Retry-After` with it.
    Status(u16, Option<String>),
    /// No connection, or one that broke off.
    Broken,
    /// Nothing, for as long as one waits.
    Silence,
}

/// What a sender does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Again(Duration),
    CountsAsDelivered,
    GivesUp,
    /// Waits for the answer and knows no end.
    WaitsOn,
}

/// A sender's rules for one event.
#[derive(Clone, Copy, Debug)]
pub enum Rules {
    /// hashicorp/go-retryablehttp v0.7.8 with its defaults, as plugNmeet and LiveKit use it.
    Retryable { retry_max: u32 },
    /// 100ms: everything but exactly 200 is tried again after these waits.
    Only200 { waits: &'static [Duration] },
    /// VideoSDK says nothing of tries: one, and any 2xx will do.
    Once,
}

const RETRY_WAIT_MIN: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

impl Rules {
    /// What follows upon the answer to the try after `tries_before`.
    pub fn next(self, tries_before: u32, answer: &Answer) -> Next {
        match self {
            Self::Retryable { .. } if *answer == Answer::Silence => Next::WaitsOn,
            Self::Retryable { .. } if !is_retried(answer) => Next::CountsAsDelivered,
            Self::Retryable { retry_max } if tries_before >= retry_max => Next::GivesUp,
            Self::Retryable { .. } => Next::Again(backoff(tries_before, answer)),
            Self::Only200 { .. } if matches!(answer, Answer::Status(200, _)) => Next::CountsAsDelivered,
            Self::Only200 { waits } => {
                waits.get(tries_before as usize).map_or(Next::GivesUp, |w| Next::Again(*w))
            }
            Self::Once if matches!(answer, Answer::Status(200..300, _)) => Next::CountsAsDelivered,
            Self::Once => Next::GivesUp,
        }
    }
}

/// `baseRetryPolicy`
fn is_retried(answer: &Answer) -> bool {
    match answer {
        Answer::Status(status, _) => *status == 429 || (*status >= 500 && *status != 501),
        Answer::Broken | Answer::Silence => true,
    }
}

/// `DefaultBackoff`. Of `Retry-After` only the seconds are read here, not the dates.
fn backoff(tries_before: u32, answer: &Answer) -> Duration {
    if let Answer::Status(429 | 503, Some(retry_after)) = answer
        && let Ok(seconds) = retry_after.parse::<i64>()
        && let Ok(seconds) = u64::try_from(seconds)
    {
        return Duration::from_secs(seconds);
    }
    RETRY_WAIT_MIN.saturating_mul(2_u32.saturating_pow(tries_before)).min(RETRY_WAIT_MAX)
}
