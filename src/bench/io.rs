//! How fast the bytes of a file come: cold and warm, with one thread and many, and with the sums of S0 and S1 on top.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::Timing;
use super::checks::{Checked, ROUNDOFF};
use super::timing::summary;
use crate::cpu::Cpu;
use crate::kernels::Backend;
use crate::reductions::{Elements, PairMoments};
use crate::source::{self, Block, LocalFile, Source};
use crate::stream::{self, ReadMeter, RowPairing, StoredView, WorkItem, pair_moments};
use crate::tensor::{Dtype, View};

/// Bytes of one read, as the streaming reads.
const PIECE_BYTES: usize = 256 << 10;

/// Threads that read past the cache: one already keeps a disk busy with such requests, the others hide what lies between them.
const DIRECT_READERS: usize = 4;

/// Which way bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Through the system's cache.
    Cached,
    /// Past it.
    PastCache,
}

/// Bytes whose sums are checked element by element.
const CHECKED_BYTES: usize = 16 << 20;

/// A row of each half.
const SHORTEST_BYTES: u64 = 8192;

/// Readings of a line; cold ones fewer, each goes to the disk.
const WARM_SAMPLES: usize = 7;
const COLD_SAMPLES: usize = 2;

/// One way to read the file.
#[derive(Clone, Debug, PartialEq)]
pub struct IoLine {
    /// `read`: positioned reads, bytes thrown away; `direct`: the same past the system's cache; `moments`: S0 and S1 of its
    /// first half against its second.
    pub what: &'static str,
    /// The system held the file in memory.
    pub is_warm: bool,
    /// Threads that read.
    pub n_threads: usize,
    /// 10⁹ bytes a second.
    pub rate: f64,
    /// Share of the rate of the fastest plain reading in the same state; None of reading itself.
    pub share_of_read: Option<f64>,
    /// How it was timed.
    pub timing: Timing,
    /// Largest relative error found; of `read` whether other threads saw other bytes.
    pub error: f64,
    /// The largest that the arithmetic allows.
    pub error_bound: f64,
}

impl IoLine {
    /// A NaN is never right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        Checked { error: self.error, bound: self.error_bound }.is_right()
    }
}

/// Reads a file in every way; `progress` gets a word before each.
///
/// # Errors
/// The file cannot be read, or is too short to say anything.
pub fn read_file(path: &std::path::Path, progress: &dyn Fn(&str)) -> Result<Vec<IoLine>, stream::Error> {
    let file = Arc::new(LocalFile::open(path)?);
    if file.size_bytes() < SHORTEST_BYTES {
        let (first_missing, wanted_end) = (file.size_bytes(), SHORTEST_BYTES);
        return Err(source::Error::Short { path: path.to_owned(), first_missing, wanted_end }.into());
    }
    let most = rayon::current_num_threads();
    let mut lines = Vec::new();
    let truth = read(file.as_ref(), 1, Way::Cached)?;
    for is_warm in [false, true] {
        let mut n_threads = 1;
        loop {
            if is_warm || file.forget_cached() {
                progress(&format!("read, {n_threads} threads, {}", if is_warm { "warm" } else { "cold" }));
                lines.push(plain_read(&file, is_warm, (n_threads, Way::Cached), truth)?);
            }
            // cold reads wait for the disk: more threads than cores may help
            if n_threads >= if is_warm { most } else { 4 * most } {
                break;
            }
            n_threads *= 2;
        }
        if !is_warm && file.forget_cached() && file.is_uncached(file.size_bytes() - 1) {
            progress("read, past the cache");
            lines.push(plain_read(&file, is_warm, (DIRECT_READERS, Way::PastCache), truth)?);
        }
        if is_warm || file.forget_cached() {
            progress("moments");
            let mut line = moments(&file, is_warm, most)?;
            let same = lines.iter().filter(|read| read.is_warm == is_warm);
            line.share_of_read = same.map(|read| read.rate).reduce(f64::max).map(|rate| line.rate / rate);
            lines.push(line);
        }
    }
    Ok(lines)
}

fn plain_read(
    file: &Arc<LocalFile>,
    is_warm: bool,
    (n_threads, way): (usize, Way),
    truth: u64,
) -> Result<IoLine, stream::Error> {
    let mut n_wrong = 0_u32;
    let samples = timed(file, is_warm, || {
        n_wrong += u32::from(read(file.as_ref(), n_threads, way)? != truth);
        Ok(())
    })?;
    let timing = summary(&samples);
    Ok(IoLine {
        what: match way {
            Way::Cached => "read",
            Way::PastCache => "direct",
        },
        is_warm,
        n_threads,
        rate: file.size_bytes() as f64 / timing.median_s / 1e9,
        share_of_read: None,
        timing,
        error: n_wrong.into(),
        error_bound: 0.0,
    })
}

fn moments(file: &Arc<LocalFile>, is_warm: bool, n_threads: usize) -> Result<IoLine, stream::Error> {
    let half_bytes = file.size_bytes() / 2 / 4096 * 4096;
    let of_halves = |n_bytes: u64| -> Result<PairMoments, stream::Error> {
        // as a matrix: vectors are summed in f64
        let half = |offset| StoredView {
            file: Arc::clone(file) as Arc<dyn Source>,
            offset,
            dtype: Dtype::Bf16,
            view: View::whole(n_bytes / 4096, 2048),
        };
        let item = WorkItem { left: half(0), right: half(half_bytes), rows: RowPairing::Same };
        let backend = Backend::Cpu(Cpu::detect());
        let found = pair_moments(&backend, &[item], &ReadMeter::default(), &|_| ())?;
        Ok(found.into_iter().next().unwrap_or_default())
    };
    let checked = check(file.as_ref(), half_bytes, &of_halves)?;
    let samples = timed(file, is_warm, || {
        black_box(of_halves(half_bytes)?);
        Ok(())
    })?;
    let timing = summary(&samples);
    Ok(IoLine {
        what: "moments",
        is_warm,
        n_threads,
        rate: 2.0 * half_bytes as f64 / timing.median_s / 1e9,
        share_of_read: None,
        timing,
        error: checked.error,
        error_bound: checked.bound,
    })
}

fn timed(
    file: &Arc<LocalFile>,
    is_warm: bool,
    mut call: impl FnMut() -> Result<(), stream::Error>,
) -> Result<Vec<f64>, stream::Error> {
    if is_warm {
        call()?;
    }
    let mut samples = Vec::new();
    for _ in 0..if is_warm { WARM_SAMPLES } else { COLD_SAMPLES } {
        if !is_warm {
            // it could be asked before, so it can be now
            let _ = file.forget_cached();
        }
        let start = Instant::now();
        call()?;
        samples.push(start.elapsed().as_secs_f64());
    }
    Ok(samples)
}

/// Sum of one byte a page: what a reader that throws bytes away still has to see.
fn read(file: &LocalFile, n_threads: usize, way: Way) -> Result<u64, source::Error> {
    let piece_bytes = match way {
        Way::Cached => PIECE_BYTES,
        // whole pages, so that the sum is over the same bytes
        Way::PastCache => Block::BYTES,
    };
    let n_pieces = file.size_bytes().div_ceil(piece_bytes as u64);
    let next = std::sync::atomic::AtomicU64::new(0);
    let one = || -> Result<u64, source::Error> {
        let (mut buffer, mut block) = (vec![0_u8; piece_bytes], Block::default());
        let mut sum = 0_u64;
        loop {
            let piece = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if piece >= n_pieces {
                return Ok(sum);
            }
            let offset = piece * piece_bytes as u64;
            let n_bytes = (file.size_bytes() - offset).min(piece_bytes as u64);
            let n_bytes = usize::try_from(n_bytes).unwrap_or(piece_bytes);
            let is_there = way == Way::PastCache && file.read_past_cache(offset, n_bytes, &mut block)?;
            let bytes = if is_there {
                block.bytes()
            } else {
                file.read_at(offset, &mut buffer[..n_bytes])?;
                &buffer[..n_bytes]
            };
            sum = bytes.iter().step_by(4096).fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_fold(0_u64, |sum, thread| {
            // a thread that panicked has read nothing
            Ok(sum.wrapping_add(thread.join().unwrap_or(Ok(u64::MAX))?))
        })
    })
}

/// The sums over the first bytes of both halves against f64.
fn check(
    file: &LocalFile,
    half_bytes: u64,
    of_halves: &dyn Fn(u64) -> Result<PairMoments, stream::Error>,
) -> Result<Checked, stream::Error> {
    let n_bytes = half_bytes.min(CHECKED_BYTES as u64);
    let found = of_halves(n_bytes)?;
    let mut sides = [Vec::new(), Vec::new()];
    for (bytes, offset) in sides.iter_mut().zip([0, half_bytes]) {
        bytes.resize(usize::try_from(n_bytes).unwrap_or(0), 0);
        file.read_at(offset, bytes)?;
    }
    let [a, b] = &sides;
    let blocks: Vec<PairMoments> = a
        .par_chunks(8192)
        .zip(b.par_chunks(8192))
        .map(|(a, b)| {
            let elements = |bytes| Elements { dtype: Dtype::Bf16, bytes };
            Cpu::portable().moments_in_f64(elements(a), elements(b))
        })
        .collect();
    let mut wanted = PairMoments::default();
    blocks.iter().for_each(|block| wanted.add(block));
    let counts = |sums: &PairMoments| (sums.n_elements, sums.n_equal, sums.n_same_sign, sums.n_non_finite_a);
    if counts(&found) != counts(&wanted) {
        return Ok(Checked { error: f64::INFINITY, bound: 0.0 });
    }
    let scale = (wanted.sum_aa * wanted.sum_bb).sqrt().max(f64::MIN_POSITIVE);
    let error = [
        (found.sum_ab - wanted.sum_ab).abs() / scale,
        (found.sum_aa - wanted.sum_aa).abs() / wanted.sum_aa.max(f64::MIN_POSITIVE),
        (found.sum_bb - wanted.sum_bb).abs() / wanted.sum_bb.max(f64::MIN_POSITIVE),
    ]
    .into_iter()
    .fold(0.0, f64::max);
    Ok(Checked { error, bound: 4099.0 * ROUNDOFF })
}
