//! Layers taken out, or used more than once: the renumbering that T12 and T13 share.

use super::model::{LooseTensor, Model, StoredTensor};
use super::{Dense, NotApplicable};
use crate::roles::{Component, Role};
use std::collections::BTreeMap;

/// Layer i of the result is layer `kept[i]`; other towers stay as they are.
pub(super) fn renumber(model: &mut Model, kept: &[u32]) -> Result<(), NotApplicable> {
    let component = model.component().ok_or(NotApplicable("no layer is known"))?;
    if model.loose.iter().any(|tensor| !tensor.is_fixed) {
        return Err(NotApplicable("some tensors have no known role"));
    }
    let is_own = |role: &Role| role.component == component && role.layer.is_some();
    let mut parts: BTreeMap<Role, Dense> =
        model.parts.iter().filter(|(role, _)| !is_own(role)).map(|(role, m)| (*role, m.clone())).collect();
    let of_layer = |tensor: &StoredTensor| layer_of(tensor, component);
    let mut stored: Vec<StoredTensor> =
        model.stored.iter().filter(|tensor| of_layer(tensor).is_none()).cloned().collect();
    let mut loose: Vec<LooseTensor> =
        model.loose.iter().filter(|tensor| first_number(&tensor.name).is_none()).cloned().collect();
    for (new, old) in (0_u32..).zip(kept) {
        for (role, matrix) in model.parts.iter().filter(|(role, _)| is_own(role) && role.layer == Some(*old))
        {
            parts.insert(Role { layer: Some(new), ..*role }, matrix.clone());
        }
        for tensor in model.stored.iter().filter(|tensor| of_layer(tensor) == Some(*old)) {
            let mut tensor = tensor.clone();
            tensor.name = renamed(&tensor.name, new);
            tensor.rows.iter_mut().for_each(|(role, _)| role.layer = Some(new));
            stored.push(tensor);
        }
        for tensor in model.loose.iter().filter(|tensor| first_number(&tensor.name) == Some(*old)) {
            loose.push(LooseTensor { name: renamed(&tensor.name, new), ..tensor.clone() });
        }
    }
    (model.parts, model.stored, model.loose) = (parts, stored, loose);
    model.set_config(&["num_hidden_layers", "n_layer", "n_layers", "num_layers"], kept.len().into());
    Ok(())
}

fn layer_of(tensor: &StoredTensor, component: Component) -> Option<u32> {
    tensor.rows.first().filter(|(role, _)| role.component == component).and_then(|(role, _)| role.layer)
}

fn first_number(name: &str) -> Option<u32> {
    name.split('.').find_map(|segment| segment.parse().ok())
}

/// The name with its first number, the layer's, replaced.
fn renamed(name: &str, layer: u32) -> String {
    let mut is_done = false;
    let segment = |segment: &str| {
        if !is_done && segment.parse::<u32>().is_ok() {
            is_done = true;
            return layer.to_string();
        }
        segment.to_owned()
    };
    name.split('.').map(segment).collect::<Vec<_>>().join(".")
}
