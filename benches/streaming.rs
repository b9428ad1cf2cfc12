//! Does reading hide behind the sums, and the sums behind reading? Two tensors of llama_7b_mlp_up over a line of a given speed.
//!
//! `cargo bench --bench streaming` prints, for each speed of the line: reading alone (as many threads as the pool has, bytes
//! thrown away), the sums of S0 and S1 alone (bytes in memory), and streaming both; then reading's share of it, and how much
//! longer it took than the slower of the two.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use cognate::bench::{checks, noise};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;
use cognate::reductions::Elements;
use cognate::source::{Error, Line, Source, Throttled};
use cognate::stream::{ReadMeter, RowPairing, StoredView, WorkItem, pair_moments};
use cognate::tensor::{Dtype, Matrix, View};

const N_ROWS: usize = 11008;
const N_COLS: usize = 4096;
/// Rows under `cargo test --benches`, where nobody waits for a speed.
const FEW_ROWS: usize = 64;
const PIECE_BYTES: usize = 256 << 10;
/// GB/s of the line: a network, a disk of this kind of virtual machine, NVMe.
const SPEEDS: [f64; 4] = [0.25, 1.0, 2.0, 4.0];
const ROUNDS: usize = 5;

/// A file that lies in memory.
#[derive(Debug)]
struct InMemory(Vec<u8>);

impl Source for InMemory {
    fn name(&self) -> &str {
        "memory"
    }

    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let first = usize::try_from(offset).expect("it lies in memory");
        buffer.copy_from_slice(&self.0[first..first + buffer.len()]);
        Ok(())
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn read_only(files: &[Arc<dyn Source>]) {
    let pieces: Vec<(&Arc<dyn Source>, u64)> = files
        .iter()
        .flat_map(|file| (0..file.size_bytes()).step_by(PIECE_BYTES).map(move |offset| (file, offset)))
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0_u8; PIECE_BYTES];
        while let Some((file, offset)) = pieces.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let n = (file.size_bytes() - offset).min(PIECE_BYTES as u64);
            let piece = &mut buffer[..usize::try_from(n).expect("at most PIECE_BYTES")];
            file.read_at(*offset, piece).expect("inside");
            black_box(piece);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            scope.spawn(work);
        }
    });
}

fn median_seconds(mut call: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

fn main() -> ExitCode {
    let is_smoke = std::env::args().all(|argument| argument != "--bench");
    let n_rows = if is_smoke { FEW_ROWS } else { N_ROWS };
    let matrices = [1, 2].map(|seed| noise::matrix(seed, n_rows, N_COLS, true));
    let bytes_of = |matrix: &Matrix| matrix.as_bytes().1.to_vec();
    let memory: Vec<Arc<dyn Source>> =
        matrices.iter().map(|matrix| Arc::new(InMemory(bytes_of(matrix))) as Arc<dyn Source>).collect();
    let cpu = Cpu::detect();
    let backend = Backend::Cpu(cpu.clone());
    let [a, b] = &matrices;
    let elements = |matrix| Elements { dtype: Dtype::Bf16, bytes: Matrix::as_bytes(matrix).1 };
    let sums_s = median_seconds(|| {
        black_box(cpu.moments(elements(a), elements(b)));
    });
    let n_bytes = memory.iter().map(|file| file.size_bytes()).sum::<u64>();
    println!(
        "{:.0} MB, sums alone {:.3} s ({:.1} GB/s)",
        n_bytes as f64 / 1e6,
        sums_s,
        n_bytes as f64 / sums_s / 1e9
    );
    println!(
        "{:>10}{:>12}{:>12}{:>16}{:>22}",
        "line GB/s", "read s", "stream s", "read / stream", "stream / slowest"
    );
    for speed in SPEEDS {
        let files = || -> Vec<Arc<dyn Source>> {
            let line = Arc::new(Line::new(speed * 1e9));
            memory
                .iter()
                .map(|file| Arc::new(Throttled::new(Arc::clone(file), Arc::clone(&line))) as Arc<dyn Source>)
                .collect()
        };
        let read_s = median_seconds(|| read_only(&files()));
        let item = |files: &[Arc<dyn Source>]| {
            let view = |file: &Arc<dyn Source>| StoredView {
                file: Arc::clone(file),
                offset: 0,
                dtype: Dtype::Bf16,
                view: View::whole(n_rows as u64, N_COLS as u64),
            };
            WorkItem { left: view(&files[0]), right: view(&files[1]), rows: RowPairing::Same }
        };
        let mut found = None;
        let stream_s = median_seconds(|| {
            let items = [item(&files())];
            found =
                pair_moments(&backend, &items, &ReadMeter::default(), &|_| ()).expect("memory answers").pop();
        });
        let checked = found.map(|found| checks::moments(&found, a, b));
        if !checked.is_some_and(checks::Checked::is_right) {
            println!("wrong answer: {checked:?}");
            return ExitCode::FAILURE;
        }
        let slowest = read_s.max(sums_s);
        println!(
            "{speed:>10}{read_s:>12.3}{stream_s:>12.3}{:>16.3}{:>22.3}",
            read_s / stream_s,
            stream_s / slowest
        );
    }
    ExitCode::SUCCESS
}
