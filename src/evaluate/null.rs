//! Are the p-values of independent pairs what they claim to be?

use std::collections::{BTreeMap, BTreeSet};

use super::Row;
use super::manifest::Label;
use crate::numerics::{OneSidedKs, one_sided_ks};

/// p-values of one kind of units over independent pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct NullRates {
    /// `MLP units`, `value channels`, …, or `combined`.
    pub kind: String,
    /// Tests in all independent pairs.
    pub n: usize,
    /// Of these, p ≤ 1e-2.
    pub n_below_2: usize,
    /// Of these, p ≤ 1e-3.
    pub n_below_3: usize,
    /// Pairs that share no model with each other, drawn greedily in the order of the manifest.
    pub n_disjoint_pairs: usize,
    /// Tests of those pairs; None of none.
    pub ks: Option<OneSidedKs>,
    /// Counts of p in ten equal bins, all independent pairs.
    pub histogram: [usize; 10],
}

/// Rates per kind of units and of the combined p.
#[must_use]
pub fn null_rates(rows: &[Row]) -> Vec<NullRates> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    // per kind: all p, p of disjoint pairs, disjoint pairs
    let mut kinds: BTreeMap<&str, (Vec<f64>, Vec<f64>, usize)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.pair.label == Label::Independent) {
        let Ok(outcome) = &row.outcome else { continue };
        if outcome.measures.traces.is_empty() {
            continue;
        }
        let is_disjoint = !used.contains(row.pair.left.as_str()) && !used.contains(row.pair.right.as_str());
        if is_disjoint {
            used.extend([row.pair.left.as_str(), row.pair.right.as_str()]);
        }
        let combined = outcome.log10_p.map(|log10_p| ("combined", log10_p));
        let tests = outcome.measures.traces.iter().map(|(kind, log10_p)| (kind.as_str(), *log10_p));
        let mut in_pair = BTreeSet::new();
        for (kind, log10_p) in tests.chain(combined) {
            let p = 10f64.powf(log10_p);
            let entry = kinds.entry(kind).or_default();
            entry.0.push(p);
            if is_disjoint {
                entry.1.push(p);
                entry.2 += usize::from(in_pair.insert(kind));
            }
        }
    }
    kinds
        .into_iter()
        .map(|(kind, (all, disjoint, n_disjoint_pairs))| NullRates {
            kind: kind.to_owned(),
            n: all.len(),
            n_below_2: all.iter().filter(|p| **p <= 1e-2).count(),
            n_below_3: all.iter().filter(|p| **p <= 1e-3).count(),
            n_disjoint_pairs,
            ks: one_sided_ks(&disjoint),
            histogram: histogram(&all),
        })
        .collect()
}

fn histogram(values: &[f64]) -> [usize; 10] {
    let mut counts = [0; 10];
    for value in values {
        // p = 1 belongs to the last bin
        counts[((value * 10.0) as usize).min(9)] += 1;
    }
    counts
}
