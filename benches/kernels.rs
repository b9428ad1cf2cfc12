//! Kernels × shapes of published models × devices, on seeded noise; every answer is checked before it is timed.
//!
//! `cargo bench --bench kernels -- cpu/moments`

#![expect(clippy::print_stderr, reason = "devices that cannot be opened are named")]

mod common;

use std::hint::black_box;
use std::time::Duration;

use cognate::bench::checks::{self, Checked};
use cognate::bench::{SHAPES, noise};
use cognate::gpu;
use cognate::kernels::{self, Backend};
use cognate::reductions::{Elements, Keep, Ranking};
use cognate::tensor::{Dtype, Matrix, Values};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Rows of the all-pairs product: 2·1024²·k operations.
const PAIRED_ROWS: usize = 1024;

/// Rows of the matrices that are read once, at most: 256 MiB of bf16 at the widest shape.
const STREAMED_ROWS: usize = 16384;

/// Rows under a software adapter, where only the answer counts.
const SOFTWARE_ROWS: usize = 64;

const SEED: u64 = 1;

fn bytes_of(matrix: &Matrix) -> &[u8] {
    match &matrix.values {
        Values::Bf16(bits) | Values::F16(bits) => bytemuck::cast_slice(bits),
        Values::F32(values) => bytemuck::cast_slice(values),
    }
}

/// Runs once and checks, then times.
fn measure<T>(
    criterion: &mut Criterion,
    id: (&str, &str, String),
    throughput: Throughput,
    call: impl Fn() -> Result<T, gpu::Error>,
    check: impl Fn(&T) -> Checked,
) {
    let (device, kernel, case) = id;
    let checked = check(&call().expect("the device answers"));
    assert!(checked.is_right(), "{device} {kernel} {case}: {checked:?}");
    let mut group = criterion.benchmark_group(format!("{device}/{kernel}"));
    group.throughput(throughput);
    // a call returns with its answer: nothing is in flight when the clock stops
    group.bench_function(case, |bencher| bencher.iter(|| black_box(call()).is_ok()));
    group.finish();
}

fn streamed(criterion: &mut Criterion, name: &str, backend: &Backend, max_rows: usize) {
    for shape in SHAPES {
        let n_rows = shape.n_rows.min(max_rows);
        for (dtype, is_packed) in [(Dtype::Bf16, true), (Dtype::F32, false)] {
            let a = noise::matrix(SEED, n_rows, shape.n_cols, is_packed);
            let b = noise::matrix(SEED + 1, n_rows, shape.n_cols, is_packed);
            let elements = |matrix| Elements { dtype, bytes: bytes_of(matrix) };
            let n_bytes = elements(&a).bytes.len() as u64;
            let id = |kernel| (name, kernel, format!("{}/{}/{n_rows} rows", shape.name, dtype.name()));
            measure(
                criterion,
                id("classify"),
                Throughput::Bytes(n_bytes),
                || kernels::classify::classify(backend, elements(&a)),
                |found| checks::classify(found, &a),
            );
            measure(
                criterion,
                id("moments"),
                Throughput::Bytes(2 * n_bytes),
                || kernels::moments::moments(backend, elements(&a), elements(&b)),
                |found| checks::moments(found, &a, &b),
            );
            measure(
                criterion,
                id("row_dots"),
                Throughput::Bytes(2 * n_bytes),
                || kernels::row_dots::row_dots(backend, &a, &b),
                |found| checks::row_dots(found, &a, &b),
            );
        }
    }
}

/// Elements are floating-point operations here, two per multiply-add.
fn all_pairs(criterion: &mut Criterion, name: &str, backend: &Backend, n_rows: usize) {
    for shape in SHAPES {
        for (dtype, is_packed) in [(Dtype::Bf16, true), (Dtype::F32, false)] {
            let a = noise::matrix(SEED, n_rows, shape.n_cols, is_packed);
            let b = noise::matrix(SEED + 1, n_rows, shape.n_cols, is_packed);
            measure(
                criterion,
                (name, "all_pairs", format!("{}/{}/{n_rows} rows", shape.name, dtype.name())),
                Throughput::Elements(2 * (n_rows * n_rows * shape.n_cols) as u64),
                || kernels::all_pairs::all_pairs(backend, &a, &b, Ranking::Signed, Keep::Partners),
                |found| checks::all_pairs(found, &a, &b),
            );
        }
    }
}

/// Elements are scores gathered.
fn permuted_traces(criterion: &mut Criterion, name: &str, backend: &Backend, n: usize) {
    let scores = noise::weights(SEED, n * n);
    let permutations = noise::permutations(SEED, n, 1000);
    measure(
        criterion,
        (name, "permuted_traces", format!("1000 of {n}")),
        Throughput::Elements(permutations.len() as u64),
        || kernels::permuted_traces::permuted_traces(backend, &scores, n, &permutations),
        |found| checks::permuted_traces(found, &scores, n, &permutations),
    );
}

fn every_device(criterion: &mut Criterion) {
    for (name, backend) in common::devices() {
        let is_software = matches!(&backend, Backend::Gpu(gpu) if gpu.facts().is_software);
        streamed(criterion, &name, &backend, if is_software { SOFTWARE_ROWS } else { STREAMED_ROWS });
        all_pairs(criterion, &name, &backend, if is_software { SOFTWARE_ROWS } else { PAIRED_ROWS });
        permuted_traces(criterion, &name, &backend, if is_software { 2 * SOFTWARE_ROWS } else { 2048 });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = every_device
}
criterion_main!(benches);
