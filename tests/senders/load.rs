//! Load in real time: events from all providers, an outage of the table halfway through, and copies of one delivery.
//! Every event has a number, so that lost and doubled events are found.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use livehooks::keys_file::KeysFile;
use livehooks_signing::PROVIDERS;
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::time::sleep;

use crate::local::{Counts, Local};
use crate::sender::{self, Sender};
use crate::wire::{Event, Pace, Wire};

#[derive(Clone, Debug, clap::Args)]
pub struct Load {
    /// Different events, equally many from each provider
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Concurrent requests
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Length of the table's outage after half of the events
    #[arg(long, default_value_t = 20)]
    outage_s: u64,
    /// Copies of one delivery, sent at the same time
    #[arg(long, default_value_t = 2_000)]
    copies: usize,
}

/// What the senders saw.
#[derive(Default)]
struct Seen {
    sent: AtomicU64,
    answered: AtomicU64,
    queued: Mutex<Vec<u64>>,
    rejected: AtomicU64,
}

/// Response times in microseconds.
struct Took {
    stored: Histogram<u64>,
    queued: Histogram<u64>,
}

/// An outage that is over.
struct Happened {
    lasted: Duration,
    /// Requests answered during the outage.
    answered: u64,
    /// Time from its end until every queued event was published.
    drained: Option<Duration>,
}

/// Progress at some time.
struct Sample {
    at: Duration,
    answered: u64,
    published: usize,
    rss_mb: u64,
}

const SAMPLES: u64 = 10;
/// How long to wait if nothing changes.
const STANDSTILL: Duration = Duration::from_secs(60);

impl Load {
    /// Runs the load on a stack with its data in files. Returns whether nothing was lost or doubled.
    pub fn run(&self, keys: &Arc<KeysFile>) -> bool {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let local = Local::start(keys, Some(folder.path().to_owned()));
        let wire = local.wire(Pace::default());
        // First, while the table is small: each check reads all of it.
        let copies: Vec<bool> = sender::ALL.iter().map(|sender| self.copies(&local, &wire, sender)).collect();
        let is_complete = self.events(&local, &wire);
        is_complete && copies.into_iter().all(|is_once| is_once)
    }

    fn events(&self, local: &Local, wire: &Arc<Wire>) -> bool {
        println!("{} events, {} at once, rss at the start {} MB", self.events, self.at_once, rss_mb());
        let seen = Arc::new(Seen::default());
        let started = Instant::now();
        let share = |_| local.real.spawn(share(wire.clone(), seen.clone(), self.events));
        let shares: Vec<_> = (0..self.at_once).map(share).collect();
        let (took, elapsed, outage) = local.real.block_on(async {
            let shares = async { (join_all(shares).await, started.elapsed()) };
            let ((shares, elapsed), (), outage) =
                tokio::join!(shares, self.sample(local, &seen, started), self.outage(local, &seen));
            let mut took = Took::new();
            shares.into_iter().for_each(|share| took.add(&share.expect("senders do not panic")));
            (took, elapsed, outage)
        });
        let everything = self.events + sender::ALL.len() as u64;
        let published = local.published_until(STANDSTILL, |counts| counts.len() as u64 >= everything);
        println!("all published {:.1?} after the last answer", started.elapsed() - elapsed);

        let (lasted, during) = outage.as_ref().map_or_else(Default::default, |o| (o.lasted, o.answered));
        let rate = (self.events - during) as f64 / elapsed.saturating_sub(lasted).as_secs_f64();
        println!("sustained: {rate:.0} events/s; answers took {}", quantiles(&took.stored));
        if let Some(outage) = outage {
            let queued = lock(&seen.queued).len();
            println!(
                "outage of {lasted:.1?}: {during} answers, {queued} queued; answers took {}",
                quantiles(&took.queued)
            );
            match outage.drained {
                Some(drained) => println!("  what was queued was published {drained:.1?} after its end"),
                None => println!("  what was queued was not published"),
            }
        }
        report(&local.stored(), &published, seen.rejected.load(Ordering::Relaxed), self.events)
    }

    /// Prints the progress after each tenth.
    async fn sample(&self, local: &Local, seen: &Seen, started: Instant) {
        let mut last = Sample { at: Duration::ZERO, answered: 0, published: 0, rss_mb: 0 };
        println!("{:>10} {:>10} {:>10} {:>9} {:>8}", "after", "answered", "published", "events/s", "rss");
        for tenth in 1..=SAMPLES {
            while seen.answered.load(Ordering::Relaxed) < self.events * tenth / SAMPLES {
                sleep(Duration::from_millis(20)).await;
            }
            let sample = Sample {
                at: started.elapsed(),
                answered: seen.answered.load(Ordering::Relaxed),
                published: local.published.borrow().len() - sender::ALL.len(),
                rss_mb: rss_mb(),
            };
            let rate = (sample.answered - last.answered) as f64 / (sample.at - last.at).as_secs_f64();
            let (at, published) = (sample.at.as_secs_f64(), sample.published);
            println!(
                "{at:>8.1} s {:>10} {published:>10} {rate:>9.0} {:>5} MB",
                sample.answered, sample.rss_mb
            );
            last = sample;
        }
    }

    async fn outage(&self, local: &Local, seen: &Seen) -> Option<Happened> {
        if self.outage_s == 0 {
            return None;
        }
        while seen.answered.load(Ordering::Relaxed) < self.events / 2 {
            sleep(Duration::from_millis(5)).await;
        }
        let (before, begun) = (seen.answered.load(Ordering::Relaxed), Instant::now());
        local.reject_table(true);
        sleep(Duration::from_secs(self.outage_s)).await;
        local.reject_table(false);
        let (lasted, ended) = (begun.elapsed(), Instant::now());
        let answered = seen.answered.load(Ordering::Relaxed) - before;
        let drained = async {
            loop {
                sleep(Duration::from_millis(50)).await;
                let published = local.published.borrow();
                if lock(&seen.queued).iter().all(|number| published.contains_key(number)) {
                    return ended.elapsed();
                }
            }
        };
        let drained = tokio::time::timeout(10 * STANDSTILL, drained).await.ok();
        Some(Happened { lasted, answered, drained })
    }

    /// Sends copies of one delivery at the same time. Returns whether exactly one was stored.
    fn copies(&self, local: &Local, wire: &Arc<Wire>, sender: &'static Sender) -> bool {
        let index = PROVIDERS.iter().position(|provider| provider.name == sender.provider.name);
        let number = self.events + index.unwrap_or_default() as u64;
        let event = Event { at: Duration::ZERO, room: "copies".into(), number };
        let request = wire.sign(sender, &event);
        let started = Instant::now();
        let answers = local.real.block_on(async {
            let copies = (0..self.copies).map(|_| {
                let request = request.try_clone().expect("bodies are bytes");
                local.real.spawn(async move { send(request).await })
            });
            let copies: Vec<_> = copies.collect();
            join_all(copies).await
        });
        let took = started.elapsed();
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.ok().flatten()).collect();
        let count = |status: &str| answers.iter().filter(|answer| answer.as_deref() == Some(status)).count();
        let (accepted, duplicates, queued) = (count("accepted"), count("duplicate"), count("queued"));
        let rejected = self.copies - accepted - duplicates - queued;
        local.recovered();
        let published = local.published_until(STANDSTILL, |counts| counts.contains_key(&number));
        let published = published.get(&number).copied().unwrap_or_default();
        let stored = local.stored().get(&number).copied().unwrap_or_default();
        println!(
            "{} copies of one delivery of {} in {took:.1?}: {accepted} accepted, {duplicates} duplicate, \
             {queued} queued, {rejected} rejected; stored {stored}, published {published}",
            self.copies, sender.provider.name,
        );
        rejected == 0 && stored == 1 && published > 0
    }
}

/// Sends events one by one until all are sent.
async fn share(wire: Arc<Wire>, seen: Arc<Seen>, events: u64) -> Took {
    let mut took = Took::new();
    loop {
        let number = seen.sent.fetch_add(1, Ordering::Relaxed);
        if number >= events {
            return took;
        }
        let sender = &sender::ALL[number as usize % sender::ALL.len()];
        let event = Event { at: Duration::ZERO, room: format!("load-{}", number / 100), number };
        let request = wire.sign(sender, &event);
        let started = Instant::now();
        let status = send(request).await;
        let elapsed_us = started.elapsed().as_micros() as u64;
        match status.as_deref() {
            Some("accepted") => took.stored.saturating_record(elapsed_us),
            Some("queued") => {
                took.queued.saturating_record(elapsed_us);
                lock(&seen.queued).push(number);
            }
            _ => {
                seen.rejected.fetch_add(1, Ordering::Relaxed);
            }
        }
        seen.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends a delivery. Returns the status in the answer, if it was acknowledged.
async fn send(request: RequestBuilder) -> Option<String> {
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
    answer["status"].as_str().map(str::to_owned)
}

/// Prints and returns whether each event is stored once and published.
fn report(stored: &Counts, published: &Counts, rejected: u64, events: u64) -> bool {
    let times = |counts: &Counts, number| counts.get(&number).copied().unwrap_or_default();
    let lost = (0..events).filter(|number| times(stored, *number) == 0).count();
    let doubled = (0..events).filter(|number| times(stored, *number) > 1).count();
    let silent = (0..events).filter(|number| times(published, *number) == 0).count();
    let repeated = (0..events).filter(|number| times(published, *number) > 1).count();
    println!("lost {lost}, stored twice {doubled}, not published {silent}, not acknowledged {rejected}");
    println!("published more than once, which is allowed: {repeated}");
    lost == 0 && doubled == 0 && silent == 0 && rejected == 0
}

impl Took {
    /// Records times up to a minute.
    fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are right");
        Self { stored: histogram(), queued: histogram() }
    }

    fn add(&mut self, other: &Self) {
        self.stored.add(&other.stored).expect("the bounds are the same");
        self.queued.add(&other.queued).expect("the bounds are the same");
    }
}

fn quantiles(took_us: &Histogram<u64>) -> String {
    let quantiles = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    let text =
        |(name, quantile)| format!("{name} {:.1} ms", took_us.value_at_quantile(quantile) as f64 / 1e3);
    quantiles.map(text).join(", ")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics with it")
}

/// This process's memory: the stack, its database and the senders.
fn rss_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = rss.and_then(|rss| rss.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or_default() / 1024
}
