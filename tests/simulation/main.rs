//! The proof: whatever fails, hangs or dies, and whenever, what was answered with 200 is stored and published,
//! and nothing else is.
//!
//! The functions' own code runs here, with the production SDK, against an AWS in memory and by a paused clock.
//! A scenario is a seed. `SEED=42 cargo test --test simulation acknowledged -- --nocapture` runs one again (with
//! `MUTANT=FailsOpen` with that mutant), `SEEDS=1000000 cargo test --profile quick -p livehooks-tests --test simulation` runs many.

mod fake_aws;
mod faults;
mod invariants;
mod mutants;
mod process;
mod scenario;
mod sender;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use invariants::Report;
use mutants::Mutant;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: expected a number")))
}

#[test]
fn what_was_acknowledged_is_stored_once_and_published_and_nothing_else_is() {
    if let Some(seed) = number("SEED") {
        let mutant = std::env::var("MUTANT").ok();
        let mutant =
            mutant.map(|name| Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name).unwrap());
        let report = scenario::run(seed, mutant);
        println!("{}", report.trace);
        assert!(report.violations.is_empty(), "{:#?}", report.violations);
        return;
    }
    let seeds = number("SEEDS").unwrap_or(400);
    let (next, faults, stored, given_up) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let report = scenario::run(seed, None);
            if !report.violations.is_empty() {
                next.store(seeds, Ordering::Relaxed);
                fail(seed, &report);
            }
            faults.fetch_add(report.faults, Ordering::Relaxed);
            stored.fetch_add(report.stored as u64, Ordering::Relaxed);
            given_up.fetch_add(report.given_up as u64, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    println!(
        "{seeds} scenarios, {faults:?} faults, {stored:?} events stored, none lost; {given_up:?} were never acknowledged"
    );
}

fn fail(seed: u64, report: &Report) -> ! {
    panic!(
        "scenario {seed}\n{}\n{:#?}\nrun it again: SEED={seed} cargo test --test simulation acknowledged -- --nocapture",
        report.trace, report.violations
    );
}

#[test]
fn a_seed_runs_the_same_scenario_again() {
    for seed in 0..20 {
        assert_eq!(scenario::run(seed, None).trace, scenario::run(seed, None).trace, "seed {seed}");
    }
}

#[test]
fn every_mutant_is_caught() {
    for mutant in Mutant::ALL {
        let caught = (0..1_000).find_map(|seed| {
            let violations = scenario::run(seed, Some(mutant)).violations;
            violations.into_iter().next().map(|violation| (seed, violation))
        });
        let (seed, violation) = caught.unwrap_or_else(|| panic!("{mutant:?} was not caught"));
        println!("{mutant:?}: caught by scenario {seed}: {violation}");
    }
}
