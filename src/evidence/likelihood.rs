//! Posterior of "shares weights": a monotone map of the strongest statistic, capped by what the controls support.
//!
//! logit L = logit(prior) + f(x), x = log10(1 + strength), strength = −log10 of the strongest p or weight, so that no single
//! scale of p dominates. f, a log likelihood ratio, is linear between the points of `data/likelihood.json`, which
//! `cognate evaluate MANIFEST --fit DIR` writes with the families behind it (docs/evaluate.md#fit).

use std::sync::LazyLock;

use serde::Deserialize;

/// A map and what it was made from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LikelihoodMap {
    /// Printed in every report.
    pub version: String,
    /// (x, f(x)) with both ascending; constant beyond both ends.
    pub points: Vec<(f64, f64)>,
    /// Independent trained families that were held against each other.
    pub families: usize,
    /// Of these, in a pair that was accused.
    pub families_wrong: usize,
    /// How often a family never seen may be accused: Clopper–Pearson, one-sided, 95 %, by family.
    pub false_positive_bound: f64,
}

/// Fewer families than this leave a map provisional: with none wrong they bound the rate of false accusations at 3 %.
pub const ENOUGH_FAMILIES: usize = 100;

static SHIPPED: LazyLock<LikelihoodMap> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/likelihood.json"))
        .expect("the embedded map is read by a test of this file")
});

/// A likelihood with its cap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Posterior probability.
    pub value: f64,
    /// What the controls support at most.
    pub cap: f64,
    /// −log10 of what it is a function of.
    pub strength: f64,
}

impl LikelihoodMap {
    /// The map of this version of the program.
    #[must_use]
    pub fn shipped() -> &'static LikelihoodMap {
        &SHIPPED
    }

    /// Scale on which the map is a line.
    #[must_use]
    pub fn scale(strength: f64) -> f64 {
        (1.0 + strength.max(0.0)).log10()
    }

    /// Largest likelihood: with 0 of N families wrong, an error rate of 3/N is not excluded at 95 %.
    #[must_use]
    pub fn cap(&self) -> f64 {
        (1.0 - self.false_positive_bound.max(3.0 / self.families.max(3) as f64)).max(0.0)
    }

    /// Too few families stand behind it.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.families < ENOUGH_FAMILIES
    }

    /// f of a strength: ln of how much likelier it is where weights are shared.
    #[must_use]
    pub fn ln_ratio(&self, strength: f64) -> f64 {
        let x = Self::scale(strength);
        let above = self.points.partition_point(|(at, _)| *at < x);
        match (above.checked_sub(1).and_then(|below| self.points.get(below)), self.points.get(above)) {
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
            (Some((_, y)), None) | (None, Some((_, y))) => *y,
            (None, None) => 0.0,
        }
    }

    /// Likelihood of a strength at a prior.
    #[must_use]
    pub fn at(&self, strength: f64, prior: f64) -> Likelihood {
        let logit = (prior / (1.0 - prior)).ln() + self.ln_ratio(strength);
        let cap = self.cap();
        Likelihood { value: (1.0 / (1.0 + (-logit).exp())).min(cap), cap, strength }
    }
}

/// Likelihood at a prior, from the combined ln p (already including the price of assignments).
#[must_use]
pub fn likelihood(ln_p: f64, prior: f64) -> Likelihood {
    LikelihoodMap::shipped().at(-ln_p.min(0.0) / std::f64::consts::LN_10, prior)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_map_is_monotone_capped_and_silent_where_nothing_was_found() {
        let map = LikelihoodMap::shipped();
        let at = |strength: f64| map.at(strength, 0.5).value;
        let values: Vec<f64> = (0..400).map(|strength| at(f64::from(strength))).collect();
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(values[0] < 0.1, "{}", values[0]);
        assert_eq!(at(1e4), map.cap());
        assert!(map.cap() <= 1.0 - 3.0 / map.families as f64);
        assert!(map.at(14.0, 0.01).value < at(14.0));
        assert!(!map.version.is_empty() && !map.points.is_empty());
    }

    #[test]
    fn between_points_the_map_is_a_line_and_beyond_them_constant() {
        let points = vec![(0.0, -2.0), (1.0, 0.0), (1.0, 3.0), (2.0, 4.0)];
        let map = LikelihoodMap { points, ..LikelihoodMap::shipped().clone() };
        // x of a strength s is log10(1 + s)
        for (strength, wanted) in
            [(0.0, -2.0), (10f64.sqrt() - 1.0, -1.0), (9.0, 0.0), (9.001, 3.0), (1e9, 4.0)]
        {
            assert!((map.ln_ratio(strength) - wanted).abs() < 1e-3, "{strength}");
        }
        assert_eq!(LikelihoodMap { points: vec![], ..map }.ln_ratio(5.0), 0.0);
    }

    #[test]
    fn errors_lower_the_cap() {
        let clean =
            LikelihoodMap { families: 200, false_positive_bound: 0.0149, ..LikelihoodMap::shipped().clone() };
        let wrong = LikelihoodMap { families_wrong: 2, false_positive_bound: 0.031, ..clean.clone() };
        assert!((clean.cap() - 0.985).abs() < 1e-12 && (wrong.cap() - 0.969).abs() < 1e-12);
        assert_eq!(LikelihoodMap { families: 0, false_positive_bound: 1.0, ..clean }.cap(), 0.0);
    }
}
