//! Measures time: each provider's verify, normalize and serialize, and all three together against the baseline.
#![allow(missing_docs, reason = "criterion's macros generate undocumented functions")]

mod common;

use std::hint::black_box;

use common::{Case, JOINED, baseline};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use livehooks_core::for_each_provider;
use livehooks_core::livekit::LiveKit;
use livehooks_signing::Signer;

fn complete(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("livekit participant_joined, 695 bytes");
    let case = Case::<LiveKit>::signed(JOINED);
    assert_eq!(case.body.len(), 695);
    group.bench_function("baseline", |bench| bench.iter(|| baseline(&case.body)));
    group.bench_function("complete", |bench| bench.iter(|| case.process()));
    group.finish();
}

fn by_size(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("livekit by size");
    for kib in [1, 10, 100, 1024] {
        let case = Case::<LiveKit>::padded(kib * 1024);
        group.throughput(Throughput::Bytes(case.body.len() as u64));
        group.bench_function(BenchmarkId::new("complete", format!("{kib} KiB")), |bench| {
            bench.iter(|| case.process());
        });
    }
    group.finish();
}

fn steps_of<P: Signer>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(P::NAME);
    for (size, bytes) in [("0.5 KB", 500), ("5 KB", 5_000), ("100 KB", 100_000)] {
        let case = Case::<P>::padded(bytes);
        group.bench_function(BenchmarkId::new("verify", size), |bench| bench.iter(|| case.verify()));
        let verified = case.verify();
        group.bench_function(BenchmarkId::new("normalize", size), |bench| {
            bench.iter(|| black_box(case.normalize(&verified)));
        });
        let mut event = case.normalize(&verified);
        group.bench_function(BenchmarkId::new("serialize", size), |bench| {
            bench.iter(|| event.to_json(0));
        });
    }
    group.finish();
}

fn steps(criterion: &mut Criterion) {
    for_each_provider!(P => steps_of::<P>(criterion));
}

criterion_group!(core, complete, by_size, steps);
criterion_main!(core);
