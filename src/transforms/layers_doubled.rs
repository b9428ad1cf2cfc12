//! T13: half of the layers used twice, as depth up-scaling does (Kim et al. 2023, SOLAR). Function changed.

use super::NotApplicable;
use super::layers::renumber;
use super::model::Model;
use crate::numerics::Rng;

/// A run of ⌈L/2⌉ layers, where it starts chosen by the seed, stands twice: [0 … end) and then [start … L).
///
/// # Errors
/// No layer is known.
pub(super) fn double(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let layers = model.layers();
    if layers.is_empty() {
        return Err(NotApplicable("no layer is known"));
    }
    let n_twice = layers.len().div_ceil(2);
    let start = rng.below(layers.len() - n_twice + 1);
    let kept: Vec<u32> = layers[..start + n_twice].iter().chain(&layers[start..]).copied().collect();
    renumber(model, &kept)
}
