//! The senders, and how each queues the events of a room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::rules::{Answer, Next, Rules};
use crate::wire::{Event, Wire};

/// A provider's sender.
#[derive(Debug)]
pub struct Sender {
    pub provider: &'static str,
    /// The sample that tells of a participant who joined.
    pub sample: &'static str,
    pub rules: Rules,
    /// How long it waits for an answer.
    pub timeout: Option<Duration>,
    pub queue: Queue,
}

/// Which events wait for each other.
#[derive(Clone, Copy, Debug)]
pub enum Queue {
    /// None.
    Independent,
    /// Those of one room.
    PerRoom {
        /// More than these are dropped.
        depth_max: usize,
        /// An event that has waited longer is dropped when its turn comes.
        age_max: Duration,
        /// So long after the end of the room the queue is dropped.
        outlives_room: Duration,
    },
}

/// Not documented beyond that there is one: an assumption.
const ASSUMED_TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));

/// plugNmeet: plugnmeet-server v2.4, `NewNotifier(ctx, 1, 2, …)`; one worker per room without limits, which is
/// killed when the room's analytics are done, at least 50 s after its end.
pub static PLUGNMEET: Sender = Sender {
    provider: "plugnmeet",
    sample: "participant_joined",
    rules: Rules::Retryable { retry_max: 2 },
    timeout: None,
    queue: Queue::PerRoom {
        depth_max: Semaphore::MAX_PERMITS,
        age_max: Duration::MAX,
        outlives_room: Duration::from_secs(50),
    },
};

/// LiveKit: livekit/protocol, `ResourceURLNotifier` with its defaults.
pub static LIVEKIT: Sender = Sender {
    provider: "livekit",
    sample: "participant_joined",
    rules: Rules::Retryable { retry_max: 4 },
    timeout: None,
    queue: Queue::PerRoom { depth_max: 200, age_max: Duration::from_secs(30), outlives_room: Duration::MAX },
};

/// 100ms: by its documentation.
pub static HMS: Sender = Sender {
    provider: "100ms",
    sample: "peer.join.success",
    rules: Rules::Only200 {
        waits: &[Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)],
    },
    timeout: ASSUMED_TIMEOUT,
    queue: Queue::Independent,
};

/// VideoSDK: documents nothing of it, so the worst is assumed.
pub static VIDEOSDK: Sender = Sender {
    provider: "videosdk",
    sample: "participant-joined",
    rules: Rules::Once,
    timeout: ASSUMED_TIMEOUT,
    queue: Queue::Independent,
};

pub static ALL: [&Sender; 4] = [&PLUGNMEET, &LIVEKIT, &HMS, &VIDEOSDK];

/// What became of an event, as far as its sender knows.
#[derive(Clone, Debug)]
pub struct Fate {
    /// When each try was made, counted from the first, and what came of it.
    pub tries: Vec<(Duration, Answer)>,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    CountedAsDelivered,
    GivenUp,
    WaitsOn,
    DroppedQueueFull,
    DroppedTooOld,
    DroppedRoomOver,
}

impl Verdict {
    fn at_once(self) -> Fate {
        Fate { tries: Vec::new(), verdict: self }
    }
}

impl Sender {
    /// Sends the events of one room, each at its time from now on; the room ends with the last of them.
    pub async fn room(&'static self, wire: &Arc<Wire>, events: &[Event]) -> Vec<Fate> {
        let start = Instant::now();
        let Queue::PerRoom { depth_max, age_max, outlives_room } = self.queue else {
            let sends = events.iter().map(async |event| {
                sleep_until(start + event.at).await;
                self.deliver(wire, event).await
            });
            return futures::future::join_all(sends).await;
        };
        let ends = events.last().map(|event| event.at).unwrap_or_default();
        let killed = start.checked_add(ends.saturating_add(outlives_room));
        let (queue, mut queued) = mpsc::channel(depth_max);
        let mut fates: Vec<Option<Fate>> = vec![None; events.len()];
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
                let fate = if killed.is_some_and(|killed| Instant::now() >= killed) {
                    Verdict::DroppedRoomOver.at_once()
                } else if since.elapsed() > age_max {
                    Verdict::DroppedTooOld.at_once()
                } else {
                    self.deliver(wire, &events[index]).await
                };
                let waits_on = fate.verdict == Verdict::WaitsOn;
                done.push((index, fate));
                if waits_on {
                    break;
                }
            }
            done
        };
        let (dropped, done) = tokio::join!(feed, work);
        done.into_iter().for_each(|(index, fate)| fates[index] = Some(fate));
        dropped.into_iter().for_each(|index| fates[index] = Some(Verdict::DroppedQueueFull.at_once()));
        // Behind an event that waits for ever, the others do.
        fates.into_iter().map(|fate| fate.unwrap_or_else(|| Verdict::WaitsOn.at_once())).collect()
    }

    /// Sends one event: signed once, and the same request on each try.
    pub async fn deliver(&self, wire: &Wire, event: &Event) -> Fate {
        let request = wire.sign(self, event);
        let start = Instant::now();
        let mut tries = Vec::new();
        loop {
            let at = start.elapsed();
            let answer = wire.exchange(&request).await;
            if let (Answer::Silence, Some(timeout)) = (&answer, self.timeout) {
                sleep(timeout).await;
            }
            let next = self.rules.next(tries.len() as u32, &answer);
            tries.push((at, answer));
            let verdict = match next {
                Next::Again(wait) => {
                    sleep(wait).await;
                    continue;
                }
                Next::CountsAsDelivered => Verdict::CountedAsDelivered,
                Next::GivesUp => Verdict::GivenUp,
                Next::WaitsOn => Verdict::WaitsOn,
            };
            return Fate { tries, verdict };
        }
    }
}
