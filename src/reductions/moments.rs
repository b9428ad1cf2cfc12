//! Sums over two equally long runs of elements: everything S0 and S1 need.

/// Sums over the pairs (a, b) of two runs. All sums f64; those of matrices are made of f32 sums over at
/// most 4,096 elements.
///
/// A pair with a NaN or Inf on either side is counted and enters no sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairMoments {
    /// Pairs seen, non-finite ones included.
    pub n_elements: u64,
    /// Non-finite elements of a.
    pub n_non_finite_a: u64,
    /// Non-finite elements of b.
    pub n_non_finite_b: u64,
    /// Pairs of equal value (-0 equals 0).
    pub n_equal: u64,
    /// Pairs of equal sign, both non-zero.
    pub n_same_sign: u64,
    /// Σa.
    pub sum_a: f64,
    /// Σb.
    pub sum_b: f64,
    /// Σa².
    pub sum_aa: f64,
    /// Σb².
    pub sum_bb: f64,
    /// Σab.
    pub sum_ab: f64,
    /// Σ(a − b)². Of its own, because Σa² + Σb² − 2Σab of near copies is rounding alone.
    pub sum_squared_diff: f64,
    /// max |a − b|.
    pub max_abs_diff: f32,
}

impl PairMoments {
    /// Adds the sums of another run.
    pub fn add(&mut self, other: &PairMoments) {
        self.n_elements += other.n_elements;
        self.n_non_finite_a += other.n_non_finite_a;
        self.n_non_finite_b += other.n_non_finite_b;
        self.n_equal += other.n_equal;
        self.n_same_sign += other.n_same_sign;
        self.sum_a += other.sum_a;
        self.sum_b += other.sum_b;
        self.sum_aa += other.sum_aa;
        self.sum_bb += other.sum_bb;
        self.sum_ab += other.sum_ab;
        self.sum_squared_diff += other.sum_squared_diff;
        self.max_abs_diff = self.max_abs_diff.max(other.max_abs_diff);
    }

    /// The same sums with a and b changing places.
    #[must_use]
    pub fn swapped(&self) -> PairMoments {
        PairMoments {
            n_non_finite_a: self.n_non_finite_b,
            n_non_finite_b: self.n_non_finite_a,
            sum_a: self.sum_b,
            sum_b: self.sum_a,
            sum_aa: self.sum_bb,
            sum_bb: self.sum_aa,
            ..*self
        }
    }
}
