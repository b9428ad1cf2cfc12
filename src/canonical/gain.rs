//! Which norm gain a matrix reads: γ is folded into it, so that a checkpoint with folded norms compares equal.

use super::CanonicalModel;
use crate::roles::{Part, Role};

/// Index of the norm gain that scales the inputs of `role`, for pre-norm blocks; None where nothing scales them.
///
/// Parallel blocks have one norm for attention and MLP; post-norm blocks (`norm1b` only) have none to fold.
#[must_use]
pub fn gain_of(model: &CanonicalModel, role: &Role) -> Option<usize> {
    let norms: &[Part] = match role.part {
        Part::Q | Part::K | Part::V | Part::QA | Part::KvA => &[Part::Norm1],
        Part::Gate | Part::Up => &[Part::Norm2, Part::Norm1],
        Part::Head => &[Part::FinalNorm],
        _ => return None,
    };
    if role.is_bias {
        return None;
    }
    norms.iter().find_map(|norm| {
        let layer = if *norm == Part::FinalNorm { None } else { role.layer };
        model.find(&Role {
            layer,
            part: *norm,
            expert: crate::roles::Expert::None,
            is_bias: false,
            component: role.component,
        })
    })
}
