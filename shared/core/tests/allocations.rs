//! How often the core allocates memory. Explain here why a number grows.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![allow(dead_code, reason = "the benchmarks use the rest of the module")]

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
fn processing_a_livekit_delivery_takes_few_allocations() {
    let case = Case::<LiveKit>::signed(JOINED);
    let verified = case.verify();
    let mut event = case.normalize(&verified);
    let found = [
        allocations(|| case.verify()),
        allocations(|| case.normalize(&verified)),
        allocations(|| event.to_json(0).unwrap()),
    ];
    // Verify: jsonwebtoken's header, claims, signature and verifier, then the positions of the claims and the API key.
    // Normalize: serde_json's stack, the positions of the body's fields, the open containers, and the event's own
    // strings: dedupe key, id, and source, which grows once. Serialize: the id, and one buffer for the event.
    assert_eq!(found, [9, 7, 2]);
}

#[test]
fn allocations_of_verification_do_not_depend_on_body_size() {
    let small = Case::<LiveKit>::padded(10_000);
    let large = Case::<LiveKit>::padded(1_000_000);
    let verify = |case: &Case<LiveKit>| allocations(|| case.verify());
    assert_eq!(verify(&small), verify(&large));
}
