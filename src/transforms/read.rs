//! From a checkpoint to a model in memory.

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{LooseTensor, Model, StoredTensor};
use super::{Dense, Error};
use crate::canonical::{self, CanonicalPart};
use crate::checkpoint::{Checkpoint, TensorEntry};
use crate::roles::{self, Assignment, Role};
use crate::source::{Access, resolve};
use crate::stream::{ReadMeter, read_rows};
use crate::tensor::Dtype;

/// Most elements of a model that is held in memory: in f64 and with a few copies about 8 GiB.
pub const MAX_ELEMENTS: u64 = 256 << 20;
/// Longest `config.json` or `tokenizer.json` that is rewritten.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Reads a whole model.
///
/// # Errors
/// It is larger than [`MAX_ELEMENTS`], or bytes did not come.
pub fn read(checkpoint: &Checkpoint) -> Result<Model, Error> {
    let n_elements: u64 =
        checkpoint.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.n_elements()));
    if n_elements > MAX_ELEMENTS {
        return Err(Error::TooLarge { name: checkpoint.reference.clone(), n_elements, limit: MAX_ELEMENTS });
    }
    let map = roles::assign(checkpoint);
    let canonical = canonical::canonicalise(checkpoint, &map);
    let mut by_tensor: BTreeMap<usize, Vec<&CanonicalPart>> = BTreeMap::new();
    for part in canonical.parts.iter().filter(|part| part.role.is_some()) {
        by_tensor.entry(part.tensor_idx).or_default().push(part);
    }
    let (mut parts, mut stored, mut loose) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (idx, entry) in checkpoint.tensors.iter().enumerate() {
        let of_tensor = by_tensor.get(&idx).map_or(&[][..], Vec::as_slice);
        let n_covered: u64 = of_tensor.iter().map(|part| part.stored.view.n_elements()).sum();
        if of_tensor.is_empty() || n_covered != entry.n_elements() {
            let is_fixed = map.assignments.get(idx).is_some_and(|(assignment, _)| {
                matches!(assignment, Assignment::FixedByArchitecture(_) | Assignment::Buffer(_))
            });
            loose.push(loose_tensor(checkpoint, entry, is_fixed)?);
            continue;
        }
        for part in of_tensor {
            if let Some(role) = part.role {
                parts.insert(role, dense(part)?);
            }
        }
        stored.push(stored_tensor(entry, of_tensor));
    }
    let rotary_rows = checkpoint.config.as_ref().and_then(|config| config.rotary_dim);
    Ok(Model {
        name: checkpoint.reference.clone(),
        parts,
        stored,
        loose,
        graph: map.graph,
        rotary_rows: rotary_rows.and_then(|rows| usize::try_from(rows).ok()),
        config: json_beside(checkpoint, "config.json"),
        tokenizer: json_beside(checkpoint, "tokenizer.json"),
        n_files: 1,
    })
}

/// Whether the elements are those of a gain or a bias.
fn is_vector(entry: &TensorEntry, role: &Role) -> bool {
    entry.shape.len() <= 1 || role.is_bias
}

/// A part as [outputs, inputs]; vectors upright.
fn dense(part: &CanonicalPart) -> Result<Dense, Error> {
    let view = &part.stored.view;
    let rows: Vec<u64> = (0..view.n_rows).collect();
    let matrix = read_rows(&part.stored, &rows, 0..view.n_cols, &ReadMeter::default())?;
    let values = Dense::from_fn(matrix.n_rows, matrix.n_cols, |row, col| f64::from(matrix.at(row, col)));
    let lies_flat = part.n_dimensions <= 1 || part.role.is_some_and(|role| role.is_bias);
    Ok(if lies_flat && values.n_rows == 1 { values.transposed() } else { values })
}

/// Which canonical row each stored output is.
fn stored_tensor(entry: &TensorEntry, parts: &[&CanonicalPart]) -> StoredTensor {
    let mut rows: Vec<(u64, Role, usize)> = Vec::new();
    let is_vector = parts.iter().filter_map(|part| part.role).any(|role| is_vector(entry, &role));
    let mut is_transposed = false;
    let mut n_outs_of_matrix = 0;
    for part in parts {
        let (view, Some(role)) = (&part.stored.view, part.role) else { continue };
        if is_vector {
            let n = view.n_elements();
            let place = |at| if view.n_rows == 1 { view.element(0, at) } else { view.element(at, 0) };
            rows.extend((0..n).map(|at| (place(at), role, at as usize)));
            continue;
        }
        let stands_in_columns = view.n_cols > 1 && view.col_stride > 1;
        is_transposed |= stands_in_columns;
        let place = |row| {
            let at = view.element(row, 0);
            if stands_in_columns {
                // element (out, in = 0) of matrix e of a stack lies at e · n_ins · n_outs + out
                let n_outs = view.col_stride;
                at / (view.n_cols * n_outs) * n_outs + at % n_outs
            } else {
                at / view.n_cols.max(1)
            }
        };
        n_outs_of_matrix = n_outs_of_matrix.max(view.col_stride);
        rows.extend((0..view.n_rows).map(|row| (place(row), role, row as usize)));
    }
    rows.sort_by_key(|(place, ..)| *place);
    let shape: Vec<usize> = entry.shape.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
    let n_empty_axes = if is_vector {
        0
    } else {
        shape.iter().take(shape.len().saturating_sub(2)).take_while(|n| **n == 1).count()
    };
    let is_expert = parts.iter().filter_map(|part| part.role).any(|role| role.expert != roles::Expert::None);
    let n_stacked = match (shape.as_slice(), is_vector, is_expert) {
        ([n, _, _], false, true) | ([n, _], true, true) => *n,
        _ => 1,
    };
    let inner_shape = if !is_vector && n_stacked == 1 && shape.len() > 2 + n_empty_axes {
        shape[n_empty_axes + 1..].to_vec()
    } else {
        Vec::new()
    };
    StoredTensor {
        name: entry.name.clone(),
        dtype: entry.dtype,
        rows: rows.into_iter().map(|(_, role, row)| (role, row)).collect(),
        n_stacked,
        is_transposed,
        is_vector,
        n_empty_axes,
        inner_shape,
    }
}

fn loose_tensor(checkpoint: &Checkpoint, entry: &TensorEntry, is_fixed: bool) -> Result<LooseTensor, Error> {
    let (source, offset) = checkpoint.elements_of(entry);
    let n_bits = entry.n_elements() * entry.dtype.size_bits();
    let mut bytes = vec![0; usize::try_from(n_bits.div_ceil(8)).unwrap_or(0)];
    source.read_at(offset, &mut bytes).map_err(crate::stream::Error::from)?;
    Ok(LooseTensor {
        name: entry.name.clone(),
        dtype: entry.dtype,
        shape: entry.shape.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect(),
        bytes,
        is_fixed,
    })
}

/// A JSON file of the model's folder; None where it is missing or cannot be read.
fn json_beside(checkpoint: &Checkpoint, name: &str) -> Option<Value> {
    let place = resolve(&checkpoint.reference, &Access::default()).ok()?.place;
    let file = place.open(name).ok().filter(|file| file.size_bytes() <= MAX_JSON_BYTES)?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes()).ok()?];
    file.read_at(0, &mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

impl StoredTensor {
    /// Dimensions as they will be stored, for matrices of `n_cols` inputs.
    #[must_use]
    pub fn shape(&self, n_cols: usize) -> Vec<usize> {
        let n_outs = self.rows.len() / self.n_stacked.max(1);
        let mut shape = vec![1; self.n_empty_axes];
        if self.n_stacked > 1 {
            shape.push(self.n_stacked);
        }
        if self.is_vector {
            shape.push(n_outs);
        } else if self.is_transposed {
            shape.extend([n_cols, n_outs]);
        } else if self.inner_shape.iter().product::<usize>() == n_cols && !self.inner_shape.is_empty() {
            shape.push(n_outs);
            shape.extend(&self.inner_shape);
        } else {
            shape.extend([n_outs, n_cols]);
        }
        shape
    }
}

/// Types that a tensor can be written in; others are written as f32.
#[must_use]
pub(super) fn writable(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16 => dtype,
        _ => Dtype::F32,
    }
}
