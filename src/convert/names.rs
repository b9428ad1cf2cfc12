//! The names of Llama, which most tools know, for the roles that it has.

use std::collections::HashSet;

use crate::canonical::CanonicalPart;
use crate::checkpoint::Checkpoint;
use crate::roles::{Component, Expert, Part, Role};

/// Llama's name of a role, or of the mixture that grew from it; None for roles that it does not have.
pub(super) fn llama(role: &Role) -> Option<String> {
    if role.component != Component::Text {
        return None;
    }
    let end = if role.is_bias { "bias" } else { "weight" };
    let Some(layer) = role.layer else {
        let stem = match role.part {
            Part::Embed => "model.embed_tokens",
            Part::Pos => "model.embed_positions",
            Part::FinalNorm => "model.norm",
            Part::Head => "lm_head",
            _ => return None,
        };
        return Some(format!("{stem}.{end}"));
    };
    let stem = match (role.part, role.expert) {
        (Part::Q, _) => "self_attn.q_proj".to_owned(),
        (Part::K, _) => "self_attn.k_proj".to_owned(),
        (Part::V, _) => "self_attn.v_proj".to_owned(),
        (Part::O, _) => "self_attn.o_proj".to_owned(),
        (Part::QNorm, _) => "self_attn.q_norm".to_owned(),
        (Part::KNorm, _) => "self_attn.k_norm".to_owned(),
        (Part::Norm1, _) => "input_layernorm".to_owned(),
        (Part::Norm2, _) => "post_attention_layernorm".to_owned(),
        (Part::Router, _) => "mlp.gate".to_owned(),
        (Part::Gate, expert) => mlp("gate_proj", expert)?,
        (Part::Up, expert) => mlp("up_proj", expert)?,
        (Part::Down, expert) => mlp("down_proj", expert)?,
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{stem}.{end}"))
}

fn mlp(matrix: &str, expert: Expert) -> Option<String> {
    match expert {
        Expert::None => Some(format!("mlp.{matrix}")),
        Expert::Routed(number) => Some(format!("mlp.experts.{number}.{matrix}")),
        Expert::Shared(_) => None,
    }
}

/// A name for every part: Llama's, else the stored one. None where two would have one name, or a part of a fused tensor none.
pub(super) fn canonical(checkpoint: &Checkpoint, parts: &[CanonicalPart]) -> Option<Vec<String>> {
    let mut names = Vec::with_capacity(parts.len());
    let mut seen = HashSet::new();
    for part in parts {
        let tensor = &checkpoint.tensors[part.tensor_idx];
        let name = match part.role.as_ref().and_then(llama) {
            Some(name) => name,
            None if part.stored.view.n_elements() == tensor.n_elements() => tensor.name.clone(),
            None => return None,
        };
        if !seen.insert(name.clone()) {
            return None;
        }
        names.push(name);
    }
    Some(names)
}
