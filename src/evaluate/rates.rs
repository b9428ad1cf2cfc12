//! False accusations and misses, and what they say about families never seen.

use std::collections::BTreeSet;

use super::Row;
use crate::compare::WeightsVerdict;
use crate::numerics::clopper_pearson_upper;

/// Counts over compared pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Independent pairs.
    pub n_independent: usize,
    /// Independent pairs that were said to share weights.
    pub n_accused: usize,
    /// Independent pairs of one network.
    pub n_same_config: usize,
    /// Of these, accused.
    pub n_same_config_accused: usize,
    /// Independent pairs that are inconclusive.
    pub n_independent_inconclusive: usize,
    /// Pairs that share weights.
    pub n_shared: usize,
    /// Of these, `no-evidence`.
    pub n_missed: usize,
    /// Of these, inconclusive.
    pub n_shared_inconclusive: usize,
}

/// Counts.
#[must_use]
pub fn rates(rows: &[Row]) -> Rates {
    let mut found = Rates::default();
    for row in rows {
        let Ok(outcome) = &row.outcome else { continue };
        let inconclusive = usize::from(outcome.verdict == WeightsVerdict::Inconclusive);
        if row.pair.label.is_shared() {
            found.n_shared += 1;
            found.n_missed += usize::from(outcome.verdict == WeightsVerdict::NoEvidence);
            found.n_shared_inconclusive += inconclusive;
            continue;
        }
        let (accused, same) = (usize::from(outcome.claims()), usize::from(outcome.same_config()));
        found.n_independent += 1;
        found.n_accused += accused;
        found.n_same_config += same;
        found.n_same_config_accused += accused * same;
        found.n_independent_inconclusive += inconclusive;
    }
    found
}

/// Confidence of every bound.
pub const CONFIDENCE: f64 = 0.95;

/// How often a family never seen may be accused falsely, as far as these families tell. Pairs share models and are not
/// independent trials; families are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FamilyBound {
    /// Families in independent trained pairs.
    pub n_families: usize,
    /// Of these, in a pair that was accused.
    pub n_wrong: usize,
    /// Upper bound at [`CONFIDENCE`] (Clopper & Pearson 1934).
    pub bound: f64,
}

/// The bound over independent pairs.
#[must_use]
pub fn family_bound(rows: &[Row]) -> FamilyBound {
    let (mut all, mut wrong) = (BTreeSet::new(), BTreeSet::new());
    for row in rows.iter().filter(|row| !row.pair.label.is_shared() && row.pair.is_trained) {
        let Ok(outcome) = &row.outcome else { continue };
        for family in [&row.pair.family_left, &row.pair.family_right] {
            all.insert(family);
            if outcome.claims() {
                wrong.insert(family);
            }
        }
    }
    let (n_families, n_wrong) = (all.len(), wrong.len());
    FamilyBound { n_families, n_wrong, bound: clopper_pearson_upper(n_wrong, n_families, CONFIDENCE) }
}
