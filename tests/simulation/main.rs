//! The proof: whatever fails, hangs or dies, and whenever, what was answered with 200 is stored and announced,
//! and nothing else is.
//!
//! The functions' own code runs here, with the production SDK, against an AWS in memory and by a paused clock.
//! A story is a seed. `SEED=42 cargo test --test simulation whatever -- --nocapture` tells one again (with
//! `WRONG=FailsOpen` of that wrong product), `SEEDS=1000000 cargo test --profile quick -p livehooks-tests --test simulation` tells many.

mod process;
mod sender;
mod story;
mod verdict;
mod weather;
mod wire;
mod world;
mod wrong;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use verdict::Verdict;
use wrong::Wrong;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: expected a number")))
}

#[test]
fn whatever_was_acknowledged_is_stored_once_and_announced_and_nothing_else_is() {
    if let Some(seed) = number("SEED") {
        let wrong = std::env::var("WRONG").ok();
        let wrong =
            wrong.map(|name| Wrong::ALL.into_iter().find(|wrong| format!("{wrong:?}") == name).unwrap());
        let verdict = story::tell(seed, wrong);
        println!("{}", verdict.trace);
        assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
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
            let verdict = story::tell(seed, None);
            if !verdict.violations.is_empty() {
                next.store(seeds, Ordering::Relaxed);
                fail(seed, &verdict);
            }
            faults.fetch_add(verdict.faults, Ordering::Relaxed);
            stored.fetch_add(verdict.stored as u64, Ordering::Relaxed);
            given_up.fetch_add(verdict.given_up as u64, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    println!(
        "{seeds} stories, {faults:?} faults, {stored:?} events stored, none lost; {given_up:?} were never acknowledged"
    );
}

fn fail(seed: u64, verdict: &Verdict) -> ! {
    panic!(
        "story {seed}\n{}\n{:#?}\ntell it again: SEED={seed} cargo test --test simulation whatever -- --nocapture",
        verdict.trace, verdict.violations
    );
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in 0..20 {
        assert_eq!(story::tell(seed, None).trace, story::tell(seed, None).trace, "seed {seed}");
    }
}

#[test]
fn every_wrong_product_is_caught() {
    for wrong in Wrong::ALL {
        let caught = (0..1_000).find_map(|seed| {
            let violations = story::tell(seed, Some(wrong)).violations;
            violations.into_iter().next().map(|violation| (seed, violation))
        });
        let (seed, violation) = caught.unwrap_or_else(|| panic!("{wrong:?} was not caught"));
        println!("{wrong:?}: caught by story {seed}: {violation}");
    }
}
