//! Which pairs of many models are worth a comparison, by their spectral profiles.

use std::collections::BTreeSet;

use super::Matrix;
use crate::compare::{SpectralProfile, profile_distances};

/// Pairs of which one model is among the `n_nearest` nearest of the other, and all pairs that the index says nothing about: where a model has no
/// profile, or both have no number in common.
#[must_use]
pub fn nearest(profiles: &[Option<SpectralProfile>], n_nearest: usize) -> BTreeSet<(usize, usize)> {
    let n = profiles.len();
    let known: Vec<usize> = (0..n).filter(|model| profiles[*model].is_some()).collect();
    let distances = profile_distances(&profiles.iter().flatten().cloned().collect::<Vec<_>>());
    let mut of_model: Vec<Vec<(f64, usize)>> = vec![Vec::new(); n];
    let mut unknown = BTreeSet::new();
    for ((a, b), distance) in Matrix::pairs(known.len()).zip(distances) {
        let (a, b) = (known[a], known[b]);
        let Some(distance) = distance else {
            unknown.insert((a, b));
            continue;
        };
        of_model[a].push((distance, b));
        of_model[b].push((distance, a));
    }
    let mut chosen: BTreeSet<(usize, usize)> =
        Matrix::pairs(n).filter(|(a, b)| profiles[*a].is_none() || profiles[*b].is_none()).collect();
    chosen.append(&mut unknown);
    for (model, others) in of_model.iter_mut().enumerate() {
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let near = others.iter().take(n_nearest);
        chosen.extend(near.map(|(_, other)| (model.min(*other), model.max(*other))));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_about_which_profiles_say_nothing_are_compared() {
        let nothing_in_common = [Some(SpectralProfile::default()), Some(SpectralProfile::default()), None];
        let all: BTreeSet<(usize, usize)> = Matrix::pairs(3).collect();
        assert_eq!(nearest(&nothing_in_common, 1), all);
        assert!(nearest(&[], 1).is_empty());
    }
}
