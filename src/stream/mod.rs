//! A work list becomes numbers: positioned reads in parallel, bounded memory whatever the size of the model.

mod ahead;
mod digest;
mod expect;
mod gather;
mod plan;
mod rows;
mod side;
#[cfg(test)]
mod tests;
mod workers;

pub use digest::digest;
pub use expect::{RowRead, expect_rows};

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::plan::{Sizes, Walk};
use self::workers::Done;
use crate::cpu::Cpu;
use crate::gpu;
use crate::kernels::{self, Backend};
use crate::reductions::{ClassCounts, Elements, PairMoments};
use crate::source::{self, Source};
use crate::tensor::{Dtype, Matrix, View};

/// A canonical matrix that lies in a file.
#[derive(Clone, Debug)]
pub struct StoredView {
    /// Where the bytes are.
    pub file: Arc<dyn Source>,
    /// Absolute byte offset of the tensor's first element (its element 0, not the view's).
    pub offset: u64,
    /// Element type; decodable.
    pub dtype: Dtype,
    /// Which elements, in which order.
    pub view: View,
}

/// Which rows of two views belong together.
#[derive(Clone, Debug)]
pub enum RowPairing {
    /// Row i with row i.
    Same,
    /// Row `left[i]` with row `right[i]` (vocabulary rows matched by token).
    Listed {
        /// Canonical rows of the left view.
        left: Arc<[u64]>,
        /// Canonical rows of the right view, equally many.
        right: Arc<[u64]>,
    },
}

/// Two matrices to be read once and compared element by element.
#[derive(Clone, Debug)]
pub struct WorkItem {
    /// Left matrix.
    pub left: StoredView,
    /// Right matrix, same n_cols; same n_rows under [`RowPairing::Same`].
    pub right: StoredView,
    /// Which rows belong together.
    pub rows: RowPairing,
}

/// What was read so far; shared by all threads.
#[derive(Debug, Default)]
pub struct ReadMeter {
    /// Bytes asked for.
    pub requested_bytes: AtomicU64,
    /// The same rounded out to whole 4 KiB pages of the file.
    pub page_bytes: AtomicU64,
    /// Of the bytes asked for those that came past the system's cache.
    pub past_cache_bytes: AtomicU64,
}

/// Failure while streaming.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes did not come.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The device failed twice and was asked for by name.
    #[error(transparent)]
    Gpu(#[from] gpu::Error),
}

/// Chunks of 256 KiB: both sides of one stay in a core's cache between the read and the sums.
const CPU_SIZES: Sizes = Sizes { chunk_bytes: 256 << 10, chunks_per_task: 32 };

/// Chunks of 8 MiB: large enough for one upload and dispatch.
const GPU_SIZES: Sizes = Sizes { chunk_bytes: 8 << 20, chunks_per_task: 1 };

fn sizes(backend: &Backend) -> Sizes {
    match backend {
        Backend::Cpu(_) => CPU_SIZES,
        Backend::Gpu(_) => GPU_SIZES,
    }
}

/// Moments of every item, in order; bytes are read once, in parallel, and reduced in tensor order.
///
/// `progress` gets the bytes of both sides done so far.
///
/// # Errors
/// A read failed, or the GPU did.
pub fn pair_moments(
    backend: &Backend,
    items: &[WorkItem],
    meter: &ReadMeter,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<PairMoments>, Error> {
    let sizes = sizes(backend);
    let walks: Vec<Walk<'_>> = items.iter().map(|item| Walk::of_pair(item, sizes)).collect();
    let tasks = plan::tasks(&walks, sizes);
    let done = Done::new(progress);
    let of_tasks = match backend {
        Backend::Cpu(cpu) => {
            workers::run(&walks, &tasks, meter, &done, |total: &mut PairMoments, idx, sides| {
                let item = &items[idx];
                let (a, b) = (elements(&item.left, sides[0]), elements(&item.right, sides[1]));
                total.add(&if is_vector(item) { cpu.moments_in_f64(a, b) } else { cpu.moments(a, b) });
            })?
        }
        Backend::Gpu(gpu) => {
            let start = |idx: usize, sides: [&[u8]; 2]| {
                let item = &items[idx];
                let (a, b) = (elements(&item.left, sides[0]), elements(&item.right, sides[1]));
                (!is_vector(item)).then(|| kernels::moments::begin(gpu, a, b))
            };
            let finish = |total: &mut PairMoments, idx: usize, begun, sides: [&[u8]; 2]| {
                let item = &items[idx];
                let (a, b) = (elements(&item.left, sides[0]), elements(&item.right, sides[1]));
                total.add(&match begun {
                    None => Cpu::detect().moments_in_f64(a, b),
                    Some(begun) => kernels::moments::finish(gpu, begun, a, b)?,
                });
                Ok(())
            };
            ahead::run(&walks, &tasks, meter, &done, ahead::Steps { start, finish })?
        }
    };
    let mut totals = vec![PairMoments::default(); items.len()];
    for (task, of_task) in tasks.iter().zip(&of_tasks) {
        totals[task.walk_idx].add(of_task);
    }
    Ok(totals)
}

/// Gains and biases: few elements, and their mean may be a thousand times their spread, which f32 sums would lose.
/// The CPU sums them in f64 whatever the backend.
fn is_vector(item: &WorkItem) -> bool {
    let is_vector = |stored: &StoredView| stored.view.n_rows == 1 || stored.view.n_cols == 1;
    is_vector(&item.left) && is_vector(&item.right)
}

/// Class counts of every view, in order. Of a transposed matrix the checksum is that of the stored order.
///
/// `progress` gets the bytes done so far.
///
/// # Errors
/// A read failed, or the GPU did.
pub fn class_counts(
    backend: &Backend,
    items: &[StoredView],
    meter: &ReadMeter,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<ClassCounts>, Error> {
    let sizes = sizes(backend);
    let walks: Vec<Walk<'_>> = items.iter().map(|stored| Walk::of_view(stored, sizes)).collect();
    let tasks = plan::tasks(&walks, sizes);
    let done = Done::new(progress);
    let of_tasks = match backend {
        Backend::Cpu(cpu) => {
            workers::run(&walks, &tasks, meter, &done, |total: &mut ClassCounts, idx, sides| {
                total.add(&cpu.classify(elements(&items[idx], sides[0])));
            })?
        }
        Backend::Gpu(_) => {
            let finish = |total: &mut ClassCounts, idx: usize, (), sides: [&[u8]; 2]| {
                total.add(&kernels::classify::classify(backend, elements(&items[idx], sides[0]))?);
                Ok(())
            };
            ahead::run(
                &walks,
                &tasks,
                meter,
                &done,
                ahead::Steps { start: |_: usize, _: [&[u8]; 2]| (), finish },
            )?
        }
    };
    let mut totals = vec![ClassCounts::default(); items.len()];
    for (task, of_task) in tasks.iter().zip(&of_tasks) {
        totals[task.walk_idx].add(of_task);
    }
    Ok(totals)
}

fn elements<'a>(stored: &StoredView, bytes: &'a [u8]) -> Elements<'a> {
    Elements { dtype: stored.dtype, bytes }
}

/// The given canonical rows and the given range of canonical columns, as a dense matrix in the stored type
/// (bf16 and f16 stay packed, everything else is decoded to f32). Runs that lie close together are read in one call.
///
/// # Errors
/// A read failed.
pub fn read_rows(
    stored: &StoredView,
    rows: &[u64],
    columns: std::ops::Range<u64>,
    meter: &ReadMeter,
) -> Result<Matrix, Error> {
    rows::read_rows(stored, rows, columns, meter)
}
