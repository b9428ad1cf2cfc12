//! S0's lattice check: does B lie on a quantisation grid laid over A itself?
//!
//! For each group of consecutive inputs the grid of step s is rebuilt from B alone (symmetric: s = max|B| / q_max;
//! asymmetric: s = (max − min) / (2^bits − 1)); B must sit on it, and |B − A| ≤ s/2 must hold but for the few elements whose
//! rounding fell the other way because A was stored rounded: an element that moved by δ crosses a level with probability
//! |δ|/s, and rounding to a type moves by a quarter of its last place on average. A grid laid over a fine-tune has more.
//!
//! Where B is stored in a form that knows its grid, the form itself says which values each level stands for
//! ([`fit_in_cells`]), so that levels at unequal distances are checked too.

use crate::tensor::{Dtype, Matrix, Values};

/// A grid that explains every sampled group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lattice {
    /// Bits of a level number.
    pub n_bits: u32,
    /// Elements of a group along the inputs.
    pub group_size: usize,
    /// A group is a whole row, as long as it is.
    pub is_row: bool,
    /// Levels lie around zero.
    pub is_symmetric: bool,
}

impl Lattice {
    /// "int4, groups of 32".
    #[must_use]
    pub fn describe(&self) -> String {
        let kind = if self.is_symmetric { "" } else { ", with zero point" };
        format!("int{}, groups of {}{kind}", self.n_bits, self.group_size)
    }

    /// "int8, a scale for each row", whatever the length of the rows.
    #[must_use]
    pub fn describe_rows(&self) -> String {
        let kind = if self.is_symmetric { "" } else { ", with zero point" };
        format!("int{}, a scale for each row{kind}", self.n_bits)
    }

    /// Whether two matrices, whose rows may differ in length, lie on grids of one kind.
    #[must_use]
    pub fn is_like(&self, other: &Lattice) -> bool {
        (self.n_bits, self.is_symmetric) == (other.n_bits, other.is_symmetric)
            && (self.group_size == other.group_size || self.is_row && other.is_row)
    }
}

/// Far elements that the rounding of A may explain before a sample says nothing: beyond one in four, A is no finer than B and a
/// whole step of change would hide among them.
const MOST_EXPLAINED: f64 = 0.25;

/// What a sample of rows says of B against A.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GridFit {
    /// Elements looked at.
    pub n_elements: usize,
    /// Elements of B that are not the level nearest to A.
    pub n_far: usize,
    /// As many as the rounding of A's stored type explains.
    pub n_far_expected: f64,
}

impl GridFit {
    /// Both samples together.
    #[must_use]
    pub fn and(self, other: GridFit) -> GridFit {
        GridFit {
            n_elements: self.n_elements + other.n_elements,
            n_far: self.n_far + other.n_far,
            n_far_expected: self.n_far_expected + other.n_far_expected,
        }
    }

    /// Whether the grid was laid over A itself: no more elements are far than four standard deviations of a Poisson count allow,
    /// and A is fine enough for that to mean something.
    #[must_use]
    pub fn is_over_a(&self) -> bool {
        self.n_far_expected <= MOST_EXPLAINED * self.n_elements as f64
            && self.n_far as f64 <= self.n_far_expected + 4.0 * (self.n_far_expected + 1.0).sqrt()
    }
}

/// Whether every element of b is the element of a rounded to b's type (bf16, f16), and b is coarser than a.
#[must_use]
pub fn rounds_to(a: &Matrix, b: &Matrix, dtype_b: Dtype) -> bool {
    let round = |value: f32| match dtype_b {
        Dtype::Bf16 => half::bf16::from_f32(value).to_f32(),
        Dtype::F16 => half::f16::from_f32(value).to_f32(),
        _ => f32::NAN,
    };
    let same_type = matches!(
        (&a.values, &b.values),
        (Values::Bf16(_), Values::Bf16(_)) | (Values::F16(_), Values::F16(_))
    );
    !same_type
        && (a.n_rows, a.n_cols) == (b.n_rows, b.n_cols)
        && (0..a.n_rows).all(|row| (0..a.n_cols).all(|col| round(a.at(row, col)) == b.at(row, col)))
}

/// Relative spacing of the type an element is stored in: half a unit in the last place.
fn half_ulp(matrix: &Matrix) -> f64 {
    match matrix.values {
        Values::Bf16(_) => 1.0 / 256.0,
        Values::F16(_) => 1.0 / 2048.0,
        Values::F32(_) => 1.0 / 16_777_216.0,
    }
}

/// How A lies in the cells of B's levels: `low` and `high` bound the values that the level of each element of B stands for.
/// Elements without a cell (NaN, a group of zeros) say nothing; None where no element has one. Where A lies on a grid of its
/// own, `cells_a` bounds its levels: a step of its own moves an element by a quarter of it on average.
#[must_use]
pub fn fit_in_cells(a: &Matrix, cells_a: Option<&[Matrix; 2]>, [low, high]: &[Matrix; 2]) -> Option<GridFit> {
    if [low, high].iter().any(|bound| (bound.n_rows, bound.n_cols) != (a.n_rows, a.n_cols)) {
        return None;
    }
    let ulp_a = half_ulp(a);
    let (mut fit, mut n_seen) = (GridFit::default(), 0_usize);
    for row in 0..a.n_rows {
        for col in 0..a.n_cols {
            let original = f64::from(a.at(row, col));
            let (low, high) = (f64::from(low.at(row, col)), f64::from(high.at(row, col)));
            // a negative step turns a cell around
            let (low, high) = (low.min(high), low.max(high));
            let has_width = low < high;
            if !has_width || !original.is_finite() {
                continue;
            }
            n_seen += 1;
            fit.n_elements += 1;
            fit.n_far += usize::from(original < low || original > high);
            if (high - low).is_finite() {
                let own =
                    cells_a.map(|[low, high]| f64::from(high.at(row, col)) - f64::from(low.at(row, col)));
                let moved = match own.map(f64::abs).filter(|own| own.is_finite()) {
                    Some(own) => 0.25 * own,
                    None => 0.5 * ulp_a * binade(original),
                };
                fit.n_far_expected += (moved / (high - low)).min(1.0);
            }
        }
    }
    (n_seen > 0).then_some(fit)
}

/// The power of two at or below |x|; 0 for 0.
fn binade(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.abs().log2().floor().exp2() }
}

/// The coarsest grid on which every group of B lies, if there is one. Rows of a and b correspond.
#[must_use]
pub fn lattice_fit(a: &Matrix, b: &Matrix) -> Option<(Lattice, GridFit)> {
    if b.n_rows == 0 || b.n_cols < 16 || (a.n_rows, a.n_cols) != (b.n_rows, b.n_cols) {
        return None;
    }
    // large groups first: a part of a group can look like a finer grid of its own
    let sizes = [b.n_cols, 256, 128, 64, 32, 16];
    for n_bits in [2u32, 3, 4, 5, 6, 8] {
        for group_size in sizes {
            for is_symmetric in [true, false] {
                let lattice = Lattice { n_bits, group_size, is_row: group_size == b.n_cols, is_symmetric };
                if !b.n_cols.is_multiple_of(group_size) {
                    continue;
                }
                if let Some(fit) = explains(a, b, lattice) {
                    return Some((lattice, fit));
                }
            }
        }
    }
    None
}

/// None if some group of B is off the grid.
fn explains(a: &Matrix, b: &Matrix, lattice: Lattice) -> Option<GridFit> {
    let (ulp_a, ulp_b) = (half_ulp(a), half_ulp(b));
    let mut fit = GridFit::default();
    let mut n_levels_seen = 0usize;
    for row in 0..b.n_rows {
        for first in (0..b.n_cols).step_by(lattice.group_size) {
            let group = first..first + lattice.group_size;
            let values: Vec<f64> = group.clone().map(|col| f64::from(b.at(row, col))).collect();
            if !values.iter().all(|value| value.is_finite()) {
                return None;
            }
            let steps = candidate_steps(&values, lattice);
            if steps.is_empty() {
                continue;
            }
            // the value and the step are each off by half an ulp of at most this many levels
            let n_levels = f64::from(1u32 << lattice.n_bits) * if lattice.is_symmetric { 0.5 } else { 1.0 };
            let slack = 2.0 * ulp_b * n_levels;
            if slack > 0.25 {
                return None;
            }
            let step = steps.into_iter().find(|(step, zero)| {
                values.iter().all(|value| {
                    let level = (value - zero) / step;
                    (level - level.round()).abs() <= slack.max(1e-3)
                })
            })?;
            n_levels_seen += 1;
            for (col, value) in group.zip(&values) {
                fit.n_elements += 1;
                let original = f64::from(a.at(row, col));
                let level = ((value - step.1) / step.0).round();
                // the step itself is known to half a last place of the element it was rebuilt from
                let reach = 0.5 + ulp_b * (level.abs() + 1.0);
                fit.n_far += usize::from(((original - step.1) / step.0 - level).abs() > reach);
                // half a last place of the binade, halved again for the mean
                fit.n_far_expected += 0.5 * ulp_a * binade(original) / step.0;
            }
        }
    }
    // groups of zeros say nothing
    let enough = n_levels_seen * 2 >= b.n_rows * (b.n_cols / lattice.group_size);
    enough.then_some(fit)
}

/// (step, origin) pairs to try for a group; none for a group of one value.
fn candidate_steps(values: &[f64], lattice: Lattice) -> Vec<(f64, f64)> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low == high {
        return Vec::new();
    }
    let half = f64::from(1u32 << (lattice.n_bits - 1));
    let largest = low.abs().max(high.abs());
    if lattice.is_symmetric {
        // round to nearest uses 2^(b−1) − 1 levels a side; Q-types use 2^(b−1)
        [half - 1.0, half]
            .into_iter()
            .filter(|levels| *levels >= 1.0)
            .map(|levels| (largest / levels, 0.0))
            .collect()
    } else {
        vec![((high - low) / (2.0 * half - 1.0), low)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    fn noise(n_rows: usize, n_cols: usize, seed: u64) -> Matrix {
        let mut rng = Rng::new(&[seed]);
        let values = (0..n_rows * n_cols).map(|_| rng.normal() as f32 * 0.05).collect();
        Matrix::from_f32(n_rows, n_cols, values)
    }

    fn quantise(a: &Matrix, n_bits: u32, group_size: usize) -> Matrix {
        let levels = f64::from((1u32 << (n_bits - 1)) - 1);
        let mut bits = Vec::new();
        for row in 0..a.n_rows {
            for first in (0..a.n_cols).step_by(group_size) {
                let group: Vec<f64> =
                    (first..first + group_size).map(|col| f64::from(a.at(row, col))).collect();
                let step = group.iter().fold(0.0f64, |m, v| m.max(v.abs())) / levels;
                bits.extend(group.iter().map(|v| half::f16::from_f64((v / step).round() * step).to_bits()));
            }
        }
        Matrix { n_rows: a.n_rows, n_cols: a.n_cols, values: Values::F16(bits), column_scale: None }
    }

    #[test]
    fn a_quantised_copy_lies_over_its_source_and_a_quantised_fine_tune_does_not() {
        let a = noise(8, 256, 1);
        let shift = noise(8, 256, 2);
        let tuned: Vec<f32> =
            (0..8 * 256).map(|i| a.at(i / 256, i % 256) + 0.3 * shift.at(i / 256, i % 256)).collect();
        let tuned = Matrix::from_f32(8, 256, tuned);
        for (n_bits, group_size) in [(4, 32), (8, 32), (4, 128), (3, 64)] {
            let wanted = Lattice { n_bits, group_size, is_row: false, is_symmetric: true };
            let found = lattice_fit(&a, &quantise(&a, n_bits, group_size)).expect("a grid is there");
            assert_eq!((found.0, found.1.is_over_a()), (wanted, true));
            let found = lattice_fit(&a, &quantise(&tuned, n_bits, group_size)).expect("a grid is there");
            assert_eq!((found.0, found.1.is_over_a()), (wanted, false));
        }
    }

    #[test]
    fn rows_of_any_length_with_a_scale_each_are_one_kind_of_grid() {
        let grid_of = |n_cols: usize| {
            let a = noise(32, n_cols, 9);
            lattice_fit(&a, &quantise(&a, 8, n_cols)).expect("a grid is there").0
        };
        let (short, long) = (grid_of(96), grid_of(320));
        assert!(short.is_row && long.is_row && short.is_like(&long), "{short:?} {long:?}");
        assert_eq!(long.describe_rows(), "int8, a scale for each row");
        assert!(
            !short.is_like(&Lattice { is_row: false, ..long })
                && !short.is_like(&Lattice { n_bits: 4, ..long })
        );
    }

    #[test]
    fn a_grid_laid_before_rounding_is_told_from_one_laid_over_a_small_step_of_training() {
        let (master, step) = (noise(64, 256, 7), noise(64, 256, 8));
        let stored = |scale: f32| {
            let bits = (0..64 * 256)
                .map(|i| {
                    half::bf16::from_f32(master.at(i / 256, i % 256) + scale * step.at(i / 256, i % 256))
                })
                .map(half::bf16::to_bits)
                .collect();
            Matrix { n_rows: 64, n_cols: 256, values: Values::Bf16(bits), column_scale: None }
        };
        let grid = quantise(&master, 4, 32);
        assert!(lattice_fit(&stored(0.0), &grid).expect("a grid is there").1.is_over_a());
        assert!(!lattice_fit(&stored(0.005), &grid).expect("a grid is there").1.is_over_a());
    }

    #[test]
    fn a_source_lies_in_the_cells_of_its_copy_and_a_fine_tune_does_not() {
        // levels at unequal distances, as those of nf4: squares with their sign
        let levels: Vec<f32> = (-7..=7).map(|k: i16| 0.004 * f32::from(k) * f32::from(k.abs())).collect();
        let (a, shift) = (noise(8, 256, 1), noise(8, 256, 2));
        let nearest = |x: f32| {
            let distance = |at: &usize| (levels[*at] - x).abs();
            (0..levels.len()).min_by(|i, j| distance(i).total_cmp(&distance(j))).expect("levels")
        };
        let cells = |a: &Matrix| {
            let bound = |above: bool| {
                let of = |i: usize| {
                    let at = nearest(a.at(i / 256, i % 256));
                    match (above, at) {
                        (false, 0) => f32::NEG_INFINITY,
                        (true, 14) => f32::INFINITY,
                        (false, _) => (levels[at - 1] + levels[at]) / 2.0,
                        (true, _) => (levels[at] + levels[at + 1]) / 2.0,
                    }
                };
                Matrix::from_f32(8, 256, (0..8 * 256).map(of).collect())
            };
            (bound(false), bound(true))
        };
        let tuned: Vec<f32> =
            (0..8 * 256).map(|i| a.at(i / 256, i % 256) + 0.05 * shift.at(i / 256, i % 256)).collect();
        let (low, high) = cells(&a);
        assert_eq!(fit_in_cells(&a, None, &[low.clone(), high.clone()]).expect("cells").n_far, 0);
        // a negative step turns every cell around and changes nothing
        assert_eq!(fit_in_cells(&a, None, &[high.clone(), low.clone()]).expect("cells").n_far, 0);
        let (low, high) = cells(&Matrix::from_f32(8, 256, tuned));
        assert!(!fit_in_cells(&a, None, &[low.clone(), high.clone()]).expect("cells").is_over_a());
        let nowhere = Matrix::from_f32(8, 256, vec![f32::NAN; 8 * 256]);
        assert_eq!(fit_in_cells(&a, None, &[nowhere.clone(), nowhere]), None);
    }

    #[test]
    fn a_rounded_copy_is_recognised_in_one_direction() {
        let a = noise(4, 64, 5);
        let bits = (0..256).map(|i| half::bf16::from_f32(a.at(i / 64, i % 64)).to_bits()).collect();
        let b = Matrix { n_rows: 4, n_cols: 64, values: Values::Bf16(bits), column_scale: None };
        assert!(rounds_to(&a, &b, Dtype::Bf16));
        assert!(!rounds_to(&b, &a, Dtype::F32) && !rounds_to(&a, &a, Dtype::F32));
    }

    #[test]
    fn ordinary_weights_lie_on_no_grid() {
        let (a, b) = (noise(8, 256, 1), noise(8, 256, 3));
        assert_eq!(lattice_fit(&a, &b), None);
        let zeros = Matrix::from_f32(8, 256, vec![0.0; 8 * 256]);
        assert_eq!(lattice_fit(&a, &zeros), None);
    }
}
