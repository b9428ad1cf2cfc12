//! T9: block matrices rounded to integer grids, a scale per group of inputs. Function changed by rounding.

use super::model::Model;
use super::{NotApplicable, is_block_matrix};
use crate::tensor::Dtype;

/// Inputs that share a scale.
const GROUP: usize = 32;

/// Symmetric grid of `2^bits − 1` levels; stored as f16, as quantisers leave their de-quantised copies.
///
/// # Errors
/// There is no block matrix.
pub(super) fn round(model: &mut Model, bits: u32) -> Result<(), NotApplicable> {
    let n_steps = f64::from((1_u32 << (bits - 1)) - 1);
    let mut n_changed = 0;
    for (_, matrix) in model.parts.iter_mut().filter(|(role, matrix)| is_block_matrix(role, matrix)) {
        let n_cols = matrix.n_cols;
        for row in matrix.values.chunks_exact_mut(n_cols) {
            for group in row.chunks_mut(GROUP) {
                let largest = group.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
                let step = half::f16::from_f64(largest / n_steps).to_f64();
                if step > 0.0 {
                    let levels = |value: f64| (value / step).round().clamp(-n_steps, n_steps) * step;
                    group.iter_mut().for_each(|value| *value = levels(*value));
                }
            }
        }
        n_changed += 1;
    }
    if n_changed == 0 {
        return Err(NotApplicable("no block matrix is known"));
    }
    model.stored.iter_mut().for_each(|tensor| tensor.dtype = Dtype::F16);
    Ok(())
}
