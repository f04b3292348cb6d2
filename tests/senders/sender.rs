//! Simulated senders: how each queues the events of a room and retries.

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

/// The senders of all providers.
pub static ALL: LazyLock<Vec<Sender>> = LazyLock::new(|| PROVIDERS.iter().map(Sender::of).collect());

/// The sender of the provider of this name.
pub fn named(name: &str) -> &'static Sender {
    ALL.iter().find(|sender| sender.provider.name == name).expect("there is a provider of this name")
}

/// A sender for tests of the stack in which the provider does not matter.
pub fn any() -> &'static Sender {
    named("livekit")
}

/// What became of an event, as far as its sender knows.
#[derive(Clone, Debug)]
pub struct DeliveryResult {
    /// The time of each try since the first, and its answer.
    pub tries: Vec<(Duration, Answer)>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    CountedAsDelivered,
    GivenUp,
    WaitsForever,
    DroppedQueueFull,
    DroppedTooOld,
    DroppedRoomOver,
}

impl Outcome {
    fn without_tries(self) -> DeliveryResult {
        DeliveryResult { tries: Vec::new(), outcome: self }
    }
}

impl Sender {
    fn of(provider: &'static ProviderInfo) -> Self {
        Self { provider, rules: provider.sender }
    }

    /// Sends the events of one room, each at its time from now. The room ends with the last event.
    pub async fn room(&'static self, wire: &Arc<Wire>, events: &[Event]) -> Vec<DeliveryResult> {
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
        let mut results: Vec<Option<DeliveryResult>> = vec![None; events.len()];
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
                    Outcome::DroppedRoomOver.without_tries()
                } else if since.elapsed() > age_max {
                    Outcome::DroppedTooOld.without_tries()
                } else {
                    self.deliver(wire, &events[index]).await
                };
                let waits_forever = result.outcome == Outcome::WaitsForever;
                done.push((index, result));
                if waits_forever {
                    break;
                }
            }
            done
        };
        let (dropped, done) = tokio::join!(feed, work);
        done.into_iter().for_each(|(index, result)| results[index] = Some(result));
        dropped
            .into_iter()
            .for_each(|index| results[index] = Some(Outcome::DroppedQueueFull.without_tries()));
        // All events behind one that waits forever wait forever too.
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Outcome::WaitsForever.without_tries()))
            .collect()
    }

    /// Sends one event. Signs once, and sends the same request on each try.
    pub async fn deliver(&self, wire: &Wire, event: &Event) -> DeliveryResult {
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
                Next::WaitsForever => Outcome::WaitsForever,
            };
            return DeliveryResult { tries, outcome };
        }
    }
}
