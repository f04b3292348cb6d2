//! Deterministic simulation: every event that was answered 200 is stored and published, and nothing else is, no matter
//! what fails, hangs, dies or is misconfigured.
//!
//! Runs the functions' own code with the production SDK against an AWS in memory, on a paused clock. A seed determines a
//! scenario. To repeat one: `SEED=42 cargo test --test simulation acknowledged -- --nocapture` (`MUTANT=FailsOpen` picks
//! a mutant). To run many: `SEEDS=1000000 cargo test --profile quick -p livehooks-tests --test simulation`.

mod event_sources;
mod fake_aws;
mod faults;
mod invariants;
mod keys;
mod mutants;
mod mutated_calls;
mod operator;
mod process;
mod scenario;
mod secret_reads;
mod sender;
mod sequences;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use invariants::Report;
use mutants::Mutant;

/// Scenarios to try for each mutant.
const SEEDS_PER_MUTANT: u64 = 400;

#[test]
fn every_acknowledged_event_is_stored_once_and_published_and_nothing_else_is() {
    if let Some(seed) = number("SEED") {
        let mutant = std::env::var("MUTANT").ok();
        let mutant = mutant
            .map(|name| Mutant::named(&name).unwrap_or_else(|| panic!("MUTANT: there is no mutant {name}")));
        let report = scenario::run(seed, mutant);
        println!("{}", report.trace);
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
        return;
    }
    let seeds = number("SEEDS").unwrap_or(400);
    let total: Mutex<Total> = Mutex::default();
    on_all_cores(seeds as usize, |seed| {
        let report = scenario::run(seed as u64, None);
        if !report.violations.is_empty() {
            fail(seed as u64, &report);
        }
        total.lock().unwrap().add(&report);
    });
    let Total { faults, stored, given_up, redriven, quarantined } = total.into_inner().unwrap();
    println!(
        "{seeds} scenarios, {faults} faults, {stored} events stored, none lost; {redriven} dead letters redriven, \
         {quarantined} events quarantined, {given_up} deliveries never acknowledged"
    );
}

#[test]
fn a_seed_always_runs_the_same_scenario() {
    for seed in 0..20 {
        assert_eq!(scenario::run(seed, None).trace, scenario::run(seed, None).trace, "seed {seed}");
    }
}

#[test]
fn every_mutant_is_caught() {
    let survivors: Mutex<Vec<Mutant>> = Mutex::default();
    on_all_cores(Mutant::ALL.len(), |index| {
        let mutant = Mutant::ALL[index];
        let caught = (0..SEEDS_PER_MUTANT).find_map(|seed| {
            let violations = scenario::run(seed, Some(mutant)).violations;
            let caught = violations.into_iter().find(|it| it.contains(mutant.violation()));
            caught.map(|violation| (seed, violation))
        });
        match caught {
            Some((seed, violation)) => println!("{mutant:?}: caught by seed {seed}: {violation}"),
            None => survivors.lock().unwrap().push(mutant),
        }
    });
    let survivors = survivors.into_inner().unwrap();
    println!("{} of {} mutants caught", Mutant::ALL.len() - survivors.len(), Mutant::ALL.len());
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}

#[derive(Default)]
struct Total {
    faults: u64,
    stored: usize,
    given_up: usize,
    redriven: usize,
    quarantined: usize,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.faults += report.faults;
        self.stored += report.stored;
        self.given_up += report.given_up;
        self.redriven += report.redriven;
        self.quarantined += report.quarantined;
    }
}

/// Runs `work` once for each index. The first panic stops all threads.
fn on_all_cores(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let stop = StopOnPanic(&next, count);
                    work(index);
                    std::mem::forget(stop);
                }
            });
        }
    });
}

struct StopOnPanic<'a>(&'a AtomicUsize, usize);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Relaxed);
    }
}

fn fail(seed: u64, report: &Report) -> ! {
    panic!(
        "scenario {seed}\n{}\n{:#?}\nrepeat: SEED={seed} cargo test --test simulation acknowledged -- --nocapture",
        report.trace, report.violations
    );
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}: expected a number")))
}
