//! Determinants of symmetric positive definite matrices, as logarithms.

use rayon::prelude::*;

/// Columns that are finished together: their rows stay in cache while all rows below use them.
const PANEL: usize = 32;

/// ln det of a symmetric positive definite matrix [n, n], row-major, by Cholesky's factorisation A = L·Lᵀ; None if it is not
/// positive definite to rounding. Only the lower triangle is read; it is overwritten.
pub(super) fn ln_det_positive(matrix: &mut [f64], n: usize) -> Option<f64> {
    assert_eq!(matrix.len(), n * n, "a matrix needs n × n values");
    let largest = (0..n).map(|i| matrix[i * n + i]).fold(0.0, f64::max);
    let mut ln_det = 0.0;
    for first in (0..n).step_by(PANEL) {
        let end = (first + PANEL).min(n);
        // the panel's own rows, one after the other
        for i in first..end {
            for j in first..=i {
                let (row_i, row_j) = (&matrix[i * n..i * n + j], &matrix[j * n..j * n + j]);
                let value = matrix[i * n + j] - dot(row_i, row_j);
                if i == j {
                    // a pivot at rounding level: the matrix has a lower rank
                    if value.is_nan() || value <= largest * n as f64 * f64::EPSILON {
                        return None;
                    }
                    matrix[i * n + i] = value.sqrt();
                    ln_det += value.ln();
                } else {
                    matrix[i * n + j] = value / matrix[j * n + j];
                }
            }
        }
        let (above, below) = matrix.split_at_mut(end * n);
        let panel = &above[first * n..];
        below.par_chunks_mut(n).for_each(|row| {
            for (step, j) in (first..end).enumerate() {
                let of_panel = &panel[step * n..step * n + n];
                row[j] = (row[j] - dot(&row[..j], &of_panel[..j])) / of_panel[j];
            }
        });
    }
    Some(ln_det)
}

/// A·Aᵀ of a square matrix [n, n], row-major: the lower triangle, zeros above.
pub(super) fn row_products(matrix: &[f64], n: usize) -> Vec<f64> {
    assert_eq!(matrix.len(), n * n, "a matrix needs n × n values");
    let mut product = vec![0.0; n * n];
    product.par_chunks_mut(n * PANEL).enumerate().for_each(|(panel, rows)| {
        let first = panel * PANEL;
        let n_rows = rows.len() / n;
        for (j, other) in matrix.chunks_exact(n).take(first + n_rows).enumerate() {
            for (step, row) in rows.chunks_mut(n).enumerate().filter(|(step, _)| first + step >= j) {
                row[j] = dot(&matrix[(first + step) * n..][..n], other);
            }
        }
    });
    product
}

/// Eight sums, so that the compiler can use vectors.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_eights, a_tail) = a.as_chunks::<8>();
    let (b_eights, b_tail) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (x, y) in a_eights.iter().zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + a_tail.iter().zip(b_tail).map(|(x, y)| x * y).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    #[test]
    fn determinants_of_hand_and_of_products() {
        assert!((ln_det_positive(&mut [4.0, 0.0, 2.0, 5.0], 2).unwrap() - 16_f64.ln()).abs() < 1e-15);
        // rank 1
        assert_eq!(ln_det_positive(&mut [1.0, 1.0, 1.0, 1.0], 2), None);
        assert_eq!(ln_det_positive(&mut [f64::NAN], 1), None);
        // det(LLᵀ) of a triangular L is the squared product of its diagonal, whatever lies below it
        for n in [1_usize, 31, 33, 100] {
            let mut rng = Rng::new(&[n as u64]);
            let mut lower = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..i {
                    lower[i * n + j] = rng.unit() - 0.5;
                }
                lower[i * n + i] = 1.0 + rng.unit();
            }
            let wanted: f64 = (0..n).map(|i| 2.0 * lower[i * n + i].ln()).sum();
            let found = ln_det_positive(&mut row_products(&lower, n), n).unwrap();
            assert!((found - wanted).abs() < 1e-9 * n as f64, "{n}: {found} is not {wanted}");
        }
    }
}
