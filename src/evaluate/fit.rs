//! The likelihood map from labelled pairs: logistic regression of "shares weights" on the scale of the strength.
//!
//! Both classes weigh alike, so that the map is a likelihood ratio and any prior can be put before it. The penalty is Platt's
//! (1999): instead of 0 and 1 the targets are 1/(F + 2) and (F + 1)/(F + 2), with F the *families* of the class: pairs of one
//! family are no independent witnesses, and classes that do not overlap still have a finite slope.

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
    let target = |n_families: usize| 1.0 / (n_families as f64 + 2.0);
    let (of_shared, of_independent) = (families(true), families(false));
    let scaled = |values: &[f64]| values.iter().map(|s| LikelihoodMap::scale(*s)).collect::<Vec<_>>();
    let (intercept, slope) = logistic(
        (&scaled(&shared), 1.0 - target(of_shared.len())),
        (&scaled(&independent), target(of_independent.len())),
    );
    let FamilyBound { n_families, n_wrong, bound } = family_bound(rows);
    let map = LikelihoodMap {
        version: version.to_owned(),
        intercept,
        slope,
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

/// Intercept and slope ≥ 0 of the weighted cross entropy, each class with weight 1 and one soft target. Newton's method with
/// halved steps: the loss is convex.
fn logistic((high, high_target): (&[f64], f64), (low, low_target): (&[f64], f64)) -> (f64, f64) {
    let points: Vec<(f64, f64, f64)> = high
        .iter()
        .map(|x| (*x, high_target, 1.0 / high.len() as f64))
        .chain(low.iter().map(|x| (*x, low_target, 1.0 / low.len() as f64)))
        .collect();
    let loss = |a: f64, b: f64| -> f64 {
        // ln(1 + e^z) − t·z
        let of = |z: f64, t: f64| z.max(0.0) + (-z.abs()).exp().ln_1p() - t * z;
        points.iter().map(|(x, t, w)| w * of(a + b * x, *t)).sum()
    };
    let (mut a, mut b) = (0.0, 0.0);
    for _ in 0..100 {
        let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
        for (x, t, w) in &points {
            let p = 1.0 / (1.0 + (-(a + b * x)).exp());
            let (g, h) = (w * (p - t), w * p * (1.0 - p));
            ga += g;
            gb += g * x;
            haa += h;
            hab += h * x;
            hbb += h * x * x;
        }
        let determinant = haa * hbb - hab * hab;
        if determinant <= 0.0 {
            break;
        }
        let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant);
        let (before, mut step) = (loss(a, b), 1.0);
        while step > 1e-6 && loss(a - step * da, b - step * db) > before {
            step *= 0.5;
        }
        (a, b) = (a - step * da, b - step * db);
        if step * (da.abs() + db.abs()) < 1e-10 {
            break;
        }
    }
    // more evidence must never make shared weights less likely: a map that says nothing is the best monotone one then
    if b < 0.0 { (0.0, 0.0) } else { (a, b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    #[test]
    fn a_logistic_law_is_found_again() {
        // P(shared | x) = 1 / (1 + e^(3 − 2x)) at even prior ⇔ the two densities have log ratio 2x − 3: normals around 1 and 2
        // with variance 1/2 have log ratio 2x − 3
        let mut rng = Rng::new(&[3]);
        let mut draw =
            |mean: f64| (0..20_000).map(|_| mean + 0.5f64.sqrt() * rng.normal()).collect::<Vec<_>>();
        let (a, b) = logistic((&draw(2.0), 1.0), (&draw(1.0), 0.0));
        // standard errors of a logistic fit on 20,000 + 20,000 such draws are near .03
        assert!((a + 3.0).abs() < 0.15 && (b - 2.0).abs() < 0.1, "{a} {b}");
    }

    #[test]
    fn classes_apart_have_a_finite_slope_and_reach_their_targets() {
        let (a, b) = logistic((&[2.0; 40], 0.99), (&[0.1; 60], 0.02));
        let at = |x: f64| 1.0 / (1.0 + (-(a + b * x)).exp());
        assert!((at(2.0) - 0.99).abs() < 1e-6 && (at(0.1) - 0.02).abs() < 1e-6);
    }

    #[test]
    fn evidence_never_lowers_a_likelihood() {
        assert_eq!(logistic((&[0.1; 9], 0.9), (&[2.0; 9], 0.1)), (0.0, 0.0));
    }
}
