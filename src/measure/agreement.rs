//! S3, mutual-argmax agreement: units that find the same partner in two matrices at once, in whatever order they lie.
//!
//! partner(i) = argmaxⱼ `C[i][j]` if also i = argmax over rows of `C[.][j]`. A unit agrees if its partner by the first matrix
//! (gate; fc1) is its partner by the second (|up|; |fc2|). For unrelated random units a quarter of a unit agrees per pair of
//! layers (docs/methods.md#agreement); trained independent models agree on more (up to .64 % in 352 units where measured).

use super::units::{UnitMatrix, n_units, whole_units};
use crate::kernels::{Backend, all_pairs};
use crate::numerics::Rng;
use crate::reductions::{AllPairs, Best, Keep, Ranking};
use crate::stream::{Error, ReadMeter};

/// Agreement of one pair of layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Units with the same mutual partner in both matrices.
    pub n_agreeing: usize,
    /// Of these, units whose partner has their own index.
    pub n_in_place: usize,
    /// Units of the smaller side that have a best partner at all.
    pub n_units: usize,
}

impl Agreement {
    /// n_agreeing / n_units.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.n_agreeing as f64 / self.n_units.max(1) as f64
    }
}

/// Mutual partner of each row, or None.
#[must_use]
pub fn partners(pairs: &AllPairs) -> Vec<Option<u32>> {
    pairs
        .rows
        .iter()
        .enumerate()
        .map(|(row, best)| {
            let column = best.index?;
            let back = pairs.columns.get(column as usize)?.index?;
            (back as usize == row).then_some(column)
        })
        .collect()
}

/// Right units that have a left one; `left_of` names it for each.
#[must_use]
pub fn n_found(left_of: &[Option<u32>]) -> usize {
    left_of.iter().flatten().count()
}

/// Of these, units whose partner has their own index.
#[must_use]
pub fn n_in_place(left_of: &[Option<u32>]) -> usize {
    let found = left_of.iter().enumerate();
    found.filter(|(right, left)| left.is_some_and(|left| left as usize == *right)).count()
}

/// Units whose partner is the same in two views of the same units.
#[must_use]
pub fn agreement(first: &AllPairs, second: &AllPairs) -> Agreement {
    let pairs: Vec<(usize, u32)> = partners(first)
        .into_iter()
        .zip(partners(second))
        .enumerate()
        .filter_map(|(row, (a, b))| if a.is_some() && a == b { a.map(|column| (row, column)) } else { None })
        .collect();
    // units that are zero, constant or damaged have no best partner, and their silence says nothing
    let have_best = |first: &[Best], second: &[Best]| {
        first.iter().zip(second).filter(|(a, b)| a.index.is_some() && b.index.is_some()).count()
    };
    Agreement {
        n_agreeing: pairs.len(),
        n_in_place: pairs.iter().filter(|(row, column)| *row == *column as usize).count(),
        n_units: have_best(&first.rows, &second.rows).min(have_best(&first.columns, &second.columns)),
    }
}

/// Units of a block of the larger side: 4,096 × 8,192 bf16 are 64 MiB.
const BLOCK_UNITS: u64 = 4096;

/// Agreement of a seeded sample of the left units with all right units, both ways, and the operations it took.
///
/// Each sampled unit names its best right unit in both matrices; it agrees if they are one unit and that unit names it back
/// in both, among all left units. Left and right may have different unit counts.
///
/// # Errors
/// A read or the device failed.
pub fn sampled(
    backend: &Backend,
    first: (UnitMatrix<'_>, UnitMatrix<'_>),
    second: (UnitMatrix<'_>, UnitMatrix<'_>),
    n_sampled: usize,
    labels: &[u64],
    meter: &ReadMeter,
) -> Result<(Agreement, u64), Error> {
    let n_left = usize::try_from(n_units(first.0)).unwrap_or(0);
    let n_right = usize::try_from(n_units(first.1)).unwrap_or(0);
    let units: Vec<u64> =
        Rng::new(labels).sample(n_left, n_sampled).into_iter().map(|unit| unit as u64).collect();
    let mut flop = 0;
    let mut best_in = |from: UnitMatrix<'_>, units: &[u64], to: UnitMatrix<'_>, ranking| {
        flop += 2 * units.len() as u64 * to.0.stored.view.n_elements();
        best_of_all(backend, from, units, to, ranking, meter)
    };
    let by_first = best_in(first.0, &units, first.1, Ranking::Signed)?;
    let by_second = best_in(second.0, &units, second.1, Ranking::Magnitude)?;
    let named: Vec<(u64, u64)> = units
        .iter()
        .zip(by_first.iter().zip(&by_second))
        .filter_map(
            |(&unit, (a, b))| if a.is_some() && a == b { a.map(|partner| (unit, partner)) } else { None },
        )
        .collect();
    let mut partners: Vec<u64> = named.iter().map(|(_, partner)| *partner).collect();
    partners.sort_unstable();
    partners.dedup();
    let mut agreement = Agreement { n_agreeing: 0, n_in_place: 0, n_units: units.len().min(n_right) };
    if partners.is_empty() {
        return Ok((agreement, flop));
    }
    let back_first = best_in(first.1, &partners, first.0, Ranking::Signed)?;
    let back_second = best_in(second.1, &partners, second.0, Ranking::Magnitude)?;
    for (unit, partner) in named {
        let Ok(at) = partners.binary_search(&partner) else { continue };
        if back_first[at] == Some(unit) && back_second[at] == Some(unit) {
            agreement.n_agreeing += 1;
            agreement.n_in_place += usize::from(unit == partner);
        }
    }
    Ok((agreement, flop))
}

/// For each given unit of `from` its best unit among all of `to`, in blocks.
fn best_of_all(
    backend: &Backend,
    from: UnitMatrix<'_>,
    units: &[u64],
    to: UnitMatrix<'_>,
    ranking: Ranking,
    meter: &ReadMeter,
) -> Result<Vec<Option<u64>>, Error> {
    let queries = whole_units(from, units, meter)?;
    let mut best: Vec<(f32, Option<u64>)> = vec![(f32::NEG_INFINITY, None); units.len()];
    let n_units = n_units(to);
    for first in (0..n_units).step_by(BLOCK_UNITS as usize) {
        let units: Vec<u64> = (first..n_units.min(first + BLOCK_UNITS)).collect();
        let block = whole_units(to, &units, meter)?;
        let pairs = all_pairs::all_pairs(backend, &queries, &block, ranking, Keep::Partners)?;
        for (held, found) in best.iter_mut().zip(&pairs.rows) {
            if let Some(index) = found.index.filter(|_| found.score > held.0) {
                *held = (found.score, Some(first + u64::from(index)));
            }
        }
    }
    Ok(best.into_iter().map(|(_, index)| index).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reductions::Best;

    fn pairs(rows: &[u32], columns: &[u32]) -> AllPairs {
        let best = |index: &u32| Best { index: Some(*index), score: 1.0, second: 0.0 };
        AllPairs {
            rows: rows.iter().map(best).collect(),
            columns: columns.iter().map(best).collect(),
            sum: 0.0,
            sum_squares: 0.0,
            scores: None,
        }
    }

    #[test]
    fn only_mutual_partners_that_both_views_name_count() {
        // unit 0 ↔ 2 in both views; unit 1 ↔ 1 in the first only; unit 2 is not mutual
        let first = pairs(&[2, 1, 2], &[0, 1, 0]);
        let second = pairs(&[2, 0, 1], &[1, 2, 0]);
        assert_eq!(partners(&first), [Some(2), Some(1), None]);
        let outcome = agreement(&first, &second);
        assert_eq!((outcome.n_agreeing, outcome.n_in_place, outcome.n_units), (1, 0, 3));
    }

    #[test]
    fn zero_vectors_have_no_partner() {
        let mut first = pairs(&[0], &[0]);
        first.rows[0].index = None;
        assert_eq!(partners(&first), [None]);
    }
}
