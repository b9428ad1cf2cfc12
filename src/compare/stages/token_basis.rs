//! S5's map where units answer alike: how the residual basis was changed.

use super::ProbeStage;
use crate::compare::Error;
use crate::compare::clock::Clock;
use crate::evidence::agrees;
use crate::kernels::Backend;
use crate::measure::token_basis::{self, TokenBasis};

/// None where weights are found in place, or units do not answer alike.
pub(in crate::compare) fn token_basis(
    backend: &Backend,
    is_in_place: bool,
    probed: &ProbeStage<'_>,
    clock: &mut Clock<'_>,
) -> Result<Option<TokenBasis>, Error> {
    let answers_agree = probed.matches.iter().any(|found| agrees(&found.agreement));
    let Some(search) = probed.search.as_ref().filter(|_| answers_agree && !is_in_place) else {
        return Ok(None);
    };
    let mut flop = 0;
    let (left, right) = search.asked();
    let found = token_basis::token_basis(backend, left, right, &mut flop)?;
    clock.stage("token basis", flop);
    Ok(Some(found).filter(|found| !found.is_in_place()))
}
