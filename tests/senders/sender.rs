//! The senders at work: how each queues the events of a room, and tries again.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use livehooks_signing::{Answer, Next, PROVIDERS, ProviderInfo, Queue, SenderRules};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::wire::{Event, Wire};

/// A provider's sender.
#[derive(Debug)]
pub struct Sender {
    pub provider: &'static ProviderInfo,
    pub rules: SenderRules,
}

/// Every provider's.
pub static ALL: LazyLock<Vec<Sender>> = LazyLock::new(|| PROVIDERS.iter().map(Sender::of).collect());

/// The sender of the provider of this name.
pub fn named(name: &str) -> &'static Sender {
    ALL.iter().find(|sender| sender.provider.name == name).expect("there is a provider of this name")
}

/// The sender of what is sent for the sake of the stack alone.
pub fn any() -> &'static Sender {
    named("livekit")
}

/// What became of an event, as far as its sender knows.
#[derive(Clone, Debug)]
pub struct CallResult {
    /// When each try was made, counted from the first, and what came of it.
    pub tries: Vec<(Duration, Answer)>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    CountedAsDelivered,
    GivenUp,
    WaitsOn,
    DroppedQueueFull,
    DroppedTooOld,
    DroppedRoomOver,
}

impl Outcome {
    fn at_once(self) -> CallResult {
        CallResult { tries: Vec::new(), outcome: self }
    }
}

impl Sender {
    fn of(provider: &'static ProviderInfo) -> Self {
        Self { provider, rules: provider.sender }
    }

    /// Sends the events of one room, each at its time from now on; the room ends with the last of them.
    pub async fn room(&'static self, wire: &Arc<Wire>, events: &[Event]) -> Vec<CallResult> {
        let start = Instant::now();
        let Queue::PerRoom { depth_max, age_max, outlives_room } = self.rules.queue else {
            let sends = events.iter().map(async |event| {
                sleep_until(start + event.at).await;
                self.deliver(wire, event).await
            });
            return futures::future::join_all(sends).await;
        };
        let ends = events.last().map(|event| event.at).unwrap_or_default();
        let killed = start.checked_add(ends.saturating_add(outlives_room));
        let (queue, mut queued) = mpsc::channel(depth_max.min(Semaphore::MAX_PERMITS));
        let mut results: Vec<Option<CallResult>> = vec![None; events.len()];
        let feed = async move {
            let mut dropped = Vec::new();
            for (index, event) in events.iter().enumerate() {
                if Instant::now() < start + event.at {
                    sleep_until(start + event.at).await;
                }
                if queue.try_send((index, Instant::now())).is_err() {
                    dropped.push(index);
                }
            }
            dropped
        };
        let work = async {
            let mut done = Vec::new();
            while let Some((index, since)) = queued.recv().await {
                let result = if killed.is_some_and(|killed| Instant::now() >= killed) {
                    Outcome::DroppedRoomOver.at_once()
                } else if since.elapsed() > age_max {
                    Outcome::DroppedTooOld.at_once()
                } else {
                    self.deliver(wire, &events[index]).await
                };
                let waits_on = result.outcome == Outcome::WaitsOn;
                done.push((index, result));
                if waits_on {
                    break;
                }
            }
            done
        };
        let (dropped, done) = tokio::join!(feed, work);
        done.into_iter().for_each(|(index, result)| results[index] = Some(result));
        dropped.into_iter().for_each(|index| results[index] = Some(Outcome::DroppedQueueFull.at_once()));
        // Behind an event that waits for ever, the others do.
        results.into_iter().map(|result| result.unwrap_or_else(|| Outcome::WaitsOn.at_once())).collect()
    }

    /// Sends one event: signed once, and the same request on each try.
    pub async fn deliver(&self, wire: &Wire, event: &Event) -> CallResult {
        let request = wire.sign(self, event);
        let start = Instant::now();
        let mut tries = Vec::new();
        loop {
            let at = start.elapsed();
            let answer = wire.exchange(&request).await;
            if let (Answer::Silence, Some(timeout)) = (&answer, self.rules.timeout) {
                sleep(timeout).await;
            }
            let next = self.rules.retries.next(tries.len() as u32, &answer);
            tries.push((at, answer));
            let outcome = match next {
                Next::RetryAfter(wait) => {
                    sleep(wait).await;
                    continue;
                }
                Next::CountsAsDelivered => Outcome::CountedAsDelivered,
                Next::GivesUp => Outcome::GivenUp,
                Next::WaitsForever => Outcome::WaitsOn,
            };
            return CallResult { tries, outcome };
        }
    }
}
