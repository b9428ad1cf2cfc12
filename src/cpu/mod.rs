//! The fast backend for machines without a GPU: SIMD chosen at run time, blocked product, rayon.

use crate::reductions::{AllPairs, ClassCounts, Elements, Keep, PairMoments, Ranking, RowDots};
use crate::tensor::Matrix;

/// The CPU backend and what it found out about its machine.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// `avx2+fma`, `avx512`, `neon`, `portable`.
    pub simd: &'static str,
    /// Threads of the pool.
    pub n_threads: usize,
}

impl Cpu {
    /// Looks at the machine; uses the global rayon pool.
    #[must_use]
    pub fn detect() -> Cpu {
        todo!()
    }

    /// See [`crate::kernels::classify`].
    #[must_use]
    pub fn classify(&self, _elements: Elements<'_>) -> ClassCounts {
        todo!()
    }

    /// See [`crate::kernels::moments`].
    #[must_use]
    pub fn moments(&self, _a: Elements<'_>, _b: Elements<'_>) -> PairMoments {
        todo!()
    }

    /// See [`crate::kernels::row_dots`].
    #[must_use]
    pub fn row_dots(&self, _a: &Matrix, _b: &Matrix) -> Vec<RowDots> {
        todo!()
    }

    /// See [`crate::kernels::all_pairs`].
    #[must_use]
    pub fn all_pairs(&self, _a: &Matrix, _b: &Matrix, _ranking: Ranking, _keep: Keep) -> AllPairs {
        todo!()
    }

    /// See [`crate::kernels::permuted_traces`].
    #[must_use]
    pub fn permuted_traces(&self, _scores: &[f32], _n: usize, _permutations: &[u32]) -> Vec<f64> {
        todo!()
    }
}
