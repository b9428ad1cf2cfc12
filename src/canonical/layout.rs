//! How a nameless tensor may be cut: as the named model cuts its own tensors of that stored shape.

use std::collections::BTreeMap;

use super::{CanonicalModel, CanonicalPart};
use crate::roles::{How, Part};
use crate::stream::StoredView;
use crate::tensor::View;

/// The parts of `nameless` with fused and transposed tensors cut as `named` cuts those of equal stored shape, where all of
/// them are cut alike. None where that changes nothing.
#[must_use]
pub fn laid_out_like(nameless: &CanonicalModel, named: &CanonicalModel) -> Option<CanonicalModel> {
    let mut by_tensor: BTreeMap<usize, Vec<&CanonicalPart>> = BTreeMap::new();
    for part in named.parts.iter().filter(|part| part.how == How::Table && part.n_dimensions <= 2) {
        by_tensor.entry(part.tensor_idx).or_default().push(part);
    }
    // None where tensors of one shape are cut in several ways
    let mut cuts: BTreeMap<(u64, u64), Option<Vec<View>>> = BTreeMap::new();
    for parts in by_tensor.values() {
        let views: Vec<View> = parts.iter().map(|part| part.stored.view).collect();
        cuts.entry(stored_shape(parts))
            .and_modify(|cut| {
                if cut.as_ref() != Some(&views) {
                    *cut = None;
                }
            })
            .or_insert(Some(views));
    }
    let mut is_other = false;
    let mut parts = Vec::with_capacity(nameless.parts.len());
    for part in &nameless.parts {
        let whole = part.stored.view;
        let is_whole = part.how != How::Table && part.n_dimensions <= 2 && whole.is_contiguous();
        let cut = cuts.get(&(whole.n_rows, whole.n_cols)).and_then(Option::as_ref);
        match cut.filter(|views| is_whole && **views != [whole]) {
            Some(views) => {
                is_other = true;
                parts.extend(views.iter().map(|view| CanonicalPart {
                    role: None,
                    stored: StoredView { view: *view, ..part.stored.clone() },
                    ..part.clone()
                }));
            }
            None => parts.push(part.clone()),
        }
    }
    is_other.then(|| CanonicalModel { parts, left_out: nameless.left_out.clone() })
}

/// Turns matrices without a role that `other` holds under the same name with rows and columns exchanged, as programs that store
/// [inputs, outputs] write them; square ones too, where every other matrix of one name is turned.
pub fn turn_like(
    model: &mut CanonicalModel,
    other: &CanonicalModel,
    name_of: &dyn Fn(&CanonicalPart) -> String,
    other_name_of: &dyn Fn(&CanonicalPart) -> String,
) {
    let is_matrix = |part: &CanonicalPart| {
        part.n_dimensions == 2 && !part.is_gate && part.role.is_none_or(|role| role.part == Part::Other)
    };
    let shape = |part: &CanonicalPart| (part.stored.view.n_rows, part.stored.view.n_cols);
    let shapes: BTreeMap<String, (u64, u64)> = other
        .parts
        .iter()
        .filter(|part| is_matrix(part))
        .map(|part| (other_name_of(part), shape(part)))
        .collect();
    let matches: Vec<(usize, bool, bool)> = model
        .parts
        .iter()
        .enumerate()
        .filter(|(_, part)| is_matrix(part))
        .filter_map(|(idx, part)| {
            let (own, wanted) = (shape(part), *shapes.get(&name_of(part))?);
            let (is_same, is_turned) = (own == wanted, own == (wanted.1, wanted.0));
            (is_same || is_turned).then_some((idx, is_same, is_turned))
        })
        .collect();
    let any_turned = matches.iter().any(|(_, is_same, is_turned)| *is_turned && !is_same);
    let all_turned = any_turned && matches.iter().all(|(_, _, is_turned)| *is_turned);
    for (idx, is_same, is_turned) in matches {
        let stored = &mut model.parts[idx].stored;
        if is_turned
            && (!is_same || all_turned)
            && let Some(view) = stored.view.transposed()
        {
            stored.view = view;
        }
    }
}

/// Dimensions of the tensor that holds these parts; a vector is one row.
fn stored_shape(parts: &[&CanonicalPart]) -> (u64, u64) {
    let n_elements: u64 = parts.iter().map(|part| part.stored.view.n_elements()).sum();
    let Some(first) = parts.first() else { return (0, 0) };
    let view = &first.stored.view;
    if first.n_dimensions <= 1 {
        return (1, n_elements);
    }
    let n_outs: u64 = parts.iter().map(|part| part.stored.view.n_rows).sum();
    let stands_in_columns = view.n_cols > 1 && view.col_stride > 1;
    if stands_in_columns { (view.n_cols, n_outs) } else { (n_outs, view.n_cols) }
}
