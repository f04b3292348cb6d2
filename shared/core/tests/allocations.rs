//! How often the core asks for memory. A number that grows has to be justified here.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![allow(dead_code, reason = "the benchmarks use the rest of what they share")]

#[path = "../benches/common/mod.rs"]
mod common;

use allocation_counter::measure;
use common::{Case, JOINED};
use livehooks_core::livekit::LiveKit;

fn allocations<T>(work: impl FnOnce() -> T) -> u64 {
    let mut done = None;
    measure(|| done = Some(work())).count_total
}

#[test]
fn a_delivery_of_livekit_is_taken_in_with_few_allocations() {
    let case = Case::<LiveKit>::signed(JOINED);
    let verified = case.verify();
    let mut event = case.normalize(&verified);
    let found = [
        allocations(|| case.verify()),
        allocations(|| case.normalize(&verified)),
        allocations(|| event.to_json(0).unwrap()),
    ];
    // Verify: jsonwebtoken's header, claims, signature and verifier, then the places of the claims and the API key.
    // Normalize: serde_json's stack, the places of the body's fields, the containers that are open, and the event's own
    // texts: dedupe key, id, and source, which grows once. Serialize: the id and the whole event, at once.
    assert_eq!(found, [9, 7, 2]);
}

#[test]
fn a_hundred_times_the_body_needs_no_more_of_them() {
    let small = Case::<LiveKit>::padded(10_000);
    let large = Case::<LiveKit>::padded(1_000_000);
    let verify = |case: &Case<LiveKit>| allocations(|| case.verify());
    assert_eq!(verify(&small), verify(&large));
}
