//! An unreadable secret is not read on every request.

use std::time::Duration;

use crate::fake_aws::State;

/// The SDK's attempts per read.
const ATTEMPTS: usize = 3;
/// The longest time that the attempts of one read may take.
const READ_MAX: Duration = Duration::from_millis(2_500);
/// A failed read is cached for at least 5 s from its request, which comes shortly before the first attempt.
const CACHED: Duration = Duration::from_millis(4_500);

/// An attempt to read a secret.
#[derive(Clone, Copy)]
pub struct Read {
    pub at: Duration,
    /// The batch of messages that caused it, if any. A batch reads the clock only once.
    pub batch: Option<u32>,
    pub is_answered: bool,
}

pub fn check(state: &State) -> Vec<String> {
    let too_often = state.secret_reads.iter().filter(|(_, attempts)| is_too_often(attempts));
    let text = |((process, provider), _): (&(String, String), _)| {
        format!("{process} read the secret of {provider} too often")
    };
    too_often.map(text).collect()
}

/// Whether a read had too many attempts, or the next one came while its failure was cached.
fn is_too_often(attempts: &[Read]) -> bool {
    let is_same_read = |first: &Read, other: &Read| match first.batch {
        Some(batch) => other.batch == Some(batch),
        None => other.at - first.at < READ_MAX,
    };
    let mut rest = attempts;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|other| is_same_read(first, other)).count();
        let is_cached = |next: &Read| first.batch.is_none() && next.at - first.at < CACHED;
        if count > ATTEMPTS || rest.get(count).is_some_and(is_cached) {
            return true;
        }
        rest = &rest[count..];
    }
    false
}
