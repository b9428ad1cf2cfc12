//! T1: hidden units of every MLP in another order. Function unchanged.

use super::model::{Mlp, Model};
use super::{NotApplicable, permutation};
use crate::numerics::Rng;
use crate::roles::Part;

/// Permutes rows of gate and up and columns of down alike, each MLP and expert for itself.
///
/// # Errors
/// There is no MLP.
pub(super) fn permute(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let mlps = model.mlps();
    if mlps.is_empty() {
        return Err(NotApplicable("no MLP is known"));
    }
    for mlp in mlps {
        let n_units = model.parts.get(&mlp.role(Part::Up, false)).map_or(0, |up| up.n_rows);
        reorder(model, mlp, &permutation(n_units, rng));
    }
    Ok(())
}

/// Keeps these units of one MLP, in this order.
pub(super) fn reorder(model: &mut Model, mlp: Mlp, units: &[usize]) {
    for part in [Part::Gate, Part::Up] {
        for is_bias in [false, true] {
            model.select_rows(&mlp.role(part, is_bias), units);
        }
    }
    model.select_cols(&mlp.role(Part::Down, false), units);
}
