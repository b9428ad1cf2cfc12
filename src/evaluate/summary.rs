//! Everything that an evaluation says, from its rows.

use std::collections::BTreeMap;

use super::calibration::Calibration;
use super::confusion::{Confusion, Spelling, confusion};
use super::fit::reliability;
use super::manifest::Split;
use super::methods::MethodLine;
use super::null::{NullRates, null_rates};
use super::rates::{FamilyBound, Rates, family_bound, rates};
use super::roc::{Roc, roc};
use super::{Outcome, Row};
use crate::evidence::LikelihoodMap;
use crate::numerics::median;

/// What it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Mean wall time of a comparison.
    pub mean_seconds: f64,
    /// Median wall time of a comparison.
    pub median_seconds: f64,
    /// Mean bytes asked of the files.
    pub mean_bytes: f64,
}

/// An evaluation.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Pairs of the manifest.
    pub n_pairs: usize,
    /// Of these, compared.
    pub n_compared: usize,
    /// Distinct families of compared pairs.
    pub n_families: usize,
    /// Pairs marked hard among the compared.
    pub n_hard: usize,
    /// Counts.
    pub rates: Rates,
    /// By family.
    pub bound: FamilyBound,
    /// Curve over all pairs; None unless both classes are there.
    pub roc: Option<Roc>,
    /// The same over pairs of one network.
    pub roc_same_config: Option<Roc>,
    /// Words and relations.
    pub confusion: Confusion,
    /// Over all pairs.
    pub calibration: Option<Calibration>,
    /// Over the pairs of the test split.
    pub calibration_test: Option<Calibration>,
    /// p-values of independent pairs.
    pub null: Vec<NullRates>,
    /// p-values between models and their shuffled selves, where they were asked.
    pub null_shuffled: Vec<NullRates>,
    /// Our line and those of rivals, where they were asked.
    pub methods: Vec<MethodLine>,
    /// Cost.
    pub cost: Cost,
    /// (exit code, code) → pairs that were not compared.
    pub faults: BTreeMap<(u8, String), usize>,
}

/// Sums up.
#[must_use]
pub fn summary(rows: &[Row], spelling: &Spelling) -> Summary {
    let done: Vec<(&Row, &Outcome)> =
        rows.iter().filter_map(|row| row.outcome.as_ref().ok().map(|outcome| (row, outcome))).collect();
    let curve = |only_same: bool| {
        let chosen = done.iter().filter(|(_, outcome)| !only_same || outcome.same_config());
        roc(&chosen.map(|(row, outcome)| (outcome.score(), row.pair.label.is_shared())).collect::<Vec<_>>())
    };
    let forecasts = |split: Option<Split>| {
        let chosen = done.iter().filter(|(row, _)| split.is_none() || row.pair.split == split);
        reliability(&chosen.copied().collect::<Vec<_>>(), LikelihoodMap::shipped())
    };
    let families: std::collections::BTreeSet<&str> = done
        .iter()
        .flat_map(|(row, _)| [row.pair.family_left.as_str(), row.pair.family_right.as_str()])
        .collect();
    let mut faults: BTreeMap<(u8, String), usize> = BTreeMap::new();
    for fault in rows.iter().filter_map(|row| row.outcome.as_ref().err()) {
        *faults.entry((fault.exit_code, fault.code.clone())).or_default() += 1;
    }
    Summary {
        n_pairs: rows.len(),
        n_compared: done.len(),
        n_families: families.len(),
        n_hard: done.iter().filter(|(row, _)| row.pair.is_hard).count(),
        rates: rates(rows),
        bound: family_bound(rows),
        roc: curve(false),
        roc_same_config: curve(true),
        confusion: confusion(rows, spelling),
        calibration: forecasts(None),
        calibration_test: forecasts(Some(Split::Test)),
        null: null_rates(rows),
        null_shuffled: Vec::new(),
        methods: Vec::new(),
        cost: cost(&done),
        faults,
    }
}

fn cost(done: &[(&Row, &Outcome)]) -> Cost {
    let n = done.len().max(1) as f64;
    let seconds: Vec<f64> = done.iter().map(|(_, outcome)| outcome.seconds).collect();
    Cost {
        mean_seconds: seconds.iter().sum::<f64>() / n,
        median_seconds: median(&seconds).unwrap_or(0.0),
        mean_bytes: done.iter().map(|(_, outcome)| outcome.bytes_read as f64).sum::<f64>() / n,
    }
}
