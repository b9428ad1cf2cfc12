//! What ties a unit to its number in every model of a design, so that its order says nothing about descent: an identity that
//! matrices start from, masks, and tables made by a formula (Fourier and mel filters, sinusoids).
//!
//! The trace test asks whether unit i of one model resembles unit i of the other more than unit j. A matrix that starts as the
//! identity, or is multiplied by a mask, answers yes between models that share nothing. So features of a unit's own number are
//! levelled, and matrices that are a mask or a formula are no test (docs/methods.md#fixed).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use crate::numerics::median;
use crate::tensor::{Matrix, Values};

/// Share of zeros from which on their places are looked at.
const MASKED_SHARE: f64 = 0.25;
/// Share of zeros from which on equal numbers may be a table: filters of overlapping bands.
const SPARSE_SHARE: f64 = 0.5;
/// Share of a row's variance that two numbers before each one leave unexplained, below which rows are made by a formula: 0 of a
/// sinusoid, .98 and more of trained or random numbers.
const PREDICTABLE: f64 = 0.1;
/// Fewest numbers of a row that such a prediction is fitted to.
const FEWEST_NUMBERS: usize = 8;

/// Units that an average is taken over.
const AVERAGED_UNITS: usize = 64;
/// Rows in which zeros are counted before all of them are.
const SAMPLED_ROWS: usize = 64;

/// Sets the features of each unit's own number to what other units have there on average: `own(unit)` are their columns. A zero would be a
/// mark of its own where features have a mean.
pub fn level_own(matrix: &mut Matrix, units: &[u64], own: impl Fn(u64) -> Range<usize>) {
    let (n_rows, n_cols) = (matrix.n_rows.min(units.len()), matrix.n_cols);
    let owned: Vec<Range<usize>> = units[..n_rows]
        .iter()
        .map(|&unit| {
            let columns = own(unit);
            columns.start.min(n_cols)..columns.end.min(n_cols)
        })
        .collect();
    for (row, own) in owned.iter().enumerate() {
        for col in own.clone() {
            let others = (0..n_rows).filter(|other| !owned[*other].contains(&col)).take(AVERAGED_UNITS);
            let (sum, n) = others
                .fold((0.0, 0_u32), |(sum, n), other| (sum + stored(matrix, other * n_cols + col), n + 1));
            // narrowed as the matrix stores it
            let mean = (sum / f64::from(n.max(1))) as f32;
            match &mut matrix.values {
                Values::Bf16(bits) => bits[row * n_cols + col] = half::bf16::from_f32(mean).to_bits(),
                Values::F16(bits) => bits[row * n_cols + col] = half::f16::from_f32(mean).to_bits(),
                Values::F32(values) => values[row * n_cols + col] = mean,
            }
        }
    }
}

/// An element without its column's factor.
fn stored(matrix: &Matrix, place: usize) -> f64 {
    match &matrix.values {
        Values::Bf16(bits) => half::bf16::from_bits(bits[place]).to_f64(),
        Values::F16(bits) => half::f16::from_bits(bits[place]).to_f64(),
        Values::F32(values) => f64::from(values[place]),
    }
}

/// Times as large as the other features, in the root mean square, from which on the features of units' own numbers tie them to these.
const TIES: f64 = 5.0;

/// Whether the features of units' own numbers stand out, as in a table that started as the identity: what was learned since is then
/// tied to these numbers too, so that clearing them is not enough.
#[must_use]
pub fn is_tied(matrix: &Matrix, units: &[u64], own: impl Fn(u64) -> Range<usize>) -> bool {
    let (mut of_own, mut n_own, mut of_others, mut n_others) = (0.0, 0_usize, 0.0, 0_usize);
    for (row, &unit) in units.iter().enumerate().take(matrix.n_rows) {
        let own = own(unit);
        for col in 0..matrix.n_cols {
            let square = f64::from(matrix.at(row, col)).powi(2);
            if own.contains(&col) {
                (of_own, n_own) = (of_own + square, n_own + 1);
            } else {
                (of_others, n_others) = (of_others + square, n_others + 1);
            }
        }
    }
    let mean = |sum: f64, n: usize| sum / n.max(1) as f64;
    n_own * 4 > matrix.n_rows && mean(of_own, n_own) > TIES * TIES * mean(of_others, n_others)
}

/// Whether two matrices [units, features] have a mask in common, or are one table made by a formula.
#[must_use]
pub fn is_fixed(a: &Matrix, b: &Matrix) -> bool {
    let n = a.n_rows * a.n_cols;
    if n == 0 || (a.n_rows, a.n_cols) != (b.n_rows, b.n_cols) {
        return false;
    }
    let rows = (0..a.n_rows).step_by(a.n_rows.div_ceil(SAMPLED_ROWS));
    let zeros = rows.clone().map(|row| (0..a.n_cols).filter(|col| a.at(row, *col) == 0.0).count());
    let zero_share = zeros.sum::<usize>() as f64 / (rows.count() * a.n_cols) as f64;
    if zero_share >= MASKED_SHARE && is_mask(a, b) {
        return true;
    }
    let is_equal = (0..a.n_rows).all(|row| (0..a.n_cols).all(|col| a.at(row, col) == b.at(row, col)));
    is_equal && (zero_share >= SPARSE_SHARE || is_predictable(a))
}

/// Zeros in the same places, and many units with the same: a mask by design. Masks of pruning differ from unit to unit.
fn is_mask(a: &Matrix, b: &Matrix) -> bool {
    let mut seen = HashSet::new();
    for row in 0..a.n_rows {
        let mut places = DefaultHasher::new();
        for col in 0..a.n_cols {
            let is_zero = a.at(row, col) == 0.0;
            if is_zero != (b.at(row, col) == 0.0) {
                return false;
            }
            is_zero.hash(&mut places);
        }
        seen.insert(places.finish());
    }
    seen.len() * 2 <= a.n_rows
}

/// Most rows follow from the two numbers before each of theirs.
fn is_predictable(matrix: &Matrix) -> bool {
    if matrix.n_cols < FEWEST_NUMBERS {
        return false;
    }
    let left: Vec<f64> = (0..matrix.n_rows)
        .map(|row| {
            let values: Vec<f64> = (0..matrix.n_cols).map(|col| f64::from(matrix.at(row, col))).collect();
            unpredicted(&values)
        })
        .collect();
    median(&left).is_some_and(|share| share <= PREDICTABLE)
}

/// Share of Σx² that x[t] = p·x[t−1] + q·x[t−2] leaves, by least squares; 0 of zeros.
fn unpredicted(x: &[f64]) -> f64 {
    let sum = |f: &dyn Fn(&[f64]) -> f64| x.windows(3).map(f).sum::<f64>();
    let (s11, s12, s22) = (sum(&|w| w[1] * w[1]), sum(&|w| w[1] * w[0]), sum(&|w| w[0] * w[0]));
    let (s01, s02, s00) = (sum(&|w| w[2] * w[1]), sum(&|w| w[2] * w[0]), sum(&|w| w[2] * w[2]));
    if s00 <= 0.0 {
        return 0.0;
    }
    let det = s11 * s22 - s12 * s12;
    let explained = if det > 1e-12 * s11 * s22 {
        let (p, q) = ((s01 * s22 - s02 * s12) / det, (s02 * s11 - s01 * s12) / det);
        p * s01 + q * s02
    } else if s11 > 0.0 {
        s01 * s01 / s11
    } else {
        0.0
    };
    (1.0 - explained / s00).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    fn filled(n_rows: usize, n_cols: usize, value: impl FnMut(usize) -> f32) -> Matrix {
        Matrix::from_f32(n_rows, n_cols, (0..n_rows * n_cols).map(value).collect())
    }

    fn of_its_number(unit: u64) -> Range<usize> {
        let unit = usize::try_from(unit).expect("small");
        unit..unit + 1
    }

    #[test]
    fn a_unit_is_not_asked_about_its_own_number() {
        let mut identity = filled(8, 8, |at| if at % 9 == 0 { 1.0 } else { 0.5 });
        level_own(&mut identity, &[0, 1, 2, 3, 4, 5, 6, 7], of_its_number);
        assert!((0..64).all(|at| identity.at(at / 8, at % 8) == 0.5), "nothing tells one unit from another");
        // beyond the last column there is nothing to level
        level_own(&mut identity, &[9; 8], of_its_number);
        assert_eq!(identity.at(7, 6), 0.5);
    }

    #[test]
    fn levelling_leaves_no_mark_where_features_have_a_mean() {
        let mut rng = Rng::new(&[3]);
        let units: Vec<u64> = (0..64).collect();
        // mean over draws of the advantage of a unit with itself over a unit with the others
        let advantages: Vec<f64> = (0..50)
            .map(|_| {
                let mut draw = || {
                    let mut matrix = filled(64, 64, |_| 1.0 + 0.1 * rng.normal() as f32);
                    level_own(&mut matrix, &units, of_its_number);
                    matrix
                };
                let (a, b) = (draw(), draw());
                let dot = |i: usize, j: usize| {
                    (0..64).map(|k| f64::from(a.at(i, k)) * f64::from(b.at(j, k))).sum::<f64>()
                };
                let own: f64 = (0..64).map(|i| dot(i, i)).sum::<f64>() / 64.0;
                let all: f64 = (0..64).map(|i| (0..64).map(|j| dot(i, j)).sum::<f64>()).sum::<f64>() / 4096.0;
                own - all
            })
            .collect();
        let mean = advantages.iter().sum::<f64>() / 50.0;
        let error = (advantages.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (49.0 * 50.0)).sqrt();
        assert!(mean.abs() < 4.0 * error, "{mean} ± {error}");
    }

    #[test]
    fn a_table_that_started_as_the_identity_ties_its_units() {
        let mut rng = Rng::new(&[2]);
        let mut table = |diagonal: f32| {
            filled(32, 32, |at| rng.normal() as f32 * 0.1 + if at % 33 == 0 { diagonal } else { 0.0 })
        };
        let units: Vec<u64> = (0..32).collect();
        assert!(is_tied(&table(1.0), &units, of_its_number) && !is_tied(&table(0.1), &units, of_its_number));
    }

    #[test]
    fn masks_and_formulas_are_fixed_and_trained_numbers_are_not() {
        let mut rng = Rng::new(&[1]);
        let mut noise = |n_rows, n_cols| filled(n_rows, n_cols, |_| rng.normal() as f32);
        let (a, b) = (noise(64, 32), noise(64, 32));
        assert!(!is_fixed(&a, &b) && !is_fixed(&a, &a), "equal noise is no formula");
        // a mask of eight groups of units
        let masked = |matrix: &Matrix| {
            filled(64, 32, |at| if at / 32 % 8 < at % 8 { 0.0 } else { matrix.at(at / 32, at % 32) })
        };
        assert!(is_fixed(&masked(&a), &masked(&b)) && !is_fixed(&masked(&a), &b));
        // pruned each unit its own way, and equal
        let places = noise(64, 32);
        let pruned =
            filled(64, 32, |at| if places.at(at / 32, at % 32) < 0.2 { 0.0 } else { a.at(at / 32, at % 32) });
        let tuned = filled(64, 32, |at| 1.1 * pruned.at(at / 32, at % 32));
        assert!(!is_fixed(&pruned, &tuned));
        let fourier =
            filled(32, 64, |at| (std::f64::consts::TAU * ((at / 64) * (at % 64)) as f64 / 64.0).cos() as f32);
        assert!(is_fixed(&fourier, &fourier) && !is_fixed(&fourier, &noise(32, 64)));
        let hann = filled(32, 64, |at| {
            let window = 0.5 - 0.5 * (std::f64::consts::TAU * (at % 64) as f64 / 64.0).cos();
            window as f32 * fourier.at(at / 64, at % 64)
        });
        assert!(is_fixed(&hann, &hann));
        let bands = filled(32, 64, |at| (2.0 - ((at % 64) as f32 - 2.0 * (at / 64) as f32).abs()).max(0.0));
        assert!(is_fixed(&bands, &bands));
    }
}
