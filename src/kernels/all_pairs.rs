//! Cosine of every row of a with every row of b, reduced inside the product. [n, k] × [m, k] → partners and sums.

use super::Backend;
use crate::gpu;
use crate::reductions::{AllPairs, Keep, Ranking};
use crate::tensor::Matrix;

/// Cosine of every row of a with every row of b, reduced inside the product. [n, k] × [m, k] → partners and sums.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn all_pairs(
    backend: &Backend,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    keep: Keep,
) -> Result<AllPairs, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.all_pairs(a, b, ranking, keep)),
        Backend::Gpu(_) => todo!(),
    }
}
