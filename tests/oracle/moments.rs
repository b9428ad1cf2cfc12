//! Definition of the pair moments: every sum in f64, one element after the other.

/// Sums over the pairs of two runs; a pair with NaN or Inf on either side enters no sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) counts: Counts,
    pub(crate) sum_a: f64,
    pub(crate) sum_b: f64,
    pub(crate) sum_aa: f64,
    pub(crate) sum_bb: f64,
    pub(crate) sum_ab: f64,
    pub(crate) sum_squared_diff: f64,
    pub(crate) max_abs_diff: f64,
    /// Σ|a|, Σ|b|, Σ|ab|: what error bounds are made of.
    pub(crate) magnitudes: [f64; 3],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) n_elements: u64,
    pub(crate) n_non_finite_a: u64,
    pub(crate) n_non_finite_b: u64,
    pub(crate) n_equal: u64,
    pub(crate) n_same_sign: u64,
}

pub(crate) fn moments(a: &[f64], b: &[f64]) -> Moments {
    assert_eq!(a.len(), b.len());
    let mut m = Moments::default();
    for (&x, &y) in a.iter().zip(b) {
        m.counts.n_elements += 1;
        m.counts.n_non_finite_a += u64::from(!x.is_finite());
        m.counts.n_non_finite_b += u64::from(!y.is_finite());
        if x.is_finite() && y.is_finite() {
            m.counts.n_equal += u64::from(x == y);
            m.counts.n_same_sign += u64::from(x * y.signum() > 0.0 && y != 0.0);
            m.sum_a += x;
            m.sum_b += y;
            m.sum_aa += x * x;
            m.sum_bb += y * y;
            m.sum_ab += x * y;
            m.sum_squared_diff += (x - y).powi(2);
            m.max_abs_diff = m.max_abs_diff.max((x - y).abs());
            for (sum, term) in m.magnitudes.iter_mut().zip([x, y, x * y]) {
                *sum += term.abs();
            }
        }
    }
    m
}
