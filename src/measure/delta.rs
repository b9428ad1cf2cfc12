//! S8, what changed in a matrix: the numerical rank of Δ = B − A, on a seeded sample of rows.
//!
//! Singular values s of the sampled rows [m, n] of Δ come from their Gram matrix, one all-pairs product. Two edges stand for noise
//! of standard deviation τ, whose largest singular value is τ(√m + √n) (Marchenko & Pastur 1967): the edge of the *rounding* of both element
//! types, and the edge of Δ's *own* standard deviation. Few s far above the first and nothing between: an adapter of that rank was
//! merged. No s beyond the second: white noise was added. Neither: training, which leaves a few large directions on a broad ground.

use rayon::prelude::*;

use super::spectrum::Spectrum;
use crate::kernels::{Backend, all_pairs};
use crate::reductions::{Keep, Ranking};
use crate::stream::Error;
use crate::tensor::{Dtype, Matrix};

/// Rows of a sample: enough for ranks up to 64.
pub const DELTA_ROWS: usize = 256;
/// Fewer rows or columns have no rank worth a name.
pub const FEWEST_ROWS: usize = 16;

/// Times the edge of rounding from which on a direction is not rounding: an adapter is added in the stored type, so its own rounding and that
/// of the sum come on top, and elements of different size round by different steps. Measured up to 1.8.
const ROUNDING_EDGES: f64 = 4.0;
/// Share of the largest singular value below which one is lost in the products' f32 sums: √(256 · 2⁻²⁴) = .004.
const PRODUCT_FLOOR: f64 = 0.004;
/// Share of ‖Δ‖² that few directions must hold: a change near the rounding also leaves few directions above it, but not alone.
const HELD_BY_FEW: f64 = 0.9;
/// Rank is low up to this share of the smaller dimension.
pub const LOW_RANK: f64 = 0.25;
/// Tracy–Widom widths above the edge that white noise may reach: P < 1e-5 at 5.
const WHITE_WIDTHS: f64 = 5.0;

/// Units were rescaled where a factor of its own for each row, or for each column, leaves this share of what one factor for all leaves,
const RESCALED: f64 = 0.25;
/// and one factor for all leaves this share of ‖B‖²: factors that spread by 3 %.
const FACTORS_SPREAD: f64 = 1e-3;

/// What the change of a matrix looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// No element of the sample changed.
    Equal,
    /// No more than the rounding of the element types.
    Rounding,
    /// A few directions on top of rounding.
    LowRank {
        /// How many.
        rank: usize,
    },
    /// Rows, or columns, were multiplied by factors of their own, signs among them.
    Rescaled,
    /// No direction stands out from white noise.
    White,
    /// Directions stand out from a broad ground, as training leaves them.
    Broad,
}

/// The change of one matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// What it looks like.
    pub form: Form,
    /// Σδ² of the sample.
    pub sum_squares: f64,
    /// Σδa of the sample: the part of the change that lies along the left matrix.
    pub along_left: f64,
    /// Outputs (rows) of the strongest direction, of length 1; empty unless the rank is low.
    pub strongest: Vec<f64>,
}

/// The product of sampled rows of Δ, before their singular values are known.
#[derive(Debug)]
pub struct Sample {
    /// [m, m].
    gram: Vec<f64>,
    shape: (usize, usize),
    rounding_std: f64,
    sum_squares: f64,
    along_left: f64,
    is_rescaled: bool,
}

/// Looks at sampled rows of both matrices, [m, n] each.
///
/// # Errors
/// The device failed.
pub fn sample(
    backend: &Backend,
    a: &Matrix,
    b: &Matrix,
    dtypes: (Dtype, Dtype),
    flop: &mut u64,
) -> Result<Sample, Error> {
    let (m, n) = (a.n_rows, a.n_cols);
    let mut values = vec![0.0_f32; m * n];
    let of_rows: Vec<[f64; 3]> = values
        .par_chunks_exact_mut(n.max(1))
        .enumerate()
        .map(|(row, changes)| {
            let (mut squares, mut along, mut rounding) = (0.0, 0.0, 0.0);
            for ((x, y), value) in a.row(row).into_iter().zip(b.row(row)).zip(changes) {
                let change = f64::from(y) - f64::from(x);
                squares += change * change;
                along += change * f64::from(x);
                rounding += rounding_variance(x, dtypes.0) + rounding_variance(y, dtypes.1);
                *value = change as f32;
            }
            [squares, along, rounding]
        })
        .collect();
    let along_left = of_rows.iter().map(|row| row[1]).sum();
    let rounding: f64 = of_rows.iter().map(|row| row[2]).sum();
    let mut norms: Vec<f64> = of_rows.iter().map(|row| row[0]).collect();
    let sum_squares: f64 = norms.iter().sum();
    let rounding_std = (rounding / (m * n).max(1) as f64).sqrt();
    let is_rescaled = is_rescaled(a, b);
    let mut found =
        Sample { gram: Vec::new(), shape: (m, n), rounding_std, sum_squares, along_left, is_rescaled };
    if sum_squares == 0.0 || !sum_squares.is_finite() {
        return Ok(found);
    }
    let change = Matrix::from_f32(m, n, values);
    *flop += 2 * (m * m * n) as u64;
    let scores = all_pairs::all_pairs(backend, &change, &change, Ranking::Signed, Keep::Scores)?.scores;
    let cosines = scores.unwrap_or_else(|| vec![0.0; m * m]);
    norms.iter_mut().for_each(|norm| *norm = norm.sqrt());
    found.gram = (0..m * m)
        .map(|at| {
            let (i, j) = (at / m, at % m);
            // the two halves may differ in the last place
            let cosine = f64::midpoint(f64::from(cosines[i * m + j]), f64::from(cosines[j * m + i]));
            (if i == j { 1.0 } else { cosine }) * norms[i] * norms[j]
        })
        .collect();
    Ok(found)
}

impl Sample {
    /// Singular values, and what form they have.
    #[must_use]
    pub fn delta(self) -> Delta {
        let (sum_squares, along_left, m) = (self.sum_squares, self.along_left, self.shape.0);
        let mut found = Delta { form: Form::Equal, sum_squares, along_left, strongest: Vec::new() };
        if self.gram.is_empty() {
            return found;
        }
        found.form = form(&Spectrum::of(&self.gram, m), self.shape, self.rounding_std);
        if self.is_rescaled && found.form != Form::Rounding {
            found.form = Form::Rescaled;
        }
        if matches!(found.form, Form::LowRank { .. }) {
            found.strongest = strongest_direction(&self.gram, m);
        }
        found
    }
}

/// Rows that tell factors of their own from training.
const FACTOR_ROWS: usize = 64;

/// Whether factors of their own for rows, or for columns, explain most of what changed.
fn is_rescaled(a: &Matrix, b: &Matrix) -> bool {
    // Σa², Σb², Σab of every row and of every column
    let n_rows = a.n_rows.min(FACTOR_ROWS);
    let (mut rows, mut columns) = (vec![[0.0_f64; 3]; n_rows], vec![[0.0_f64; 3]; a.n_cols]);
    for (row, of_row) in rows.iter_mut().enumerate() {
        for ((x, y), of_column) in a.row(row).into_iter().zip(b.row(row)).zip(&mut columns) {
            let (x, y) = (f64::from(x), f64::from(y));
            for (at, term) in [x * x, y * y, x * y].into_iter().enumerate() {
                of_row[at] += term;
                of_column[at] += term;
            }
        }
    }
    // ‖B − factor · A‖² at the best factor
    let rest = |[aa, bb, ab]: [f64; 3]| if aa > 0.0 { bb - ab * ab / aa } else { bb };
    let all = rows.iter().fold([0.0; 3], |all, row| [all[0] + row[0], all[1] + row[1], all[2] + row[2]]);
    let of_one_factor = rest(all);
    let of_own = |units: &[[f64; 3]]| units.iter().copied().map(rest).sum::<f64>();
    of_one_factor >= FACTORS_SPREAD * all[1]
        && of_own(&rows).min(of_own(&columns)) <= RESCALED * of_one_factor
}

/// Variance of rounding to a type: a twelfth of a unit in the last place, squared.
fn rounding_variance(value: f32, dtype: Dtype) -> f64 {
    let n_fraction_bits = match dtype {
        Dtype::Bf16 => 7,
        Dtype::F16 => 10,
        Dtype::F8E4m3 | Dtype::F8E4m3Fnuz => 3,
        Dtype::F8E5m2 | Dtype::F8E5m2Fnuz => 2,
        _ => 23,
    };
    // 2^exponent of the value by its bits; subnormal values count as the smallest normal one
    let binade = f64::from(f32::from_bits((value.to_bits() & 0x7f80_0000).max(0x0080_0000)));
    let ulp = if value == 0.0 { 0.0 } else { binade / f64::from(1_u32 << n_fraction_bits) };
    ulp * ulp / 12.0
}

/// Reads the form off squared singular values.
fn form(squares: &Spectrum, (m, n): (usize, usize), rounding_std: f64) -> Form {
    let largest = squares.largest(1).first().map_or(0.0, |square| square.max(0.0).sqrt());
    let total = squares.sum();
    let edge = rounding_std * ((m as f64).sqrt() + (n as f64).sqrt());
    let floor = (ROUNDING_EDGES * edge).max(PRODUCT_FLOOR * largest);
    let rank = squares.n_above(floor * floor);
    if largest <= ROUNDING_EDGES * edge && total <= 4.0 * rounding_std * rounding_std * (m * n) as f64 {
        return Form::Rounding;
    }
    let smaller = m.min(n) as f64;
    if rank > 0 && rank as f64 <= LOW_RANK * smaller {
        let of_few: f64 = squares.largest(rank).iter().sum();
        if of_few >= HELD_BY_FEW * total {
            return Form::LowRank { rank };
        }
    }
    // Johnstone 2001: the largest eigenvalue of white noise has centre (√(m−1) + √n)² and this width
    let variance = total / (m * n) as f64;
    let (root_m, root_n) = (((m - 1) as f64).sqrt(), (n as f64).sqrt());
    let width = (root_m + root_n) * (1.0 / root_m + 1.0 / root_n).cbrt();
    let highest = variance * ((root_m + root_n).powi(2) + WHITE_WIDTHS * width);
    if largest * largest <= highest { Form::White } else { Form::Broad }
}

/// Left singular vector of the largest singular value, by power iteration on the Gram matrix [m, m]: of low-rank changes,
/// whose values lie far apart, ten steps are plenty.
fn strongest_direction(gram: &[f64], m: usize) -> Vec<f64> {
    let largest_row = (0..m).max_by(|&i, &j| gram[i * m + i].total_cmp(&gram[j * m + j])).unwrap_or(0);
    let mut direction: Vec<f64> = gram[largest_row * m..][..m].to_vec();
    for _ in 0..10 {
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|x| *x /= length.max(f64::MIN_POSITIVE));
        direction =
            (0..m).map(|i| gram[i * m..][..m].iter().zip(&direction).map(|(a, b)| a * b).sum()).collect();
    }
    let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
    direction.iter_mut().for_each(|x| *x /= length.max(f64::MIN_POSITIVE));
    direction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::numerics::Rng;

    const M: usize = 96;
    const N: usize = 160;

    fn normal(seed: u64, n: usize) -> Vec<f64> {
        let mut rng = Rng::new(&[seed]);
        (0..n).map(|_| rng.normal()).collect()
    }

    /// A of bf16 values, and A + change rounded to bf16.
    fn changed(change: impl Fn(usize, usize) -> f64) -> Delta {
        let bf16 = |value: f64| half::bf16::from_f64(value).to_f32();
        let a: Vec<f32> = normal(1, M * N).into_iter().map(bf16).collect();
        let b: Vec<f32> = (0..M * N).map(|at| bf16(f64::from(a[at]) + change(at / N, at % N))).collect();
        let backend = Backend::Cpu(Cpu::detect());
        let types = (Dtype::Bf16, Dtype::Bf16);
        let (a, b) = (Matrix::from_f32(M, N, a), Matrix::from_f32(M, N, b));
        sample(&backend, &a, &b, types, &mut 0).unwrap().delta()
    }

    #[test]
    fn each_kind_of_change_has_its_form() {
        let (left, right, noise) = (normal(2, 4 * M), normal(3, 4 * N), normal(4, M * N));
        let adapter = |rank: usize, scale: f64| {
            let (left, right) = (left.clone(), right.clone());
            move |i: usize, j: usize| -> f64 {
                (0..rank).map(|k| scale * left[k * M + i] * right[k * N + j]).sum()
            }
        };
        assert_eq!(changed(|_, _| 0.0).form, Form::Equal);
        for rank in [1, 2, 4] {
            assert_eq!(changed(adapter(rank, 0.1)).form, Form::LowRank { rank });
        }
        assert_eq!(changed(|i, j| 0.3 * noise[i * N + j]).form, Form::White);
        let few = adapter(2, 0.1);
        assert_eq!(changed(|i, j| few(i, j) + 0.2 * noise[i * N + j]).form, Form::Broad);
    }

    #[test]
    fn factors_of_rows_and_of_columns_are_no_training() {
        let (factors, noise) = (normal(6, M.max(N)), normal(7, M * N));
        let a: Vec<f64> = normal(1, M * N)
            .into_iter()
            .map(|value| f64::from(half::bf16::from_f64(value).to_f32()))
            .collect();
        let factor = |at: usize| if at.is_multiple_of(2) { 1.0 } else { -1.0 } * (0.3 * factors[at]).exp();
        let by_rows = changed(|i, j| (factor(i) - 1.0) * a[i * N + j]);
        let by_columns = changed(|i, j| (factor(j) - 1.0) * a[i * N + j] + 0.05 * noise[i * N + j]);
        assert_eq!((by_rows.form, by_columns.form), (Form::Rescaled, Form::Rescaled));
        assert_ne!(changed(|i, j| 0.5 * a[i * N + j]).form, Form::Rescaled, "one factor for all");
        let both = changed(|i, j| (factor(i) * factor(j) - 1.0) * a[i * N + j]);
        assert_eq!(both.form, Form::Broad);
    }

    #[test]
    fn rounding_to_another_type_is_no_change() {
        let values = normal(5, M * N);
        let a = values.iter().map(|value| half::f16::from_f64(*value).to_f32()).collect();
        let b = values.iter().map(|value| half::bf16::from_f64(*value).to_f32()).collect();
        let backend = Backend::Cpu(Cpu::detect());
        let (a, b) = (Matrix::from_f32(M, N, a), Matrix::from_f32(M, N, b));
        let found = sample(&backend, &a, &b, (Dtype::F16, Dtype::Bf16), &mut 0).unwrap().delta();
        assert_eq!(found.form, Form::Rounding);
    }

    #[test]
    fn the_strongest_direction_is_the_adapters() {
        let (left, right) = (normal(2, M), normal(3, N));
        let found = changed(|i, j| 0.2 * left[i] * right[j]);
        let length = left.iter().map(|x| x * x).sum::<f64>().sqrt();
        let cosine: f64 = found.strongest.iter().zip(&left).map(|(a, b)| a * b / length).sum();
        assert!(cosine.abs() > 0.99, "{cosine}");
        // nothing of the adapter lies along a random matrix: |Σδa| ≤ 5 standard deviations √Σδ² of a of unit variance
        assert!(found.along_left.abs() < 5.0 * found.sum_squares.sqrt());
    }
}
