//! Parameters that start as a constant: norm gains (1) and biases (0) hold training and nothing else.
//!
//! Two models that share only an initialisation agree in their matrices and less in these: published detectors trained from
//! one fixed seed have matrix cosine .81 and centred gain and bias cosines .03 and .01, where fine-tunes of one parent have
//! .94 to 1.00. Small networks that learn the same from one start move their gains alike too, though by less than their
//! matrices agree; biases, into which the shared token tables drive the gradients, as much as the matrices, so gains are asked
//! first. So these vectors tell a shared initialisation from shared training where both leave the same trace in S2.

use crate::numerics::median;

/// Agreement of the vectors that start as constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainedConstants {
    /// Vectors that count: at least 16 elements, not constant on either side; gains alone where there are four.
    pub n_vectors: usize,
    /// Median centred cosine.
    pub median_cosine: f64,
    /// Median centred cosine of the matrices whose units kept their place, to hold it against; None of none.
    pub of_matrices: Option<f64>,
}

/// Median centred cosine from which on training is shared, if matrices are no nearer and answers to tokens were looked at too:
/// transformers of one start .06 to .55, a few up to .81; what was trained on for long .59 and more.
pub const SHARED_TRAINING: f64 = 0.55;

/// The same where nothing else was looked at: small nets of other kinds and of one start reach .85, two of them .92; fine-tunes .93 and
/// more.
pub const SHARED_TRAINING_ALONE: f64 = 0.9;

/// The same as a share of that of the matrices: one start .39 to .77 times theirs (two of 34 more); what was trained on, or
/// noised, .89 times and more (docs/methods.md#constants).
pub const AS_THE_MATRICES: f64 = 0.85;

impl TrainedConstants {
    /// Gains and biases are alike, and no less than the matrices are; more of it is asked where they are the only sign (`is_alone`).
    #[must_use]
    pub fn are_alike(&self, is_alone: bool) -> bool {
        let wanted = if is_alone { SHARED_TRAINING_ALONE } else { SHARED_TRAINING };
        self.median_cosine >= wanted && self.keep_up()
    }

    /// Gains and biases do not fall behind the matrices.
    #[must_use]
    pub fn keep_up(&self) -> bool {
        self.of_matrices.is_none_or(|cosine| self.median_cosine >= AS_THE_MATRICES * cosine)
    }
}

/// Shortest vector that counts.
pub const MIN_LENGTH: u64 = 16;

/// Fewest vectors that say something.
const FEWEST: usize = 4;

/// Median over (length, centred cosine) of gains, or of gains and biases where there are fewer than four, beside the centred cosines
/// of matrices; None of fewer than four vectors.
#[must_use]
pub fn trained_constants(
    gains: &[(u64, Option<f64>)],
    biases: &[(u64, Option<f64>)],
    matrices: &[f64],
) -> Option<TrainedConstants> {
    let counting = |vectors: &[(u64, Option<f64>)]| -> Vec<f64> {
        let long = vectors.iter().filter(|(length, _)| *length >= MIN_LENGTH);
        long.filter_map(|(_, cosine)| *cosine).collect()
    };
    let mut cosines = counting(gains);
    if cosines.len() < FEWEST {
        cosines.extend(counting(biases));
    }
    let median_cosine = median(&cosines).filter(|_| cosines.len() >= FEWEST)?;
    Some(TrainedConstants { n_vectors: cosines.len(), median_cosine, of_matrices: median(matrices) })
}

#[cfg(test)]
mod tests {
    use super::trained_constants;

    #[test]
    fn short_and_constant_vectors_do_not_count() {
        assert_eq!(trained_constants(&[(64, Some(0.9)); 3], &[], &[0.9]), None);
        let vectors =
            [(64, Some(0.9)), (64, None), (8, Some(0.0)), (64, Some(0.7)), (64, Some(0.8)), (64, Some(0.8))];
        let outcome = trained_constants(&vectors, &[], &[]).expect("four count");
        assert_eq!(outcome.n_vectors, 4);
        assert!((outcome.median_cosine - 0.8).abs() < 1e-12);
    }

    #[test]
    fn gains_count_as_much_as_they_keep_up_with_the_matrices() {
        for (of_gains, of_matrices, beside_answers, alone) in [
            (0.95, 0.97, true, true),
            (0.6, 0.61, true, false),
            (0.6, 0.8, false, false),
            (0.4, 0.3, false, false),
            (0.95, 0.3, true, true),
        ] {
            let found =
                trained_constants(&[(64, Some(of_gains)); 4], &[(64, Some(1.0)); 4], &[of_matrices; 3])
                    .expect("four count");
            let are_alike = (found.are_alike(false), found.are_alike(true));
            assert_eq!(are_alike, (beside_answers, alone), "{of_gains} beside {of_matrices}");
        }
        let alone = trained_constants(&[], &[(64, Some(0.6)); 4], &[]).expect("four count");
        assert!(alone.are_alike(false));
    }
}
