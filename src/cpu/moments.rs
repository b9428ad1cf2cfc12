//! One pass over two runs of elements of any two decodable dtypes.
//!
//! Blocks of 4,096 pairs are summed in f32 by the fastest path for their types. A block whose f32 sums cannot be
//! trusted (a NaN or Inf in it, squares that overflow or vanish) is done again in f64, element by element.

use rayon::prelude::*;

use super::BLOCK_ELEMENTS;
use super::decode::{decode_to_f32, decode_to_f64, fits_f32};
use super::simd::{self, Level, Loop};
use crate::reductions::{Elements, PairMoments};
use crate::tensor::Dtype;

/// Pairs that one task takes; smaller inputs stay on the calling thread.
const TASK_ELEMENTS: usize = 128 * BLOCK_ELEMENTS;

/// A sum of squares below this may have lost elements whose square is below the range of f32: at most 4,096 times
/// 2⁻¹⁵⁰ = 2⁻¹³⁸, which is 2⁻³⁸ of it.
const SMALLEST_SAFE_SQUARES: f64 = 7.9e-31;

/// Sums over one block; those that are f32 while they grow arrive here as f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct BlockSums {
    pub(super) n_equal: u32,
    pub(super) n_same_sign: u32,
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) aa: f64,
    pub(super) bb: f64,
    pub(super) ab: f64,
    pub(super) squared_diff: f64,
    pub(super) max_abs_diff: f32,
}

pub(super) fn moments(level: Level, a: Elements<'_>, b: Elements<'_>) -> PairMoments {
    let (Some(a_size), Some(b_size)) = (a.dtype.size_bytes(), b.dtype.size_bytes()) else {
        return PairMoments::default();
    };
    let n_elements = (a.bytes.len() / a_size).min(b.bytes.len() / b_size);
    let (a_bytes, b_bytes) = (&a.bytes[..n_elements * a_size], &b.bytes[..n_elements * b_size]);
    let of_task = |(a_bytes, b_bytes)| {
        of_run(level, Elements { bytes: a_bytes, ..a }, Elements { bytes: b_bytes, ..b })
    };
    if n_elements <= TASK_ELEMENTS {
        return of_task((a_bytes, b_bytes));
    }
    let parts: Vec<PairMoments> = a_bytes
        .par_chunks(TASK_ELEMENTS * a_size)
        .zip(b_bytes.par_chunks(TASK_ELEMENTS * b_size))
        .map(of_task)
        .collect();
    let mut total = PairMoments::default();
    for part in &parts {
        total.add(part);
    }
    total
}

pub(super) fn moments_in_f64(level: Level, a: Elements<'_>, b: Elements<'_>) -> PairMoments {
    let (Some(a_size), Some(b_size)) = (a.dtype.size_bytes(), b.dtype.size_bytes()) else {
        return PairMoments::default();
    };
    let n_elements = (a.bytes.len() / a_size).min(b.bytes.len() / b_size);
    let (a_bytes, b_bytes) = (&a.bytes[..n_elements * a_size], &b.bytes[..n_elements * b_size]);
    of_block_in_f64(level, Elements { bytes: a_bytes, ..a }, Elements { bytes: b_bytes, ..b })
}

/// How blocks of these two types are summed; decided once a run.
enum Path {
    Bf16,
    F16,
    F32,
    Decoded,
    Wide,
}

fn of_run(level: Level, a: Elements<'_>, b: Elements<'_>) -> PairMoments {
    let path = match (a.dtype, b.dtype) {
        (Dtype::Bf16, Dtype::Bf16) => Path::Bf16,
        (Dtype::F16, Dtype::F16) => Path::F16,
        (Dtype::F32, Dtype::F32) => Path::F32,
        (a, b) if fits_f32(a) && fits_f32(b) => Path::Decoded,
        _ => Path::Wide,
    };
    let a_block_bytes = BLOCK_ELEMENTS * a.dtype.size_bytes().unwrap_or(1);
    let b_block_bytes = BLOCK_ELEMENTS * b.dtype.size_bytes().unwrap_or(1);
    let mut total = PairMoments::default();
    for (a_bytes, b_bytes) in a.bytes.chunks(a_block_bytes).zip(b.bytes.chunks(b_block_bytes)) {
        let (a, b) = (Elements { bytes: a_bytes, ..a }, Elements { bytes: b_bytes, ..b });
        let sums = match path {
            Path::Bf16 => simd::moments_bf16(level, a_bytes, b_bytes),
            Path::F16 => simd::moments_f16(level, a_bytes, b_bytes),
            Path::F32 => simd::moments_f32(level, a_bytes, b_bytes),
            Path::Decoded => of_decoded_block(level, a, b),
            Path::Wide => {
                total.add(&of_block_in_f64(level, a, b));
                continue;
            }
        };
        // differences are at most twice as large as elements, their squares may still overflow
        let is_safe = is_safe(sums.aa, a_bytes) && is_safe(sums.bb, b_bytes) && sums.squared_diff.is_finite();
        if is_safe {
            let n_elements = (a_bytes.len() / a.dtype.size_bytes().unwrap_or(1)) as u64;
            total.add(&from_block(n_elements, &sums));
        } else {
            total.add(&of_block_in_f64(level, a, b));
        }
    }
    total
}

/// A block of types that have no loop of their own. Apart, so that only these pay for clearing its 32 KiB.
#[inline(never)]
fn of_decoded_block(level: Level, a: Elements<'_>, b: Elements<'_>) -> BlockSums {
    let n = a.bytes.len() / a.dtype.size_bytes().unwrap_or(1);
    let (mut a_values, mut b_values) = ([0.0_f32; BLOCK_ELEMENTS], [0.0_f32; BLOCK_ELEMENTS]);
    decode_to_f32(level, a, &mut a_values[..n]);
    decode_to_f32(level, b, &mut b_values[..n]);
    simd::moments_values(level, &a_values[..n], &b_values[..n])
}

/// Whether an f32 sum of squares is finite (so every element was) and far from the end of the range of f32.
///
/// Inf and NaN cannot leave a sum of squares: no term is negative.
fn is_safe(squares: f64, bytes: &[u8]) -> bool {
    squares.is_finite() && (squares >= SMALLEST_SAFE_SQUARES || bytes.iter().all(|&byte| byte == 0))
}

fn from_block(n_elements: u64, sums: &BlockSums) -> PairMoments {
    PairMoments {
        n_elements,
        n_non_finite_a: 0,
        n_non_finite_b: 0,
        n_equal: u64::from(sums.n_equal),
        n_same_sign: u64::from(sums.n_same_sign),
        sum_a: sums.a,
        sum_b: sums.b,
        sum_aa: sums.aa,
        sum_bb: sums.bb,
        sum_ab: sums.ab,
        sum_squared_diff: sums.squared_diff,
        max_abs_diff: sums.max_abs_diff,
    }
}

/// Every pair on its own, in f64. Apart for the same reason.
#[inline(never)]
fn of_block_in_f64(level: Level, a: Elements<'_>, b: Elements<'_>) -> PairMoments {
    const PART: usize = 512;
    let (a_size, b_size) = (a.dtype.size_bytes().unwrap_or(1), b.dtype.size_bytes().unwrap_or(1));
    let (mut a_values, mut b_values) = ([0.0_f64; PART], [0.0_f64; PART]);
    let mut total = PairMoments::default();
    for (a_bytes, b_bytes) in a.bytes.chunks(PART * a_size).zip(b.bytes.chunks(PART * b_size)) {
        let n = a_bytes.len() / a_size;
        decode_to_f64(level, Elements { bytes: a_bytes, ..a }, &mut a_values[..n]);
        decode_to_f64(level, Elements { bytes: b_bytes, ..b }, &mut b_values[..n]);
        let part = simd::vectorised(level, WidePairs { a: &a_values[..n], b: &b_values[..n] });
        total.add(&part);
    }
    total
}

/// Independent sums of the f64 loop.
const WIDE_LANES: usize = 4;

/// Pairs to be summed in f64, whatever they hold.
struct WidePairs<'a> {
    a: &'a [f64],
    b: &'a [f64],
}

impl Loop for WidePairs<'_> {
    type Output = PairMoments;

    #[inline(always)]
    fn run(self) -> PairMoments {
        let (a_chunks, a_tail) = self.a.as_chunks::<WIDE_LANES>();
        let (b_chunks, b_tail) = self.b.as_chunks::<WIDE_LANES>();
        let mut lanes = [PairMoments::default(); WIDE_LANES];
        for (a, b) in a_chunks.iter().zip(b_chunks) {
            for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                add_pair(lane, a, b);
            }
        }
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
            add_pair(lane, a, b);
        }
        let mut total = PairMoments::default();
        for lane in &lanes {
            total.add(lane);
        }
        total
    }
}

/// Without branches: a pair that is not finite adds zeros.
#[inline(always)]
fn add_pair(total: &mut PairMoments, a: f64, b: f64) {
    let (a_is_finite, b_is_finite) = (a.is_finite(), b.is_finite());
    let counts = a_is_finite & b_is_finite;
    let (x, y) = if counts { (a, b) } else { (0.0, 0.0) };
    let difference = x - y;
    total.n_elements += 1;
    total.n_non_finite_a += u64::from(!a_is_finite);
    total.n_non_finite_b += u64::from(!b_is_finite);
    total.n_equal += u64::from(counts & (x == y));
    total.n_same_sign += u64::from(((x > 0.0) & (y > 0.0)) | ((x < 0.0) & (y < 0.0)));
    total.sum_a += x;
    total.sum_b += y;
    total.sum_aa += x * x;
    total.sum_bb += y * y;
    total.sum_ab += x * y;
    total.sum_squared_diff += difference * difference;
    total.max_abs_diff = total.max_abs_diff.max(difference.abs() as f32);
}
