//! Definition of a permuted trace: one sum in f64.

/// Σᵢ C[i][π(i)] and Σᵢ |C[i][π(i)]|.
pub(crate) fn permuted_trace(scores: &[f32], n: usize, permutation: &[u32]) -> (f64, f64) {
    let term = |(row, &col): (usize, &u32)| f64::from(scores[row * n + col as usize]);
    let terms = || permutation.iter().enumerate().map(term);
    (terms().sum(), terms().map(f64::abs).sum())
}
