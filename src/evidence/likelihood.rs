//! Posterior of "shares weights", provisional: a monotone map of the combined p, capped by what the controls support.
//!
//! logit L = logit(prior) + w · (x − x₀) with x = log10(1 − log10 p), so that no single scale of p dominates. x₀ is the level
//! [`ALPHA`](super::ALPHA): evidence at the claim level leaves the prior where it was. w is penalised: the smallest that puts
//! the independent control pairs (x ≤ .5) below .05. With 0 of N control families wrong, L never exceeds 1 − 3/N.

/// Version of the map and of its controls; printed in every report.
pub const MAP_VERSION: &str = "provisional-1";

/// Independent families that were held against each other when the map was made: five of the development zoo, six of the
/// published convolutional nets, two of the zoo in this repository. docs/methods.md lists them.
const N_CONTROL_FAMILIES: f64 = 13.0;

/// Slope of the map.
const WEIGHT: f64 = 8.7;

/// A likelihood with its cap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Posterior probability.
    pub value: f64,
    /// 1 − 3/N.
    pub cap: f64,
    /// −log10 of what it is a function of.
    pub strength: f64,
}

/// Likelihood at a prior, from the combined ln p (already including the price of assignments).
#[must_use]
pub fn likelihood(ln_p: f64, prior: f64) -> Likelihood {
    let scale = |log10_p: f64| (1.0 - log10_p.min(0.0)).log10();
    let strength = -ln_p.min(0.0) / std::f64::consts::LN_10;
    let x = scale(-strength);
    let logit = (prior / (1.0 - prior)).ln() + WEIGHT * (x - scale(super::ALPHA.log10()));
    let cap = 1.0 - 3.0 / N_CONTROL_FAMILIES;
    Likelihood { value: (1.0 / (1.0 + (-logit).exp())).min(cap), cap, strength }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_monotone_capped_and_even_at_the_claim_level() {
        let at = |log10_p: f64| likelihood(log10_p * std::f64::consts::LN_10, 0.5).value;
        assert!((at(-6.0) - 0.5).abs() < 1e-12);
        assert!(at(0.0) < 0.01 && at(-2.0) < 0.05);
        let values: Vec<f64> = (0..400).map(|p| at(-f64::from(p))).collect();
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!((at(-1e4) - (1.0 - 3.0 / 13.0)).abs() < 1e-12);
        assert!(likelihood(-14.0, 0.01).value < at(-6.0));
    }
}
