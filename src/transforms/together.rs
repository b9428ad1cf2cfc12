//! T18: T1 to T5, T9 and T10 one after the other. What does not apply to a graph is left out of the chain.

use super::model::Model;
use super::{NotApplicable, container, grids, heads, mlp_units, residual_basis, residual_order, unit_scales};
use crate::numerics::Rng;

/// How the disguised model is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clothes {
    /// Invented names.
    Renamed,
    /// Fused where it can be, in three files.
    FusedAndResharded,
}

/// Disguises in numbers, rounds to a grid of `bits`, and disguises in names.
///
/// # Errors
/// Not even MLP units can be permuted.
pub(super) fn apply(
    model: &mut Model,
    bits: u32,
    clothes: Clothes,
    rng: &mut Rng,
) -> Result<(), NotApplicable> {
    type Step = fn(&mut Model, &mut Rng) -> Result<(), NotApplicable>;
    let steps: [Step; 4] =
        [unit_scales::rescale, heads::permute, residual_order::permute, residual_basis::rotate];
    mlp_units::permute(model, rng)?;
    for step in steps {
        let before = model.clone();
        if step(model, rng).is_err() {
            *model = before;
        }
    }
    grids::round(model, bits)?;
    match clothes {
        Clothes::Renamed => container::rename(model, rng),
        Clothes::FusedAndResharded => {
            // what is fused already stays so
            let _ = container::fuse(model);
            container::reshard(model);
        }
    }
    Ok(())
}
