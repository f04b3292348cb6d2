//! Counts each sender's losses in an outage of the table, with and without the fallback queue.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::sleep;

use crate::local::Local;
use crate::sender::{self, Sender};
use crate::wire::{self, Event, Pace};

#[derive(Clone, Debug, clap::Args)]
pub struct Outage {
    /// Length of the outage
    #[arg(long, value_delimiter = ',', default_values_t = [5, 20, 60])]
    seconds: Vec<u64>,
    /// Time until an answer during the outage; a table that hangs costs 2.4 s
    #[arg(long, value_delimiter = ',', default_values_t = [300, 2400])]
    fault_ms: Vec<u64>,
    /// Time until an acknowledgement before and after
    #[arg(long, default_value_t = 50)]
    ack_ms: u64,
    /// Rooms of each provider
    #[arg(long, default_value_t = 2)]
    rooms: u64,
    /// Time between two events of a room
    #[arg(long, default_value_t = 1000)]
    every_ms: u64,
}

/// The outage and the load during it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub lasts: Duration,
    pub has_queue: bool,
    pub pace: Pace,
    pub rooms: u64,
    /// Time between two events of a room.
    pub every: Duration,
}

/// The losses of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Losses {
    pub provider: &'static str,
    pub sent: usize,
    pub lost: usize,
}

/// How long events are sent before the outage, and after it.
const QUIET: Duration = Duration::from_secs(10);

impl Plan {
    /// Runs every provider's rooms through the outage.
    ///
    /// # Panics
    /// If an event is stored twice, or stored and not published.
    pub fn run(self, local: &Local) -> Vec<Losses> {
        local.faults.reject_fallback.store(!self.has_queue, Ordering::SeqCst);
        let numbers: Vec<Range<u64>> = sender::ALL.iter().map(|_| self.numbers(local)).collect();
        let rooms = sender::ALL.iter().zip(&numbers);
        let rooms = rooms.flat_map(|(sender, numbers)| {
            let wire = local.wire(self.pace);
            wire.idle.store(self.rooms as usize * self.events(), Ordering::SeqCst);
            (0..self.rooms).map(move |room| (sender, wire.clone(), self.room(numbers.clone(), room)))
        });
        let rooms: Vec<_> = rooms.collect();
        wire::simulate(async {
            let table = async {
                sleep(QUIET).await;
                local.reject_table(true);
                sleep(self.lasts).await;
                local.reject_table(false);
            };
            let rooms = rooms.iter().map(|(sender, wire, events)| sender.room(wire, events));
            join(table, join_all(rooms)).await;
        });
        local.recovered();
        let (stored, published) = (local.stored(), local.all_published());
        let losses = |(sender, numbers): (&'static Sender, &Range<u64>)| {
            for number in numbers.clone().filter(|number| stored.contains_key(number)) {
                assert_eq!(stored[&number], 1, "{} {number} is stored once", sender.provider.name);
                assert!(published.contains_key(&number), "{} {number} is published", sender.provider.name);
            }
            let lost = numbers.clone().filter(|number| !stored.contains_key(number)).count();
            Losses { provider: sender.provider.name, sent: numbers.clone().count(), lost }
        };
        sender::ALL.iter().zip(&numbers).map(losses).collect()
    }

    /// The number of events per room.
    fn events(&self) -> usize {
        ((2 * QUIET + self.lasts).as_millis() / self.every.as_millis()) as usize
    }

    fn numbers(&self, local: &Local) -> Range<u64> {
        let count = self.rooms * self.events() as u64;
        let first = local.numbers.fetch_add(count, Ordering::SeqCst);
        first..first + count
    }

    /// The events of one room, at other times than those of the other rooms.
    fn room(&self, numbers: Range<u64>, room: u64) -> Vec<Event> {
        let name = format!("outage-{}-{room}", numbers.start);
        let offset = self.every / self.rooms as u32 * room as u32;
        let numbers = numbers.skip(room as usize).step_by(self.rooms as usize);
        let event = |(index, number): (usize, u64)| Event {
            at: self.every * index as u32 + offset,
            room: name.clone(),
            number,
        };
        numbers.enumerate().map(event).collect()
    }
}

impl Outage {
    /// Prints the losses of each outage.
    pub fn run(&self, local: &Local) {
        let names: Vec<&str> = sender::ALL.iter().map(|sender| sender.provider.name).collect();
        println!("| outage | an answer takes | | {} |\n|---|---|---|---|---|---|---|", names.join(" | "));
        for lasts in self.seconds.iter().map(|seconds| Duration::from_secs(*seconds)) {
            for fault in self.fault_ms.iter().map(|ms| Duration::from_millis(*ms)) {
                for has_queue in [false, true] {
                    let answer = Duration::from_millis(self.ack_ms);
                    let pace = Pace { init: Duration::ZERO, answer, fault };
                    let every = Duration::from_millis(self.every_ms);
                    let plan = Plan { lasts, has_queue, pace, rooms: self.rooms, every };
                    let cells: Vec<String> = plan
                        .run(local)
                        .iter()
                        .map(|losses| format!("{} of {}", losses.lost, losses.sent))
                        .collect();
                    let queue = if has_queue { "with queue" } else { "without" };
                    println!("| {lasts:?} | {fault:?} | {queue} | {} |", cells.join(" | "));
                }
            }
        }
    }
}
