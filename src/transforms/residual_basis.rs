//! T4: the residual stream in a rotated basis, norm gains folded into the matrices that read them. Function unchanged
//! (Ashkboos et al. 2024, SliceGPT, section 3).

use super::model::Model;
use super::residual::{Touch, subtracts_mean, touches};
use super::{Dense, NotApplicable};
use crate::numerics::Rng;
use crate::roles::{Expert, Part, Role};

/// A gain below this share of the mean gain cannot be divided out of its bias without losing digits.
const SMALLEST_GAIN: f64 = 1e-3;

/// Folds every gain, then rotates. Where norms subtract a mean, the rotation leaves the direction of ones in place.
///
/// # Errors
/// A norm acts on the stream itself (post-norm), or not every tensor that touches it is known.
pub(super) fn rotate(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let first = touches(model)?;
    if [Part::Norm1b, Part::Norm2b, Part::EmbedNorm, Part::HeadNorm].iter().any(|part| model.has(*part)) {
        return Err(NotApplicable("a norm stands inside the residual stream and fixes its basis"));
    }
    let width = first
        .iter()
        .find(|(role, _)| role.part == Part::Embed)
        .and_then(|(role, _)| model.parts.get(role))
        .map(|table| table.n_cols)
        .ok_or(NotApplicable("no token table"))?;
    fold_gains(model)?;
    let rotation =
        if subtracts_mean(model) { keeping_ones(width, rng) } else { Dense::orthogonal(width, rng) };
    let back = rotation.transposed();
    for (role, touch) in touches(model)? {
        let Some(matrix) = model.get_mut(&role) else { continue };
        match touch {
            Touch::Reads => *matrix = matrix.times(&rotation),
            Touch::Writes | Touch::Shift => *matrix = back.times(matrix),
            Touch::Both => *matrix = back.times(matrix).times(&rotation),
            // all ones by now
            Touch::Gain | Touch::Apart => {}
        }
    }
    Ok(())
}

/// Moves γ of each norm into the matrices behind it: W·(γ ⊙ x + β) = (W·diag γ)·(x + β/γ).
fn fold_gains(model: &mut Model) -> Result<(), NotApplicable> {
    let added = if model.graph.norm_adds_one { 1.0 } else { 0.0 };
    if model.has(Part::FinalNorm) {
        model.untie_head();
    }
    let norms: Vec<Role> = [Part::Norm1, Part::Norm2, Part::FinalNorm]
        .iter()
        .flat_map(|part| model.roles_of(*part))
        .filter(|role| !role.is_bias)
        .collect();
    for norm in norms {
        let Some(gain) = model.parts.get(&norm) else { continue };
        let gain: Vec<f64> = gain.values.iter().map(|value| value + added).collect();
        let mean = gain.iter().map(|value| value.abs()).sum::<f64>() / gain.len().max(1) as f64;
        let bias = Role { is_bias: true, ..norm };
        if model.parts.contains_key(&bias) && gain.iter().any(|value| value.abs() < SMALLEST_GAIN * mean) {
            return Err(NotApplicable("a norm gain is too near zero to be folded"));
        }
        let is_read_by = |role: &Role| !role.is_bias && norm_of(model, role) == Some(norm);
        let readers: Vec<Role> = model.parts.keys().filter(|role| is_read_by(role)).copied().collect();
        for reader in readers {
            if let Some(matrix) = model.get_mut(&reader) {
                matrix.scale_cols(&gain);
            }
        }
        if let Some(bias) = model.get_mut(&bias) {
            let inverse: Vec<f64> = gain.iter().map(|value| 1.0 / value).collect();
            bias.scale_rows(&inverse);
        }
        if let Some(gain) = model.get_mut(&norm) {
            gain.values.iter_mut().for_each(|value| *value = 1.0 - added);
        }
    }
    Ok(())
}

/// The norm whose output a matrix reads. Blocks with one norm read it with attention and MLP.
fn norm_of(model: &Model, role: &Role) -> Option<Role> {
    let part = match role.part {
        Part::Q | Part::K | Part::V | Part::QA | Part::KvA => Part::Norm1,
        Part::Gate | Part::Up | Part::Router | Part::SharedExpertGate => {
            let norm2 = Role { part: Part::Norm2, expert: Expert::None, is_bias: false, ..*role };
            if model.parts.contains_key(&norm2) { Part::Norm2 } else { Part::Norm1 }
        }
        Part::Head => Part::FinalNorm,
        _ => return None,
    };
    Some(Role { part, expert: Expert::None, is_bias: false, ..*role })
}

/// Orthogonal, with the vector of ones as a fixed point: R = Hᵀ·diag(1, Q)·H, H the reflection that takes ones/√n to e₀.
fn keeping_ones(n: usize, rng: &mut Rng) -> Dense {
    let inner = Dense::orthogonal(n - 1, rng);
    let blocks = Dense::from_fn(n, n, |row, col| match (row, col) {
        (0, 0) => 1.0,
        (0, _) | (_, 0) => 0.0,
        _ => inner.at(row - 1, col - 1),
    });
    let one = 1.0 / (n as f64).sqrt();
    let mut v: Vec<f64> = vec![one; n];
    v[0] -= 1.0;
    let length: f64 = v.iter().map(|x| x * x).sum();
    let reflection = Dense::from_fn(n, n, |row, col| {
        let identity = if row == col { 1.0 } else { 0.0 };
        identity - 2.0 * v[row] * v[col] / length
    });
    reflection.times(&blocks).times(&reflection)
}
