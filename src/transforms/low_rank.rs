//! T15: a low-rank adapter on every block matrix, merged (Hu et al. 2021). Function changed.

use super::model::Model;
use super::{Dense, NotApplicable, is_block_matrix};
use crate::numerics::Rng;

/// Frobenius norm of an update, as a share of the matrix: adapters of published fine-tunes stay below it.
const SHARE: f64 = 0.1;

/// Adds U·D of rank `rank` with Gaussian factors.
///
/// # Errors
/// No block matrix is larger than the rank.
pub(super) fn merge(model: &mut Model, rank: usize, rng: &mut Rng) -> Result<(), NotApplicable> {
    let mut n_changed = 0;
    for (_, matrix) in model.parts.iter_mut().filter(|(role, matrix)| is_block_matrix(role, matrix)) {
        if matrix.n_rows.min(matrix.n_cols) <= rank {
            continue;
        }
        let up = Dense::normal(matrix.n_rows, rank, 0.0, 1.0, rng);
        let update = up.times(&Dense::normal(rank, matrix.n_cols, 0.0, 1.0, rng));
        let factor = SHARE * matrix.norm() / update.norm();
        matrix.values.iter_mut().zip(&update.values).for_each(|(value, change)| *value += factor * change);
        n_changed += 1;
    }
    if n_changed == 0 { Err(NotApplicable("no block matrix is larger than the rank")) } else { Ok(()) }
}
