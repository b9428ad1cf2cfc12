//! The fast backend for machines without a GPU: SIMD chosen at run time, blocked product, rayon.
//!
//! Every result is the same on any number of threads: work is cut by the shape of the data alone and partial
//! sums are added in the order of the data.

mod all_pairs;
mod blocks;
mod classify;
mod decode;
mod fp8;
mod moments;
mod packed;
mod panels;
mod partners;
mod permuted_traces;
mod portable;
mod probes;
mod row_dots;
mod simd;
#[cfg(test)]
mod tests;
pub mod wide;

pub use packed::{CodeOrder, scale_codes, scale_levels, unpack_codes};

use crate::reductions::{AllPairs, ClassCounts, Elements, Keep, PairMoments, Ranking, RowDots};
use crate::tensor::{BlockType, Cell, Matrix};

/// Most elements that one f32 sum ever runs over; longer sums continue in f64 (plain f32 sums of squares are
/// 3 % off at 1.7·10⁷ elements).
const BLOCK_ELEMENTS: usize = 4096;

/// The CPU backend and what it found out about its machine.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// `avx512+bf16`, `avx512`, `avx2+fma`, `neon`, `portable`.
    pub simd: &'static str,
    /// Threads of the pool.
    pub n_threads: usize,
    level: simd::Level,
}

impl Cpu {
    /// Looks at the machine; uses the global rayon pool.
    #[must_use]
    pub fn detect() -> Cpu {
        Cpu::with_level(simd::Level::detect())
    }

    /// The path that every machine can run, whatever this one could do.
    #[must_use]
    pub fn portable() -> Cpu {
        Cpu::with_level(simd::Level::portable())
    }

    /// Every path that this machine can run, the best last.
    #[must_use]
    pub fn all_levels() -> Vec<Cpu> {
        simd::Level::all().into_iter().map(Cpu::with_level).collect()
    }

    fn with_level(level: simd::Level) -> Cpu {
        Cpu { simd: level.name(), n_threads: rayon::current_num_threads(), level }
    }

    /// See [`crate::kernels::classify`]. An undecodable dtype has no classes: only elements and checksum count.
    #[must_use]
    pub fn classify(&self, elements: Elements<'_>) -> ClassCounts {
        classify::classify(self.level, elements)
    }

    /// See [`crate::kernels::moments`]. Of runs of unequal length the common part is compared.
    ///
    /// Only pairs with two finite elements count as equal or of the same sign.
    #[must_use]
    pub fn moments(&self, a: Elements<'_>, b: Elements<'_>) -> PairMoments {
        moments::moments(self.level, a, b)
    }

    /// The same, every sum in f64: for short runs whose mean is large against their spread, like norm gains.
    #[must_use]
    pub fn moments_in_f64(&self, a: Elements<'_>, b: Elements<'_>) -> PairMoments {
        moments::moments_in_f64(self.level, a, b)
    }

    /// See [`crate::kernels::row_dots`].
    #[must_use]
    pub fn row_dots(&self, a: &Matrix, b: &Matrix) -> Vec<RowDots> {
        row_dots::row_dots(self.level, a, b)
    }

    /// See [`crate::kernels::all_pairs`]. A row with a NaN or Inf in it has no direction and counts as a zero row.
    #[must_use]
    pub fn all_pairs(&self, a: &Matrix, b: &Matrix, ranking: Ranking, keep: Keep) -> AllPairs {
        all_pairs::all_pairs(self.level, a, b, ranking, keep)
    }

    /// See [`crate::kernels::permuted_traces`].
    #[must_use]
    pub fn permuted_traces(&self, scores: &[f32], n: usize, permutations: &[u32]) -> Vec<f64> {
        permuted_traces::permuted_traces(scores, n, permutations)
    }

    /// Decodes as many elements as `out` is long; what is missing, or has no value, is NaN.
    pub fn decode(&self, elements: Elements<'_>, out: &mut [f32]) {
        decode::decode_to_f32(self.level, elements, out);
    }

    /// Decodes whole blocks of GGUF, as many as both slices hold, with the bits of the format's reference.
    pub fn decode_blocks(&self, block: BlockType, bytes: &[u8], out: &mut [f32]) {
        blocks::decode_blocks(self.level, block, bytes, out);
    }

    /// For every element of whole blocks the originals that round to its value; false where the type is a codebook
    /// of vectors, which has no such intervals.
    pub fn block_cells(&self, block: BlockType, bytes: &[u8], out: &mut [Cell]) -> bool {
        blocks::cells(self.level, block, bytes, out)
    }

    /// Fused multiply-adds of f32 that never leave the registers, on every thread: `n_rounds` rounds each.
    /// Returns the floating-point operations done and a value that depends on all of them.
    #[must_use]
    pub fn fma_probe(&self, n_rounds: u64) -> (u64, f32) {
        probes::fma(self.level, self.n_threads, n_rounds)
    }

    /// The same with products of bf16, where the machine multiplies them as stored.
    #[must_use]
    pub fn bf16_probe(&self, n_rounds: u64) -> Option<(u64, f32)> {
        probes::dot_bf16(self.level, self.n_threads, n_rounds)
    }

    /// Reads every byte once, on every thread, and returns the wrapping sum of its 64-bit words.
    #[must_use]
    pub fn read_probe(&self, bytes: &[u8]) -> u64 {
        probes::read(self.level, bytes)
    }
}
