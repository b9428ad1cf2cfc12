//! AWM (arXiv 2510.06738): residual dimensions are assigned to each other on the token tables, then unbiased CKA of q and k, layers
//! assigned to each other by it.

use super::Context;
use super::assignment::assign;
use super::linear::{Dense, cosine};
use crate::roles::Part;
use crate::stream::Error;

/// Tokens of the assignment.
const N_TOKENS: usize = 1024;
/// Residual dimensions; the assignment takes their cube.
const MOST_DIMENSIONS: usize = 1024;

/// Mean unbiased CKA of q and k over assigned layers.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let Some((left, right)) = pair.tokens(N_TOKENS)? else { return Ok(None) };
    if left.n_cols.max(right.n_cols) > MOST_DIMENSIONS {
        return Ok(None);
    }
    let (left, right) = (left.transposed(), right.transposed());
    let mut similar = Dense { n_rows: left.n_rows, n_cols: right.n_rows, values: Vec::new() };
    for a in 0..left.n_rows {
        similar.values.extend((0..right.n_rows).map(|b| cosine(left.row(a), right.row(b)).abs() as f32));
    }
    let places: Vec<(usize, usize)> =
        assign(&similar).into_iter().enumerate().filter_map(|(a, b)| Some((a, b?))).collect();
    let sign = |(a, b): (usize, usize)| if cosine(left.row(a), right.row(b)) < 0.0 { -1.0 } else { 1.0 };
    let signs: Vec<f32> = places.iter().map(|place| sign(*place)).collect();
    let mut scores = Vec::new();
    for part in [Part::Q, Part::K] {
        let of = |model: &super::Model<'_>| -> Result<Vec<Dense>, Error> {
            let mut found = Vec::new();
            for layer in model.layers() {
                found.extend(model.matrix(Some(layer), part, pair.meter)?);
            }
            Ok(found)
        };
        let (lefts, rights) = (of(pair.left)?, of(pair.right)?);
        let columns_l: Vec<(usize, f32)> = places.iter().map(|(a, _)| (*a, 1.0)).collect();
        let columns_r: Vec<(usize, f32)> = places.iter().zip(&signs).map(|((_, b), s)| (*b, *s)).collect();
        let grams = |matrices: &[Dense], columns: &[(usize, f32)]| -> Vec<Vec<f64>> {
            matrices.iter().filter_map(|m| gram(m, columns)).collect()
        };
        let (grams_l, grams_r) = (grams(&lefts, &columns_l), grams(&rights, &columns_r));
        if grams_l.is_empty() || grams_r.is_empty() {
            continue;
        }
        let mut cka = Dense { n_rows: grams_l.len(), n_cols: grams_r.len(), values: Vec::new() };
        for a in &grams_l {
            cka.values.extend(grams_r.iter().map(|b| unbiased_cka(a, b, places.len()) as f32));
        }
        let chosen = assign(&cka);
        let found: Vec<f64> = chosen
            .iter()
            .enumerate()
            .filter_map(|(a, b)| Some(f64::from(cka.values[a * cka.n_cols + (*b)?])))
            .collect();
        scores.push(found.iter().sum::<f64>() / found.len().max(1) as f64);
    }
    Ok((!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64))
}

/// Gram matrix over the given inputs, signs applied, diagonal zero.
fn gram(matrix: &Dense, columns: &[(usize, f32)]) -> Option<Vec<f64>> {
    if columns.iter().any(|(column, _)| *column >= matrix.n_cols) {
        return None;
    }
    let turned = matrix.transposed();
    let n = columns.len();
    let values = columns.iter().flat_map(|(c, s)| turned.row(*c).iter().map(move |v| v * s)).collect();
    let picked = Dense { n_rows: n, n_cols: matrix.n_rows, values };
    let product = picked.times_transposed(&picked)?;
    Some((0..n * n).map(|k| if k / n == k % n { 0.0 } else { f64::from(product.values[k]) }).collect())
}

/// HSIC₁(K, L) / √(HSIC₁(K, K) HSIC₁(L, L)) (Song et al. 2012).
fn unbiased_cka(k: &[f64], l: &[f64], n: usize) -> f64 {
    let norm = hsic(k, k, n) * hsic(l, l, n);
    if norm > 0.0 { hsic(k, l, n) / norm.sqrt() } else { 0.0 }
}

fn hsic(k: &[f64], l: &[f64], n: usize) -> f64 {
    if n < 4 {
        return 0.0;
    }
    let size = n as f64;
    let rows = |m: &[f64]| m.chunks(n).map(|row| row.iter().sum::<f64>()).collect::<Vec<f64>>();
    let (rows_k, rows_l) = (rows(k), rows(l));
    let trace: f64 = k.iter().zip(l).map(|(a, b)| a * b).sum();
    let sums = rows_k.iter().sum::<f64>() * rows_l.iter().sum::<f64>();
    let crossed: f64 = rows_k.iter().zip(&rows_l).map(|(a, b)| a * b).sum();
    (trace + sums / ((size - 1.0) * (size - 2.0)) - 2.0 * crossed / (size - 2.0)) / (size * (size - 3.0))
}
