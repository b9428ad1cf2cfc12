//! What the machine can do at most: arithmetic without memory, and memory without arithmetic.

use rayon::prelude::*;

use super::simd::{self, Level, Loop};

pub(super) fn fma(level: Level, n_threads: usize, n_rounds: u64) -> (u64, f32) {
    (0..n_threads)
        .into_par_iter()
        .map(|_| simd::fma_chains(level, n_rounds))
        .reduce(|| (0, 0.0), |left, right| (left.0 + right.0, left.1 + right.1))
}

/// The same with products of bf16 as stored; None where the machine has none.
pub(super) fn dot_bf16(level: Level, n_threads: usize, n_rounds: u64) -> Option<(u64, f32)> {
    (0..n_threads)
        .into_par_iter()
        .map(|_| simd::bf16_chains(level, n_rounds))
        .reduce(|| Some((0, 0.0)), |left, right| left.zip(right).map(|(l, r)| (l.0 + r.0, l.1 + r.1)))
}

pub(super) fn read(level: Level, bytes: &[u8]) -> u64 {
    bytes
        .par_chunks(1 << 20)
        .map(|bytes| simd::vectorised(level, WordSum { bytes }))
        .reduce(|| 0, u64::wrapping_add)
}

/// Wrapping sum of 64-bit words: the cheapest use of every byte.
struct WordSum<'a> {
    bytes: &'a [u8],
}

impl Loop for WordSum<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let words = self.bytes.as_chunks::<8>().0.iter();
        words.fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
    }
}
