//! A secret that cannot be read is not asked for on every request.

use std::time::Duration;

use crate::fake_aws::State;

/// The SDK's attempts to read a secret once, and how long they may take.
const ATTEMPTS: usize = 3;
const READ_MAX: Duration = Duration::from_millis(2_500);
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
    let floods = state.secret_reads.iter().filter(|(_, reads)| is_flood(reads));
    let text = |((process, provider), _): (&(String, String), _)| {
        format!("{process}: asked for the secret of {provider} again and again")
    };
    floods.map(text).collect()
}

fn is_flood(reads: &[Read]) -> bool {
    let of_one_read = |first: &Read, other: &Read| match first.batch {
        Some(batch) => other.batch == Some(batch),
        None => other.at - first.at < READ_MAX,
    };
    let mut rest = reads;
    while let Some(first) = rest.first() {
        let attempts = rest.iter().take_while(|read| of_one_read(first, read)).count();
        let is_soon = |next: &Read| first.batch.is_none() && next.at - first.at < REMEMBERED;
        if attempts > ATTEMPTS || rest.get(attempts).is_some_and(is_soon) {
            return true;
        }
        rest = &rest[attempts..];
    }
    false
}
