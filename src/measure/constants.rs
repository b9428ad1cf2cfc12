//! Parameters that start as a constant: norm gains (1) and biases (0) hold training and nothing else.
//!
//! Two models that share only an initialisation agree in their matrices and not in these: published detectors trained from
//! one fixed seed have matrix cosine .81 and centred gain and bias cosines .03 and .01, where fine-tunes of one parent have
//! .94 to 1.00. So these vectors tell a shared initialisation from shared training where both leave the same trace in S2.

use crate::numerics::median;

/// Agreement of the vectors that start as constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainedConstants {
    /// Vectors that count: at least 16 elements, not constant on either side.
    pub n_vectors: usize,
    /// Median centred cosine.
    pub median_cosine: f64,
}

/// Shortest vector that counts.
pub const MIN_LENGTH: u64 = 16;

/// Median over (length, centred cosine) of gains and biases; None of fewer than four.
#[must_use]
pub fn trained_constants(vectors: &[(u64, Option<f64>)]) -> Option<TrainedConstants> {
    let cosines: Vec<f64> = vectors
        .iter()
        .filter(|(length, _)| *length >= MIN_LENGTH)
        .filter_map(|(_, cosine)| *cosine)
        .collect();
    let median_cosine = median(&cosines)?;
    (cosines.len() >= 4).then_some(TrainedConstants { n_vectors: cosines.len(), median_cosine })
}

#[cfg(test)]
mod tests {
    use super::trained_constants;

    #[test]
    fn short_and_constant_vectors_do_not_count() {
        assert_eq!(trained_constants(&[(64, Some(0.9)); 3]), None);
        let vectors =
            [(64, Some(0.9)), (64, None), (8, Some(0.0)), (64, Some(0.7)), (64, Some(0.8)), (64, Some(0.8))];
        let outcome = trained_constants(&vectors).expect("four count");
        assert_eq!(outcome.n_vectors, 4);
        assert!((outcome.median_cosine - 0.8).abs() < 1e-12);
    }
}
