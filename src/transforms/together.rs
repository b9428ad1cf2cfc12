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

/// Disguises in numbers, rounds to a grid of `bits`, and disguises in names. Returns the relations that name what was applied.
///
/// # Errors
/// Not even MLP units can be permuted.
pub(super) fn apply(
    model: &mut Model,
    bits: u32,
    clothes: Clothes,
    rng: &mut Rng,
) -> Result<Vec<&'static str>, NotApplicable> {
    type Step = fn(&mut Model, &mut Rng) -> Result<(), NotApplicable>;
    let steps: [(Step, &'static str); 4] = [
        (unit_scales::rescale, "units-rescaled"),
        (heads::permute, "heads-permuted"),
        (residual_order::permute, "residual-permuted"),
        (residual_basis::rotate, "residual-rotated"),
    ];
    mlp_units::permute(model, rng)?;
    let mut applied = vec!["units-permuted"];
    for (step, relation) in steps {
        let before = model.clone();
        match step(model, rng) {
            Ok(()) => applied.push(relation),
            Err(_) => *model = before,
        }
    }
    // an order that was rotated afterwards is no order
    if applied.contains(&"residual-rotated") {
        applied.retain(|relation| *relation != "residual-permuted");
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
    Ok(applied)
}
