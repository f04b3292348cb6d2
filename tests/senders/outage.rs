//! What an outage of the table costs, by sender: with the fallback queue and without it.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{join, join_all};
use livehooks::dev::Outage as Fault;
use tokio::time::sleep;

use crate::local::Local;
use crate::sender::{self, Sender};
use crate::wire::{self, Event, Pace};

#[derive(Clone, Debug, clap::Args)]
pub struct Outage {
    /// How long the table is out of order
    #[arg(long, value_delimiter = ',', default_values_t = [5, 20, 60])]
    seconds: Vec<u64>,
    /// How long an answer takes while it is; a table that hangs costs 2.4 s
    #[arg(long, value_delimiter = ',', default_values_t = [300, 2400])]
    fault_ms: Vec<u64>,
    /// How long an acknowledgement takes before and after
    #[arg(long, default_value_t = 50)]
    ack_ms: u64,
    /// Rooms of each provider
    #[arg(long, default_value_t = 2)]
    rooms: u64,
    /// Time between two events of a room
    #[arg(long, default_value_t = 1000)]
    every_ms: u64,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub lasts: Duration,
    pub has_queue: bool,
    pub pace: Pace,
    pub rooms: u64,
    /// Time between two events of a room.
    pub every: Duration,
}

/// What it has cost a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub provider: &'static str,
    pub sent: usize,
    pub lost: usize,
}

/// Events come for so long before the outage, and as long after it.
const QUIET: Duration = Duration::from_secs(10);

impl Plan {
    /// Every provider's rooms live through the outage.
    ///
    /// # Panics
    /// Where an event is stored twice, or stored and not published.
    pub fn run(self, local: &Local) -> Vec<Cost> {
        local.stack.faults.reject_fallback.store(!self.has_queue, Ordering::SeqCst);
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
                local.set_table(Some(Fault::Rejects));
                sleep(self.lasts).await;
                local.set_table(None);
            };
            let rooms = rooms.iter().map(|(sender, wire, events)| sender.room(wire, events));
            join(table, join_all(rooms)).await;
        });
        local.recovered();
        let (stored, published) = (local.stored(), local.all_published());
        let cost = |(sender, numbers): (&'static Sender, &Range<u64>)| {
            for number in numbers.clone().filter(|number| stored.contains_key(number)) {
                assert_eq!(stored[&number], 1, "{} {number} is stored once", sender.provider.name);
                assert!(published.contains_key(&number), "{} {number} is published", sender.provider.name);
            }
            let lost = numbers.clone().filter(|number| !stored.contains_key(number)).count();
            Cost { provider: sender.provider.name, sent: numbers.clone().count(), lost }
        };
        sender::ALL.iter().zip(&numbers).map(cost).collect()
    }

    /// Events of a room.
    fn events(&self) -> usize {
        ((2 * QUIET + self.lasts).as_millis() / self.every.as_millis()) as usize
    }

    fn numbers(&self, local: &Local) -> Range<u64> {
        let count = self.rooms * self.events() as u64;
        let first = local.numbers.fetch_add(count, Ordering::SeqCst);
        first..first + count
    }

    /// The events of one of the rooms. No two rooms have theirs at the same time.
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
    /// Prints what outages cost.
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
                        .map(|cost| format!("{} of {}", cost.lost, cost.sent))
                        .collect();
                    let queue = if has_queue { "with queue" } else { "without" };
                    println!("| {lasts:?} | {fault:?} | {queue} | {} |", cells.join(" | "));
                }
            }
        }
    }
}
