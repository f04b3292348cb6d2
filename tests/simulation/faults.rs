//! Which calls fail, and how. The seed decides.

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
    /// Throttled, not executed.
    Throttled,
    /// Not executed: a permission, an encryption key or the resource is missing.
    Denied,
    /// Answered 500, not executed.
    Broken,
    /// Never answered, not executed.
    Silent,
    /// The connection ends, not executed.
    Reset,
    /// Executed, but answered 500.
    DoneButBroken,
    /// Executed, but never answered.
    DoneButSilent,
    /// Executed, but the connection ends.
    DoneButReset,
    /// Executed twice: topics and queues guarantee at-least-once delivery only.
    DoneTwice,
    /// The process dies before the call is executed.
    DiesBefore,
    /// The process dies after the call is executed.
    DiesAfter,
    /// Some entries of a batch are accepted, some fail, and some are missing from the answer.
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

/// Call results during an outage.
const OUTAGES: [CallResult; 5] =
    [CallResult::Throttled, CallResult::Denied, CallResult::Broken, CallResult::Silent, CallResult::Reset];

/// How SNS rejects an event permanently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// Rejects the whole batch with this code.
    WholeBatch(&'static str),
    /// Rejects the entry only, as the sender's fault.
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
    /// The probability that SNS rejects an event permanently.
    pub poison_probability: f64,
    /// How often SQS delivers a message before dead-lettering it.
    pub receives_max: u32,
    is_over: bool,
}

impl FaultPlan {
    /// Draws a plan.
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

    /// Ends all faults.
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
        writeln!(f, "{:.0} of 100 calls fail", 100.0 * self.unreliability)?;
        for (service, when, result) in &self.outages {
            let (begin, end) = (when.start.as_secs_f64(), when.end.as_secs_f64());
            writeln!(f, "{service:?} is out from {begin:.1} s to {end:.1} s: {result:?}")?;
        }
        writeln!(f, "{:.0} of 100 events are poisoned: {:?}", 100.0 * self.poison_probability, self.poison)?;
        writeln!(f, "a message is received at most {} times", self.receives_max)
    }
}
