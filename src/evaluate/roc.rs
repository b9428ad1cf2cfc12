//! Receiver operating characteristic: how well a score separates two classes, whatever the threshold.

/// The curve and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Roc {
    /// Pairs that share weights.
    pub n_positive: usize,
    /// Independent pairs.
    pub n_negative: usize,
    /// Area under the curve: P(a positive scores above a negative), ties counted half (Mann & Whitney 1947).
    pub auc: f64,
    /// Share of positives above the threshold that at most 1 % of the negatives pass.
    pub tpr_at_1_percent: f64,
    /// (false positive rate, true positive rate) at every threshold, from (0, 0) to (1, 1).
    pub curve: Vec<(f64, f64)>,
}

/// Curve of (score, is positive); None unless both classes are there. NaN counts as the lowest score.
#[must_use]
pub fn roc(scores: &[(f64, bool)]) -> Option<Roc> {
    let mut sorted: Vec<(f64, bool)> = scores
        .iter()
        .map(|(score, positive)| (if score.is_nan() { f64::NEG_INFINITY } else { *score }, *positive))
        .collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n_positive = sorted.iter().filter(|(_, positive)| *positive).count();
    let n_negative = sorted.len() - n_positive;
    if n_positive == 0 || n_negative == 0 {
        return None;
    }
    let rate = |n: usize, of: usize| n as f64 / of as f64;
    let (mut tp, mut fp, mut auc) = (0, 0, 0.0);
    let mut curve = vec![(0.0, 0.0)];
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|(_, positive)| *positive).count();
        let negatives = tied.len() - positives;
        // negatives of this step lie below the positives before it, and half below those beside them
        auc += negatives as f64 * (tp as f64 + 0.5 * positives as f64);
        (tp, fp) = (tp + positives, fp + negatives);
        curve.push((rate(fp, n_negative), rate(tp, n_positive)));
    }
    let below = curve.iter().filter(|(fpr, _)| *fpr <= 0.01).map(|(_, tpr)| *tpr).fold(0.0, f64::max);
    let auc = auc / (n_positive as f64 * n_negative as f64);
    Some(Roc { n_positive, n_negative, auc, tpr_at_1_percent: below, curve })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_is_the_share_of_ordered_pairs() {
        // positives 3, 2, 1 against negatives 2, 0: of six, five ordered but for one tie and one inversion
        let scores = [(3.0, true), (2.0, true), (1.0, true), (2.0, false), (0.0, false)];
        let found = roc(&scores).expect("both classes");
        assert!((found.auc - (2.0 + 1.5 + 1.0) / 6.0).abs() < 1e-12);
        assert!((found.tpr_at_1_percent - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.curve.first(), Some(&(0.0, 0.0)));
        assert_eq!(found.curve.last(), Some(&(1.0, 1.0)));
    }

    #[test]
    fn one_negative_of_a_hundred_may_pass() {
        let mut scores: Vec<(f64, bool)> = (0..100).map(|i| (f64::from(i), false)).collect();
        scores.push((98.5, true));
        assert_eq!(roc(&scores).expect("both").tpr_at_1_percent, 1.0);
        scores.push((97.5, true));
        assert_eq!(roc(&scores).expect("both").tpr_at_1_percent, 0.5);
    }

    #[test]
    fn one_class_or_nothing_has_no_curve_and_nan_ranks_last() {
        assert_eq!(roc(&[]), None);
        assert_eq!(roc(&[(1.0, true)]), None);
        assert_eq!(roc(&[(f64::NAN, true), (-1.0, false)]).expect("both").auc, 0.0);
    }
}
