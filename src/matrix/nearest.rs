//! Which pairs of many models are worth a comparison, by their spectral profiles.

use std::collections::BTreeSet;

use super::Matrix;
use crate::compare::{SpectralProfile, profile_distances};

/// Pairs of which one model is among the `n_nearest` nearest of the other, or has no profile. Ties and models with nothing in common go by order.
#[must_use]
pub fn nearest(profiles: &[Option<SpectralProfile>], n_nearest: usize) -> BTreeSet<(usize, usize)> {
    let n = profiles.len();
    let known: Vec<usize> = (0..n).filter(|model| profiles[*model].is_some()).collect();
    let distances = profile_distances(&profiles.iter().flatten().cloned().collect::<Vec<_>>());
    let mut of_model: Vec<Vec<(f64, usize)>> = vec![Vec::new(); n];
    for ((a, b), distance) in Matrix::pairs(known.len()).zip(distances) {
        let (a, b, distance) = (known[a], known[b], distance.unwrap_or(f64::INFINITY));
        of_model[a].push((distance, b));
        of_model[b].push((distance, a));
    }
    let mut chosen: BTreeSet<(usize, usize)> =
        Matrix::pairs(n).filter(|(a, b)| profiles[*a].is_none() || profiles[*b].is_none()).collect();
    for (model, others) in of_model.iter_mut().enumerate() {
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let near = others.iter().take(n_nearest);
        chosen.extend(near.map(|(_, other)| (model.min(*other), model.max(*other))));
    }
    chosen
}
