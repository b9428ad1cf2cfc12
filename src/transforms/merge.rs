//! T16: weighted means with other models of the same shapes (Wortsman et al. 2022). Function changed.

use super::model::Model;
use super::{Dense, NotApplicable, draw_like};
use crate::numerics::Rng;
use crate::roles::Part;

/// The model becomes `share` of itself plus equal shares of `partners`; where there are too few of its shapes, matrices
/// drawn with its moments stand in for them. Returns which of the partners took part.
///
/// # Errors
/// No matrix is known.
pub(super) fn merge(
    model: &mut Model,
    share: f64,
    n_models: usize,
    partners: &[&Model],
    rng: &mut Rng,
) -> Result<Vec<String>, NotApplicable> {
    if !model.has(Part::Down) && !model.has(Part::Embed) {
        return Err(NotApplicable("no matrix is known"));
    }
    let fits = |other: &&&Model| {
        other.parts.len() == model.parts.len()
            && model.parts.iter().all(|(role, matrix)| {
                let other = other.parts.get(role);
                other.is_some_and(|o| (o.n_rows, o.n_cols) == (matrix.n_rows, matrix.n_cols))
            })
    };
    let chosen: Vec<&Model> = partners.iter().filter(fits).take(n_models - 1).copied().collect();
    let names = chosen.iter().map(|partner| partner.name.clone()).collect();
    let drawn: Vec<Model> = (chosen.len()..n_models - 1).map(|_| draw_like(model, rng)).collect();
    let others: Vec<&Model> = chosen.into_iter().chain(&drawn).collect();
    let of_other = (1.0 - share) / others.len() as f64;
    for (role, matrix) in &mut model.parts {
        let mixed = |at: usize, value: f64| {
            let rest: f64 =
                others.iter().filter_map(|other| other.parts.get(role)).map(|o| o.values[at]).sum();
            share * value + of_other * rest
        };
        let values = matrix.values.iter().enumerate().map(|(at, &value)| mixed(at, value)).collect();
        *matrix = Dense { values, ..*matrix };
    }
    Ok(names)
}
