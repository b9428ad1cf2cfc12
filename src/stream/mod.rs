//! A work list becomes numbers: positioned reads in parallel, bounded memory whatever the size of the model.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::gpu;
use crate::kernels::Backend;
use crate::reductions::{ClassCounts, PairMoments};
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

/// Moments of every item, in order; bytes are read once, in parallel, and reduced in tensor order.
///
/// # Errors
/// A read failed, or the GPU did.
pub fn pair_moments(
    _backend: &Backend,
    _items: &[WorkItem],
    _meter: &ReadMeter,
    _progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<PairMoments>, Error> {
    todo!()
}

/// Class counts of every view, in order.
///
/// # Errors
/// A read failed, or the GPU did.
pub fn class_counts(
    _backend: &Backend,
    _items: &[StoredView],
    _meter: &ReadMeter,
    _progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<ClassCounts>, Error> {
    todo!()
}

/// The given canonical rows and the given range of canonical columns, as a dense matrix in the stored type
/// (bf16 and f16 stay packed, everything else is decoded to f32). Runs that lie close together are read in one call.
///
/// # Errors
/// A read failed.
pub fn read_rows(
    _stored: &StoredView,
    _rows: &[u64],
    _columns: std::ops::Range<u64>,
    _meter: &ReadMeter,
) -> Result<Matrix, Error> {
    todo!()
}
