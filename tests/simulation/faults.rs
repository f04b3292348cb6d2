//! What goes mutant, when. All of it comes from the seed.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Table,
    Topic,
    Queue,
    Secrets,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    Fine,
    /// Refused for now; nothing was done.
    Throttled,
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
    /// Of a batch some entries are taken, some are refused, some are not mentioned.
    Partly,
}

const FAULTS: [CallResult; 11] = [
    CallResult::Throttled,
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

pub struct FaultPlan {
    /// The probability that a call goes wrong outside of outages.
    unreliability: f64,
    outages: Vec<(Service, Range<Duration>, CallResult)>,
    is_over: bool,
}

impl FaultPlan {
    /// From calm to stormy.
    pub fn of(rng: &mut Rng) -> Self {
        let unreliability = [0.0, 0.02, 0.1, 0.3][rng.usize(..4)];
        let outages = (0..rng.usize(..4)).map(|_| {
            let service = [Service::Table, Service::Topic, Service::Queue, Service::Secrets][rng.usize(..4)];
            let begin = Duration::from_millis(rng.u64(..25_000));
            let longest = if rng.u8(..4) == 0 { 900_000 } else { 30_000 };
            let end = begin + Duration::from_millis(rng.u64(500..longest));
            let result = [CallResult::Throttled, CallResult::Broken, CallResult::Silent, CallResult::Reset]
                [rng.usize(..4)];
            (service, begin..end, result)
        });
        Self { unreliability, outages: outages.collect(), is_over: false }
    }

    /// From now on nothing goes wrong.
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
        writeln!(f, "of 100 calls {:.0} go wrong", 100.0 * self.unreliability)?;
        for (service, when, result) in &self.outages {
            let (begin, end) = (when.start.as_secs_f64(), when.end.as_secs_f64());
            writeln!(f, "{service:?} is out from {begin:.1} s to {end:.1} s: {result:?}")?;
        }
        Ok(())
    }
}
