//! Dense products and eigenvalues, as far as the rivals need them.

use rayon::prelude::*;

use crate::tensor::Matrix;

/// A matrix in memory, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
    pub(super) values: Vec<f32>,
}

impl Dense {
    /// Values as f32; what is not finite counts as 0, as in the tools that skip it.
    pub(super) fn of(matrix: &Matrix) -> Dense {
        let at = |k: usize| {
            let value = matrix.at(k / matrix.n_cols, k % matrix.n_cols);
            if value.is_finite() { value } else { 0.0 }
        };
        Dense {
            n_rows: matrix.n_rows,
            n_cols: matrix.n_cols,
            values: (0..matrix.n_rows * matrix.n_cols).map(at).collect(),
        }
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.n_cols..(row + 1) * self.n_cols]
    }

    pub(super) fn transposed(&self) -> Dense {
        let at = |k: usize| self.values[(k % self.n_rows) * self.n_cols + k / self.n_rows];
        Dense { n_rows: self.n_cols, n_cols: self.n_rows, values: (0..self.values.len()).map(at).collect() }
    }

    /// self · otherᵀ: [n_rows, other.n_rows]; None unless the inner sizes agree.
    pub(super) fn times_transposed(&self, other: &Dense) -> Option<Dense> {
        if self.n_cols != other.n_cols {
            return None;
        }
        let mut values = vec![0.0; self.n_rows * other.n_rows];
        values.par_chunks_mut(other.n_rows.max(1)).enumerate().for_each(|(row, out)| {
            for (k, value) in out.iter_mut().enumerate() {
                *value = dot(self.row(row), other.row(k)) as f32;
            }
        });
        Some(Dense { n_rows: self.n_rows, n_cols: other.n_rows, values })
    }

    /// Blocks of `size` rows, each repeated `times` times: the key heads that grouped queries share.
    pub(super) fn repeat_blocks(&self, size: usize, times: usize) -> Dense {
        let block = size * self.n_cols;
        let values = self.values.chunks(block.max(1)).flat_map(|block| block.repeat(times)).collect();
        Dense { n_rows: self.n_rows * times, n_cols: self.n_cols, values }
    }
}

/// Σ a·b, in f64 beyond 64 terms.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.chunks(64)
        .zip(b.chunks(64))
        .map(|(a, b)| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()))
        .sum()
}

/// Cosine; 0 where one is zero.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// Eigenvalues of a symmetric matrix in f64, largest first: cyclic Jacobi (Golub & Van Loan, section 8.5).
pub(super) fn eigenvalues(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    let scale: f64 = a.iter().map(|v| v * v).sum::<f64>();
    for _ in 0..30 {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        if off <= 1e-18 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq.abs() <= 1e-300 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(n_rows: usize, n_cols: usize, values: &[f32]) -> Dense {
        Dense { n_rows, n_cols, values: values.to_vec() }
    }

    #[test]
    fn products_by_hand() {
        let a = dense(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = dense(1, 3, &[1.0, 0.0, -1.0]);
        assert_eq!(a.times_transposed(&b), Some(dense(2, 1, &[-2.0, -2.0])));
        assert_eq!(a.times_transposed(&a.transposed()), None);
        assert_eq!(a.transposed().row(1), [2.0, 5.0]);
        assert_eq!(b.repeat_blocks(1, 2).n_rows, 2);
        assert!((cosine(&[3.0, 4.0], &[4.0, 3.0]) - 0.96).abs() < 1e-7);
    }

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        // the path graph's Laplacian on 4 nodes: 2 − 2cos(kπ/4)
        let laplacian =
            vec![1.0, -1.0, 0.0, 0.0, -1.0, 2.0, -1.0, 0.0, 0.0, -1.0, 2.0, -1.0, 0.0, 0.0, -1.0, 1.0];
        let found = eigenvalues(laplacian, 4);
        for (k, value) in found.iter().rev().enumerate() {
            let wanted = 2.0 - 2.0 * (k as f64 * std::f64::consts::PI / 4.0).cos();
            assert!((value - wanted).abs() < 1e-9, "{found:?}");
        }
    }
}
