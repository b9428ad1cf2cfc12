//! Squared distances between several models, tensor by tensor: all that merges (S8) and a third model need.
//!
//! Inner products of differences follow from distances alone, ⟨x − r, y − r⟩ = (|x − r|² + |y − r|² − |x − y|²) / 2, and distances are
//! summed as squared differences, so that near copies lose no digits.

use std::collections::HashMap;

use crate::canonical::CanonicalModel;
use crate::kernels::Backend;
use crate::roles::{Part, Role};
use crate::stream::{Error, ReadMeter, RowPairing, WorkItem, pair_moments};

/// Squared distances within one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDistances {
    /// Elements.
    pub n_elements: u64,
    /// A matrix, not a vector of gains or biases, which lie near their common start in unrelated models too.
    pub is_matrix: bool,
    /// [n + 1, n + 1] for n models and, last, the zero tensor.
    pub squared: Vec<f64>,
}

/// Distances of every tensor that all models hold in one shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distances {
    /// Models.
    pub n_models: usize,
    /// One entry a tensor.
    pub tensors: Vec<TensorDistances>,
}

/// What one tensor is in every model: its role, or its name where the role says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Role(Role),
    Name(String),
}

/// Name of a tensor by model and index.
pub type NameOf<'a> = dyn Fn(usize, usize) -> String + 'a;

/// Measures the distances. Layers are held against layers of their own number.
///
/// # Errors
/// A read or the device failed.
pub fn distances(
    backend: &Backend,
    models: &[&CanonicalModel],
    name_of: &NameOf<'_>,
    meter: &ReadMeter,
) -> Result<Distances, Error> {
    let n = models.len();
    let key = |model: usize, part: usize| -> Key {
        let part = &models[model].parts[part];
        match part.role.filter(|role| role.part != Part::Other) {
            Some(role) => Key::Role(role),
            None => Key::Name(name_of(model, part.tensor_idx)),
        }
    };
    let by_key: Vec<HashMap<Key, usize>> = (0..n)
        .map(|model| (0..models[model].parts.len()).rev().map(|part| (key(model, part), part)).collect())
        .collect();
    let shape = |model: usize, part: usize| {
        let view = &models[model].parts[part].stored.view;
        (view.n_rows, view.n_cols)
    };
    let first = models.first().map_or(0, |model| model.parts.len());
    let shared: Vec<Vec<usize>> = (0..first)
        .filter_map(|part| {
            let key = key(0, part);
            let parts: Option<Vec<usize>> = by_key.iter().map(|known| known.get(&key).copied()).collect();
            parts.filter(|parts| (0..n).all(|model| shape(model, parts[model]) == shape(0, part)))
        })
        .collect();
    let mut tensors: Vec<TensorDistances> = shared
        .iter()
        .map(|parts| {
            let view = &models[0].parts[parts[0]].stored.view;
            TensorDistances {
                n_elements: view.n_elements(),
                is_matrix: view.n_rows.min(view.n_cols) > 1,
                squared: vec![0.0; (n + 1) * (n + 1)],
            }
        })
        .collect();
    let mut is_finite = vec![true; tensors.len()];
    for i in 0..n {
        for j in i + 1..n {
            let items: Vec<WorkItem> = shared
                .iter()
                .map(|parts| WorkItem {
                    left: models[i].parts[parts[i]].stored.clone(),
                    right: models[j].parts[parts[j]].stored.clone(),
                    rows: RowPairing::Same,
                })
                .collect();
            for (at, sums) in pair_moments(backend, &items, meter, &|_| {})?.into_iter().enumerate() {
                is_finite[at] &= sums.n_non_finite_a == 0 && sums.n_non_finite_b == 0;
                let squared = &mut tensors[at].squared;
                for (a, b, value) in [(i, j, sums.sum_squared_diff), (i, n, sums.sum_aa), (j, n, sums.sum_bb)]
                {
                    squared[a * (n + 1) + b] = value;
                    squared[b * (n + 1) + a] = value;
                }
            }
        }
    }
    let kept = tensors.into_iter().zip(is_finite).filter(|(_, is_finite)| *is_finite);
    Ok(Distances { n_models: n, tensors: kept.map(|(tensor, _)| tensor).collect() })
}

impl Distances {
    /// Σ over all matrices of ⟨x − r, y − r⟩; `n_models` stands for zero.
    #[must_use]
    pub fn product(&self, x: usize, y: usize, r: usize) -> f64 {
        let matrices = self.tensors.iter().filter(|tensor| tensor.is_matrix);
        matrices.map(|tensor| product(tensor, self.n_models, x, y, r)).sum()
    }
}

/// ⟨x − r, y − r⟩ in one tensor of n models.
pub(super) fn product(tensor: &TensorDistances, n: usize, x: usize, y: usize, r: usize) -> f64 {
    let at = |a: usize, b: usize| tensor.squared[a * (n + 1) + b];
    0.5 * (at(x, r) + at(y, r) - at(x, y))
}
