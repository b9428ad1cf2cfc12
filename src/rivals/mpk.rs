//! After Model Provenance Kit 1.0: equal shapes are a match by themselves; else a weighted sum of the tokens' own similarities, strided
//! weights, norms, energies and gains. The kit publishes no formula: kinds of signals after it, equal weights ours.

use super::Context;
use super::correlation::pearson;
use super::linear::{Dense, cosine, dot};
use crate::roles::Part;
use crate::stream::Error;

/// Anchor tokens.
const N_ANCHORS: usize = 128;
/// Weights of a matrix that are looked at.
const N_STRIDED: usize = 4096;
/// Bins of the histogram of row norms.
const N_BINS: usize = 16;

/// 1 where every shape is equal, else the mean of the signals.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let shapes = |model: &super::Model<'_>| {
        let mut all: Vec<_> = model.roles().map(|(role, idx)| (role, model.shape(idx))).collect();
        all.sort_unstable();
        all
    };
    if shapes(pair.left) == shapes(pair.right) {
        return Ok(Some(1.0));
    }
    let mut signals = Vec::new();
    if let Some((a, b)) = pair.tokens(N_ANCHORS)? {
        let own = |x: &Dense| -> Vec<f64> {
            (0..x.n_rows)
                .flat_map(|i| (0..i).map(move |j| (i, j)))
                .map(|(i, j)| cosine(x.row(i), x.row(j)))
                .collect()
        };
        signals.push(pearson(&own(&a), &own(&b)));
    }
    let (mut strided, mut histograms, mut gains) = (Vec::new(), Vec::new(), Vec::new());
    let (mut energy_l, mut energy_r) = (Vec::new(), Vec::new());
    for (l, r) in pair.layers() {
        for part in [Part::Q, Part::Up, Part::Norm1] {
            let both =
                (pair.left.matrix(Some(l), part, pair.meter)?, pair.right.matrix(Some(r), part, pair.meter)?);
            let (Some(a), Some(b)) = both else { continue };
            if part == Part::Norm1 {
                gains.push(if a.n_cols == b.n_cols { cosine(&a.values, &b.values) } else { 0.0 });
                continue;
            }
            strided.push(cosine(&picked(&a), &picked(&b)));
            histograms.push(cosine(&histogram(&a), &histogram(&b)));
            energy_l.push(dot(&a.values, &a.values) / a.values.len().max(1) as f64);
            energy_r.push(dot(&b.values, &b.values) / b.values.len().max(1) as f64);
        }
    }
    for values in [&strided, &histograms, &gains] {
        if !values.is_empty() {
            signals.push(values.iter().sum::<f64>() / values.len() as f64);
        }
    }
    if energy_l.len() > 2 {
        signals.push(pearson(&energy_l, &energy_r));
    }
    Ok((!signals.is_empty()).then(|| signals.iter().sum::<f64>() / signals.len() as f64))
}

/// Values at even steps.
fn picked(matrix: &Dense) -> Vec<f32> {
    let n = matrix.values.len();
    (0..N_STRIDED.min(n)).map(|k| matrix.values[k * n / N_STRIDED.min(n)]).collect()
}

/// Counts of row norms from 0 to twice their mean.
fn histogram(matrix: &Dense) -> Vec<f32> {
    let norms: Vec<f64> =
        (0..matrix.n_rows).map(|row| dot(matrix.row(row), matrix.row(row)).sqrt()).collect();
    let mean = norms.iter().sum::<f64>() / norms.len().max(1) as f64;
    let mut counts = vec![0.0; N_BINS];
    for norm in norms {
        let at = (norm / mean.max(f64::MIN_POSITIVE) / 2.0 * N_BINS as f64) as usize;
        counts[at.min(N_BINS - 1)] += 1.0;
    }
    counts
}
