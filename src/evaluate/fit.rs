//! The likelihood map from labelled pairs: isotonic regression (Ayer et al. 1955) of "shares weights" on the strength.
//!
//! Pairs of one family are no independent witnesses: the pairs of each class together weigh as many as the class has
//! families, and half a family is added to both sides of every step. Where the classes do not overlap a step is still finite.

use std::collections::BTreeSet;

use super::calibration::{Calibration, Forecast, calibration};
use super::manifest::Split;
use super::rates::{FamilyBound, family_bound};
use super::{Outcome, Row};
use crate::compare::WeightsVerdict;
use crate::evidence::LikelihoodMap;

/// A fitted map and how it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The map.
    pub map: LikelihoodMap,
    /// Pairs fitted on: sharing weights, independent.
    pub n_fit: (usize, usize),
    /// Families fitted on.
    pub n_fit_families: usize,
    /// Largest strength of an independent pair and smallest of one that shares weights, among those fitted on; where the
    /// first is above the second, strengths between them tell little.
    pub band: (f64, f64),
    /// Reliability on the pairs fitted on.
    pub on_fit: Option<Calibration>,
    /// Reliability on families that the fit never saw.
    pub on_test: Option<Calibration>,
}

/// Why there is no map.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FitError {
    /// A class is missing.
    #[error(
        "the fit split holds {n_shared} pairs that share weights and {n_independent} independent ones; both are needed"
    )]
    OneClass {
        /// Pairs that share weights.
        n_shared: usize,
        /// Independent pairs.
        n_independent: usize,
    },
}

/// Fits a map on the rows of the fit split and tests it on those of the test split, at even prior.
///
/// # Errors
/// A class is missing in the fit split.
pub fn fit(rows: &[Row], version: &str) -> Result<Fitted, FitError> {
    let usable: Vec<(&Row, &Outcome)> = rows
        .iter()
        .filter(|row| row.pair.is_trained)
        .filter_map(|row| {
            Some((row, row.outcome.as_ref().ok().filter(|outcome| outcome.strength.is_some())?))
        })
        .collect();
    let chosen: Vec<&(&Row, &Outcome)> =
        usable.iter().filter(|(row, _)| row.pair.split == Some(Split::Fit)).collect();
    let strengths = |shared: bool| -> Vec<f64> {
        let of_class = chosen.iter().filter(|(row, _)| row.pair.label.is_shared() == shared);
        of_class.map(|(_, outcome)| outcome.score()).collect()
    };
    let families = |shared: bool| -> BTreeSet<&str> {
        let of_class = chosen.iter().filter(|(row, _)| row.pair.label.is_shared() == shared);
        of_class
            .flat_map(|(row, _)| [row.pair.family_left.as_str(), row.pair.family_right.as_str()])
            .collect()
    };
    let (shared, independent) = (strengths(true), strengths(false));
    if shared.is_empty() || independent.is_empty() {
        return Err(FitError::OneClass { n_shared: shared.len(), n_independent: independent.len() });
    }
    let (of_shared, of_independent) = (families(true), families(false));
    let points = isotonic((&shared, of_shared.len()), (&independent, of_independent.len()));
    let FamilyBound { n_families, n_wrong, bound } = family_bound(rows);
    let map = LikelihoodMap {
        version: version.to_owned(),
        points,
        families: n_families,
        families_wrong: n_wrong,
        false_positive_bound: bound,
    };
    let reliability = |split: Split| {
        let of_split = usable.iter().filter(|(row, _)| row.pair.split == Some(split)).copied();
        reliability(&of_split.collect::<Vec<_>>(), &map)
    };
    Ok(Fitted {
        n_fit: (shared.len(), independent.len()),
        n_fit_families: of_shared.union(&of_independent).count(),
        band: (
            independent.iter().copied().fold(0.0, f64::max),
            shared.iter().copied().fold(f64::INFINITY, f64::min),
        ),
        on_fit: reliability(Split::Fit),
        on_test: reliability(Split::Test),
        map,
    })
}

/// Reliability of a map over some rows, at the prior that they have themselves: the share that shares weights. At another
/// prior no map could be right about them.
pub(super) fn reliability(rows: &[(&Row, &Outcome)], map: &LikelihoodMap) -> Option<Calibration> {
    let n_shared = rows.iter().filter(|(row, _)| row.pair.label.is_shared()).count();
    // one pair more of each kind, so that a set of one class has a prior too (Laplace)
    let prior = (n_shared as f64 + 1.0) / (rows.len() as f64 + 2.0);
    let forecasts = rows.iter().filter(|(_, outcome)| outcome.strength.is_some()).map(|(row, outcome)| {
        // a complete equality is not a matter of the map
        let is_equal = matches!(outcome.verdict, WeightsVerdict::Identical | WeightsVerdict::Requantised);
        Forecast {
            likelihood: if is_equal { map.cap() } else { map.at(outcome.score(), prior).value },
            is_positive: row.pair.label.is_shared(),
            is_hard: row.pair.is_hard,
        }
    });
    calibration(&forecasts.collect::<Vec<_>>()).map(|found| Calibration { prior, ..found })
}

/// A run of strengths that count as one.
#[derive(Clone, Copy)]
struct Step {
    low: f64,
    high: f64,
    /// Families that share weights, as a weight.
    shared: f64,
    /// Independent families, as a weight.
    independent: f64,
}

/// Points (x, log likelihood ratio) of the best non-decreasing step function: pool adjacent violators, then a line from
/// step to step.
fn isotonic(
    (shared, n_shared): (&[f64], usize),
    (independent, n_independent): (&[f64], usize),
) -> Vec<(f64, f64)> {
    let (n_shared, n_independent) = (n_shared as f64, n_independent as f64);
    let (of_shared, of_independent) =
        (n_shared / shared.len() as f64, n_independent / independent.len() as f64);
    let mut sorted: Vec<(f64, bool)> = shared.iter().map(|s| (LikelihoodMap::scale(*s), true)).collect();
    sorted.extend(independent.iter().map(|s| (LikelihoodMap::scale(*s), false)));
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut steps: Vec<Step> = Vec::new();
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let n = |class: bool| tied.iter().filter(|(_, is_shared)| *is_shared == class).count() as f64;
        let x = tied[0].0;
        let mut step =
            Step { low: x, high: x, shared: n(true) * of_shared, independent: n(false) * of_independent };
        // a step that is not above the one before it joins it
        while let Some(last) = steps.last()
            && last.shared * (step.shared + step.independent)
                >= step.shared * (last.shared + last.independent)
        {
            step = Step {
                low: last.low,
                high: step.high,
                shared: last.shared + step.shared,
                independent: last.independent + step.independent,
            };
            steps.pop();
        }
        steps.push(step);
    }
    let mut points = Vec::with_capacity(2 * steps.len());
    let mut highest = f64::NEG_INFINITY;
    for step in steps {
        let of_shared = ((step.shared + 0.5) / (n_shared + 1.0)).ln();
        let of_independent = ((step.independent + 0.5) / (n_independent + 1.0)).ln();
        // what was added to both sides must not turn the order of steps around
        highest = highest.max(of_shared - of_independent);
        points.push((step.low, highest));
        if step.high > step.low {
            points.push((step.high, highest));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    /// ln ratio at x, read off points.
    fn at(points: &[(f64, f64)], x: f64) -> f64 {
        let map = LikelihoodMap { points: points.to_vec(), ..LikelihoodMap::shipped().clone() };
        map.ln_ratio(10f64.powf(x) - 1.0)
    }

    #[test]
    fn the_ratio_of_two_densities_is_found_again() {
        // normals around 1 and 2 with variance 1/2 have the log ratio 2x − 3
        let mut rng = Rng::new(&[3]);
        let mut draw = |mean: f64| -> Vec<f64> {
            (0..20_000).map(|_| 10f64.powf((mean + 0.5f64.sqrt() * rng.normal()).max(0.0)) - 1.0).collect()
        };
        let points = isotonic((&draw(2.0), 20_000), (&draw(1.0), 20_000));
        for x in [0.8, 1.2, 1.5, 1.8, 2.2] {
            // steps of n^(2/3) draws: their counts vary by n^(-1/3) = .04, four of them with the width of a step
            assert!((at(&points, x) - (2.0 * x - 3.0)).abs() < 0.2, "{x}: {}", at(&points, x));
        }
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
    }

    #[test]
    fn classes_apart_leave_a_finite_ratio_that_grows_with_families_and_not_with_pairs() {
        let of = |n_pairs: usize, n_families| {
            let points = isotonic((&vec![99.0; n_pairs], n_families), (&vec![0.0; n_pairs], n_families));
            (at(&points, 0.0), at(&points, 2.0))
        };
        // ln((F + ½)/(F + 1)) − ln(½/(F + 1))
        let ratio = |f: f64| (2.0 * f + 1.0).ln();
        let (low, high) = of(40, 40);
        assert!((high - ratio(40.0)).abs() < 1e-9 && (low + ratio(40.0)).abs() < 1e-9);
        assert_eq!(of(4000, 40), (low, high));
    }

    #[test]
    fn evidence_never_lowers_a_likelihood() {
        let points = isotonic((&[0.1; 9], 9), (&[20.0; 9], 9));
        assert!(points.iter().all(|(_, ratio)| ratio.abs() < 1e-9), "{points:?}");
    }
}
