//! S8 on matrices that kept their place: what form each change has.

use rayon::prelude::*;

use super::PlainStage;
use crate::align::Alignment;
use crate::canonical::Group;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::evidence::{ALPHA, TraceEvidence};
use crate::kernels::Backend;
use crate::measure::delta::{DELTA_ROWS, Delta, FEWEST_ROWS, sample};
use crate::numerics::Rng;
use crate::stream::{ReadMeter, RowPairing, read_rows};
use crate::verdict::weights::{Decision, WeightsVerdict};

/// Matrices looked at short of `full`: all of nine layers of seven.
const MATRICES: usize = 64;

/// The change of one pair of the alignment.
#[derive(Clone, Debug)]
pub(in crate::compare) struct Change {
    pub(in crate::compare) pair: usize,
    pub(in crate::compare) delta: Delta,
}

/// Changes of the matrices whose group kept the order of its units.
pub(in crate::compare) fn deltas(
    backend: &Backend,
    (pair, alignment): (&Pair<'_>, &Alignment),
    plain: &PlainStage,
    (trace, decision): (&TraceEvidence, &Decision),
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Vec<Change>, Error> {
    let is_asked = matches!(decision.verdict, WeightsVerdict::Derived | WeightsVerdict::PartlyDerived);
    if options.effort == Effort::Quick || options.only.is_some() || !is_asked {
        return Ok(Vec::new());
    }
    let changed: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let paired = &alignment.pairs[idx];
            let view = &pair.part(Side::Right, paired.right).stored.view;
            let is_changed = plain.picture(idx).is_some_and(|picture| picture.equal_share < 1.0);
            is_changed
                && decision.explained.contains(&paired.group)
                && is_in_place(trace, paired.group)
                && view.n_rows.min(view.n_cols) >= FEWEST_ROWS as u64
                && pair.part(Side::Right, paired.right).n_dimensions > 1
        })
        .collect();
    let step = if options.effort == Effort::Full { 1 } else { changed.len().div_ceil(MATRICES).max(1) };
    let (mut flop, mut samples) = (0, Vec::new());
    for pair_idx in changed.into_iter().step_by(step) {
        let paired = &alignment.pairs[pair_idx];
        let (left, right) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let n_rows = match &paired.rows {
            RowPairing::Same => right.stored.view.n_rows,
            RowPairing::Listed { right, .. } => right.len() as u64,
        };
        // matrices of one height share their rows: directions in which they write can be held against each other
        let drawn = Rng::new(&[options.seed, 0x6465_6c74, n_rows])
            .sample(usize::try_from(n_rows).unwrap_or(0), DELTA_ROWS);
        let rows = |listed: fn(&RowPairing) -> Option<&[u64]>| -> Vec<u64> {
            let of_draw = drawn.iter().map(|&at| listed(&paired.rows).map_or(at as u64, |rows| rows[at]));
            of_draw.collect()
        };
        let columns = 0..right.stored.view.n_cols;
        let a = read_rows(&left.stored, &rows(listed_left), columns.clone(), meter)?;
        let b = read_rows(&right.stored, &rows(listed_right), columns, meter)?;
        let dtypes = (left.stored.dtype, right.stored.dtype);
        samples.push((pair_idx, sample(backend, &a, &b, dtypes, &mut flop)?));
    }
    let found: Vec<Change> =
        samples.into_par_iter().map(|(pair, sample)| Change { pair, delta: sample.delta() }).collect();
    clock.stage("deltas", flop);
    Ok(found)
}

fn listed_left(rows: &RowPairing) -> Option<&[u64]> {
    match rows {
        RowPairing::Same => None,
        RowPairing::Listed { left, .. } => Some(left),
    }
}

fn listed_right(rows: &RowPairing) -> Option<&[u64]> {
    match rows {
        RowPairing::Same => None,
        RowPairing::Listed { right, .. } => Some(right),
    }
}

/// Unit i still resembles unit i: only then do element-wise differences mean anything.
pub(in crate::compare) fn is_in_place(trace: &TraceEvidence, group: Group) -> bool {
    trace.group(group).is_some_and(|tests| tests.ln_p <= ALPHA.ln())
}
