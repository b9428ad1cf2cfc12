//! S7, the unit map: which unit of A each unit of B continues, in whatever order, number or basis the units lie.
//!
//! Partners are those of S3 (two matrices name one unit, both ways), on weights where both models share a residual basis, on answers to
//! tokens (S4) where not. The map is no test: it says what happened once a test has said that weights are shared.

use super::agreement::{n_found, n_in_place, partners};
use super::family_test::{Model, folded_units};
use super::probes::{Answers, BLOCK_UNITS, products};
use super::units::{UnitMatrix, n_units};
use crate::kernels::{Backend, all_pairs};
use crate::numerics::median;
use crate::reductions::{AllPairs, Keep, Ranking};
use crate::stream::{Error, ReadMeter};
use crate::tensor::Matrix;

/// Units of one MLP and the units of the other that they continue.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitMap {
    /// Units of the left MLP.
    pub n_left: usize,
    /// For each right unit its left one.
    pub left_of: Vec<Option<u32>>,
    /// Median cosine of partners in the first matrix (weights or answers).
    pub median_cosine: f64,
    /// Spread of ln(length of a right unit / length of its left one) in the first and in the second matrix: half the distance of
    /// the quartiles. Units that were rescaled differ in the second and not in the first.
    pub scale_spreads: [f64; 2],
}

impl UnitMap {
    /// Right units with a partner.
    #[must_use]
    pub fn n_found(&self) -> usize {
        n_found(&self.left_of)
    }

    /// Share of the right units that have one.
    #[must_use]
    pub fn share_found(&self) -> f64 {
        self.n_found() as f64 / self.left_of.len().max(1) as f64
    }

    /// Of these, units whose partner has their own index.
    #[must_use]
    pub fn n_in_place(&self) -> usize {
        n_in_place(&self.left_of)
    }

    /// Left units that some right unit continues, ascending.
    #[must_use]
    pub fn kept(&self) -> Vec<u32> {
        let mut kept: Vec<u32> = self.left_of.iter().flatten().copied().collect();
        kept.sort_unstable();
        kept
    }
}

/// An MLP: its model, and its units in two matrices.
pub type Units<'a> = (Model<'a>, [UnitMatrix<'a>; 2]);

/// Partners by the weights themselves: both models have one residual basis.
///
/// # Errors
/// A read or the device failed.
pub fn by_weights(
    backend: &Backend,
    left: Units<'_>,
    right: Units<'_>,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<UnitMap, Error> {
    let mut products = Vec::new();
    for (view, ranking) in [(0, Ranking::Signed), (1, Ranking::Magnitude)] {
        // one matrix of each side at a time
        let a = rows(left.0, left.1[view], None, meter)?;
        let b = rows(right.0, right.1[view], None, meter)?;
        *flop += 2 * (a.n_rows * b.n_rows * a.n_cols) as u64;
        products.push(all_pairs::all_pairs(backend, &a, &b, ranking, Keep::Partners)?);
    }
    map([&products[0], &products[1]], left, right, meter)
}

/// Partners by answers to tokens: any residual basis.
///
/// # Errors
/// A read or the device failed.
pub fn by_answers(
    backend: &Backend,
    answers: (&Answers, &Answers),
    left: Units<'_>,
    right: Units<'_>,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<UnitMap, Error> {
    let [first, second] = products(backend, answers.0, answers.1, Keep::Partners, flop)?;
    map([&first, &second], left, right, meter)
}

fn map(
    [first, second]: [&AllPairs; 2],
    left: Units<'_>,
    right: Units<'_>,
    meter: &ReadMeter,
) -> Result<UnitMap, Error> {
    let mut left_of = vec![None; first.columns.len()];
    let mut cosines = Vec::new();
    for (row, (a, b)) in partners(first).into_iter().zip(partners(second)).enumerate() {
        if let (Some(column), true) = (a, a == b) {
            left_of[column as usize] = u32::try_from(row).ok();
            cosines.push(f64::from(first.rows[row].score));
        }
    }
    let mut scale_spreads = [0.0; 2];
    for (view, spread) in scale_spreads.iter_mut().enumerate() {
        let of_left = lengths(left.0, left.1[view], meter)?;
        let of_right = lengths(right.0, right.1[view], meter)?;
        let pairs = left_of.iter().enumerate().filter_map(|(right, left)| Some((right, (*left)? as usize)));
        let ratios = pairs.map(|(right, left)| (of_right[right] / of_left[left]).ln());
        *spread = half_quartile_distance(ratios.filter(|ratio| ratio.is_finite()).collect());
    }
    let (n_left, median_cosine) = (first.rows.len(), median(&cosines).unwrap_or(0.0));
    Ok(UnitMap { n_left, left_of, median_cosine, scale_spreads })
}

/// The given units (all if None) of one matrix, gains folded, [units, features].
fn rows(
    model: Model<'_>,
    matrix: UnitMatrix<'_>,
    units: Option<&[u64]>,
    meter: &ReadMeter,
) -> Result<Matrix, Error> {
    let all: Vec<u64> = (0..n_units(matrix)).collect();
    folded_units(model, matrix, units.unwrap_or(&all), meter)
}

/// Length of every unit's row.
fn lengths(model: Model<'_>, matrix: UnitMatrix<'_>, meter: &ReadMeter) -> Result<Vec<f64>, Error> {
    let units: Vec<u64> = (0..n_units(matrix)).collect();
    let mut lengths = Vec::with_capacity(units.len());
    for units in units.chunks(BLOCK_UNITS) {
        let rows = rows(model, matrix, Some(units), meter)?;
        let squares =
            |row: usize| rows.row(row).into_iter().map(|value| f64::from(value).powi(2)).sum::<f64>();
        lengths.extend((0..rows.n_rows).map(|row| squares(row).sqrt()));
    }
    Ok(lengths)
}

pub(super) fn half_quartile_distance(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n < 4 { 0.0 } else { 0.5 * (values[n - 1 - n / 4] - values[n / 4]) }
}

#[cfg(test)]
mod tests {
    use super::half_quartile_distance;

    #[test]
    fn half_of_the_values_lie_within_the_spread_of_the_median() {
        assert_eq!(half_quartile_distance(vec![8.0, 0.0, 2.0, 4.0, 6.0]), 2.0);
        assert_eq!(half_quartile_distance(vec![5.0; 9]), 0.0);
        assert_eq!(half_quartile_distance(vec![1.0, 2.0]), 0.0);
    }
}
