//! What an agreement count weighs against the controls.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::measure::agreement::Agreement;

/// Agreement that no independent pair of the controls comes near: 2.5 % of the units, and at least 8.
const AGREEING_SHARE: f64 = 0.025;
/// Units that must find each other in a layer before it counts.
pub const AGREEING_UNITS: usize = 8;

/// How alike units of independent trained models are, measured: `data/controls.json` (docs/evaluate.md#fit).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ShippedControls {
    /// Printed with the map's.
    pub version: String,
    /// Largest share of agreeing units of one statistic over all layers of an independent pair.
    pub largest_pair_share: f64,
    /// Largest share of attention heads that find each other, over all layers of an independent pair.
    pub largest_head_share: f64,
    /// Per statistic and depth.
    pub cells: Vec<ShippedCell>,
}

/// Pairs of layers of independent models.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ShippedCell {
    /// `agreement`, `probes` or `heads`.
    pub statistic: String,
    /// The most units that agree in one pair of layers.
    pub most_agreeing: usize,
    /// The largest share of units in one pair of layers.
    pub largest_share: f64,
}

static SHIPPED: LazyLock<ShippedControls> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/controls.json"))
        .expect("the embedded controls are read by a test of this file")
});

impl ShippedControls {
    /// The controls of this version of the program.
    #[must_use]
    pub fn shipped() -> &'static ShippedControls {
        &SHIPPED
    }
}

/// A pair of layers whose units find each other.
#[must_use]
pub fn agrees(agreement: &Agreement) -> bool {
    agreement.n_agreeing >= AGREEING_UNITS && agreement.share() >= AGREEING_SHARE
}

/// ln of Chernoff's bound on P(count ≥ observed) for a Poisson count whose mean is the largest control share: a weight on the
/// scale of a p-value, for the likelihood alone. 0 where the count is not above that mean.
#[must_use]
pub fn ln_weight(agreement: &Agreement) -> f64 {
    ln_weight_against(agreement, ShippedControls::shipped().largest_pair_share)
}

/// The same against another control share.
pub(super) fn ln_weight_against(agreement: &Agreement, control_share: f64) -> f64 {
    // a quarter of a unit agrees between random units (docs/methods.md#agreement)
    let mean = (control_share * agreement.n_units as f64).max(0.25);
    let count = agreement.n_agreeing as f64;
    if count <= mean { 0.0 } else { count - mean - count * (count / mean).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n_agreeing: usize, n_units: usize) -> Agreement {
        Agreement { n_agreeing, n_in_place: 0, n_units }
    }

    #[test]
    fn controls_weigh_nothing_and_matches_weigh_much() {
        assert!(!agrees(&of(2, 352)) && !agrees(&of(7, 32)) && agrees(&of(9, 352)));
        // controls stay below AGREEING_SHARE (next test), so no map of theirs makes a match weigh less than this
        let largest_mean: f64 = AGREEING_SHARE * 352.0;
        let weight = 300.0 - largest_mean - 300.0 * (300.0 / largest_mean).ln();
        assert!(ln_weight(&of(300, 352)) < weight && weight < -700.0);
        assert_eq!(ln_weight(&of(0, 352)), 0.0);
    }

    #[test]
    fn no_control_of_this_version_counts_as_agreement() {
        let controls = ShippedControls::shipped();
        assert!(controls.largest_pair_share > 0.0 && controls.largest_pair_share < AGREEING_SHARE);
        for cell in controls.cells.iter().filter(|cell| cell.statistic != "heads") {
            assert!(
                cell.most_agreeing < AGREEING_UNITS || cell.largest_share < AGREEING_SHARE,
                "independent models reach what counts as agreement: {cell:?}"
            );
        }
    }
}
