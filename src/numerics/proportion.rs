//! How large a probability may be that was never, or seldom, seen to come true.

/// Upper end of the one-sided Clopper–Pearson interval (1934): the largest probability under which `n_hits` or fewer of `n`
/// have the chance 1 − `confidence`. 1 of nothing.
#[must_use]
pub fn clopper_pearson_upper(n_hits: usize, n: usize, confidence: f64) -> f64 {
    if n_hits >= n {
        return 1.0;
    }
    let tail = 1.0 - confidence;
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    // 60 halvings: below the spacing of doubles near 1
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if binomial_cdf(n_hits, n, middle) > tail { low = middle } else { high = middle }
    }
    high
}

/// P(X ≤ k) of n draws at probability p, summed in log space.
fn binomial_cdf(k: usize, n: usize, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    let (ln_p, ln_q) = (p.ln(), (-p).ln_1p());
    let mut ln_choose = 0.0;
    let mut sum = 0.0;
    for i in 0..=k.min(n) {
        if i > 0 {
            ln_choose += ((n - i + 1) as f64).ln() - (i as f64).ln();
        }
        sum += (ln_choose + i as f64 * ln_p + (n - i) as f64 * ln_q).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_of_n_is_the_rule_of_three() {
        // 1 − .05^(1/n) exactly; near 3/n for large n
        for n in [1usize, 13, 100, 5000] {
            let exact = 1.0 - 0.05_f64.powf(1.0 / n as f64);
            assert!((clopper_pearson_upper(0, n, 0.95) - exact).abs() < 1e-12, "{n}");
        }
        assert_eq!(clopper_pearson_upper(0, 0, 0.95), 1.0);
        assert_eq!(clopper_pearson_upper(4, 4, 0.95), 1.0);
    }

    #[test]
    fn the_bound_is_the_quantile_of_a_beta_variable() {
        use statrs::distribution::{Beta, ContinuousCDF};
        for (k, n) in [(1usize, 10usize), (2, 201), (7, 50)] {
            let beta = Beta::new(k as f64 + 1.0, (n - k) as f64).expect("positive");
            let ours = clopper_pearson_upper(k, n, 0.95);
            // statrs states about 1e-10 for its incomplete beta function
            assert!((beta.cdf(ours) - 0.95).abs() < 1e-8, "{k} {n} {ours}");
        }
    }
}
