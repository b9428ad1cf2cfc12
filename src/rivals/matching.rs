//! The robust test of Zhu et al. (arXiv 2502.12292) on weights: the assignment of hidden units by `gate` against that by `up`,
//! Spearman's correlation of the two, Fisher over the layers. Any order of the units cancels.

use super::Context;
use super::correlation::spearman_ln_p;
use super::phi_u::order;
use crate::numerics::fisher_ln_p;
use crate::roles::Part;
use crate::stream::Error;

/// −ln p; None without gated MLPs of equal width.
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let mut ln_ps = Vec::new();
    for (l, r) in pair.layers() {
        let read = |part| -> Result<_, Error> {
            Ok((pair.left.matrix(Some(l), part, pair.meter)?, pair.right.matrix(Some(r), part, pair.meter)?))
        };
        if let ((Some(gate_l), Some(gate_r)), (Some(up_l), Some(up_r))) = (read(Part::Gate)?, read(Part::Up)?)
            && let (Some(by_gate), Some(by_up)) = (order(&gate_l, &gate_r), order(&up_l, &up_r))
        {
            ln_ps.push(spearman_ln_p(&by_gate, &by_up));
        }
    }
    Ok((!ln_ps.is_empty()).then(|| -fisher_ln_p(&ln_ps)))
}
