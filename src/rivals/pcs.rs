//! PCS: the cosine of all parameters as one vector, over tensors of equal role and shape.

use super::Context;
use super::linear::dot;
use crate::stream::Error;

/// Σab / √(Σa² Σb²).
pub(super) fn score(pair: &Context<'_>) -> Result<Option<f64>, Error> {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (role, left) in pair.left.roles() {
        let Some(right) = pair.right.find(&role) else { continue };
        if pair.left.shape(left) != pair.right.shape(right) {
            continue;
        }
        let (Some(a), Some(b)) = (pair.left.read(left, pair.meter)?, pair.right.read(right, pair.meter)?)
        else {
            continue;
        };
        ab += dot(&a.values, &b.values);
        aa += dot(&a.values, &a.values);
        bb += dot(&b.values, &b.values);
    }
    Ok((aa * bb > 0.0).then(|| ab / (aa * bb).sqrt()))
}
