//! Whether one model is the other on a coarser set of values.

use super::PlainStage;
use crate::align::Alignment;
use crate::compare::clock::Clock;
use crate::compare::{Error, Options, Pair, Side};
use crate::measure::lattice::{LatticeFit, lattice_fit, rounds_to};
use crate::numerics::Rng;
use crate::stream::{ReadMeter, RowPairing, read_rows};
use crate::verdict::weights::Requantised;
use std::collections::BTreeMap;

/// Matrix pairs looked at for a grid.
const GRID_MATRICES: usize = 6;
/// Rows of each.
const GRID_ROWS: usize = 32;

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
    let candidates: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let paired = &alignment.pairs[idx];
            let view = &pair.part(Side::Right, paired.right).stored.view;
            let differs = plain.picture(idx).is_some_and(|picture| picture.equal_share < 1.0);
            differs && matches!(paired.rows, RowPairing::Same) && view.n_rows > 1 && view.n_cols >= 32
        })
        .collect();
    let step = candidates.len().div_ceil(GRID_MATRICES).max(1);
    let mut sides: BTreeMap<u8, Vec<Option<LatticeFit>>> = BTreeMap::new();
    let mut rounded = [true, true];
    let mut n_seen = 0;
    for &idx in candidates.iter().step_by(step) {
        let paired = &alignment.pairs[idx];
        let (part_l, part_r) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let view = &part_r.stored.view;
        let rows: Vec<u64> = Rng::new(&[options.seed, 0x6c61_7474, idx as u64])
            .sample(usize::try_from(view.n_rows).unwrap_or(0), GRID_ROWS)
            .into_iter()
            .map(|row| row as u64)
            .collect();
        let a = read_rows(&part_l.stored, &rows, 0..view.n_cols, meter)?;
        let b = read_rows(&part_r.stored, &rows, 0..view.n_cols, meter)?;
        sides.entry(1).or_default().push(lattice_fit(&a, &b));
        sides.entry(0).or_default().push(lattice_fit(&b, &a));
        rounded[1] &= rounds_to(&a, &b, part_r.stored.dtype);
        rounded[0] &= rounds_to(&b, &a, part_l.stored.dtype);
        n_seen += 1;
    }
    clock.stage("lattice", 0);
    if n_seen == 0 {
        return Ok(None);
    }
    for (at, copy) in [(1u8, Side::Right), (0, Side::Left)] {
        if rounded[usize::from(at)] {
            return Ok(Some(Requantised::Rounded { copy }));
        }
        let fits: Vec<LatticeFit> = sides.get(&at).into_iter().flatten().copied().flatten().collect();
        let Some(first) = fits.first() else { continue };
        let same: Vec<&LatticeFit> = fits.iter().filter(|fit| fit.lattice == first.lattice).collect();
        // one grid on most matrices; a few may be kept at full width or have groups without a full range
        if same.len() * 3 >= n_seen * 2 {
            let fit = LatticeFit {
                lattice: first.lattice,
                n_far: same.iter().map(|fit| fit.n_far).sum(),
                n_far_expected: same.iter().map(|fit| fit.n_far_expected).sum(),
            };
            return Ok(Some(Requantised::Grid { copy, fit }));
        }
    }
    Ok(None)
}
