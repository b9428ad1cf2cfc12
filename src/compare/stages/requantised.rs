//! Whether one model is the other on a coarser set of values.

use super::PlainStage;
use crate::align::{Alignment, PairedPart};
use crate::canonical::CanonicalPart;
use crate::checkpoint::TensorEntry;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::measure::lattice::{GridFit, Lattice, fit_in_cells, lattice_fit, rounds_to};
use crate::numerics::Rng;
use crate::roles::Part;
use crate::source::Source;
use crate::stream::{ReadMeter, RowPairing, StoredView, read_rows};
use crate::tensor::{Matrix, View};
use crate::verdict::weights::Requantised;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Matrix pairs looked at for a grid.
const GRID_MATRICES: usize = 6;
/// Shortest row that is looked at; grids of groups need more and say so themselves.
const FEWEST_COLUMNS: u64 = 8;
/// Rows of each.
const GRID_ROWS: usize = 32;

/// Matrices whose last rows are units of the trace test.
fn read_by_rows(part: &CanonicalPart) -> bool {
    part.role.is_none_or(|role| matches!(role.part, Part::Gate | Part::Up | Part::Other))
}

/// Whether one side is the other on a coarser set of values; where no stored form says that one is coarse, asked only if
/// every matrix is near its counterpart.
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
    let coarser = coarser_stored_form(pair);
    if options.only.is_some() || !whole || (coarser.is_none() && !plain.all_near(pair, alignment)) {
        return Ok(None);
    }
    let is_quick = options.effort == Effort::Quick;
    let candidates: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let paired = &alignment.pairs[idx];
            let view = &pair.part(Side::Right, paired.right).stored.view;
            let differs = plain.picture(idx).is_some_and(|picture| picture.equal_share < 1.0);
            let is_chosen = !is_quick
                || read_by_rows(pair.part(Side::Right, paired.right))
                    && matches!(paired.rows, RowPairing::Same);
            is_chosen && differs && view.n_rows > 1 && view.n_cols >= FEWEST_COLUMNS
        })
        .collect();
    let step = candidates.len().div_ceil(GRID_MATRICES).max(1);
    let mut of_copies: [Vec<(Grid, GridFit)>; 2] = Default::default();
    let mut rounded = [true, true];
    let mut n_seen = 0;
    for &idx in candidates.iter().step_by(step) {
        let paired = &alignment.pairs[idx];
        let (part_l, part_r) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let [rows_l, rows_r] = sampled_rows(paired, &part_r.stored.view, options, idx);
        let columns = 0..part_r.stored.view.n_cols;
        let a = read_rows(&part_l.stored, &rows_l, columns.clone(), meter)?;
        let b = read_rows(&part_r.stored, &rows_r, columns, meter)?;
        let cells_l = stored_cells(pair, Side::Left, part_l, &rows_l, meter)?;
        let cells_r = stored_cells(pair, Side::Right, part_r, &rows_r, meter)?;
        let as_copies = [(&cells_l, &b, &cells_r, &a), (&cells_r, &a, &cells_l, &b)];
        for (of_copy, (cells, original, cells_of_original, values)) in of_copies.iter_mut().zip(as_copies) {
            let found = match cells {
                Some((form, cells)) => {
                    let own = cells_of_original.as_ref().map(|(_, cells)| cells);
                    fit_in_cells(original, own, cells).map(|fit| (Grid::Stored(form.clone()), fit))
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
    let mut grids = Vec::new();
    for (at, copy) in [(1, Side::Right), (0, Side::Left)] {
        if rounded[at] {
            return Ok(Some(Requantised::Rounded { copy }));
        }
        grids.extend(common_grid(&of_copies[at], n_seen).map(|(grid, fit)| (copy, grid, fit)));
    }
    // a copy of the other before one of something else, then the side that is stored more coarsely
    grids.sort_by_key(|(copy, _, fit)| (!fit.is_over_a(), Some(*copy) != coarser));
    let found = grids.into_iter().next().map(|(copy, grid, fit)| Requantised::Grid { copy, grid, fit });
    // of a codebook nobody but the quantiser knows which code was nearest
    Ok(found.or_else(|| coarser.map(|copy| Requantised::Codebook { copy, form: stored_forms(pair, copy) })))
}

/// Rows of both sides that belong together, some of them.
fn sampled_rows(paired: &PairedPart, right: &View, options: &Options, idx: usize) -> [Vec<u64>; 2] {
    let n_rows = match &paired.rows {
        RowPairing::Same => right.n_rows,
        RowPairing::Listed { left, .. } => left.len() as u64,
    };
    let n_rows = usize::try_from(n_rows).unwrap_or(0);
    let rows: Vec<usize> = if options.effort == Effort::Quick {
        // the trace test has just read them
        (n_rows.saturating_sub(GRID_ROWS)..n_rows).collect()
    } else {
        Rng::new(&[options.seed, 0x6c61_7474, idx as u64]).sample(n_rows, GRID_ROWS)
    };
    match &paired.rows {
        RowPairing::Same => {
            let rows: Vec<u64> = rows.into_iter().map(|row| row as u64).collect();
            [rows.clone(), rows]
        }
        RowPairing::Listed { left, right } => {
            [left, right].map(|listed| rows.iter().map(|&row| listed[row]).collect())
        }
    }
}

/// Whether a tensor is stored in a form that rounds to levels.
fn rounds(entry: &TensorEntry) -> bool {
    entry.encoding.as_ref().is_some_and(|encoding| encoding.cells.is_some())
}

/// The side whose matrices are stored in forms that round; of two such sides the one with fewer bytes an element.
fn coarser_stored_form(pair: &Pair<'_>) -> Option<Side> {
    let of_side = |side: Side| {
        let entries: Vec<&TensorEntry> = pair.matrices(side).collect();
        let is_rounded = entries.iter().any(|entry| rounds(entry));
        let n_elements: u64 = entries.iter().map(|entry| entry.n_elements()).sum();
        let n_bytes: u64 = entries.iter().map(|entry| entry.size_bytes).sum();
        is_rounded.then_some((n_bytes as f64 / n_elements.max(1) as f64, side))
    };
    let sides = [of_side(Side::Right), of_side(Side::Left)];
    sides.into_iter().flatten().min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, side)| side)
}

/// Such forms of a side's matrices, most elements first: "IQ2_XXS and Q4_K".
fn stored_forms(pair: &Pair<'_>, side: Side) -> String {
    let mut forms: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in pair.matrices(side).filter(|entry| rounds(entry)) {
        *forms.entry(entry.stored_as()).or_default() += entry.n_elements();
    }
    let mut forms: Vec<(&str, u64)> = forms.into_iter().collect();
    forms.sort_by_key(|(name, n)| (Reverse(*n), *name));
    forms.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" and ")
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
    let Some(encoding) = &pair.entry(side, part).encoding else { return Ok(None) };
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
        .filter(|(grid, _)| match (grid, first) {
            (Grid::Stored(_), Grid::Stored(_)) => true,
            (Grid::Rebuilt(grid), Grid::Rebuilt(first)) => grid.is_like(first),
            _ => false,
        })
        .collect();
    let sizes: BTreeSet<usize> = same
        .iter()
        .filter_map(|(grid, _)| match grid {
            Grid::Rebuilt(lattice) => Some(lattice.group_size),
            Grid::Stored(_) => None,
        })
        .collect();
    let fit = same.iter().fold(GridFit::default(), |sum, (_, fit)| sum.and(*fit));
    let mut names: Vec<String> = Vec::new();
    for (grid, _) in &same {
        let name = match grid {
            Grid::Stored(form) => form.clone(),
            Grid::Rebuilt(lattice) if sizes.len() > 1 => lattice.describe_rows(),
            Grid::Rebuilt(lattice) => lattice.describe(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (same.len() * 3 >= n_seen * 2).then(|| (names.join(" and "), fit))
}
