//! S1, the plain picture of two tensors: how alike they look element by element. A size, never a p-value.
//!
//! Raw cosines of norm gains are .92 to .9999 between unrelated models: nothing here decides a verdict by itself.

use crate::reductions::PairMoments;

/// What one pass over two tensors shows. None where a norm is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Plain {
    /// Finite pairs.
    pub n_elements: u64,
    /// Σab / √(Σa² Σb²).
    pub cosine: Option<f64>,
    /// The same after subtracting each side's mean.
    pub centred_cosine: Option<f64>,
    /// √Σ(b − a)² / √Σa².
    pub relative_l2: Option<f64>,
    /// Least-squares slope of b on a, centred.
    pub slope: Option<f64>,
    /// Share of pairs of equal value.
    pub equal_share: f64,
    /// Share of pairs of equal sign.
    pub sign_agreement: f64,
}

/// Reads the picture off the sums of one tensor pair.
#[must_use]
pub fn plain(moments: &PairMoments) -> Plain {
    let n_bad = moments.n_non_finite_a.max(moments.n_non_finite_b);
    let n_elements = moments.n_elements.saturating_sub(n_bad);
    let n = n_elements.max(1) as f64;
    let (a, b) = (moments.sum_a, moments.sum_b);
    // clipped at rounding level: Σa² − (Σa)²/n of a constant vector is 0 up to f64 and f32 block rounding
    let spread = |squares: f64, sum: f64| {
        let spread = squares - sum * sum / n;
        if spread > 1e-6 * squares { spread } else { 0.0 }
    };
    let (spread_a, spread_b) = (spread(moments.sum_aa, a), spread(moments.sum_bb, b));
    let centred = moments.sum_ab - a * b / n;
    let ratio = |top: f64, bottom: f64| (bottom > 0.0).then(|| (top / bottom).clamp(-1.0, 1.0));
    Plain {
        n_elements,
        cosine: ratio(moments.sum_ab, (moments.sum_aa * moments.sum_bb).sqrt()),
        centred_cosine: ratio(centred, (spread_a * spread_b).sqrt()),
        relative_l2: (moments.sum_aa > 0.0).then(|| (moments.sum_squared_diff / moments.sum_aa).sqrt()),
        slope: (spread_a > 0.0).then(|| centred / spread_a),
        equal_share: moments.n_equal as f64 / n,
        sign_agreement: moments.n_same_sign as f64 / n,
    }
}

/// Least-squares slope of b on a with an intercept, and its standard error; None where a does not vary or elements are not
/// finite.
#[must_use]
pub fn slope(moments: &PairMoments) -> Option<(f64, f64)> {
    if moments.n_non_finite_a + moments.n_non_finite_b > 0 || moments.n_elements < 3 {
        return None;
    }
    let picture = plain(moments);
    let (slope, cosine) = (picture.slope?, picture.centred_cosine.unwrap_or(0.0));
    let n = moments.n_elements as f64;
    let spread = |squares: f64, sum: f64| (squares - sum * sum / n).max(0.0);
    let (spread_a, spread_b) = (spread(moments.sum_aa, moments.sum_a), spread(moments.sum_bb, moments.sum_b));
    let unexplained = (1.0 - cosine * cosine) * spread_b;
    Some((slope, (unexplained / spread_a / (n - 2.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments of two small matrices in memory, element by element.
    fn moments_of(a: impl Iterator<Item = f32>, b: impl Iterator<Item = f32>) -> PairMoments {
        let mut sums = PairMoments::default();
        for (x, y) in a.zip(b) {
            sums.n_elements += 1;
            sums.n_non_finite_a += u64::from(!x.is_finite());
            sums.n_non_finite_b += u64::from(!y.is_finite());
            if !x.is_finite() || !y.is_finite() {
                continue;
            }
            let (wide_x, wide_y) = (f64::from(x), f64::from(y));
            sums.n_equal += u64::from(x == y);
            sums.n_same_sign += u64::from(x * y > 0.0 || (x > 0.0 && y > 0.0) || (x < 0.0 && y < 0.0));
            sums.sum_a += wide_x;
            sums.sum_b += wide_y;
            sums.sum_aa += wide_x * wide_x;
            sums.sum_bb += wide_y * wide_y;
            sums.sum_ab += wide_x * wide_y;
            sums.sum_squared_diff += (wide_x - wide_y).powi(2);
            sums.max_abs_diff = sums.max_abs_diff.max((x - y).abs());
        }
        sums
    }

    fn of(a: &[f32], b: &[f32]) -> Plain {
        plain(&moments_of(a.iter().copied(), b.iter().copied()))
    }

    #[test]
    fn hand_values() {
        let picture = of(&[1.0, 2.0, 3.0, 4.0], &[2.0, 4.0, 6.0, 8.0]);
        assert_eq!((picture.cosine, picture.centred_cosine), (Some(1.0), Some(1.0)));
        assert_eq!((picture.slope, picture.relative_l2), (Some(2.0), Some(1.0)));
        let picture = of(&[1.0, 0.0], &[0.0, 1.0]);
        assert_eq!((picture.cosine, picture.centred_cosine), (Some(0.0), Some(-1.0)));
    }

    #[test]
    fn constants_have_a_cosine_and_no_centred_one() {
        let picture = of(&[1.0; 5], &[1.0; 5]);
        assert_eq!((picture.cosine, picture.centred_cosine), (Some(1.0), None));
        let picture = of(&[0.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((picture.cosine, picture.relative_l2), (None, None));
    }

    #[test]
    fn non_finite_pairs_enter_no_sum() {
        let moments = moments_of([1.0, f32::NAN, 2.0].into_iter(), [1.0, 1.0, f32::INFINITY].into_iter());
        assert_eq!((moments.n_non_finite_a, moments.n_non_finite_b, moments.sum_ab), (1, 1, 1.0));
    }
}
