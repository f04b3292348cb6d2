//! A secret that cannot be read is not asked for on every request.

use std::time::Duration;

use crate::fake_aws::State;

/// The SDK's attempts to read a secret once.
const ATTEMPTS: usize = 3;
/// A failed read is remembered for 5 s at least, from its start. Its last attempts may come seconds later, so two reads
/// can lie close together, but never three.
const REMEMBERED: Duration = Duration::from_secs(5);

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
        let is_repeated =
            |reads: &[Read]| reads[0].batch.is_some() && reads[0].batch == reads[ATTEMPTS].batch;
        let is_flood = |reads: &[Read]| reads[2 * ATTEMPTS].at - reads[0].at < REMEMBERED;
        if reads.windows(ATTEMPTS + 1).any(is_repeated) || reads.windows(2 * ATTEMPTS + 1).any(is_flood) {
            violations.push(format!("{process}: asked for the secret of {provider} again and again"));
        }
    }
    violations
}
