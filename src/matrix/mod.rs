//! Many models, every pair: what `cognate matrix` holds. Pure.

mod nearest;
mod tree;

pub use nearest::nearest;
pub use tree::{Tree, tree};

use crate::compare::{ArchitectureVerdict, Comparison, WeightsVerdict};

/// What is kept of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Weights axis.
    pub verdict: WeightsVerdict,
    /// Architecture axis.
    pub architecture: ArchitectureVerdict,
    /// Likelihood at the prior; None where nothing could be tested.
    pub likelihood: Option<f64>,
}

impl Cell {
    /// What is kept of a comparison; None without a verdict.
    #[must_use]
    pub fn of(comparison: &Comparison) -> Option<Cell> {
        Some(Cell {
            verdict: comparison.weights.verdict?,
            architecture: comparison.architecture.verdict,
            likelihood: comparison.weights.likelihood,
        })
    }
}

/// A pair of the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry {
    /// What was found.
    Compared(Cell),
    /// The comparison failed.
    Failed,
    /// Neither model is among those whose spectral profiles are nearest to the other's: not compared.
    LeftOut,
}

/// All pairs of some models, each once.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// References, as written.
    pub models: Vec<String>,
    /// Pairs (0, 1), (0, 2), …, (n − 2, n − 1).
    pub entries: Vec<Entry>,
    /// Nearest models that each was compared with; None if with all.
    pub n_nearest: Option<usize>,
}

impl Matrix {
    /// The pairs of n models in the order of [`Matrix::entries`].
    pub fn pairs(n_models: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..n_models).flat_map(move |left| (left + 1..n_models).map(move |right| (left, right)))
    }

    /// The entry of two models in either order; None on the diagonal.
    #[must_use]
    pub fn entry(&self, a: usize, b: usize) -> Option<Entry> {
        let (left, right) = (a.min(b), a.max(b));
        if left == right {
            return None;
        }
        // rows before `left` hold n−1, n−2, … entries
        let n = self.models.len();
        self.entries.get(left * (2 * n - left - 1) / 2 + right - left - 1).copied()
    }

    /// What was found of two models; None on the diagonal and where nothing was.
    #[must_use]
    pub fn cell(&self, a: usize, b: usize) -> Option<Cell> {
        match self.entry(a, b) {
            Some(Entry::Compared(cell)) => Some(cell),
            _ => None,
        }
    }

    /// Entries of this kind.
    #[must_use]
    pub fn count(&self, entry: Entry) -> usize {
        self.entries.iter().filter(|found| **found == entry).count()
    }

    /// 1 − likelihood; 1 where nothing could be said.
    #[must_use]
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        1.0 - self.cell(a, b).and_then(|cell| cell.likelihood).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_own_cell_in_either_order() {
        let n = 5;
        let cell = |likelihood| {
            Entry::Compared(Cell {
                verdict: WeightsVerdict::NoEvidence,
                architecture: ArchitectureVerdict::Same,
                likelihood: Some(likelihood),
            })
        };
        let matrix = Matrix {
            models: (0..n).map(|k| k.to_string()).collect(),
            entries: Matrix::pairs(n).map(|(a, b)| cell((10 * a + b) as f64 / 100.0)).collect(),
            n_nearest: None,
        };
        for (a, b) in Matrix::pairs(n) {
            let wanted = 1.0 - (10 * a + b) as f64 / 100.0;
            assert!((matrix.distance(a, b) - wanted).abs() < 1e-12);
            assert!((matrix.distance(b, a) - wanted).abs() < 1e-12);
        }
        assert_eq!(matrix.cell(2, 2), None);
    }
}
