//! S6, the layer map: which layer of A each layer of B continues, from sketches of 64 units a layer.
//!
//! Every choice made from the data is paid for: the number of maps that could have been chosen multiplies p.

use super::trace::trace_z;
use super::units::{Axis, load_units};
use crate::align::LayerMap;
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::kernels::{Backend, all_pairs};
use crate::numerics::Rng;
use crate::reductions::{Keep, MAX_KEPT_SCORES, Ranking};
use crate::roles::{Component, Part};
use crate::stream::{Error, ReadMeter};
use crate::tensor::{Matrix, Values};

/// z above which two layers belong together: P(Z > 6) = 1e-9, below 1e-5 over 100 × 100 cells.
const MATCH_Z: f64 = 6.0;
/// Units of a sketch.
const SKETCH_UNITS: usize = 64;
/// Input columns of a sketch, from the first on.
const SKETCH_COLUMNS: u64 = 2048;

/// A layer map and what it cost.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Whose layers.
    pub component: Component,
    /// The map.
    pub map: LayerMap,
    /// ln of the number of maps that could have been chosen.
    pub ln_tried: f64,
    /// z per (left layer, right layer), row-major over the two layer lists; empty where there was no sketch.
    pub z: Vec<f64>,
    /// For each right layer the place of the left one that it resembles most, where it resembles one; empty without a sketch.
    pub left_of: Vec<Option<usize>>,
    /// The same for each left layer.
    pub right_of: Vec<Option<usize>>,
    /// Whether the data, not the numbering, chose it.
    pub from_data: bool,
    /// Floating-point operations.
    pub flop: u64,
}

/// Chooses the map of one component. Equal depth and no better idea: layer i with layer i.
///
/// # Errors
/// A read or the device failed.
pub fn map_layers(
    backend: &Backend,
    left: &CanonicalModel,
    right: &CanonicalModel,
    component: Component,
    seed: u64,
    meter: &ReadMeter,
) -> Result<Mapping, Error> {
    let (layers_l, layers_r) = (left.layers(component), right.layers(component));
    let identity = LayerMap::identity(component, &layers_l, &layers_r);
    let mut mapping = Mapping {
        component,
        map: identity,
        ln_tried: 0.0,
        z: Vec::new(),
        left_of: Vec::new(),
        right_of: Vec::new(),
        from_data: false,
        flop: 0,
    };
    let Some((sketch_l, sketch_r, n_units)) = sketches(left, right, component, seed, meter)? else {
        return Ok(mapping);
    };
    let flop = 2 * (sketch_l.n_rows * sketch_r.n_rows * sketch_l.n_cols) as u64;
    let scores = all_pairs::all_pairs(backend, &sketch_l, &sketch_r, Ranking::Signed, Keep::Scores)?
        .scores
        .unwrap_or_default();
    let mut z = Vec::with_capacity(layers_l.len() * layers_r.len());
    for i in 0..layers_l.len() {
        for j in 0..layers_r.len() {
            z.push(cell_z(&scores, sketch_r.n_rows, i * n_units, j * n_units, n_units));
        }
    }
    let (n_l, n_r) = (layers_l.len(), layers_r.len());
    let best = |n: usize, score: &dyn Fn(usize) -> f64| {
        (0..n).max_by(|&a, &b| score(a).total_cmp(&score(b))).filter(|&best| score(best) >= MATCH_Z)
    };
    let left_of: Vec<Option<usize>> = (0..n_r).map(|j| best(n_l, &|i| z[i * n_r + j])).collect();
    mapping.right_of = (0..n_l).map(|i| best(n_r, &|j| z[i * n_r + j])).collect();
    (mapping.z, mapping.flop) = (z, flop);
    let n_found = left_of.iter().flatten().count();
    let in_place =
        left_of.iter().enumerate().filter(|(j, i)| i.is_some_and(|i| layers_l[i] == layers_r[*j])).count();
    // a choice between the numbering and the data's map: half the weight each
    mapping.ln_tried = std::f64::consts::LN_2;
    let same_depth = layers_l == layers_r;
    mapping.from_data = n_found > 0 && !(same_depth && in_place * 2 >= n_found);
    if mapping.from_data {
        let chosen = left_of.iter().enumerate().filter_map(|(j, i)| Some((layers_r[j], layers_l[(*i)?])));
        mapping.map.left_of = chosen.map(|(right, left)| ((component, right), left)).collect();
        mapping.ln_tried += n_r as f64 * ((n_l + 1) as f64).ln();
    }
    mapping.left_of = left_of;
    Ok(mapping)
}

/// The same units of every layer under each other, [layers · units, columns], for the first part that both models hold alike.
fn sketches(
    left: &CanonicalModel,
    right: &CanonicalModel,
    component: Component,
    seed: u64,
    meter: &ReadMeter,
) -> Result<Option<(Matrix, Matrix, usize)>, Error> {
    for part in [Part::Gate, Part::Up, Part::V, Part::Q] {
        let (parts_l, parts_r) = (stack(left, component, part), stack(right, component, part));
        let shape = |part: &&CanonicalPart| (part.stored.view.n_rows, part.stored.view.n_cols);
        let Some(first) = parts_l.first().map(&shape) else { continue };
        let complete =
            parts_l.len() == left.layers(component).len() && parts_r.len() == right.layers(component).len();
        if !complete || parts_r.is_empty() || !parts_l.iter().chain(&parts_r).all(|part| shape(part) == first)
        {
            continue;
        }
        // all scores of the sketch must fit into one kept product
        let most_layers = parts_l.len().max(parts_r.len());
        let most_units = ((MAX_KEPT_SCORES as f64).sqrt() / most_layers as f64) as usize;
        let n_units = SKETCH_UNITS.min(most_units).min(usize::try_from(first.0).unwrap_or(0));
        if n_units < 8 {
            continue;
        }
        let n_rows = usize::try_from(first.0).unwrap_or(0);
        let units: Vec<u64> = Rng::new(&[seed, 0x6c61_7965])
            .sample(n_rows, n_units)
            .into_iter()
            .map(|unit| unit as u64)
            .collect();
        let load = |parts: &[&CanonicalPart]| -> Result<Matrix, Error> {
            let mut layers = Vec::new();
            for part in parts {
                let matrix = load_units(&part.stored, Axis::Rows, &units, &[], meter)?;
                layers.push(matrix);
            }
            Ok(under_each_other(&layers))
        };
        return Ok(Some((load(&parts_l)?, load(&parts_r)?, n_units)));
    }
    Ok(None)
}

fn stack(model: &CanonicalModel, component: Component, part: Part) -> Vec<&CanonicalPart> {
    let mut parts: Vec<&CanonicalPart> = model
        .parts
        .iter()
        .filter(|candidate| {
            candidate.role.is_some_and(|role| {
                role.component == component
                    && role.part == part
                    && !role.is_bias
                    && role.layer.is_some()
                    && role.expert == crate::roles::Expert::None
            })
        })
        .collect();
    parts.sort_by_key(|part| part.role.and_then(|role| role.layer));
    parts
}

fn under_each_other(layers: &[Matrix]) -> Matrix {
    let n_cols = layers.first().map_or(0, |layer| layer.n_cols).min(SKETCH_COLUMNS as usize);
    let n_rows = layers.iter().map(|layer| layer.n_rows).sum();
    let mut values = Vec::with_capacity(n_rows * n_cols);
    for layer in layers {
        for row in 0..layer.n_rows {
            values.extend_from_slice(&layer.row(row)[..n_cols]);
        }
    }
    Matrix { n_rows, n_cols, values: Values::F32(values), column_scale: None }
}

/// Hoeffding z of one n × n cell of a larger score matrix.
pub(super) fn cell_z(scores: &[f32], stride: usize, row: usize, column: usize, n: usize) -> f64 {
    let mut cell = Vec::with_capacity(n * n);
    for i in 0..n {
        cell.extend_from_slice(&scores[(row + i) * stride + column..][..n]);
    }
    trace_z(&cell, n)
}
