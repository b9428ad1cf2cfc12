//! What the machine can do at most: arithmetic without memory, and memory without arithmetic.

use rayon::prelude::*;

use super::simd::{self, Level};

pub(super) fn fma(level: Level, n_threads: usize, n_rounds: u64) -> (u64, f32) {
    (0..n_threads)
        .into_par_iter()
        .map(|_| simd::fma_chains(level, n_rounds))
        .reduce(|| (0, 0.0), |left, right| (left.0 + right.0, left.1 + right.1))
}

pub(super) fn read(level: Level, bytes: &[u8]) -> u64 {
    bytes
        .par_chunks(1 << 20)
        .map(|part| simd::vectorised(level, || word_sum(part)))
        .reduce(|| 0, u64::wrapping_add)
}

#[inline(always)]
fn word_sum(bytes: &[u8]) -> u64 {
    bytes.as_chunks::<8>().0.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}
