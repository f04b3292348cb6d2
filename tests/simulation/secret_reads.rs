//! An unreadable secret is not read on every request.

use std::time::Duration;

use crate::fake_aws::State;

/// The SDK's attempts per read.
const ATTEMPTS: usize = 3;
/// A failed read is cached for at least 5 s from its request, which comes shortly before the first attempt.
const REMEMBERED: Duration = Duration::from_millis(4_500);

/// A read of a secret.
#[derive(Clone, Copy)]
pub struct Read {
    pub at: Duration,
    /// The batch of messages that caused it, if any. A batch reads the clock only once.
    pub batch: Option<u32>,
    pub is_answered: bool,
}

pub fn check(state: &State) -> Vec<String> {
    let mut violations = Vec::new();
    for ((process, provider), reads) in &state.secret_reads {
        let is_flood = |reads: &[Read]| {
            let (first, last) = (reads[0], reads[ATTEMPTS]);
            match first.batch {
                Some(batch) => last.batch == Some(batch),
                None => last.at - first.at < REMEMBERED,
            }
        };
        if reads.windows(ATTEMPTS + 1).any(is_flood) {
            violations.push(format!("{process} read the secret of {provider} too often"));
        }
    }
    violations
}
