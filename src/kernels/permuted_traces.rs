//! Σᵢ C[i][π(i)] for many permutations π of one n × n score matrix. [n, n], [R, n] → R.

use super::Backend;
use crate::gpu;

/// Σᵢ C[i][π(i)] for many permutations π of one n × n score matrix. [n, n], [R, n] → R.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn permuted_traces(
    backend: &Backend,
    scores: &[f32],
    n: usize,
    permutations: &[u32],
) -> Result<Vec<f64>, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.permuted_traces(scores, n, permutations)),
        Backend::Gpu(_) => todo!(),
    }
}
