//! Tail probabilities as natural logarithms: they reach 1e-300 and below without a zero.

/// ln P(Z ≥ z) of the standard normal. Relative error of the probability below 1e-7 for z ≤ 4 and below 1e-10 beyond.
#[must_use]
pub fn ln_normal_sf(z: f64) -> f64 {
    if z < 4.0 {
        return (0.5 * erfc(z / std::f64::consts::SQRT_2)).ln();
    }
    // continued fraction of Mills' ratio (Abramowitz & Stegun 26.2.14), 60 terms are exact to 1e-12 from z = 4 on
    let mut fraction = z;
    for k in (1..=60).rev() {
        fraction = z + f64::from(k) / fraction;
    }
    -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln() - fraction.ln()
}

/// Complementary error function, |relative error| < 1.2e-7 (Numerical Recipes §6.2, Chebyshev fit).
fn erfc(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let upper = t * (-x * x + polynomial).exp();
    if x >= 0.0 { upper } else { 2.0 - upper }
}

/// Digamma function ψ(x) = d/dx ln Γ(x), x > 0, to 1e-12: recurrence up to 10, then its asymptotic series (Abramowitz & Stegun
/// 6.3.5, 6.3.18).
#[must_use]
pub fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = inverse
        * (1.0 / 12.0
            - inverse * (1.0 / 120.0 - inverse * (1.0 / 252.0 - inverse * (1.0 / 240.0 - inverse / 132.0))));
    sum + x.ln() - 0.5 / x - series
}

/// ln P(X ≥ x) of χ² with 2·`half_dof` degrees of freedom: e^(−x/2) Σ_{i<half_dof} (x/2)^i / i!, exact in log space.
#[must_use]
pub fn ln_chi_square_even_sf(x: f64, half_dof: usize) -> f64 {
    if half_dof == 0 || x <= 0.0 {
        return 0.0;
    }
    let half = 0.5 * x;
    let (mut ln_term, mut terms) = (0.0, Vec::with_capacity(half_dof));
    for i in 0..half_dof {
        if i > 0 {
            ln_term += half.ln() - (i as f64).ln();
        }
        terms.push(ln_term);
    }
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
    (largest + sum.ln() - half).min(0.0)
}

/// ln Γ(x), x > 0, to 1e-13 of its size: recurrence up to 10, then Stirling's series (Abramowitz & Stegun 6.1.41).
fn ln_gamma(mut x: f64) -> f64 {
    let mut product = 1.0;
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse * (1.0 / 1680.0 - inverse / 1188.0))))
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - f64::ln(product)
}

/// P(X ≤ x) of χ² with `dof` > 0 degrees of freedom: the regularised lower incomplete gamma function by its series
/// (Abramowitz & Stegun 6.5.29).
#[must_use]
pub fn chi_square_cdf(x: f64, dof: f64) -> f64 {
    let (half, a) = (0.5 * x, 0.5 * dof);
    if half.is_nan() || half <= 0.0 {
        return 0.0;
    }
    // 40 and more standard deviations above the mean
    if half > 40.0 * (a + 10.0) {
        return 1.0;
    }
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > 1e-16 * sum {
        term *= half / (a + n);
        sum += term;
        n += 1.0;
    }
    (a * half.ln() - half - ln_gamma(a + 1.0) + sum.ln()).exp().min(1.0)
}

/// ln P(X ≥ f) of F with 1 and `dof` degrees of freedom: the regularised incomplete beta function I(dof / (dof + f); dof / 2, 1 / 2) by its
/// continued fraction (Abramowitz & Stegun 26.5.8).
#[must_use]
pub fn ln_f_sf(f: f64, dof: f64) -> f64 {
    if f.is_nan() || f <= 0.0 || dof <= 0.0 {
        return 0.0;
    }
    let (x, a, b) = (dof / (dof + f), 0.5 * dof, 0.5);
    let ln_front = a * x.ln() + b * (f / (dof + f)).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    // the fraction converges below this mean; above it the other tail does
    if x < (a + 1.0) / (a + b + 2.0) {
        return (ln_front - a.ln() + beta_fraction(x, a, b).ln()).min(0.0);
    }
    let other = (ln_front - b.ln() + beta_fraction(1.0 - x, b, a).ln()).exp();
    (-other.min(1.0)).ln_1p()
}

/// The continued fraction of the incomplete beta function by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let guard = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// Median of finite values; None of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(sorted[n / 2]),
        _ => Some(0.5 * (sorted[n / 2 - 1] + sorted[n / 2])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};
    use statrs::function::gamma;

    #[test]
    fn f_tail_equals_another_library() {
        use statrs::distribution::FisherSnedecor;
        for dof in [1.0, 2.0, 7.0, 29.0, 300.0] {
            let other = FisherSnedecor::new(1.0, dof).expect("positive degrees");
            for f in [1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 60.0] {
                let (ours, theirs) = (ln_f_sf(f, dof).exp(), other.sf(f));
                assert!((ours - theirs).abs() < 1e-9 * theirs.max(1e-3), "{f}, {dof}: {ours} {theirs}");
            }
        }
        assert_eq!(ln_f_sf(0.0, 5.0), 0.0);
        // far beyond what a probability can hold: P = 2 P(t ≥ √f) falls as f^(−dof/2)
        assert!(ln_f_sf(1e12, 100.0) < -1000.0);
    }

    #[test]
    fn chi_square_equals_another_library() {
        for dof in [1.0, 7.0, 27.0, 300.0] {
            let other = ChiSquared::new(dof).expect("positive degrees");
            for share in [1e-3, 0.1, 0.3, 0.7, 1.0, 1.5, 4.0, 30.0, 200.0] {
                let (ours, theirs) = (chi_square_cdf(share * dof, dof), other.cdf(share * dof));
                // they state about 1e-10 of the function's values
                assert!((ours - theirs).abs() < 1e-9 * theirs.max(1e-12), "{share}, {dof}: {ours} {theirs}");
            }
        }
        assert_eq!(chi_square_cdf(0.0, 5.0), 0.0);
    }

    #[test]
    fn normal_tail_equals_another_library() {
        let normal = Normal::new(0.0, 1.0).expect("unit variance");
        for step in -40..=350 {
            let z = f64::from(step) / 10.0;
            let (ours, theirs) = (ln_normal_sf(z), normal.sf(z).ln());
            if theirs.is_finite() {
                // our stated relative error 1.2e-7, theirs about 1e-11
                assert!((ours - theirs).abs() < 3e-7, "z {z}: {ours} {theirs}");
            }
        }
        // Mills: sf(z) → φ(z)/z, ln = −z²/2 − ln z − ln√(2π) to 1/z²
        let z = 1e4;
        assert!((ln_normal_sf(z) + 0.5 * z * z + z.ln() + 0.918_938_5).abs() < 1e-3);
    }

    #[test]
    fn chi_square_tail_equals_another_library() {
        for half_dof in [1usize, 2, 5, 44, 300] {
            let law = ChiSquared::new(2.0 * half_dof as f64).expect("positive");
            for x in [0.1, 1.0, 10.0, 100.0, 500.0, 900.0] {
                let theirs = law.sf(x).ln();
                if theirs > -600.0 && theirs.is_finite() {
                    let ours = ln_chi_square_even_sf(x, half_dof);
                    assert!(
                        (ours - theirs).abs() < 1e-6 * theirs.abs().max(1.0),
                        "{half_dof} {x} {ours} {theirs}"
                    );
                }
            }
        }
        assert!(ln_chi_square_even_sf(1e6, 2) < -4e5, "no underflow to zero");
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(median(&[5.0, 1.0, 3.0]), Some(3.0));
    }

    #[test]
    fn digamma_is_that_of_statrs() {
        for x in [0.5, 1.0, 1.5, 3.0, 9.99, 10.0, 250.0, 4096.0] {
            assert!((digamma(x) - gamma::digamma(x)).abs() < 1e-11, "ψ({x}) = {}", digamma(x));
        }
    }
}
