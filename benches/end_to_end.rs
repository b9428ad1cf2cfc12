//! Two checkpoints to a verdict: the trained mini zoo, or the folders in `COGNATE_BENCH_LEFT` and `COGNATE_BENCH_RIGHT`.
//!
//! `cargo bench --bench end_to_end`

#![expect(clippy::print_stderr, reason = "devices that cannot be opened are named")]

mod common;

use std::hint::black_box;
use std::time::Duration;

use cognate::checkpoint::{self, Limits};
use cognate::compare::{Comparison, Effort, Options, Statistic, WeightsVerdict, compare};
use cognate::kernels::Backend;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Opening the files is part of what a user waits for.
fn run(backend: &Backend, left: &str, right: &str, options: &Options) -> Comparison {
    let open = |reference| checkpoint::open(reference, &Limits::default()).expect("a valid checkpoint");
    compare(backend, &open(left), &open(right), options, &|_| ()).expect("files and device answer")
}

fn end_to_end(criterion: &mut Criterion) {
    let chosen = std::env::var("COGNATE_BENCH_LEFT").ok().zip(std::env::var("COGNATE_BENCH_RIGHT").ok());
    let is_zoo = chosen.is_none();
    let zoo = concat!(env!("CARGO_MANIFEST_DIR"), "/zoo");
    let (left, right) = chosen.unwrap_or_else(|| (format!("{zoo}/base"), format!("{zoo}/finetune")));
    let plain = Some(vec![Statistic::Plain]);
    let mut group = criterion.benchmark_group("end_to_end");
    for (name, backend) in common::devices() {
        for (case, effort, only) in [
            ("quick", Effort::Quick, None),
            ("standard", Effort::Standard, None),
            ("full, plain only", Effort::Full, plain.clone()),
        ] {
            let options = Options { effort, seed: 1, prior: 0.5, only, digest: false };
            let found = run(&backend, &left, &right, &options);
            if is_zoo && options.only.is_none() {
                assert_eq!(found.weights.verdict, Some(WeightsVerdict::Derived), "{name} {case}");
            }
            group.throughput(Throughput::Bytes(found.throughput.bytes_read));
            group.bench_function(format!("{case}/{name}"), |bencher| {
                bencher.iter(|| black_box(run(&backend, &left, &right, &options)));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = end_to_end
}
criterion_main!(benches);
