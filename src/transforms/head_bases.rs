//! T6: another basis inside the heads: v and o by any rotation, q and k by one that the positions commute with, and
//! q × s with k ÷ s. Function unchanged.

use super::model::{Heads, Model};
use super::{Dense, NotApplicable, random_scales};
use crate::numerics::Rng;
use crate::roles::{Component, Part};

/// Rotates every head of every layer.
///
/// # Errors
/// Heads are unknown.
pub(super) fn rotate(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let layers = model.layers();
    if layers.is_empty() {
        return Err(NotApplicable("no layer is known"));
    }
    for layer in layers {
        let heads = model.heads(layer)?;
        rotate_values(model, layer, heads, rng);
        // a norm over each head's queries or keys fixes their basis
        if !model.has(Part::QNorm) && !model.has(Part::KNorm) {
            rotate_keys(model, layer, heads, rng);
        }
    }
    Ok(())
}

fn rotate_values(model: &mut Model, layer: u32, heads: Heads, rng: &mut Rng) {
    let rotations: Vec<Dense> =
        (0..heads.n_groups).map(|_| Dense::orthogonal(heads.value_rows, rng)).collect();
    for is_bias in [false, true] {
        let v = model.role(Some(layer), Part::V, is_bias);
        rotate_rows(model.get_mut(&v), heads.value_rows, |group| &rotations[group]);
    }
    let o = model.role(Some(layer), Part::O, false);
    if let Some(o) = model.get_mut(&o) {
        let mut columns = o.transposed();
        let per_group = heads.n_heads / heads.n_groups;
        rotate_rows(Some(&mut columns), heads.value_rows, |head| &rotations[head / per_group]);
        *o = columns.transposed();
    }
}

fn rotate_keys(model: &mut Model, layer: u32, heads: Heads, rng: &mut Rng) {
    let turned: Vec<Dense> = (0..heads.n_groups).map(|_| key_basis(model, heads, rng)).collect();
    let scales: Vec<Vec<f64>> = turned.iter().map(|_| pair_scales(model, heads, rng)).collect();
    let per_group = heads.n_heads / heads.n_groups;
    let scaled = |group: usize, inverse: bool| {
        let mut basis = turned[group].clone();
        let factors: Vec<f64> =
            scales[group].iter().map(|scale| if inverse { 1.0 / scale } else { *scale }).collect();
        basis.scale_rows(&factors);
        basis
    };
    let of_queries: Vec<Dense> = (0..heads.n_groups).map(|group| scaled(group, false)).collect();
    let of_keys: Vec<Dense> = (0..heads.n_groups).map(|group| scaled(group, true)).collect();
    for is_bias in [false, true] {
        let (q, k) = (model.role(Some(layer), Part::Q, is_bias), model.role(Some(layer), Part::K, is_bias));
        rotate_rows(model.get_mut(&q), heads.key_rows, |head| &of_queries[head / per_group]);
        rotate_rows(model.get_mut(&k), heads.key_rows, |group| &of_keys[group]);
    }
}

/// Rows of a head that rotate with the position: all where nothing else says where a token stands.
fn rotary_rows(model: &Model, heads: Heads) -> usize {
    let has_other_positions = model.has(Part::Pos) || model.graph.alibi || model.graph.sinusoidal_positions;
    if has_other_positions || model.component() != Some(Component::Text) {
        return 0;
    }
    model.rotary_rows.unwrap_or(heads.key_rows).min(heads.key_rows) / 2 * 2
}

/// Block-diagonal: a turn of every rotary pair (j, j + half) by its own angle, any rotation of the other rows.
fn key_basis(model: &Model, heads: Heads, rng: &mut Rng) -> Dense {
    let n_rotary = rotary_rows(model, heads);
    let half = n_rotary / 2;
    let angles: Vec<f64> = (0..half).map(|_| rng.unit() * std::f64::consts::TAU).collect();
    let rest = Dense::orthogonal(heads.key_rows - n_rotary, rng);
    Dense::from_fn(heads.key_rows, heads.key_rows, |row, col| {
        if row >= n_rotary || col >= n_rotary {
            let both = row >= n_rotary && col >= n_rotary;
            return if both { rest.at(row - n_rotary, col - n_rotary) } else { 0.0 };
        }
        if row % half != col % half {
            return 0.0;
        }
        let (sin, cos) = angles[row % half].sin_cos();
        match (row < half, col < half) {
            (true, true) | (false, false) => cos,
            (true, false) => -sin,
            (false, true) => sin,
        }
    })
}

/// One factor per rotary pair and per other row.
fn pair_scales(model: &Model, heads: Heads, rng: &mut Rng) -> Vec<f64> {
    let n_rotary = rotary_rows(model, heads);
    let mut scales = random_scales(heads.key_rows, rng);
    let half = n_rotary / 2;
    for row in half..n_rotary {
        scales[row] = scales[row - half];
    }
    scales
}

/// Multiplies each block of `n` rows from the left by its head's matrix.
fn rotate_rows<'a>(matrix: Option<&mut Dense>, n: usize, basis_of: impl Fn(usize) -> &'a Dense) {
    let Some(matrix) = matrix else { return };
    for head in 0..matrix.n_rows / n.max(1) {
        let rows: Vec<usize> = (head * n..(head + 1) * n).collect();
        let turned = basis_of(head).times(&matrix.rows(&rows));
        for (at, row) in rows.into_iter().enumerate() {
            matrix.row_mut(row).copy_from_slice(turned.row(at));
        }
    }
}
