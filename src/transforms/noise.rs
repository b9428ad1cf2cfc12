//! T7: Gaussian noise on every matrix, a multiple of its standard deviation. Function changed.

use super::model::Model;
use super::{NotApplicable, is_matrix};
use crate::numerics::Rng;

/// Adds noise of `share` standard deviations to each matrix.
///
/// # Errors
/// There is no matrix.
pub(super) fn add(model: &mut Model, share: f64, rng: &mut Rng) -> Result<(), NotApplicable> {
    let mut n_changed = 0;
    for (_, matrix) in model.parts.iter_mut().filter(|(role, matrix)| is_matrix(role, matrix)) {
        let (_, std) = matrix.mean_and_std();
        matrix.values.iter_mut().for_each(|value| *value += share * std * rng.normal());
        n_changed += 1;
    }
    if n_changed == 0 { Err(NotApplicable("no matrix is known")) } else { Ok(()) }
}
