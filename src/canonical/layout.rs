//! How a nameless tensor may be cut: as the named model cuts its own tensors of that stored shape.

use std::collections::BTreeMap;

use super::{CanonicalModel, CanonicalPart};
use crate::roles::How;
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
