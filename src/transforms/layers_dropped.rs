//! T12: a quarter of the layers taken out. Function changed.

use super::NotApplicable;
use super::layers::renumber;
use super::model::Model;
use crate::numerics::Rng;

/// Drops ⌈L/4⌉ layers chosen by the seed; the others close the gaps.
///
/// # Errors
/// There is at most one layer.
pub(super) fn drop(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let layers = model.layers();
    if layers.len() < 2 {
        return Err(NotApplicable("there is at most one layer"));
    }
    let kept = rng.sample(layers.len(), layers.len() - layers.len().div_ceil(4));
    renumber(model, &kept.into_iter().map(|at| layers[at]).collect::<Vec<u32>>())
}
