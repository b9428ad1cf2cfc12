//! T2: key/value heads, and the query heads inside each group, in another order. Function unchanged.

use super::model::Model;
use super::{NotApplicable, blocks, permutation};
use crate::numerics::Rng;
use crate::roles::Part;

/// Permutes blocks of rows of q, k, v (biases and full-width norms with them) and of columns of o, each layer for itself.
///
/// # Errors
/// Heads are unknown, or stand at a place that means something.
pub(super) fn permute(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    if model.graph.alibi {
        return Err(NotApplicable("heads carry ALiBi slopes by their number"));
    }
    if model.has(Part::Pos) && model.roles_of(Part::Pos).iter().any(|role| role.layer.is_some()) {
        return Err(NotApplicable("heads carry position biases by their number"));
    }
    let layers = model.layers();
    if layers.is_empty() {
        return Err(NotApplicable("no layer is known"));
    }
    for layer in layers {
        let heads = model.heads(layer)?;
        let per_group = heads.n_heads / heads.n_groups;
        let groups = permutation(heads.n_groups, rng);
        let queries: Vec<usize> = groups
            .iter()
            .flat_map(|group| permutation(per_group, rng).into_iter().map(move |at| group * per_group + at))
            .collect();
        let query_rows = blocks(&queries, heads.key_rows);
        let (key_rows, value_rows) = (blocks(&groups, heads.key_rows), blocks(&groups, heads.value_rows));
        for is_bias in [false, true] {
            model.select_rows(&model.role(Some(layer), Part::Q, is_bias), &query_rows);
            model.select_rows(&model.role(Some(layer), Part::K, is_bias), &key_rows);
            model.select_rows(&model.role(Some(layer), Part::V, is_bias), &value_rows);
            for (part, rows) in [(Part::QNorm, &query_rows), (Part::KNorm, &key_rows)] {
                let role = model.role(Some(layer), part, is_bias);
                // a norm of one head's length is the same for all of them
                if model.parts.get(&role).is_some_and(|norm| norm.n_rows == rows.len()) {
                    model.select_rows(&role, rows);
                }
            }
        }
        model.select_rows(&model.role(Some(layer), Part::Sinks, false), &queries);
        model.select_cols(&model.role(Some(layer), Part::O, false), &blocks(&queries, heads.value_rows));
    }
    Ok(())
}
