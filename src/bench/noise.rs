//! Seeded data for measuring: never zeros, which some hardware handles faster.

use rayon::prelude::*;

use crate::tensor::{Matrix, Values};

/// Values made from one state: seeded by place, so that any number of threads makes the same data.
const RUN: usize = 4096;

/// One splitmix64 step (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The place-th random word of a seed.
#[must_use]
pub fn word(seed: u64, place: u64) -> u64 {
    mix(mix(seed).wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Sum of four uniform parts of a word, near enough to a normal distribution of the size of trained weights (0.02).
fn weight(seed: u64, place: u64) -> f32 {
    let word = word(seed, place);
    let parts = [0, 16, 32, 48].map(|shift| f32::from((word >> shift) as u16));
    (parts.iter().sum::<f32>() / 65536.0 - 2.0) * 0.035
}

/// A matrix of noise stored as `dtype`: `BF16` packed, everything else f32.
#[must_use]
pub fn matrix(seed: u64, n_rows: usize, n_cols: usize, is_packed: bool) -> Matrix {
    let n = n_rows * n_cols;
    let values = if is_packed {
        let mut bits = vec![0_u16; n];
        fill(&mut bits, |place| half::bf16::from_f32(weight(seed, place)).to_bits());
        Values::Bf16(bits)
    } else {
        Values::F32(weights(seed, n))
    };
    Matrix { n_rows, n_cols, values, column_scale: None }
}

/// `n` f32 values of noise.
#[must_use]
pub fn weights(seed: u64, n: usize) -> Vec<f32> {
    let mut values = vec![0.0_f32; n];
    fill(&mut values, |place| weight(seed, place));
    values
}

fn fill<T: Send>(values: &mut [T], value_at: impl Fn(u64) -> T + Sync) {
    values.par_chunks_mut(RUN).enumerate().for_each(|(run, values)| {
        for (index, value) in values.iter_mut().enumerate() {
            *value = value_at((run * RUN + index) as u64);
        }
    });
}

/// `n_permutations` random orders of 0 … n − 1, one after the other.
#[must_use]
pub fn permutations(seed: u64, n: usize, n_permutations: usize) -> Vec<u32> {
    let mut all = Vec::with_capacity(n * n_permutations);
    for permutation in 0..n_permutations {
        let first = all.len();
        all.extend((0_u32..).take(n));
        // Fisher–Yates; the bias of the remainder is far below what a benchmark could show
        for last in (1..n).rev() {
            let place = (permutation * n + last) as u64;
            let other = usize::try_from(word(seed, place) % (last as u64 + 1)).unwrap_or(0);
            all.swap(first + last, first + other);
        }
    }
    all
}
