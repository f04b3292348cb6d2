//! What fails, and when. All of it comes from the seed.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Table,
    Topic,
    Queue,
    DeadLetters,
    Quarantine,
    Secrets,
}

const SERVICES: [Service; 6] = [
    Service::Table,
    Service::Topic,
    Service::Queue,
    Service::DeadLetters,
    Service::Quarantine,
    Service::Secrets,
];

/// How one call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    Fine,
    /// Throttled; nothing was done.
    Throttled,
    /// A permission, an encryption key or the resource is missing until somebody fixes it; nothing was done.
    Denied,
    /// Answered with 500; nothing was done.
    Broken,
    /// Never answered; nothing was done.
    Silent,
    /// The connection ends; nothing was done.
    Reset,
    /// Done, and answered with 500.
    DoneButBroken,
    /// Done, and never answered.
    DoneButSilent,
    /// Done, and the connection ends.
    DoneButReset,
    /// Done twice: topics and queues promise no more than at least once.
    DoneTwice,
    /// The process dies; nothing was done.
    DiesBefore,
    /// The process dies right after it was done.
    DiesAfter,
    /// Of a batch some entries are accepted, some fail, some are not mentioned.
    Partly,
}

const FAULTS: [CallResult; 12] = [
    CallResult::Throttled,
    CallResult::Denied,
    CallResult::Broken,
    CallResult::Silent,
    CallResult::Reset,
    CallResult::DoneButBroken,
    CallResult::DoneButSilent,
    CallResult::DoneButReset,
    CallResult::DoneTwice,
    CallResult::DiesBefore,
    CallResult::DiesAfter,
    CallResult::Partly,
];

/// What a service answers during an outage.
const OUTAGES: [CallResult; 5] =
    [CallResult::Throttled, CallResult::Denied, CallResult::Broken, CallResult::Silent, CallResult::Reset];

/// How SNS rejects what it will never accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// The whole batch with this code, because of one entry.
    WholeBatch(&'static str),
    /// The entry alone, as the sender's fault.
    Entry,
}

const POISONS: [Poison; 4] = [
    Poison::WholeBatch("InvalidParameter"),
    Poison::WholeBatch("InvalidParameterValue"),
    Poison::WholeBatch("ValidationError"),
    Poison::Entry,
];

pub struct FaultPlan {
    /// The probability that a call fails outside of outages.
    unreliability: f64,
    outages: Vec<(Service, Range<Duration>, CallResult)>,
    pub poison: Poison,
    /// The probability that SNS will never accept an event.
    pub poison_probability: f64,
    /// How often SQS delivers a message before it moves it to the dead-letter queue.
    pub receives_max: u32,
    is_over: bool,
}

impl FaultPlan {
    /// From none to many.
    pub fn of(rng: &mut Rng) -> Self {
        let unreliability = [0.0, 0.02, 0.1, 0.3][rng.usize(..4)];
        let outages = (0..rng.usize(..5)).map(|_| {
            let service = SERVICES[rng.usize(..SERVICES.len())];
            let begin = Duration::from_millis(rng.u64(..25_000));
            let longest = if rng.u8(..4) == 0 { 900_000 } else { 30_000 };
            let end = begin + Duration::from_millis(rng.u64(500..longest));
            (service, begin..end, OUTAGES[rng.usize(..OUTAGES.len())])
        });
        Self {
            unreliability,
            outages: outages.collect(),
            poison: POISONS[rng.usize(..POISONS.len())],
            poison_probability: [0.0, 0.0, 0.2][rng.usize(..3)],
            receives_max: [2, 480][rng.usize(..2)],
            is_over: false,
        }
    }

    /// From now on no call fails.
    pub fn stop(&mut self) {
        self.is_over = true;
    }

    pub fn call_result(&self, service: Service, elapsed: Duration, rng: &mut Rng) -> CallResult {
        if self.is_over {
            return CallResult::Fine;
        }
        let is_out =
            |(out, when, _): &&(Service, Range<Duration>, _)| *out == service && when.contains(&elapsed);
        if let Some((_, _, result)) = self.outages.iter().find(is_out) {
            return *result;
        }
        if rng.f64() >= self.unreliability { CallResult::Fine } else { FAULTS[rng.usize(..FAULTS.len())] }
    }
}

impl std::fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "of 100 calls {:.0} fail", 100.0 * self.unreliability)?;
        for (service, when, result) in &self.outages {
            let (begin, end) = (when.start.as_secs_f64(), when.end.as_secs_f64());
            writeln!(f, "{service:?} is out from {begin:.1} s to {end:.1} s: {result:?}")?;
        }
        writeln!(f, "of 100 events {:.0} are poisoned: {:?}", 100.0 * self.poison_probability, self.poison)?;
        writeln!(f, "a message is received at most {} times", self.receives_max)
    }
}
