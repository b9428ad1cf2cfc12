//! S8, merges: a child as a weighted sum of candidates, by least squares over all tensors.
//!
//! With differences δ from a reference, w solves G w = c, `G[k][l]` = Σ ⟨δ_k, δ_l⟩ and `c[k]` = Σ ⟨δ_k, δ_child⟩: a K × K system whatever the
//! size of the models. The standard error is the jackknife's over tensors, which stands whatever errors inside a tensor have in common. A
//! candidate is needed if it explains *held-out* tensors better: weights are fitted on half of the tensors and the gain over a fit without it
//! is taken on the others, both ways; the gains, one a tensor, are tested by t² = F(1, T − 1).

use super::several::{Distances, TensorDistances, product};
use crate::numerics::ln_f_sf;

/// Tensors below which nothing is fitted.
const FEWEST_TENSORS: usize = 4;

/// One candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficient {
    /// Weight.
    pub value: f64,
    /// Its standard error, by jackknife over tensors.
    pub standard_error: f64,
    /// F(1, T − 1) of the gain on held-out tensors; 0 where there is none.
    pub f: f64,
    /// ln p of it.
    pub ln_p: f64,
}

/// A fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// One a candidate, in their order.
    pub coefficients: Vec<Coefficient>,
    /// Share of the child's squared distance from the reference that the sum explains.
    pub explained: f64,
    /// Tensors.
    pub n_tensors: usize,
    /// Elements of these.
    pub n_elements: u64,
}

/// Fits the child as reference + Σ w (candidate − reference). All are indices into the models of `distances`. None where the candidates cannot
/// be told apart, or too little is shared.
#[must_use]
pub fn merge(distances: &Distances, child: usize, reference: usize, candidates: &[usize]) -> Option<Merge> {
    let systems: Vec<System> = distances
        .tensors
        .iter()
        .map(|tensor| System::new(tensor, distances.n_models, child, reference, candidates))
        .filter(|system| system.child > 0.0)
        .collect();
    let n = systems.len();
    if n < FEWEST_TENSORS || candidates.is_empty() {
        return None;
    }
    let all = System::sum(systems.iter());
    let weights = all.solved(None)?;
    let explained = 1.0 - all.rest(&weights) / all.child;
    let without: Vec<Vec<f64>> =
        systems.iter().map(|one| all.minus(one).solved(None)).collect::<Option<_>>()?;
    let coefficients = (0..candidates.len())
        .map(|k| {
            let mean = without.iter().map(|weights| weights[k]).sum::<f64>() / n as f64;
            let squares: f64 = without.iter().map(|weights| (weights[k] - mean).powi(2)).sum();
            let (f, ln_p) = held_out(&systems, k).unwrap_or((0.0, 0.0));
            let standard_error = (squares * (n - 1) as f64 / n as f64).sqrt();
            Coefficient { value: weights[k], standard_error, f, ln_p }
        })
        .collect();
    let n_elements = distances.tensors.iter().map(|tensor| tensor.n_elements).sum();
    Some(Merge { coefficients, explained, n_tensors: n, n_elements })
}

/// F and ln p of what candidate k explains on tensors that its weight was not fitted on.
fn held_out(systems: &[System], k: usize) -> Option<(f64, f64)> {
    let half = |parity: usize| systems.iter().skip(parity).step_by(2);
    let mut gains = Vec::new();
    for parity in [0, 1] {
        let fitted = System::sum(half(parity));
        let (with, without) = (fitted.solved(None)?, fitted.solved(Some(k))?);
        gains.extend(half(1 - parity).map(|one| {
            let (with, without) = (one.rest(&with), one.rest(&without));
            if without > 0.0 { (without - with) / without } else { 0.0 }
        }));
    }
    let n = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / n;
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1.0);
    if mean <= 0.0 || variance <= 0.0 {
        return Some((0.0, 0.0));
    }
    let f = mean * mean / (variance / n);
    // one-sided: a loss is no evidence
    Some((f, ln_f_sf(f, n - 1.0) - std::f64::consts::LN_2))
}

/// Normal equations of one tensor, or of several.
#[derive(Clone, Debug)]
struct System {
    /// [K, K].
    gram: Vec<f64>,
    /// [K].
    with_child: Vec<f64>,
    /// |δ_child|².
    child: f64,
}

impl System {
    fn new(
        tensor: &TensorDistances,
        n: usize,
        child: usize,
        reference: usize,
        candidates: &[usize],
    ) -> System {
        let of = |x: usize, y: usize| product(tensor, n, x, y, reference);
        let pairs = candidates.iter().flat_map(|&x| candidates.iter().map(move |&y| (x, y)));
        System {
            gram: pairs.map(|(x, y)| of(x, y)).collect(),
            with_child: candidates.iter().map(|&x| of(x, child)).collect(),
            child: of(child, child),
        }
    }

    fn sum<'a>(systems: impl Iterator<Item = &'a System>) -> System {
        let mut total: Option<System> = None;
        for system in systems {
            match &mut total {
                None => total = Some(system.clone()),
                Some(total) => total.add(system, 1.0),
            }
        }
        total.unwrap_or(System { gram: Vec::new(), with_child: Vec::new(), child: 0.0 })
    }

    fn add(&mut self, other: &System, factor: f64) {
        self.gram.iter_mut().zip(&other.gram).for_each(|(a, b)| *a += factor * b);
        self.with_child.iter_mut().zip(&other.with_child).for_each(|(a, b)| *a += factor * b);
        self.child += factor * other.child;
    }

    fn minus(&self, other: &System) -> System {
        let mut rest = self.clone();
        rest.add(other, -1.0);
        rest
    }

    /// |δ_child − Σ w δ|².
    fn rest(&self, weights: &[f64]) -> f64 {
        let n = weights.len();
        let linear: f64 = weights.iter().zip(&self.with_child).map(|(w, c)| w * c).sum();
        let square: f64 = (0..n * n).map(|at| weights[at / n] * weights[at % n] * self.gram[at]).sum();
        (self.child - 2.0 * linear + square).max(0.0)
    }

    /// Weights of least squares; the left-out candidate has 0. None if the candidates depend on each other.
    fn solved(&self, left_out: Option<usize>) -> Option<Vec<f64>> {
        let n = self.with_child.len();
        let kept: Vec<usize> = (0..n).filter(|k| Some(*k) != left_out).collect();
        let m = kept.len();
        let mut rows: Vec<Vec<f64>> = kept
            .iter()
            .map(|&i| {
                let of_row = kept.iter().map(|&j| self.gram[i * n + j]);
                of_row.chain([self.with_child[i]]).collect()
            })
            .collect();
        for column in 0..m {
            let best =
                (column..m).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
            rows.swap(column, best);
            let pivot = rows[column][column];
            let scale = self.gram[kept[column] * n + kept[column]];
            // twelve digits of the candidate's own length are lost: nothing of its own is left
            if pivot.is_nan() || pivot.abs() <= 1e-12 * scale {
                return None;
            }
            let of_pivot = rows[column].clone();
            for (_, values) in rows.iter_mut().enumerate().filter(|(row, _)| *row != column) {
                let factor = values[column] / pivot;
                values.iter_mut().zip(&of_pivot).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
        let mut weights = vec![0.0; n];
        for (row, &k) in kept.iter().enumerate() {
            weights[k] = rows[row][m] / rows[row][row];
        }
        Some(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    const N_ELEMENTS: usize = 400;
    const N_TENSORS: usize = 30;

    /// Distances of a child .6/.4 of two candidates (rounding noise on top), a third candidate, and a base.
    fn family() -> Distances {
        let mut rng = Rng::new(&[5]);
        let mut tensors = Vec::new();
        for _ in 0..N_TENSORS {
            let mut draw =
                |scale: f64| -> Vec<f64> { (0..N_ELEMENTS).map(|_| scale * rng.normal()).collect() };
            let base = draw(1.0);
            let mut tuned =
                || -> Vec<f64> { base.iter().zip(draw(0.1)).map(|(x, change)| x + change).collect() };
            let (first, second, third) = (tuned(), tuned(), tuned());
            let noise = draw(0.001);
            let child = (0..N_ELEMENTS).map(|i| 0.6 * first[i] + 0.4 * second[i] + noise[i]).collect();
            let points: [Vec<f64>; 6] = [child, base.clone(), first, second, third, vec![0.0; N_ELEMENTS]];
            let squared = points
                .iter()
                .flat_map(|x| {
                    points.iter().map(|y| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>())
                })
                .collect();
            tensors.push(TensorDistances { n_elements: N_ELEMENTS as u64, is_matrix: true, squared });
        }
        Distances { n_models: 5, tensors }
    }

    #[test]
    fn coefficients_come_back_with_and_without_the_base() {
        let distances = family();
        // the error of a weight is noise / (length of a change · √elements): .001 / (.1 · √12,000) = 1e-4
        let near = |found: &Coefficient, wanted: f64| (found.value - wanted).abs() < 6e-4;
        let about_base = merge(&distances, 0, 1, &[2, 3, 4]).expect("independent candidates");
        for (found, wanted) in about_base.coefficients.iter().zip([0.6, 0.4, 0.0]) {
            assert!(near(found, wanted) && found.standard_error < 3e-4, "{found:?} is not {wanted}");
        }
        assert!(about_base.explained > 0.999);
        assert!(about_base.coefficients[..2].iter().all(|found| found.ln_p < -20.0));
        assert!(about_base.coefficients[2].ln_p > -7.0, "{:?}", about_base.coefficients[2]);
        let about_first = merge(&distances, 0, 2, &[3]).expect("one candidate");
        assert!(near(&about_first.coefficients[0], 0.4));
    }

    #[test]
    fn the_same_candidate_twice_is_refused() {
        assert_eq!(merge(&family(), 0, 1, &[2, 2]), None);
        assert_eq!(merge(&Distances { n_models: 5, tensors: Vec::new() }, 0, 1, &[2]), None);
    }
}
