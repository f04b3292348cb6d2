//! Finds the largest burst of events in one room that loses none.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use livehooks_signing::{Answer, Queue};

use crate::local::Local;
use crate::sender::{DeliveryResult, Outcome, Sender};
use crate::wire::{Event, Pace};
use crate::{sender, wire};

#[derive(Clone, Debug, clap::Args)]
pub struct Burst {
    /// Time until an acknowledgement
    #[arg(long, value_delimiter = ',', default_values_t = [10, 50, 100, 150, 200, 500, 1000, 2400])]
    ack_ms: Vec<u64>,
    /// Startup time of a function
    #[arg(long, default_value_t = 1000)]
    init_ms: u64,
    /// Largest burst to try
    #[arg(long, default_value_t = 2000)]
    most: usize,
}

/// A burst that was sent.
pub struct Sent {
    pub results: Vec<DeliveryResult>,
    /// The number of its first event.
    pub first: u64,
}

/// The largest burst that loses no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Largest {
    pub events: usize,
    /// The outcome of one more event. `None` if that is not lost either.
    pub next: Option<Outcome>,
}

/// Sends this many events of one room at the same time.
pub fn send(local: &Local, sender: &'static Sender, pace: Pace, is_warm: bool, events: usize) -> Sent {
    let first = local.numbers.fetch_add(events as u64, Ordering::SeqCst);
    let room = format!("burst-{first}");
    let event = |index| Event { at: Duration::ZERO, room: room.clone(), number: first + index as u64 };
    let events: Vec<Event> = (0..events).map(event).collect();
    let wire = local.wire(pace);
    wire.idle.store(if is_warm { events.len() } else { 0 }, Ordering::SeqCst);
    let results = wire::simulate(sender.room(&wire, &events));
    Sent { results, first }
}

/// Finds the largest burst that loses nothing: sends `most` events, then checks a burst of the size found.
///
/// # Panics
/// If an event of the second burst is not stored exactly once and published.
pub fn largest(local: &Local, sender: &'static Sender, pace: Pace, is_warm: bool, most: usize) -> Largest {
    let lost = |result: &DeliveryResult| {
        result.tries.last().is_none_or(|(_, answer)| *answer != Answer::Status(200, None))
    };
    let tried = send(local, sender, pace, is_warm, most);
    let events = tried.results.iter().position(lost).unwrap_or(most);
    let next = tried.results.get(events).map(|result| result.outcome);
    let sent = if next.is_none() { tried } else { send(local, sender, pace, is_warm, events) };
    assert_eq!(
        sent.results.iter().position(lost),
        None,
        "{} loses events of a burst of {events}",
        sender.provider.name
    );
    let (stored, published) = (local.stored(), local.all_published());
    for number in sent.first..sent.first + events as u64 {
        assert_eq!(stored.get(&number), Some(&1), "{} {number} is stored once", sender.provider.name);
        assert!(published.contains_key(&number), "{} {number} is published", sender.provider.name);
    }
    Largest { events, next }
}

impl Burst {
    /// Prints the largest bursts.
    pub fn run(&self, local: &Local) {
        let init = Duration::from_millis(self.init_ms);
        let (p50, p99) = measured(local);
        println!("The stack on this machine acknowledges in {p50:.1?} (median), {p99:.1?} (p99).\n");
        let queued: Vec<&'static Sender> =
            sender::ALL.iter().filter(|sender| matches!(sender.rules.queue, Queue::PerRoom { .. })).collect();
        let names: Vec<String> =
            queued.iter().map(|s| format!("{0} warm | {0} cold", s.provider.name)).collect();
        println!("| acknowledged in | {} |\n|---|{}", names.join(" | "), "---|---|".repeat(queued.len()));
        for answer in self.ack_ms.iter().map(|ms| Duration::from_millis(*ms)) {
            let pace = Pace { init, answer, fault: answer };
            let cells: Vec<String> = queued
                .iter()
                .flat_map(|sender| {
                    [true, false].map(|is_warm| largest(local, sender, pace, is_warm, self.most).describe())
                })
                .collect();
            println!("| {answer:?} | {} |", cells.join(" | "));
        }
        println!("\ncold: the function starts in {init:?}\n");
        for sender in sender::ALL.iter().filter(|sender| matches!(sender.rules.queue, Queue::Independent)) {
            let pace = Pace { init, ..Pace::default() };
            println!(
                "{}: {}, warm or cold",
                sender.provider.name,
                largest(local, sender, pace, false, self.most).describe()
            );
        }
    }
}

impl Largest {
    fn describe(self) -> String {
        match self.next {
            None => format!("{} and more", self.events),
            Some(Outcome::DroppedQueueFull) => format!("{} (queue full)", self.events),
            Some(Outcome::DroppedTooOld) => format!("{} (too old)", self.events),
            Some(Outcome::DroppedRoomOver) => format!("{} (room over)", self.events),
            Some(other) => format!("{} ({other:?})", self.events),
        }
    }
}

/// The stack's response time in real time: the median and 99th percentile of 1,000 deliveries.
fn measured(local: &Local) -> (Duration, Duration) {
    let wire = local.wire(Pace::default());
    let mut took: Vec<Duration> = (0..1000)
        .map(|_| {
            let number = local.numbers.fetch_add(1, Ordering::SeqCst);
            let event = Event { at: Duration::ZERO, room: "measured".into(), number };
            let started = Instant::now();
            wire::simulate(sender::any().deliver(&wire, &event));
            started.elapsed()
        })
        .collect();
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}
