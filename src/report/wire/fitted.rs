//! `data/likelihood.json` and `data/controls.json`: what `evaluate --fit` writes and the next build embeds.

use serde::Serialize;

use super::Rounded;
use crate::evaluate as core;
use crate::report::words;

/// `likelihood.json`.
#[derive(Debug, Serialize)]
pub struct FittedMap<'a> {
    version: &'a str,
    points: Vec<(Rounded<6>, Rounded<6>)>,
    families: usize,
    families_wrong: usize,
    false_positive_bound: Rounded<6>,
    fitted_on: FittedOn,
    fit_split: Option<Reliability>,
    test_split: Option<Reliability>,
    made_by: &'a str,
}

#[derive(Debug, Serialize)]
struct FittedOn {
    shared_pairs: usize,
    independent_pairs: usize,
    families: usize,
    largest_independent_strength: Rounded<4>,
    smallest_shared_strength: Rounded<4>,
}

#[derive(Debug, Serialize)]
struct Reliability {
    pairs: usize,
    shared: usize,
    hard: usize,
    prior: Rounded<4>,
    ece: Rounded<4>,
    brier: Rounded<4>,
}

impl<'a> FittedMap<'a> {
    /// The file of a fitted map.
    #[must_use]
    pub fn new(fitted: &'a core::Fitted, made_by: &'a str) -> FittedMap<'a> {
        let map = &fitted.map;
        let reliability = |found: &core::Calibration| Reliability {
            pairs: found.n,
            shared: found.n_positive,
            hard: found.n_hard,
            prior: found.prior.into(),
            ece: found.ece.into(),
            brier: found.brier.into(),
        };
        FittedMap {
            version: &map.version,
            points: map.points.iter().map(|(x, ratio)| ((*x).into(), (*ratio).into())).collect(),
            families: map.families,
            families_wrong: map.families_wrong,
            false_positive_bound: map.false_positive_bound.into(),
            fitted_on: FittedOn {
                shared_pairs: fitted.n_fit.0,
                independent_pairs: fitted.n_fit.1,
                families: fitted.n_fit_families,
                largest_independent_strength: fitted.band.0.into(),
                smallest_shared_strength: fitted.band.1.into(),
            },
            fit_split: fitted.on_fit.as_ref().map(reliability),
            test_split: fitted.on_test.as_ref().map(reliability),
            made_by,
        }
    }
}

/// `controls.json`.
#[derive(Debug, Serialize)]
pub struct MeasuredControls<'a> {
    version: &'a str,
    pairs: usize,
    largest_pair_share: Rounded<6>,
    largest_head_share: Rounded<6>,
    cells: Vec<Cell<'a>>,
    token_span: Option<TokenSpan>,
    made_by: &'a str,
}

#[derive(Debug, Serialize)]
struct Cell<'a> {
    statistic: &'a str,
    depth: &'static str,
    layer_pairs: usize,
    units: usize,
    agreeing: usize,
    most_agreeing: usize,
    largest_share: Rounded<6>,
}

#[derive(Debug, Serialize)]
struct TokenSpan {
    pairs: usize,
    largest: Rounded<4>,
}

impl<'a> MeasuredControls<'a> {
    /// The file of measured controls.
    #[must_use]
    pub fn new(controls: &'a core::Controls, version: &'a str, made_by: &'a str) -> MeasuredControls<'a> {
        MeasuredControls {
            version,
            pairs: controls.n_pairs,
            largest_pair_share: controls.largest_pair_share.into(),
            largest_head_share: controls.largest_head_share.into(),
            cells: controls
                .cells
                .iter()
                .map(|(cell, control)| Cell {
                    statistic: &cell.statistic,
                    depth: words::depth_word(cell.depth),
                    layer_pairs: control.n_cells,
                    units: control.n_units,
                    agreeing: control.n_agreeing,
                    most_agreeing: control.most_agreeing,
                    largest_share: control.largest_share.into(),
                })
                .collect(),
            token_span: controls
                .token_span
                .map(|(pairs, largest)| TokenSpan { pairs, largest: largest.into() }),
            made_by,
        }
    }
}
