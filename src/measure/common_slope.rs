//! One slope for all tensors: what a weighted mean M = s·A + (1 − s)·B of a model A and an independent B shows beside A.
//!
//! The least-squares slope of M on A is s in every matrix, and in the gains and biases too. A shared initialisation W leaves
//! slopes ⟨A, M⟩ / ⟨A, A⟩ that vary from matrix to matrix, as training moved each of them its own way, and gains, which start
//! as constants, have little in common. So slopes that scatter no more than their standard errors explain are training shared,
//! however small the share (docs/methods.md#common-slope).

use super::plain::slope;
use crate::align::Side;
use crate::numerics::chi_square_cdf;
use crate::reductions::PairMoments;

/// Scatter of the slopes of matrices, as a share of their mean, below which a shared initialisation does not leave it where
/// measured, at slopes from .4 on.
const LEAST_SPREAD: f64 = 0.1;

/// The same for smaller slopes, as a share of ln(1 / slope). Training forgets an initialisation at some rate k in each matrix and leaves
/// e⁻ᵏ of it; rates that vary by σ of their mean leave slopes that vary by σ · ln(1 / slope). Over 54 looks at 27 pairs of one
/// initialisation of 12 kinds of network σ is .16, then .23 to 1.5 (`scripts/slopes_of_one_start.py`).
const RATE_SPREAD: f64 = 0.15;

/// Least scatter of slopes around this mean that a shared initialisation leaves, as a share of it.
#[must_use]
pub fn least_spread(share: f64) -> f64 {
    LEAST_SPREAD.max(RATE_SPREAD * -share.max(f64::MIN_POSITIVE).ln())
}

/// Level at which scatter of [`least_spread`] must be excluded.
pub const ALPHA: f64 = 0.01;

/// Level at which one slope is excluded; matrices of a merge are not quite as independent as their elements, and reach 1e-3.
const NOT_ONE: f64 = 1e-4;

/// Largest slope of which the rule speaks: two models that were hardly trained since their initialisation have slopes near 1
/// everywhere.
pub const LARGEST_SHARE: f64 = 0.7;

/// Standard errors that gains and biases may be off.
const STANDARD_ERRORS: f64 = 3.0;

/// Fewest matrices whose scatter says something.
const FEWEST_MATRICES: usize = 8;

/// Fewest gain and bias vectors that count.
const FEWEST_CONSTANTS: usize = 4;

/// Shortest run of elements that counts.
const MIN_LENGTH: u64 = 16;

/// Mean slopes of one model on the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommonSlope {
    /// The model that the other holds a share of.
    pub parent: Side,
    /// Weighted mean slope of the matrices.
    pub share: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Matrices.
    pub n_matrices: usize,
    /// Probability that slopes which vary by [`least_spread`] of their mean scatter as little as these.
    pub p_spread: f64,
    /// Probability that slopes which do not vary scatter as much as these.
    pub p_one: f64,
    /// Weighted mean slope of gains and biases with its standard error; None of fewer than four vectors.
    pub constants: Option<(f64, f64)>,
}

impl CommonSlope {
    /// Whether one slope fits all matrices, and gains and biases where there are any, closer than a shared initialisation leaves it.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.p_spread <= ALPHA && self.fits()
    }

    /// Whether one slope is not excluded, whatever a shared initialisation would leave.
    #[must_use]
    pub fn may_be_one(&self) -> bool {
        self.p_one > NOT_ONE && self.fits()
    }

    /// A share that the rule speaks of.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.share > 0.0 && self.share <= LARGEST_SHARE
    }

    /// A share that the rule speaks of, which gains and biases hold as well.
    fn fits(&self) -> bool {
        let fits_constants = self.constants.is_none_or(|(slope, standard_error)| {
            (slope - self.share).abs() <= STANDARD_ERRORS * standard_error.hypot(self.standard_error)
        });
        fits_constants && self.speaks()
    }
}

/// Slopes of the right model on the left one and the other way round. Moments have the left model as a. None of fewer than
/// eight matrices that vary.
///
/// Where both ways have one slope, the smaller counts: a mean of two models of one size is shorter than either, so the slope of a
/// parent on it is larger than the share. Else the way that has one, or whose slopes scatter less.
#[must_use]
pub fn common_slope(matrices: &[PairMoments], constants: &[PairMoments]) -> Option<CommonSlope> {
    let (of_left, of_right) = (on(Side::Left, matrices, constants)?, on(Side::Right, matrices, constants)?);
    let is_left = match (of_left.is_one(), of_right.is_one()) {
        (true, true) => of_left.share <= of_right.share,
        (false, false) => of_left.p_spread <= of_right.p_spread,
        (left_alone, _) => left_alone,
    };
    Some(if is_left { of_left } else { of_right })
}

fn on(parent: Side, matrices: &[PairMoments], constants: &[PairMoments]) -> Option<CommonSlope> {
    let slopes = |tensors: &[PairMoments]| -> Vec<(f64, f64)> {
        let long = tensors.iter().filter(|moments| moments.n_elements >= MIN_LENGTH);
        long.filter_map(|moments| match parent {
            Side::Left => slope(moments),
            Side::Right => slope(&moments.swapped()),
        })
        .filter(|(_, standard_error)| *standard_error > 0.0)
        .collect()
    };
    let of_matrices = slopes(matrices);
    if of_matrices.len() < FEWEST_MATRICES {
        return None;
    }
    let (share, standard_error, scatter_about_one) = mean(&of_matrices, 0.0);
    let dof = (of_matrices.len() - 1) as f64;
    // mean and scatter as they are where slopes do vary by so much
    let (_, _, scatter) = mean(&of_matrices, least_spread(share) * share);
    let of_constants = slopes(constants);
    Some(CommonSlope {
        parent,
        share,
        standard_error,
        n_matrices: of_matrices.len(),
        p_spread: chi_square_cdf(scatter, dof),
        p_one: 1.0 - chi_square_cdf(scatter_about_one, dof),
        constants: (of_constants.len() >= FEWEST_CONSTANTS).then(|| {
            let (slope, standard_error, scatter) = mean(&of_constants, 0.0);
            // vectors that vary among themselves know their mean less well (DerSimonian & Laird 1986)
            let excess = (scatter / (of_constants.len() - 1) as f64).max(1.0);
            (slope, standard_error * excess.sqrt())
        }),
    })
}

/// Mean of (value, standard error) by weights 1 / (standard error² + spread²), its standard error, and the weighted sum of
/// squared distances from it: χ² with n − 1 degrees of freedom where values vary by `spread`.
fn mean(values: &[(f64, f64)], spread: f64) -> (f64, f64, f64) {
    let weight = |standard_error: f64| 1.0 / (standard_error * standard_error + spread * spread);
    let total: f64 = values.iter().map(|(_, error)| weight(*error)).sum();
    let mean = values.iter().map(|(value, error)| weight(*error) * value).sum::<f64>() / total;
    let scatter = values.iter().map(|(value, error)| weight(*error) * (value - mean).powi(2)).sum();
    (mean, total.sqrt().recip(), scatter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    /// Moments of a and share·a + rest·b per tensor, a and b independent.
    fn mixtures(shares: impl Iterator<Item = f64>, n_elements: usize, seed: u64) -> Vec<PairMoments> {
        let mut rng = Rng::new(&[seed]);
        shares
            .map(|share| {
                let mut sums = PairMoments::default();
                for _ in 0..n_elements {
                    let (a, b) = (rng.normal(), rng.normal());
                    let m = share * a + (1.0 - share) * b;
                    sums.n_elements += 1;
                    sums.sum_a += a;
                    sums.sum_b += m;
                    sums.sum_aa += a * a;
                    sums.sum_bb += m * m;
                    sums.sum_ab += a * m;
                }
                sums
            })
            .collect()
    }

    #[test]
    fn a_merge_has_one_slope_of_the_side_it_holds() {
        let matrices = mixtures((0..24).map(|_| 0.2), 8192, 1);
        let constants = mixtures((0..8).map(|_| 0.2), 128, 2);
        let found = common_slope(&matrices, &constants).expect("enough matrices");
        assert!(found.is_one() && found.may_be_one(), "{found:?}");
        // a mean of 24 slopes of standard error .8 / √8192
        assert!((found.share - 0.2).abs() < 4.0 * 0.8 / (24.0_f64 * 8192.0).sqrt(), "{found:?}");
        let swapped: Vec<PairMoments> = matrices.iter().map(PairMoments::swapped).collect();
        let of_swapped = common_slope(&swapped, &[]).expect("enough matrices");
        assert_eq!(found.parent, Side::Left);
        assert!((of_swapped.share - found.share).abs() < 1e-12, "{of_swapped:?}");
        assert_eq!(of_swapped.parent, Side::Right);
    }

    #[test]
    fn a_twentieth_is_told_from_what_is_left_of_an_initialisation() {
        // rates that vary by .16 of their mean, the least measured, around a slope of a twentieth
        let mut rng = Rng::new(&[9]);
        let forgotten: Vec<f64> =
            (0..24).map(|_| (0.05_f64.ln() * (1.0 + 0.16 * rng.normal())).exp()).collect();
        let of_one_start =
            common_slope(&mixtures(forgotten.into_iter(), 8192, 10), &[]).expect("enough matrices");
        assert!(!of_one_start.is_one(), "{of_one_start:?}");
        let of_merge =
            common_slope(&mixtures((0..24).map(|_| 0.05), 8192, 11), &[]).expect("enough matrices");
        assert!(of_merge.is_one(), "{of_merge:?}");
    }

    #[test]
    fn slopes_that_vary_or_gains_of_their_own_are_no_merge() {
        let constants = mixtures((0..8).map(|_| 0.2), 1024, 3);
        let varied = mixtures((0..24).map(|at| 0.2 + 0.04 * f64::from(at % 3 - 1)), 8192, 4);
        let found = common_slope(&varied, &constants).expect("enough matrices");
        assert!(!found.is_one() && !found.may_be_one(), "{found:?}");
        let even = mixtures((0..24).map(|_| 0.2), 8192, 5);
        let of_their_own = mixtures((0..8).map(|_| 0.0), 1024, 6);
        assert!(!common_slope(&even, &of_their_own).expect("enough matrices").is_one());
        let hardly_trained = mixtures((0..24).map(|_| 0.9), 8192, 7);
        assert!(!common_slope(&hardly_trained, &[]).expect("enough matrices").is_one());
        let too_small = mixtures((0..24).map(|_| 0.02), 1024, 8);
        let found = common_slope(&too_small, &[]).expect("enough matrices");
        assert!(!found.is_one() && found.may_be_one(), "its scatter tells nothing: {found:?}");
        assert_eq!(common_slope(&even[..7], &constants), None);
    }
}
