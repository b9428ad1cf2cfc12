//! One table for all methods: the same pairs, the same columns.

use super::Row;
use super::roc::roc;

/// What a method said of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Grows with relatedness; None where the method does not apply: ranked below all others.
    pub score: Option<f64>,
    /// Wall time.
    pub seconds: f64,
}

/// A method's line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodLine {
    /// Short name.
    pub name: String,
    /// Where its formula stands.
    pub source: String,
    /// Pairs that it could score.
    pub n_scored: usize,
    /// Area under the ROC curve over all pairs.
    pub auc: Option<f64>,
    /// Share of related pairs found at 1 % false positives.
    pub tpr_at_1_percent: Option<f64>,
    /// Independent pairs of one network that score at least as high as all but 5 % of the related pairs: what whoever wants
    /// to find 95 % of them accuses falsely. No method's published threshold is needed.
    pub n_accused_same_config: usize,
    /// Independent pairs of one network.
    pub n_same_config: usize,
    /// Mean wall time of a pair.
    pub mean_seconds: f64,
}

/// Share of related pairs that must be found.
const FOUND: f64 = 0.95;

/// The line of a method: `scores` are those of the rows that were compared, in their order.
#[must_use]
pub fn method_line(name: &str, source: &str, rows: &[Row], scores: &[Scored]) -> MethodLine {
    let compared =
        rows.iter().filter_map(|row| Some((row.pair.label.is_shared(), row.outcome.as_ref().ok()?)));
    let all: Vec<(f64, bool, bool)> = compared
        .zip(scores)
        .map(|((shared, outcome), scored)| {
            (scored.score.filter(|s| !s.is_nan()).unwrap_or(f64::NEG_INFINITY), shared, outcome.same_config())
        })
        .collect();
    let curve = roc(&all.iter().map(|(score, shared, _)| (*score, *shared)).collect::<Vec<_>>());
    let mut related: Vec<f64> =
        all.iter().filter(|(_, shared, _)| *shared).map(|(score, ..)| *score).collect();
    related.sort_by(|a, b| b.total_cmp(a));
    let n_found = ((related.len() as f64 * FOUND).ceil() as usize).max(1);
    let threshold = related.get(n_found - 1).copied().unwrap_or(f64::INFINITY);
    let same: Vec<f64> =
        all.iter().filter(|(_, shared, same)| !shared && *same).map(|(score, ..)| *score).collect();
    MethodLine {
        name: name.to_owned(),
        source: source.to_owned(),
        n_scored: scores.iter().filter(|scored| scored.score.is_some()).count(),
        auc: curve.as_ref().map(|curve| curve.auc),
        tpr_at_1_percent: curve.as_ref().map(|curve| curve.tpr_at_1_percent),
        n_accused_same_config: same.iter().filter(|score| **score >= threshold).count(),
        n_same_config: same.len(),
        mean_seconds: scores.iter().map(|scored| scored.seconds).sum::<f64>() / scores.len().max(1) as f64,
    }
}

/// Our own line: ranked by strength.
#[must_use]
pub fn own_line(rows: &[Row]) -> MethodLine {
    let scores: Vec<Scored> = rows
        .iter()
        .filter_map(|row| row.outcome.as_ref().ok())
        .map(|outcome| Scored { score: outcome.strength, seconds: outcome.seconds })
        .collect();
    method_line("cognate", "docs/methods.md", rows, &scores)
}
