//! What kernels reduce matrices to: plain results shared by the CPU and the GPU backend.

mod all_pairs;
mod classify;
mod moments;
mod row_dots;

pub use all_pairs::{AllPairs, Best, Keep, MAX_KEPT_SCORES, Ranking};
pub use classify::ClassCounts;
pub use moments::PairMoments;
pub use row_dots::RowDots;

use crate::tensor::Dtype;

/// Raw little-endian elements of one dtype; `bytes.len()` is a multiple of the element size.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    /// Element type; must be decodable.
    pub dtype: Dtype,
    /// The bytes as stored.
    pub bytes: &'a [u8],
}
