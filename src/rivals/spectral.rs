//! Spectral profiles after GhostSpec (arXiv 2511.06390): singular values of Wqᵀ·Wk and Wo·Wv per layer, distance correlation of
//! two layers' profiles, and the best monotone path through the layers.

use super::correlation::distance_correlation;
use super::linear::{Dense, eigenvalues};
use super::{Context, Model};
use crate::roles::Part;
use crate::stream::{Error, ReadMeter};

/// Widest stream; Jacobi's method takes its cube.
const MOST_DIMENSIONS: usize = 512;
/// Largest singular values of a profile.
const N_VALUES: usize = 64;

/// Mean similarity along the path, over the layers of the deeper model.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let (left, right) = (profiles(pair.left, pair.meter)?, profiles(pair.right, pair.meter)?);
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    // best[i][j]: most that the first i and j layers can score; a layer without a partner scores nothing
    let (n, m) = (left.len(), right.len());
    let mut best = vec![vec![0.0_f64; m + 1]; n + 1];
    for i in 1..=n {
        for j in 1..=m {
            let both = best[i - 1][j - 1] + similarity(&left[i - 1], &right[j - 1]);
            best[i][j] = both.max(best[i - 1][j]).max(best[i][j - 1]);
        }
    }
    Ok(Some(best[n][m] / n.max(m) as f64))
}

fn similarity(a: &[Vec<f64>; 2], b: &[Vec<f64>; 2]) -> f64 {
    a.iter().zip(b).map(|(a, b)| distance_correlation(a, b)).sum::<f64>() / 2.0
}

fn profiles(model: &Model<'_>, meter: &ReadMeter) -> Result<Vec<[Vec<f64>; 2]>, Error> {
    let mut found = Vec::new();
    for layer in model.layers() {
        let read = |part| model.matrix(Some(layer), part, meter);
        let (Some(q), Some(k), Some(v), Some(o)) =
            (read(Part::Q)?, read(Part::K)?, read(Part::V)?, read(Part::O)?)
        else {
            continue;
        };
        let head = usize::try_from(model.graph.head_dim.unwrap_or(1)).unwrap_or(1);
        let spread = |few: Dense, n: usize| {
            if few.n_rows < n && n.is_multiple_of(few.n_rows) {
                few.repeat_blocks(head, n / few.n_rows)
            } else {
                few
            }
        };
        let (k, v) = (spread(k, q.n_rows), spread(v, o.n_cols));
        let products = (profile(&q.transposed(), &k.transposed()), profile(&o, &v.transposed()));
        if let (Some(qk), Some(ov)) = products {
            found.push([qk, ov]);
        }
    }
    Ok(found)
}

/// Largest singular values of a·bᵀ, as shares of their sum.
fn profile(a: &Dense, b: &Dense) -> Option<Vec<f64>> {
    let product = a.times_transposed(b)?;
    let n = product.n_rows;
    if n > MOST_DIMENSIONS {
        return None;
    }
    let gram = product.times_transposed(&product)?;
    let squares = eigenvalues(gram.values.iter().map(|v| f64::from(*v)).collect(), n);
    let values: Vec<f64> = squares.iter().take(N_VALUES).map(|square| square.max(0.0).sqrt()).collect();
    let sum: f64 = values.iter().sum();
    (sum > 0.0).then(|| values.iter().map(|value| value / sum).collect())
}
