//! A matrix in f64, and the few operations on it that transforms are made of.

use crate::numerics::Rng;

/// Row-major [n_rows, n_cols]. A vector (gain, bias) is [n, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Outputs.
    pub n_rows: usize,
    /// Inputs; 1 for a vector.
    pub n_cols: usize,
    /// n_rows × n_cols elements.
    pub values: Vec<f64>,
}

impl Dense {
    /// A matrix whose element (r, c) is `value(r, c)`.
    #[must_use]
    pub fn from_fn(n_rows: usize, n_cols: usize, mut value: impl FnMut(usize, usize) -> f64) -> Dense {
        let values = (0..n_rows * n_cols).map(|at| value(at / n_cols.max(1), at % n_cols.max(1))).collect();
        Dense { n_rows, n_cols, values }
    }

    /// Independent normal elements.
    #[must_use]
    pub fn normal(n_rows: usize, n_cols: usize, mean: f64, std: f64, rng: &mut Rng) -> Dense {
        Dense::from_fn(n_rows, n_cols, |_, _| mean + std * rng.normal())
    }

    /// A random orthogonal matrix [n, n]: Gram–Schmidt on Gaussian rows, twice, so that f64 rounding stays below 1e-14.
    #[must_use]
    pub fn orthogonal(n: usize, rng: &mut Rng) -> Dense {
        let mut basis = Dense::normal(n, n, 0.0, 1.0, rng);
        for row in 0..n {
            let (done, rest) = basis.values.split_at_mut(row * n);
            let current = &mut rest[..n];
            for _ in 0..2 {
                for other in done.chunks_exact(n) {
                    let dot: f64 = current.iter().zip(other).map(|(a, b)| a * b).sum();
                    current.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
                }
            }
            let length = current.iter().map(|a| a * a).sum::<f64>().sqrt();
            current.iter_mut().for_each(|a| *a /= length);
        }
        basis
    }

    /// Element (row, col).
    #[must_use]
    pub fn at(&self, row: usize, col: usize) -> f64 {
        self.values[row * self.n_cols + col]
    }

    /// One output.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.n_cols..(row + 1) * self.n_cols]
    }

    /// One output, to be changed.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.n_cols..(row + 1) * self.n_cols]
    }

    /// Row i of the result is row `rows[i]`.
    #[must_use]
    pub fn rows(&self, rows: &[usize]) -> Dense {
        let values = rows.iter().flat_map(|&row| self.row(row).iter().copied()).collect();
        Dense { n_rows: rows.len(), n_cols: self.n_cols, values }
    }

    /// Column i of the result is column `cols[i]`.
    #[must_use]
    pub fn cols(&self, cols: &[usize]) -> Dense {
        Dense::from_fn(self.n_rows, cols.len(), |row, col| self.at(row, cols[col]))
    }

    /// Row i times `factors[i]`.
    pub fn scale_rows(&mut self, factors: &[f64]) {
        let n_cols = self.n_cols.max(1);
        for (row, factor) in self.values.chunks_exact_mut(n_cols).zip(factors) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }

    /// Column i times `factors[i]`.
    pub fn scale_cols(&mut self, factors: &[f64]) {
        let n_cols = self.n_cols.max(1);
        for row in self.values.chunks_exact_mut(n_cols) {
            row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
        }
    }

    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(&self) -> Dense {
        Dense::from_fn(self.n_cols, self.n_rows, |row, col| self.at(col, row))
    }

    /// Matrix product.
    #[must_use]
    pub fn times(&self, right: &Dense) -> Dense {
        debug_assert_eq!(self.n_cols, right.n_rows, "inner dimensions agree");
        let mut product = Dense::from_fn(self.n_rows, right.n_cols, |_, _| 0.0);
        for row in 0..self.n_rows {
            for inner in 0..self.n_cols {
                let factor = self.at(row, inner);
                let out = &mut product.values[row * right.n_cols..(row + 1) * right.n_cols];
                out.iter_mut().zip(right.row(inner)).for_each(|(out, value)| *out += factor * value);
            }
        }
        product
    }

    /// Mean and standard deviation of the elements.
    #[must_use]
    pub fn mean_and_std(&self) -> (f64, f64) {
        let n = self.values.len().max(1) as f64;
        let mean = self.values.iter().sum::<f64>() / n;
        let variance = self.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt())
    }

    /// Square root of the sum of squares.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.values.iter().map(|value| value * value).sum::<f64>().sqrt()
    }
}
