//! A secret that cannot be read is not asked for on every request.

use std::time::Duration;

use crate::fake_aws::State;

/// The SDK's attempts to read a secret once.
const ATTEMPTS: usize = 3;
/// A failed read is remembered for 5 s at least, from when its request came, a little before its first attempt.
const REMEMBERED: Duration = Duration::from_millis(4_500);

/// When a process has asked for a secret, and whether it was answered.
#[derive(Clone, Copy)]
pub struct Read {
    pub at: Duration,
    /// The batch of messages that it was for, if any: all of it is done by one reading of the clock.
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
            violations.push(format!("{process}: asked for the secret of {provider} again and again"));
        }
    }
    violations
}
