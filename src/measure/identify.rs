//! Tensors whose names say nothing get their role from the data: each is held against the tensors of the same shape in the
//! other model (docs/methods.md#names). Every assignment that could have been chosen is paid for.

use std::collections::BTreeMap;

use super::layers::cell_z;
use super::units::{Axis, load_units, load_vector};
use crate::align::BothSides;
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::kernels::{Backend, all_pairs};
use crate::numerics::Rng;
use crate::reductions::{Keep, Ranking};
use crate::roles::{How, Part};
use crate::stream::{Error, ReadMeter};
use crate::tensor::Matrix;

/// z above which two tensors belong together, as for layers.
const MATCH_Z: f64 = 6.0;
/// z of n units is √(n − 1) at most, so few units belong together from this share of it on: what is chosen wrongly was paid for.
const SHARE_OF_LARGEST_Z: f64 = 0.75;
/// Centred cosine above which two vectors belong together; independent ones of 16 elements reach .5 in 2.5 %.
const MATCH_COSINE: f64 = 0.5;
/// Rows of a sketch.
const SKETCH_ROWS: usize = 48;
/// Columns of a sketch.
const SKETCH_COLUMNS: usize = 512;
/// Most pairs of one shape that are held against each other: a thousand tensors a side.
const MAX_CELLS: usize = 1 << 20;
/// Longest vector that is read whole.
const MAX_VECTOR: u64 = 1 << 20;
/// Rows of all sketches of one side: two of these make one kept product.
const MAX_SKETCH_ROWS: usize = 4096;

/// What was adopted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adoption {
    /// Parts that got a role from a clear match of their values.
    pub n_by_data: usize,
    /// Parts that got one by shape and order alone, by index.
    pub by_order: Vec<usize>,
    /// ln of the number of assignments that could have been chosen.
    pub ln_tried: f64,
}

impl Adoption {
    /// Less than half of the roles came from values: the parts are not where the named model has them, or unrelated.
    #[must_use]
    pub fn is_mostly_by_order(&self) -> bool {
        self.by_order.len() > self.n_by_data
    }
}

/// Whether the names of a model say what most of its weights do.
#[must_use]
pub fn is_named(model: &CanonicalModel) -> bool {
    let of = |parts: &mut dyn Iterator<Item = &CanonicalPart>| -> u64 {
        parts.map(|part| part.stored.view.n_elements()).sum()
    };
    let placed = of(&mut model.parts.iter().filter(|part| is_placed(part)));
    placed * 2 > of(&mut model.parts.iter())
}

fn is_placed(part: &CanonicalPart) -> bool {
    part.how == How::Table && part.role.is_some_and(|role| role.part != Part::Other)
}

/// Gives the parts of `nameless` the roles of the parts of `named` that they match.
///
/// # Errors
/// A read or the device failed.
pub fn adopt_roles(
    backend: &Backend,
    named: &CanonicalModel,
    nameless: &mut CanonicalModel,
    seed: u64,
    meter: &ReadMeter,
) -> Result<Adoption, Error> {
    let mut classes: BTreeMap<(u64, u64), (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    let shape = |part: &CanonicalPart| (part.stored.view.n_rows, part.stored.view.n_cols);
    for (idx, part) in named.parts.iter().enumerate().filter(|(_, part)| is_placed(part)) {
        classes.entry(shape(part)).or_default().0.push(idx);
    }
    for (idx, part) in nameless.parts.iter().enumerate().filter(|(_, part)| !is_placed(part)) {
        classes.entry(shape(part)).or_default().1.push(idx);
    }
    let mut adoption = Adoption::default();
    for ((n_rows, n_cols), (known, unknown)) in classes {
        if known.is_empty() || unknown.is_empty() {
            continue;
        }
        let of = |model: &CanonicalModel, indices: &[usize]| -> Vec<CanonicalPart> {
            indices.iter().map(|&idx| model.parts[idx].clone()).collect()
        };
        let (left, right) = (of(named, &known), of(nameless, &unknown));
        let matched = matches(backend, (&left, &right), (n_rows, n_cols), MATCH_Z, seed, meter)?;
        adoption.n_by_data += matched.iter().flatten().count();
        let mut free = (0..known.len()).filter(|i| !matched.contains(&Some(*i)));
        for (j, &part_idx) in unknown.iter().enumerate() {
            let Some(i) = matched[j].or_else(|| free.next()) else { continue };
            if matched[j].is_none() {
                adoption.by_order.push(part_idx);
            }
            nameless.parts[part_idx].role = named.parts[known[i]].role;
            nameless.parts[part_idx].how = How::Guessed;
        }
        // every one-to-one assignment of the class was open
        let larger = known.len().max(unknown.len());
        adoption.ln_tried += (1..=larger).map(|k| (k as f64).ln()).sum::<f64>();
    }
    Ok(adoption)
}

/// (left, right) parts of unknown graphs whose names have nothing in common (a prefix was put before them, a network stands in a
/// larger file): by their values, among those of equal shape. Who tests such a pair pays for all that it could have been.
///
/// # Errors
/// A read or the device failed.
pub fn match_by_values(
    backend: &Backend,
    (left, right): (&CanonicalModel, &CanonicalModel),
    by_shape: &[BothSides],
    seed: u64,
    meter: &ReadMeter,
) -> Result<Vec<(usize, usize)>, Error> {
    let mut found = Vec::new();
    for (lefts, rights) in by_shape {
        let of = |model: &CanonicalModel, indices: &[usize]| -> Vec<CanonicalPart> {
            indices.iter().map(|&idx| model.parts[idx].clone()).collect()
        };
        let (a, b) = (of(left, lefts), of(right, rights));
        let view = &a[0].stored.view;
        let shape = (view.n_rows, view.n_cols);
        let largest_z = (shape.0.min(SKETCH_ROWS as u64) as f64 - 1.0).max(0.0).sqrt();
        let threshold = MATCH_Z.min(SHARE_OF_LARGEST_Z * largest_z);
        let matched = matches(backend, (&a, &b), shape, threshold, seed, meter)?;
        let pairs = matched.iter().enumerate().filter_map(|(j, i)| Some((lefts[(*i)?], rights[j])));
        found.extend(pairs);
    }
    Ok(found)
}

/// For each right part the left part of its shape that it matches; none where there are too many to hold each against each, or vectors are
/// longer than any gain.
fn matches(
    backend: &Backend,
    (left, right): (&[CanonicalPart], &[CanonicalPart]),
    (n_rows, n_cols): (u64, u64),
    least_z: f64,
    seed: u64,
    meter: &ReadMeter,
) -> Result<Vec<Option<usize>>, Error> {
    let is_vector = n_rows == 1 || n_cols == 1;
    let is_too_much = left.len().saturating_mul(right.len()) > MAX_CELLS;
    if is_too_much || is_vector && n_rows.max(n_cols) > MAX_VECTOR {
        return Ok(vec![None; right.len()]);
    }
    let (scores, threshold) = if is_vector {
        (vector_scores(left, right, meter)?, MATCH_COSINE)
    } else {
        (matrix_scores(backend, left, right, (n_rows, n_cols), seed, meter)?, least_z)
    };
    Ok(mutual_matches(&scores, left.len(), right.len(), threshold))
}

/// For each right item the left item that is its best, if it is that one's best too and above the threshold.
fn mutual_matches(scores: &[f64], n_left: usize, n_right: usize, threshold: f64) -> Vec<Option<usize>> {
    let at = |i: usize, j: usize| scores[i * n_right + j];
    let best_right: Vec<Option<usize>> =
        (0..n_left).map(|i| (0..n_right).max_by(|&a, &b| at(i, a).total_cmp(&at(i, b)))).collect();
    (0..n_right)
        .map(|j| {
            let best = (0..n_left).max_by(|&a, &b| at(a, j).total_cmp(&at(b, j)))?;
            (best_right[best] == Some(j) && at(best, j) >= threshold).then_some(best)
        })
        .collect()
}

/// Centred cosine of every vector with every other, [left, right].
fn vector_scores(
    left: &[CanonicalPart],
    right: &[CanonicalPart],
    meter: &ReadMeter,
) -> Result<Vec<f64>, Error> {
    let load = |parts: &[CanonicalPart]| -> Result<Vec<Vec<f64>>, Error> {
        parts
            .iter()
            .map(|part| {
                let values = load_vector(&part.stored, 0.0, meter)?;
                let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64;
                let centred: Vec<f64> = values.iter().map(|v| f64::from(*v) - mean).collect();
                let norm = centred.iter().map(|v| v * v).sum::<f64>().sqrt();
                Ok(centred.into_iter().map(|v| if norm > 0.0 { v / norm } else { 0.0 }).collect())
            })
            .collect()
    };
    let (left, right) = (load(left)?, load(right)?);
    let mut scores = Vec::with_capacity(left.len() * right.len());
    for a in &left {
        scores.extend(right.iter().map(|b| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>()));
    }
    Ok(scores)
}

/// Trace z of every matrix with every other on a sketch of rows, [left, right].
fn matrix_scores(
    backend: &Backend,
    left: &[CanonicalPart],
    right: &[CanonicalPart],
    (n_rows, n_cols): (u64, u64),
    seed: u64,
    meter: &ReadMeter,
) -> Result<Vec<f64>, Error> {
    let n_most = left.len().max(right.len());
    let n_units = SKETCH_ROWS.min(MAX_SKETCH_ROWS / n_most.max(1));
    let rows: Vec<u64> = Rng::new(&[seed, 0x6964_656e, n_rows, n_cols])
        .sample(usize::try_from(n_rows).unwrap_or(0), n_units)
        .into_iter()
        .map(|row| row as u64)
        .collect();
    if rows.len() < 4 {
        return Ok(vec![0.0; left.len() * right.len()]);
    }
    let load = |parts: &[CanonicalPart]| -> Result<Matrix, Error> {
        let width = SKETCH_COLUMNS.min(usize::try_from(n_cols).unwrap_or(usize::MAX));
        let mut values = Vec::with_capacity(parts.len() * rows.len() * width);
        for part in parts {
            let matrix = load_units(&part.stored, Axis::Rows, &rows, &[], meter)?;
            for row in 0..matrix.n_rows {
                values.extend((0..width).map(|col| matrix.at(row, col)));
            }
        }
        Ok(Matrix::from_f32(parts.len() * rows.len(), width, values))
    };
    let (a, b) = (load(left)?, load(right)?);
    let scores =
        all_pairs::all_pairs(backend, &a, &b, Ranking::Signed, Keep::Scores)?.scores.unwrap_or_default();
    let mut z = Vec::with_capacity(left.len() * right.len());
    for i in 0..left.len() {
        for j in 0..right.len() {
            z.push(cell_z(&scores, b.n_rows, i * rows.len(), j * rows.len(), rows.len()));
        }
    }
    Ok(z)
}

#[cfg(test)]
mod tests {
    use super::mutual_matches;

    #[test]
    fn only_clear_mutual_matches_count() {
        // right 0 ↔ left 1; right 1's best left prefers another; right 2 is below the threshold
        let scores = [1.0, 8.0, 2.0, 9.0, 8.5, 1.0];
        assert_eq!(mutual_matches(&scores, 2, 3, 6.0), [Some(1), None, None]);
    }
}
