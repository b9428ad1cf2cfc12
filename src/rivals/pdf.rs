//! PDF (arXiv 2507.03014): Pearson's correlation of the standard deviations of q, k, v and o along the layers.

use super::correlation::pearson;
use super::linear::Dense;
use super::{Context, Model};
use crate::roles::Part;
use crate::stream::{Error, ReadMeter};

/// Mean correlation of the four curves; the shorter model's are stretched to the longer one's depth.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let mut correlations = Vec::new();
    for part in [Part::Q, Part::K, Part::V, Part::O] {
        let (a, b) = (curve(pair.left, part, pair.meter)?, curve(pair.right, part, pair.meter)?);
        let n = a.len().max(b.len());
        if a.len() >= 2 && b.len() >= 2 {
            correlations.push(pearson(&stretched(&a, n), &stretched(&b, n)));
        }
    }
    Ok((!correlations.is_empty()).then(|| correlations.iter().sum::<f64>() / correlations.len() as f64))
}

fn curve(model: &Model<'_>, part: Part, meter: &ReadMeter) -> Result<Vec<f64>, Error> {
    let mut found = Vec::new();
    for layer in model.layers() {
        if let Some(matrix) = model.matrix(Some(layer), part, meter)? {
            found.push(deviation(&matrix));
        }
    }
    Ok(found)
}

fn deviation(matrix: &Dense) -> f64 {
    let n = matrix.values.len().max(1) as f64;
    let mean = matrix.values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (matrix.values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// `n` values at even steps along the curve.
fn stretched(curve: &[f64], n: usize) -> Vec<f64> {
    let last = (curve.len() - 1) as f64;
    (0..n)
        .map(|k| {
            let at = k as f64 * last / (n - 1).max(1) as f64;
            let (low, share) = (at.floor() as usize, at.fract());
            curve[low] * (1.0 - share) + curve[(low + 1).min(curve.len() - 1)] * share
        })
        .collect()
}
