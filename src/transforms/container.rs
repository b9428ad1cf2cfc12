//! T10: the same numbers under other names, fused, split, transposed or spread over files. Function unchanged.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::model::{Model, StoredTensor};
use super::{NotApplicable, permutation};
use crate::numerics::Rng;
use crate::roles::{Expert, Part, Role};

/// Words for [`rename`]: nothing that any table knows.
const SYLLABLES: [&str; 16] =
    ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "za"];

/// Every name by an invented one; layer and expert numbers keep their places.
pub(super) fn rename(model: &mut Model, rng: &mut Rng) {
    let names = model.stored.iter().map(|tensor| &tensor.name).chain(model.loose.iter().map(|t| &t.name));
    let patterns: BTreeSet<String> = names.map(|name| numbers_out(name)).collect();
    let order = permutation(patterns.len(), rng);
    let trunk = word(rng.below(256));
    let words: BTreeMap<String, String> = patterns
        .into_iter()
        .zip(order)
        .map(|(pattern, at)| {
            let (stem, kind) = match pattern.rsplit_once('.') {
                Some((stem, kind @ ("weight" | "bias"))) => (stem, kind),
                _ => (pattern.as_str(), "weight"),
            };
            let n_numbers = stem.split('.').filter(|segment| *segment == "N").count();
            let new = format!("{trunk}.{}{}x{at}.{kind}", "N.".repeat(n_numbers), word(at));
            (pattern, new)
        })
        .collect();
    let renamed = |name: &mut String| {
        if let Some(new) = words.get(&numbers_out(name)) {
            let mut numbers = name.split('.').filter(|segment| is_number(segment)).map(str::to_owned);
            let segments = new.split('.').map(|segment| match segment {
                "N" => numbers.next().unwrap_or_default(),
                _ => segment.to_owned(),
            });
            *name = segments.collect::<Vec<_>>().join(".");
        }
    };
    model.stored.iter_mut().for_each(|tensor| renamed(&mut tensor.name));
    model.loose.iter_mut().for_each(|tensor| renamed(&mut tensor.name));
    model.set_config(&["model_type"], "renamed".into());
    model.set_config(&["architectures"], json!(["RenamedForCausalLM"]));
}

/// Numbered names in a random order, and no config: shapes and numbers are all that is left.
pub(super) fn take_names(model: &mut Model, rng: &mut Rng) {
    let n_tensors = model.stored.len() + model.loose.len();
    let mut numbers = permutation(n_tensors, rng).into_iter();
    let mut name = || format!("t{:04}", numbers.next().unwrap_or_default());
    model.stored.iter_mut().for_each(|tensor| tensor.name = name());
    model.loose.iter_mut().for_each(|tensor| tensor.name = name());
    model.config = None;
}

/// q, k and v in one tensor, gate and up in another, under the names of the family that stores them so.
///
/// # Errors
/// They are fused already.
pub(super) fn fuse(model: &mut Model) -> Result<(), NotApplicable> {
    let qkv = fuse_parts(model, &[Part::Q, Part::K, Part::V], "qkv");
    let gate_up = fuse_parts(model, &[Part::Gate, Part::Up], "gate_up");
    if qkv + gate_up == 0 {
        return Err(NotApplicable("nothing is stored apart that could be fused"));
    }
    if gate_up > 0 && model.stored.iter().any(|tensor| tensor.name.contains("self_attn.qkv_proj")) {
        add_one_to_gains(model);
        model.set_config(&["model_type"], "phi3".into());
        model.set_config(&["architectures"], json!(["Phi3ForCausalLM"]));
    }
    Ok(())
}

/// A family whose norms multiply by 1 + γ becomes one whose norms multiply by γ.
fn add_one_to_gains(model: &mut Model) {
    if !std::mem::take(&mut model.graph.norm_adds_one) {
        return;
    }
    let is_gain = |role: &Role| {
        let norms =
            [Part::Norm1, Part::Norm1b, Part::Norm2, Part::Norm2b, Part::FinalNorm, Part::QNorm, Part::KNorm];
        norms.contains(&role.part) && !role.is_bias
    };
    for (_, gain) in model.parts.iter_mut().filter(|(role, _)| is_gain(role)) {
        gain.values.iter_mut().for_each(|value| *value += 1.0);
    }
}

/// Joins tensors that hold one part each; returns how many were made.
fn fuse_parts(model: &mut Model, parts: &[Part], word: &str) -> usize {
    let mut n_made = 0;
    for first in model.roles_of(parts[0]) {
        if first.expert != Expert::None {
            continue;
        }
        let holds = |tensor: &StoredTensor, part: Part| {
            let role = Role { part, ..first };
            let mut rows = tensor.rows.iter();
            !tensor.rows.is_empty() && rows.all(|(found, _)| *found == role)
        };
        let places: Vec<usize> = parts
            .iter()
            .filter_map(|part| model.stored.iter().position(|tensor| holds(tensor, *part)))
            .collect();
        if places.len() != parts.len() {
            continue;
        }
        let mut fused = model.stored[places[0]].clone();
        fused.rows = places.iter().flat_map(|&at| model.stored[at].rows.clone()).collect();
        fused.name = fused_name(&fused.name, word);
        let gone: BTreeSet<usize> = places.into_iter().collect();
        let mut at = 0;
        model.stored.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
        model.stored.push(fused);
        n_made += 1;
    }
    n_made
}

/// `….self_attn.q_proj.weight` → `….self_attn.qkv_proj.weight`, `….self.query.weight` → `….self.qkv.weight`.
fn fused_name(name: &str, word: &str) -> String {
    let mut segments: Vec<&str> = name.split('.').collect();
    let kind = segments.pop().unwrap_or_default();
    let last = segments.pop().unwrap_or_default();
    let end = if last.ends_with("_proj") { "_proj" } else { "" };
    format!("{}.{word}{end}.{kind}", segments.join("."))
}

/// Fused tensors taken apart.
///
/// # Errors
/// Nothing is fused.
pub(super) fn split(model: &mut Model) -> Result<(), NotApplicable> {
    let mut n_split = 0;
    let mut stored = Vec::new();
    for tensor in &model.stored {
        let roles: BTreeSet<Role> = tensor.rows.iter().map(|(role, _)| *role).collect();
        if roles.len() < 2 {
            stored.push(tensor.clone());
            continue;
        }
        n_split += 1;
        for role in roles {
            let (stem, kind) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, "weight"));
            let expert = match role.expert {
                Expert::Routed(expert) => format!(".{expert}"),
                _ => String::new(),
            };
            let part = format!("{:?}", role.part).to_lowercase();
            stored.push(StoredTensor {
                name: format!("{stem}{expert}.{part}_proj.{kind}"),
                rows: tensor.rows.iter().filter(|(found, _)| *found == role).copied().collect(),
                n_stacked: 1,
                ..tensor.clone()
            });
        }
    }
    if n_split == 0 {
        return Err(NotApplicable("nothing is fused"));
    }
    model.stored = stored;
    Ok(())
}

/// Every matrix of a layer stored with rows and columns exchanged, under its own name.
///
/// # Errors
/// There is none.
pub(super) fn transpose(model: &mut Model) -> Result<(), NotApplicable> {
    let mut n_changed = 0;
    for tensor in &mut model.stored {
        let is_of_layer = tensor.rows.first().is_some_and(|(role, _)| role.layer.is_some());
        if is_of_layer && !tensor.is_vector && tensor.inner_shape.is_empty() && tensor.n_stacked == 1 {
            tensor.is_transposed = !tensor.is_transposed;
            n_changed += 1;
        }
    }
    if n_changed == 0 { Err(NotApplicable("no matrix of a layer is known")) } else { Ok(()) }
}

/// Three files with an index.
pub(super) fn reshard(model: &mut Model) {
    model.n_files = 3;
}

fn is_number(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn numbers_out(name: &str) -> String {
    let segment = |segment| if is_number(segment) { "N" } else { segment };
    name.split('.').map(segment).collect::<Vec<_>>().join(".")
}

fn word(number: usize) -> String {
    [number / 16 % 16, number % 16].map(|at| SYLLABLES[at]).concat()
}
