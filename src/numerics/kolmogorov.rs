//! Are p-values uniform, or too often small?

/// One-sided Kolmogorov–Smirnov test of p-values against "never smaller than uniform".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneSidedKs {
    /// Values.
    pub n: usize,
    /// D⁺ = sup over t of (share of values ≤ t) − t; small where values are uniform or larger.
    pub d_plus: f64,
    /// P(D⁺ ≥ observed) of n independent uniform values (Birnbaum & Tingey 1951), exact.
    pub p: f64,
}

/// The test; None of nothing.
#[must_use]
pub fn one_sided_ks(values: &[f64]) -> Option<OneSidedKs> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    if n == 0 {
        return None;
    }
    let above = |(i, value): (usize, &f64)| (i + 1) as f64 / n as f64 - value;
    let d_plus = sorted.iter().enumerate().map(above).fold(0.0, f64::max);
    Some(OneSidedKs { n, d_plus, p: birnbaum_tingey(n, d_plus) })
}

/// P(D⁺ₙ ≥ d) = d Σ_{j ≤ n(1−d)} C(n, j) (1 − d − j/n)^(n−j) (d + j/n)^(j−1); all terms positive.
fn birnbaum_tingey(n: usize, d: f64) -> f64 {
    if d <= 0.0 {
        return 1.0;
    }
    let size = n as f64;
    let mut ln_choose = 0.0;
    let mut sum = 0.0;
    for j in 0..=n {
        let share = j as f64 / size;
        let rest = 1.0 - d - share;
        if rest < 0.0 {
            break;
        }
        if j > 0 {
            ln_choose += ((n - j + 1) as f64).ln() - (j as f64).ln();
        }
        let ln_rest = if n == j { 0.0 } else { (size - j as f64) * rest.ln() };
        sum += (ln_choose + ln_rest + (j as f64 - 1.0) * (d + share).ln()).exp();
    }
    (d * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    #[test]
    fn one_value_is_as_surprising_as_it_is_small() {
        // n = 1: D⁺ = 1 − u, P(D⁺ ≥ 1 − u) = u
        for u in [0.001, 0.2, 0.7] {
            assert!((one_sided_ks(&[u]).expect("one").p - u).abs() < 1e-12);
        }
        assert_eq!(one_sided_ks(&[]), None);
    }

    #[test]
    fn published_quantiles() {
        // Birnbaum & Tingey 1951, table 1: P(D⁺ ≥ ε) = .05 and .01
        for (n, d, p) in [(5, 0.5094, 0.05), (10, 0.3687, 0.05), (20, 0.2647, 0.05), (10, 0.4566, 0.01)] {
            assert!((birnbaum_tingey(n, d) - p).abs() < 2e-4, "{n} {d} {}", birnbaum_tingey(n, d));
        }
    }

    #[test]
    fn uniform_values_are_rejected_as_often_as_said_and_large_ones_never() {
        let mut rng = Rng::new(&[5]);
        let n_rejected = (0..2000)
            .filter(|_| {
                let values: Vec<f64> = (0..50).map(|_| rng.unit()).collect();
                one_sided_ks(&values).expect("values").p <= 0.05
            })
            .count();
        // binomial(2000, .05): sd 9.7, five of them
        assert!(n_rejected.abs_diff(100) < 49, "{n_rejected}");
        let large: Vec<f64> = (0..50).map(|_| rng.unit().sqrt()).collect();
        assert!(one_sided_ks(&large).expect("values").p > 0.2);
    }
}
