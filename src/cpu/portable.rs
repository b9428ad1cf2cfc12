//! The innermost loops for every machine: lanes as arrays, which compilers turn into vectors (NEON on Arm).

use super::decode;
use super::moments::BlockSums;
use super::simd::{TILE_COLUMNS, TILE_ROWS, Tile};

/// Independent sums: wide enough for two 128-bit units.
const LANES: usize = 8;
/// Terms of a lane that are added in f32.
const RUN_EIGHTS: usize = 16;

/// `a * b + c`, fused where that is an instruction and not a call.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

#[derive(Default)]
struct Sums {
    a: [f32; LANES],
    b: [f32; LANES],
    aa: [f32; LANES],
    bb: [f32; LANES],
    ab: [f32; LANES],
    squared_diff: [f32; LANES],
    max_abs_diff: [f32; LANES],
    n_equal: [u32; LANES],
    n_same_sign: [u32; LANES],
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, lane: usize, a: f32, b: f32) {
        let difference = a - b;
        self.a[lane] += a;
        self.b[lane] += b;
        self.aa[lane] = multiply_add(a, a, self.aa[lane]);
        self.bb[lane] = multiply_add(b, b, self.bb[lane]);
        self.ab[lane] = multiply_add(a, b, self.ab[lane]);
        self.squared_diff[lane] = multiply_add(difference, difference, self.squared_diff[lane]);
        let (difference, largest) = (difference.abs(), self.max_abs_diff[lane]);
        self.max_abs_diff[lane] = if difference > largest { difference } else { largest };
        self.n_equal[lane] += u32::from(a == b);
        self.n_same_sign[lane] += u32::from(((a > 0.0) & (b > 0.0)) | ((a < 0.0) & (b < 0.0)));
    }

    /// Moves Σa², Σb², Σab, Σ(a − b)² to f64: in a long f32 sum, squares below half its last digit all vanish.
    #[inline(always)]
    fn empty_into(&mut self, squares: &mut [f64; 4]) {
        for (total, lanes) in
            squares.iter_mut().zip([&mut self.aa, &mut self.bb, &mut self.ab, &mut self.squared_diff])
        {
            *total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
            *lanes = [0.0; LANES];
        }
    }

    fn finish(mut self, mut squares: [f64; 4]) -> BlockSums {
        self.empty_into(&mut squares);
        let [aa, bb, ab, squared_diff] = squares;
        let sum = |lanes: &[f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum();
        BlockSums {
            n_equal: self.n_equal.iter().sum(),
            n_same_sign: self.n_same_sign.iter().sum(),
            a: sum(&self.a),
            b: sum(&self.b),
            aa,
            bb,
            ab,
            squared_diff,
            max_abs_diff: self.max_abs_diff.into_iter().fold(0.0, f32::max),
        }
    }
}

#[inline(always)]
fn moments<const SIZE: usize>(a: &[u8], b: &[u8], decode: impl Fn([u8; SIZE]) -> f32) -> BlockSums {
    let (a_eights, a_tail) = a.as_chunks::<SIZE>().0.as_chunks::<LANES>();
    let (b_eights, b_tail) = b.as_chunks::<SIZE>().0.as_chunks::<LANES>();
    let mut sums = Sums::default();
    let mut squares = [0.0; 4];
    for (a_run, b_run) in a_eights.chunks(RUN_EIGHTS).zip(b_eights.chunks(RUN_EIGHTS)) {
        for (a, b) in a_run.iter().zip(b_run) {
            for lane in 0..LANES {
                sums.add(lane, decode(a[lane]), decode(b[lane]));
            }
        }
        sums.empty_into(&mut squares);
    }
    for (lane, (a, b)) in a_tail.iter().zip(b_tail).enumerate() {
        sums.add(lane, decode(*a), decode(*b));
    }
    sums.finish(squares)
}

pub(super) fn moments_bf16(a: &[u8], b: &[u8]) -> BlockSums {
    moments::<2>(a, b, |element| decode::bf16(u16::from_le_bytes(element)))
}

pub(super) fn moments_f16(a: &[u8], b: &[u8]) -> BlockSums {
    moments::<2>(a, b, |element| decode::f16(u16::from_le_bytes(element)))
}

pub(super) fn moments_f32(a: &[u8], b: &[u8]) -> BlockSums {
    moments::<4>(a, b, f32::from_le_bytes)
}

pub(super) fn dots(a: &[f32], b: &[f32]) -> [f64; 3] {
    let (mut ab, mut aa, mut bb) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
    let (a_eights, a_tail) = a.as_chunks::<LANES>();
    let (b_eights, b_tail) = b.as_chunks::<LANES>();
    for (x, y) in a_eights.iter().zip(b_eights) {
        for lane in 0..LANES {
            ab[lane] = multiply_add(x[lane], y[lane], ab[lane]);
            aa[lane] = multiply_add(x[lane], x[lane], aa[lane]);
            bb[lane] = multiply_add(y[lane], y[lane], bb[lane]);
        }
    }
    let mut totals = [ab, aa, bb].map(|lanes| lanes.into_iter().map(f64::from).sum::<f64>());
    for (&x, &y) in a_tail.iter().zip(b_tail) {
        let (x, y) = (f64::from(x), f64::from(y));
        totals[0] += x * y;
        totals[1] += x * x;
        totals[2] += y * y;
    }
    totals
}

pub(super) fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    let (elements, _) = bytes.as_chunks::<2>();
    let n_present = elements.len().min(out.len());
    for (value, element) in out.iter_mut().zip(elements) {
        *value = decode::f16(u16::from_le_bytes(*element));
    }
    out[n_present..].fill(f32::NAN);
}

pub(super) fn multiply_tile(k: usize, a: &[f32], b: &[f32], c: &mut [f32], row_stride: usize) {
    let (a_columns, _) = a.as_chunks::<TILE_ROWS>();
    let (b_rows, _) = b.as_chunks::<TILE_COLUMNS>();
    let mut sums = [[0.0_f32; TILE_COLUMNS]; TILE_ROWS];
    for (a_column, b_row) in a_columns[..k].iter().zip(&b_rows[..k]) {
        for (row_sums, &value) in sums.iter_mut().zip(a_column) {
            for (sum, &other) in row_sums.iter_mut().zip(b_row) {
                *sum = multiply_add(value, other, *sum);
            }
        }
    }
    for (row, row_sums) in sums.iter().enumerate() {
        for (value, sum) in c[row * row_stride..].iter_mut().zip(row_sums) {
            *value += sum;
        }
    }
}

/// Words that hold two bf16 each; for levels without an instruction for it.
pub(super) fn multiply_tile_bf16(tile: Tile, a: &[f32], b: &[f32], c: &mut [f32], row_stride: usize) {
    let halves = |word: &f32| {
        let bits = word.to_bits();
        [f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000)]
    };
    for (a_column, b_row) in a.chunks_exact(tile.rows).zip(b.chunks_exact(tile.columns)) {
        for (row, a_word) in a_column.iter().enumerate() {
            let [first, second] = halves(a_word);
            for (value, b_word) in c[row * row_stride..].iter_mut().zip(b_row) {
                let [other_first, other_second] = halves(b_word);
                *value = multiply_add(first, other_first, multiply_add(second, other_second, *value));
            }
        }
    }
}

pub(super) fn fma_chains(n_rounds: u64) -> (u64, f32) {
    let mut chains = [[1.0_f32; LANES]; 10];
    for (start, chain) in (1_u8..).zip(&mut chains) {
        chain.fill(f32::from(start));
    }
    for _ in 0..n_rounds {
        for value in chains.iter_mut().flatten() {
            *value = multiply_add(*value, 0.999_9, 1e-4);
        }
    }
    (n_rounds * 10 * LANES as u64 * 2, chains.into_iter().flatten().sum())
}
