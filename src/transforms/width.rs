//! T14: part of the hidden units of every MLP. Function changed.

use super::NotApplicable;
use super::mlp_units::reorder;
use super::model::Model;
use crate::numerics::Rng;
use crate::roles::{Expert, Part};

/// Keeps a random `share` of the units of each MLP, in their order.
///
/// # Errors
/// There is no MLP.
pub(super) fn cut(model: &mut Model, share: f64, rng: &mut Rng) -> Result<(), NotApplicable> {
    let mlps = model.mlps();
    if mlps.is_empty() {
        return Err(NotApplicable("no MLP is known"));
    }
    let mut width = None;
    for mlp in mlps {
        let n_units = model.parts.get(&mlp.role(Part::Up, false)).map_or(0, |up| up.n_rows);
        let n_kept = ((n_units as f64 * share) as usize).max(1);
        reorder(model, mlp, &rng.sample(n_units, n_kept));
        if !matches!(mlp.expert, Expert::Shared(_)) {
            width = width.or(Some(n_kept));
        }
    }
    if let Some(width) = width {
        model.set_config(&["intermediate_size", "ffn_dim", "moe_intermediate_size"], width.into());
        if model.config.as_ref().is_some_and(|config| config.get("n_embd").is_some()) {
            model.put_config("n_inner", width.into());
        }
    }
    Ok(())
}
