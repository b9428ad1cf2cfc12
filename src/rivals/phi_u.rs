//! φ_U of Zhu et al. (arXiv 2502.12292): do the hidden units of `up` find their own index? The assignment between the rows of two
//! layers, its Spearman correlation with the identity, and Fisher's combination over the layers.

use super::Context;
use super::assignment::assign;
use super::correlation::spearman_ln_p;
use super::linear::{Dense, cosine};
use crate::numerics::fisher_ln_p;
use crate::roles::Part;
use crate::stream::Error;

/// Units; the assignment takes their cube.
pub(super) const MOST_UNITS: usize = 4096;

/// −ln p.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let mut ln_ps = Vec::new();
    for (l, r) in pair.layers() {
        let ups = (
            pair.left.matrix(Some(l), Part::Up, pair.meter)?,
            pair.right.matrix(Some(r), Part::Up, pair.meter)?,
        );
        if let (Some(a), Some(b)) = ups
            && let Some(order) = order(&a, &b)
        {
            ln_ps.push(spearman_ln_p(&order, &(0..order.len()).collect::<Vec<_>>()));
        }
    }
    Ok((!ln_ps.is_empty()).then(|| -fisher_ln_p(&ln_ps)))
}

/// The right unit of every left unit; None unless both have as many units and inputs.
pub(super) fn order(a: &Dense, b: &Dense) -> Option<Vec<usize>> {
    if a.n_cols != b.n_cols || a.n_rows != b.n_rows || a.n_rows > MOST_UNITS {
        return None;
    }
    let mut scores =
        Dense { n_rows: a.n_rows, n_cols: b.n_rows, values: Vec::with_capacity(a.n_rows * b.n_rows) };
    for row in 0..a.n_rows {
        scores.values.extend((0..b.n_rows).map(|other| cosine(a.row(row), b.row(other)) as f32));
    }
    assign(&scores).into_iter().collect()
}
