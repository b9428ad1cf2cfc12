//! T3: dimensions of the residual stream in another order, and signs flipped. Function unchanged.

use super::model::Model;
use super::residual::{Touch, subtracts_mean, touches};
use super::{NotApplicable, permutation};
use crate::numerics::Rng;
use crate::roles::Part;

/// Permutes the stream; flips signs of half of its dimensions where no norm subtracts a mean.
///
/// # Errors
/// Not every tensor that touches the stream is known.
pub(super) fn permute(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let touches = touches(model)?;
    let embed = model.role(None, Part::Embed, false);
    let width = model.parts.get(&embed).map(|table| table.n_cols).ok_or(NotApplicable("no token table"))?;
    let order = permutation(width, rng);
    let flips = !subtracts_mean(model);
    let signs: Vec<f64> = (0..width).map(|_| if flips && rng.below(2) == 1 { -1.0 } else { 1.0 }).collect();
    for (role, touch) in touches {
        let reads = matches!(touch, Touch::Reads | Touch::Both);
        let writes = matches!(touch, Touch::Writes | Touch::Both | Touch::Gain | Touch::Shift);
        if reads {
            model.select_cols(&role, &order);
        }
        if writes {
            model.select_rows(&role, &order);
        }
        let Some(matrix) = model.get_mut(&role) else { continue };
        if reads {
            matrix.scale_cols(&signs);
        }
        if writes && touch != Touch::Gain {
            matrix.scale_rows(&signs);
        }
    }
    Ok(())
}
