//! Several p-values become one, each rule with the dependence it stands.

use super::ln_chi_square_even_sf;

/// Fisher's combination of independent p-values given as ln p: χ² of −2 Σ ln p on 2n degrees of freedom. 0 (p = 1) of nothing.
#[must_use]
pub fn fisher_ln_p(ln_ps: &[f64]) -> f64 {
    let sum: f64 = ln_ps.iter().map(|ln_p| ln_p.min(0.0)).sum();
    ln_chi_square_even_sf(-2.0 * sum, ln_ps.len())
}

/// Fisher over all but the k = max(1, ⌈n/10⌉) smallest p: small only if the evidence does not hang on a few tests (docs/methods.md#combination).
///
/// Conservative: what is left is stochastically larger than independent uniforms. 0 where nothing is left.
#[must_use]
pub fn spread_ln_p(ln_ps: &[f64]) -> f64 {
    let mut sorted = ln_ps.to_vec();
    sorted.sort_by(f64::total_cmp);
    let dropped = sorted.len().div_ceil(10).max(1).min(sorted.len());
    fisher_ln_p(&sorted[dropped..])
}

/// p-values under any dependence: (n/k) · p₍ₖ₎, the k-th smallest of n (Rüger 1978). With k = ⌈n/4⌉ (at least 2) a quarter of
/// the tests must reject, so a few tensors with a fixed meaning decide nothing. 0 (p = 1) of fewer than two.
#[must_use]
pub fn order_statistic_ln_p(ln_ps: &[f64]) -> f64 {
    let n = ln_ps.len();
    if n < 2 {
        return 0.0;
    }
    let k = n.div_ceil(4).max(2);
    let mut sorted = ln_ps.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[k - 1] + (n as f64 / k as f64).ln()).min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    #[test]
    fn one_p_is_itself_and_none_is_one() {
        assert!((fisher_ln_p(&[-7.5]) + 7.5).abs() < 1e-12);
        assert_eq!(fisher_ln_p(&[]), 0.0);
        assert_eq!(spread_ln_p(&[-50.0]), 0.0);
        assert_eq!(order_statistic_ln_p(&[-50.0]), 0.0);
    }

    #[test]
    fn one_strong_test_does_not_spread() {
        let mut ln_ps = vec![-0.7; 16];
        ln_ps[3] = -400.0;
        assert!(fisher_ln_p(&ln_ps) < -300.0);
        assert!(spread_ln_p(&ln_ps).exp() > 0.5);
        assert!(order_statistic_ln_p(&ln_ps).exp() > 0.5);
    }

    #[test]
    fn null_rates_stay_below_nominal() {
        let mut rng = Rng::new(&[11]);
        let (n_draws, n_tests) = (20_000, 12);
        let mut rejected = [0u32; 3];
        let mut repeated = 0u32;
        for _ in 0..n_draws {
            let ln_ps: Vec<f64> = (0..n_tests).map(|_| rng.unit().ln()).collect();
            for (count, rule) in rejected.iter_mut().zip([fisher_ln_p, spread_ln_p, order_statistic_ln_p]) {
                *count += u32::from(rule(&ln_ps) <= 0.01f64.ln());
            }
            // total dependence: the same p twelve times
            repeated += u32::from(order_statistic_ln_p(&vec![ln_ps[0]; n_tests]) <= 0.01f64.ln());
        }
        // binomial(20_000, .01): mean 200, sd 14.07, four of them
        assert!(rejected[0].abs_diff(200) < 57, "{rejected:?}");
        assert!(rejected[1] < 257 && rejected[2] < 257 && repeated < 257, "{rejected:?} {repeated}");
    }
}
