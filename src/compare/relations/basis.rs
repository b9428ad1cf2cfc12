//! Another basis of the residual stream: permuted, rotated, or unknown.

use super::{Found, Parameter, Relation};
use crate::evidence::agrees;
use crate::measure::agreement::n_found;
use crate::measure::token_basis::TokenBasis;
use crate::wording::counted;

/// Units answer tokens alike although nothing looks alike in place.
pub(super) fn relation(found: &Found<'_>) -> Option<Relation> {
    let by_answers = found.facts.probes.iter().filter(|(_, _, agreement)| agrees(agreement)).count();
    let by_weights = found.facts.agreements.iter().any(|(_, _, agreement)| agrees(agreement));
    if by_answers < 2 || by_weights {
        return None;
    }
    Some(match found.facts.token_basis? {
        TokenBasis::Permuted { left_of, n_flipped } => {
            let n_found = n_found(left_of);
            let says = format!(
                "{n_found} of {} found in another order, {n_flipped} with another sign",
                counted(left_of.len(), "residual dimension", "residual dimensions")
            );
            Relation::new("residual-permuted", says)
                .with("dimensions", Parameter::Count(left_of.len() as u64))
                .with("found", Parameter::Count(n_found as u64))
                .with("sign_flipped", Parameter::Count(*n_flipped as u64))
        }
        TokenBasis::Rotated { likeness } => {
            let says = format!(
                "residual stream rotated: angles between tokens are the same (correlation {likeness:.2}), no dimension is"
            );
            Relation::new("residual-rotated", says).with("likeness", Parameter::Number(*likeness))
        }
        TokenBasis::Other { .. } => {
            let says = format!(
                "units found by their answers to tokens in {by_answers} of {}",
                counted(found.facts.probes.len(), "layer", "layers")
            );
            Relation::new("residual-basis-changed", says)
        }
    })
}
