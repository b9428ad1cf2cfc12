//! Whether one model is the other on a coarser set of values.

use super::PlainStage;
use crate::align::Alignment;
use crate::canonical::CanonicalPart;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::measure::lattice::{GridFit, Lattice, fit_in_cells, lattice_fit, rounds_to};
use crate::numerics::Rng;
use crate::roles::Part;
use crate::source::Source;
use crate::stream::{ReadMeter, RowPairing, StoredView, read_rows};
use crate::tensor::Matrix;
use crate::verdict::weights::Requantised;
use std::sync::Arc;

/// Matrix pairs looked at for a grid.
const GRID_MATRICES: usize = 6;
/// Rows of each.
const GRID_ROWS: usize = 32;

/// Matrices whose last rows are units of the trace test.
fn read_by_rows(part: &CanonicalPart) -> bool {
    part.role.is_none_or(|role| matches!(role.part, Part::Gate | Part::Up | Part::Other))
}

/// Whether one side is the other on a coarser set of values; asked only where every matrix is near its counterpart.
pub(in crate::compare) fn requantised(
    pair: &Pair<'_>,
    alignment: &Alignment,
    plain: &PlainStage,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Option<Requantised>, Error> {
    let whole = alignment
        .unpaired
        .iter()
        .all(|unpaired| pair.part(unpaired.side, unpaired.part).stored.view.n_rows == 1);
    if options.only.is_some() || !whole || !plain.all_near(pair, alignment) {
        return Ok(None);
    }
    let is_quick = options.effort == Effort::Quick;
    let candidates: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let paired = &alignment.pairs[idx];
            let view = &pair.part(Side::Right, paired.right).stored.view;
            let differs = plain.picture(idx).is_some_and(|picture| picture.equal_share < 1.0);
            let is_chosen = !is_quick || read_by_rows(pair.part(Side::Right, paired.right));
            is_chosen
                && differs
                && matches!(paired.rows, RowPairing::Same)
                && view.n_rows > 1
                && view.n_cols >= 32
        })
        .collect();
    let step = candidates.len().div_ceil(GRID_MATRICES).max(1);
    let mut of_copies: [Vec<(Grid, GridFit)>; 2] = Default::default();
    let mut rounded = [true, true];
    let mut n_seen = 0;
    for &idx in candidates.iter().step_by(step) {
        let paired = &alignment.pairs[idx];
        let (part_l, part_r) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let view = &part_r.stored.view;
        let rows: Vec<u64> = if is_quick {
            // the trace test has just read them
            (view.n_rows.saturating_sub(GRID_ROWS as u64)..view.n_rows).collect()
        } else {
            Rng::new(&[options.seed, 0x6c61_7474, idx as u64])
                .sample(usize::try_from(view.n_rows).unwrap_or(0), GRID_ROWS)
                .into_iter()
                .map(|row| row as u64)
                .collect()
        };
        let a = read_rows(&part_l.stored, &rows, 0..view.n_cols, meter)?;
        let b = read_rows(&part_r.stored, &rows, 0..view.n_cols, meter)?;
        let as_copies = [(Side::Left, part_l, &b, &a), (Side::Right, part_r, &a, &b)];
        for (of_copy, (copy, part, original, values)) in of_copies.iter_mut().zip(as_copies) {
            let found = match stored_cells(pair, copy, part, &rows, meter)? {
                Some((form, [low, high])) => {
                    fit_in_cells(original, &low, &high).map(|fit| (Grid::Stored(form), fit))
                }
                None => lattice_fit(original, values).map(|(lattice, fit)| (Grid::Rebuilt(lattice), fit)),
            };
            of_copy.extend(found);
        }
        rounded[1] &= rounds_to(&a, &b, part_r.stored.dtype);
        rounded[0] &= rounds_to(&b, &a, part_l.stored.dtype);
        n_seen += 1;
    }
    clock.stage("lattice", 0);
    if n_seen == 0 {
        return Ok(None);
    }
    for (at, copy) in [(1, Side::Right), (0, Side::Left)] {
        if rounded[at] {
            return Ok(Some(Requantised::Rounded { copy }));
        }
        if let Some((grid, fit)) = common_grid(&of_copies[at], n_seen) {
            return Ok(Some(Requantised::Grid { copy, grid, fit }));
        }
    }
    Ok(None)
}

/// A grid that one matrix lies on.
#[derive(Clone, Debug, PartialEq)]
enum Grid {
    /// That of the form it is stored in.
    Stored(String),
    /// Found in its values.
    Rebuilt(Lattice),
}

/// The form that a matrix is stored in, and the bounds of the cells of the given rows; None where the form has no levels.
fn stored_cells(
    pair: &Pair<'_>,
    side: Side,
    part: &CanonicalPart,
    rows: &[u64],
    meter: &ReadMeter,
) -> Result<Option<(String, [Matrix; 2])>, Error> {
    let checkpoint = if side == Side::Left { pair.left } else { pair.right };
    let Some(encoding) = &checkpoint.tensors[part.tensor_idx].encoding else { return Ok(None) };
    let Some([low, high]) = &encoding.cells else { return Ok(None) };
    let read = |bound: &Arc<dyn Source>| {
        let stored = StoredView { file: Arc::clone(bound), ..part.stored.clone() };
        read_rows(&stored, rows, 0..stored.view.n_cols, meter)
    };
    Ok(Some((encoding.name.clone(), [read(low)?, read(high)?])))
}

/// The grid of two thirds of the matrices: a few may be kept at full width or have groups without a full range. Stored
/// forms may differ from matrix to matrix; a grid found in values must be one.
fn common_grid(found: &[(Grid, GridFit)], n_seen: usize) -> Option<(String, GridFit)> {
    let (first, _) = found.first()?;
    let same: Vec<&(Grid, GridFit)> = found
        .iter()
        .filter(|(grid, _)| grid == first || matches!((grid, first), (Grid::Stored(_), Grid::Stored(_))))
        .collect();
    let fit = same.iter().fold(GridFit::default(), |sum, (_, fit)| sum.and(*fit));
    let mut names: Vec<String> = Vec::new();
    for (grid, _) in &same {
        let name = match grid {
            Grid::Stored(form) => form.clone(),
            Grid::Rebuilt(lattice) => lattice.describe(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (same.len() * 3 >= n_seen * 2).then(|| (names.join(" and "), fit))
}
