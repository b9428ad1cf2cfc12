//! T5: units rescaled, up × s and down ÷ s with a random sign, and value channels v × s and o ÷ s. Function unchanged.

use super::model::Model;
use super::{NotApplicable, random_scales};
use crate::numerics::Rng;
use crate::roles::Part;

/// Rescales units of gated MLPs (of plain ones under ReLU, where s > 0), and value channels.
///
/// # Errors
/// The model has neither.
pub(super) fn rescale(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let activation = model.config.as_ref().and_then(|config| {
        ["hidden_act", "activation_function"].iter().find_map(|key| config.get(key)?.as_str())
    });
    let is_relu = activation == Some("relu");
    let mut n_scaled = 0;
    for mlp in model.mlps() {
        let is_gated = model.parts.contains_key(&mlp.role(Part::Gate, false));
        if !is_gated && !is_relu {
            continue;
        }
        let n_units = model.parts.get(&mlp.role(Part::Up, false)).map_or(0, |up| up.n_rows);
        let mut scales = random_scales(n_units, rng);
        if is_gated {
            scales.iter_mut().for_each(|scale| *scale *= if rng.below(2) == 1 { -1.0 } else { 1.0 });
        }
        for is_bias in [false, true] {
            if let Some(up) = model.get_mut(&mlp.role(Part::Up, is_bias)) {
                up.scale_rows(&scales);
            }
        }
        let inverse: Vec<f64> = scales.iter().map(|scale| 1.0 / scale).collect();
        if let Some(down) = model.get_mut(&mlp.role(Part::Down, false)) {
            down.scale_cols(&inverse);
        }
        n_scaled += 1;
    }
    for layer in model.layers() {
        let Ok(heads) = model.heads(layer) else { continue };
        let scales = random_scales(heads.n_groups * heads.value_rows, rng);
        for is_bias in [false, true] {
            let v = model.role(Some(layer), Part::V, is_bias);
            if let Some(v) = model.get_mut(&v) {
                v.scale_rows(&scales);
            }
        }
        let per_group = heads.n_heads / heads.n_groups;
        let inverse: Vec<f64> = (0..heads.n_heads * heads.value_rows)
            .map(|col| {
                let group = col / heads.value_rows / per_group;
                1.0 / scales[group * heads.value_rows + col % heads.value_rows]
            })
            .collect();
        let o = model.role(Some(layer), Part::O, false);
        if let Some(o) = model.get_mut(&o) {
            o.scale_cols(&inverse);
        }
        n_scaled += 1;
    }
    if n_scaled == 0 {
        return Err(NotApplicable(
            "no unit may be rescaled: the activation is not homogeneous and heads are unknown",
        ));
    }
    Ok(())
}
