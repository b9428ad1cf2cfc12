//! Σab, Σa², Σb² of row i of a with row i of b. [n, k] × 2 → n.

use super::Backend;
use crate::gpu;
use crate::reductions::RowDots;
use crate::tensor::Matrix;

/// Σab, Σa², Σb² of row i of a with row i of b. [n, k] × 2 → n.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn row_dots(backend: &Backend, a: &Matrix, b: &Matrix) -> Result<Vec<RowDots>, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.row_dots(a, b)),
        Backend::Gpu(_) => todo!(),
    }
}
