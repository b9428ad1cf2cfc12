//! From files to numbers, warm: streaming the moments of two tensors against reading the same bytes and dropping them.
//!
//! `cargo bench --bench load`

#![expect(clippy::print_stderr, reason = "devices that cannot be opened are named")]

mod common;

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cognate::bench::{checks, noise};
use cognate::source::{LocalFile, Source};
use cognate::stream::{ReadMeter, RowPairing, StoredView, WorkItem, class_counts, pair_moments, read_rows};
use cognate::tensor::{Dtype, Matrix, Values, View};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Two tensors of llama_7b_mlp_up in bf16: 180 MB.
const N_ROWS: usize = 11008;
const N_COLS: usize = 4096;

/// Bytes of a read of the plain reader: as the streaming reads.
const PIECE_BYTES: usize = 256 << 10;

fn stored(folder: &Path, name: &str, matrix: &Matrix) -> Result<StoredView, Box<dyn Error>> {
    let Values::Bf16(bits) = &matrix.values else { return Err("made as bf16".into()) };
    let path = folder.join(name);
    std::fs::write(&path, bytemuck::cast_slice::<u16, u8>(bits))?;
    let file: Arc<dyn Source> = Arc::new(LocalFile::open(&path)?);
    Ok(StoredView { file, offset: 0, dtype: Dtype::Bf16, view: View::whole(N_ROWS as u64, N_COLS as u64) })
}

/// Reads both files on all threads and drops the bytes.
fn read_only(item: &WorkItem) {
    use rayon::prelude::*;
    let pieces: Vec<(&StoredView, u64)> = [&item.left, &item.right]
        .into_iter()
        .flat_map(|stored| {
            (0..stored.file.size_bytes()).step_by(PIECE_BYTES).map(move |offset| (stored, offset))
        })
        .collect();
    pieces.into_par_iter().for_each_init(
        || vec![0_u8; PIECE_BYTES],
        |buffer, (stored, offset)| {
            let n = (stored.file.size_bytes() - offset).min(PIECE_BYTES as u64);
            let piece = &mut buffer[..usize::try_from(n).expect("at most PIECE_BYTES")];
            stored.file.read_at(offset, piece).expect("the file was just written");
            black_box(piece);
        },
    );
}

fn load(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (a, b) = (noise::matrix(1, N_ROWS, N_COLS, true), noise::matrix(2, N_ROWS, N_COLS, true));
    let left = stored(folder.path(), "a", &a).expect("room for 90 MB");
    let right = stored(folder.path(), "b", &b).expect("room for 90 MB");
    let item = WorkItem { left: left.clone(), right, rows: RowPairing::Same };
    let n_bytes = 2 * left.file.size_bytes();

    let mut group = criterion.benchmark_group("load");
    group.throughput(Throughput::Bytes(n_bytes));
    group.bench_function("read both and drop", |bencher| bencher.iter(|| read_only(&item)));
    for (name, backend) in common::devices() {
        let items = std::slice::from_ref(&item);
        let moments = || {
            pair_moments(&backend, items, &ReadMeter::default(), &|_| ()).expect("files and device answer")
        };
        let checked = checks::moments(&moments()[0], &a, &b);
        assert!(checked.is_right(), "{name}: {checked:?}");
        group.throughput(Throughput::Bytes(n_bytes));
        group.bench_function(format!("pair_moments/{name}"), |bencher| bencher.iter(|| black_box(moments())));
        group.throughput(Throughput::Bytes(n_bytes / 2));
        let views = std::slice::from_ref(&left);
        let classes = || {
            class_counts(&backend, views, &ReadMeter::default(), &|_| ()).expect("files and device answer")
        };
        let checked = checks::classify(&classes()[0], &a);
        assert!(checked.is_right(), "{name}: {checked:?}");
        group.bench_function(format!("class_counts/{name}"), |bencher| bencher.iter(|| black_box(classes())));
    }
    // every fifth row, as a sampled stage reads them
    let rows: Vec<u64> = (0..N_ROWS as u64).step_by(5).collect();
    let sampled =
        || read_rows(&left, &rows, 0..N_COLS as u64, &ReadMeter::default()).expect("the file answers");
    assert_eq!(sampled().at(7, 11), a.at(35, 11));
    group.throughput(Throughput::Bytes((rows.len() * N_COLS * 2) as u64));
    group.bench_function("read_rows/every fifth", |bencher| bencher.iter(|| black_box(sampled())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = load
}
criterion_main!(benches);
