//! Answers against their definitions in f64: no speed is believed before its value is.

use rayon::prelude::*;

use crate::reductions::{AllPairs, ClassCounts, PairMoments, RowDots};
use crate::tensor::Matrix;

/// Unit roundoff of f32.
pub(super) const ROUNDOFF: f64 = 5.960_464_477_539_063e-8;

/// Rows whose answers are checked, spread over the matrix.
const SAMPLE_ROWS: usize = 64;

/// An error and the largest that the arithmetic allows, both relative to the sum of magnitudes.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// Largest found; NaN and Inf where the answer is not even comparable.
    pub error: f64,
    /// Largest allowed.
    pub bound: f64,
}

impl Checked {
    /// A NaN is never right.
    #[must_use]
    pub fn is_right(self) -> bool {
        self.error <= self.bound
    }
}

fn sample(n_rows: usize) -> Vec<usize> {
    let step = n_rows.div_ceil(SAMPLE_ROWS).max(1);
    (0..n_rows).step_by(step).collect()
}

fn row(matrix: &Matrix, row: usize) -> Vec<f64> {
    (0..matrix.n_cols).map(|col| f64::from(matrix.at(row, col))).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Counts are exact; noise has neither NaN nor Inf.
#[must_use]
pub fn classify(found: &ClassCounts, matrix: &Matrix) -> Checked {
    let n_zero = (0..matrix.n_rows)
        .into_par_iter()
        .map(|row| (0..matrix.n_cols).filter(|&col| matrix.at(row, col) == 0.0).count() as u64)
        .sum::<u64>();
    let n_wrong = found.n_zero.abs_diff(n_zero)
        + found.n_elements.abs_diff((matrix.n_rows * matrix.n_cols) as u64)
        + found.n_nan
        + found.n_inf;
    Checked { error: n_wrong as f64, bound: 0.0 }
}

/// Every element is summed again in f64, and the counts must be equal.
#[must_use]
pub fn moments(found: &PairMoments, a: &Matrix, b: &Matrix) -> Checked {
    let of_row = |index: usize| {
        let (a, b) = (row(a, index), row(b, index));
        let n_equal = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64;
        let squared_diff: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
        [dot(&a, &a), dot(&b, &b), dot(&a, &b), squared_diff, n_equal]
    };
    let rows: Vec<[f64; 5]> = (0..a.n_rows).into_par_iter().map(of_row).collect();
    let [aa, bb, ab, squared_diff, n_equal] =
        rows.iter().fold([0.0; 5], |sums, row| std::array::from_fn(|index| sums[index] + row[index]));
    if found.n_equal as f64 != n_equal || found.n_elements != (a.n_rows * a.n_cols) as u64 {
        return Checked { error: f64::INFINITY, bound: 0.0 };
    }
    let errors = [
        (found.sum_aa - aa).abs() / aa,
        (found.sum_bb - bb).abs() / bb,
        (found.sum_ab - ab).abs() / (aa * bb).sqrt(),
        (found.sum_squared_diff - squared_diff).abs() / squared_diff,
    ];
    Checked { error: largest(&errors), bound: block_bound() }
}

/// f32 sums run over at most 4,096 terms, each rounded at most three times: (4096 + 3) roundoffs of Σ|term|.
fn block_bound() -> f64 {
    4099.0 * ROUNDOFF
}

/// A NaN is the largest of all.
fn largest(errors: &[f64]) -> f64 {
    errors.iter().copied().fold(0.0, |largest, error| if error <= largest { largest } else { error })
}

/// The three sums of sampled rows.
#[must_use]
pub fn row_dots(found: &[RowDots], a: &Matrix, b: &Matrix) -> Checked {
    let errors: Vec<f64> = sample(a.n_rows)
        .into_iter()
        .map(|index| {
            let Some(found) = found.get(index) else { return f64::INFINITY };
            let (a, b) = (row(a, index), row(b, index));
            let (ab, aa, bb) = (dot(&a, &b), dot(&a, &a), dot(&b, &b));
            let ab_error = (found.ab - ab).abs() / (aa * bb).sqrt();
            largest(&[ab_error, (found.aa - aa).abs() / aa, (found.bb - bb).abs() / bb])
        })
        .collect();
    Checked { error: largest(&errors), bound: block_bound() }
}

/// Best scores of sampled rows against all cosines in f64, and the partner named against the best there is.
///
/// k products are added one after the other and each factor is rounded at most four times: (k + 8) roundoffs of
/// Σ|ab| ≤ 1. The partner may be any within twice that.
#[must_use]
pub fn all_pairs(found: &AllPairs, a: &Matrix, b: &Matrix) -> Checked {
    let bound = 2.0 * (a.n_cols + 8) as f64 * ROUNDOFF;
    let columns: Vec<Vec<f64>> = (0..b.n_rows).into_par_iter().map(|index| unit_row(b, index)).collect();
    let errors: Vec<f64> = sample(a.n_rows)
        .into_par_iter()
        .map(|index| {
            let unit = unit_row(a, index);
            let cosines: Vec<f64> = columns.iter().map(|column| dot(&unit, column)).collect();
            let best = cosines.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let Some(found) = found.rows.get(index) else { return f64::INFINITY };
            let partner = found.index.and_then(|index| cosines.get(index as usize)).copied();
            (best - partner.unwrap_or(f64::NAN)).abs().max((best - f64::from(found.score)).abs())
        })
        .collect();
    Checked { error: largest(&errors), bound }
}

fn unit_row(matrix: &Matrix, index: usize) -> Vec<f64> {
    let values = row(matrix, index);
    let norm = dot(&values, &values).sqrt();
    values.into_iter().map(|value| value / norm).collect()
}

/// Traces of some permutations; n terms added in f32 in any order are off by at most n roundoffs of Σ|C|.
#[must_use]
pub fn permuted_traces(found: &[f64], scores: &[f32], n: usize, permutations: &[u32]) -> Checked {
    let errors: Vec<f64> = permutations
        .chunks_exact(n)
        .zip(found)
        .step_by(17)
        .map(|(permutation, found)| {
            let terms = || {
                permutation.iter().enumerate().map(|(row, &col)| f64::from(scores[row * n + col as usize]))
            };
            (found - terms().sum::<f64>()).abs() / terms().map(f64::abs).sum::<f64>()
        })
        .collect();
    let is_complete = found.len() * n == permutations.len();
    Checked { error: if is_complete { largest(&errors) } else { f64::INFINITY }, bound: n as f64 * ROUNDOFF }
}
