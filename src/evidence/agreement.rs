//! What an agreement count weighs against the controls.

use crate::measure::agreement::Agreement;

/// Largest share of agreeing units among independent trained pairs (docs/methods.md#agreement).
pub const CONTROL_SHARE: f64 = 0.0064;
/// Agreement that no independent pair of the controls comes near: 2.5 % of the units, and at least 8.
const AGREEING_SHARE: f64 = 0.025;
const AGREEING_UNITS: usize = 8;

/// A pair of layers whose units find each other.
#[must_use]
pub fn agrees(agreement: &Agreement) -> bool {
    agreement.n_agreeing >= AGREEING_UNITS && agreement.share() >= AGREEING_SHARE
}

/// ln of Chernoff's bound on P(count ≥ observed) for a Poisson count whose mean is the largest control share: a weight on the
/// scale of a p-value, for the likelihood alone. 0 where the count is not above that mean.
#[must_use]
pub fn ln_weight(agreement: &Agreement) -> f64 {
    let mean = (CONTROL_SHARE * agreement.n_units as f64).max(0.25);
    let count = agreement.n_agreeing as f64;
    if count <= mean { 0.0 } else { count - mean - count * (count / mean).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_weigh_nothing_and_matches_weigh_much() {
        let of = |n_agreeing, n_units| Agreement { n_agreeing, n_in_place: 0, n_units };
        assert!(!agrees(&of(2, 352)) && !agrees(&of(7, 32)) && agrees(&of(9, 352)));
        assert_eq!(ln_weight(&of(2, 352)), 0.0);
        assert!(ln_weight(&of(300, 352)) < -1000.0);
    }
}
