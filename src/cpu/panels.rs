//! Rows of a matrix become packed panels: scaled to length 1 as f32, or as pairs of bf16 whose scores are scaled; laid out
//! for the register tile.

use super::decode::decode_row;
use super::simd::{self, Level, Loop, Packing};
use crate::tensor::{Matrix, Values};

/// Words of a row that are made together while packing: they stay in L1 for all rows of a strip.
const GROUP_WORDS: usize = 64;

/// What brings a row to length 1. None for a row without direction: all zeros, or with a NaN or Inf in it.
pub(super) type Factors = Option<Scale>;

/// Factors of a row; their product is 1/‖row‖.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Of elements while they are packed; two, because one f32 overflows for very short rows.
    on_packing: [f32; 2],
    /// Of finished scores. 1 where elements were scaled.
    pub(super) on_scores: f32,
}

/// Rows of bf16 with a norm in 2⁻³⁰ … 2³⁰ are packed as they are: what the product of two of them flushes to zero, below 2⁻¹²⁶,
/// is 2⁻⁶⁶ of their norms.
const BF16_NORMS: std::ops::Range<f64> = 9.313_225_746_154_785e-10..1_073_741_824.0;

/// f32 values that begin on a cache line: vectors across two lines cost a seventh of the speed.
#[derive(Default)]
pub(super) struct Aligned {
    lines: Vec<Line>,
}

/// One cache line.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Aligned {
    pub(super) const EMPTY: Aligned = Aligned { lines: Vec::new() };

    /// Room for at least `n` values; what they are is left open.
    pub(super) fn resize(&mut self, n: usize) {
        if self.lines.len() < n.div_ceil(16) {
            // untouched pages of the system, so that the threads that fill them also fault them in
            self.lines = bytemuck::zeroed_vec(n.div_ceil(16));
        }
    }

    /// At least `n` zeros, in the memory that is there where it suffices.
    pub(super) fn reset(&mut self, n: usize) {
        self.lines.clear();
        self.lines.resize(n.div_ceil(16), Line([0.0; 16]));
    }

    pub(super) fn values(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

/// The factors of every row.
pub(super) fn factors(level: Level, packing: Packing, matrix: &Matrix) -> Vec<Factors> {
    super::row_dots::squares(level, matrix)
        .into_iter()
        .enumerate()
        .map(|(row, squares)| factors_of(level, packing, matrix, row, squares))
        .collect()
}

fn factors_of(level: Level, packing: Packing, matrix: &Matrix, row: usize, f32_squares: f64) -> Factors {
    // outside this range f32 squares have overflowed or vanished: sum again in f64
    let squares = if f32_squares > 1e-30 && f32_squares < 1e38 {
        f32_squares
    } else {
        squares_in_f64(level, matrix, row)
    };
    if squares == 0.0 || !squares.is_finite() {
        return None;
    }
    if packing == Packing::Bf16Pairs {
        return Some(scale_of_bf16(squares.sqrt()));
    }
    let inverse = squares.sqrt().recip();
    // a power of two, so that the second factor alone is rounded
    let shift: f64 = if inverse > 2f64.powi(100) {
        2f64.powi(100)
    } else if inverse < 2f64.powi(-100) {
        2f64.powi(-100)
    } else {
        1.0
    };
    Some(Scale { on_packing: [shift as f32, (inverse / shift) as f32], on_scores: 1.0 })
}

/// A power of two on packing, which keeps bf16 exact, and the rest on the scores.
fn scale_of_bf16(norm: f64) -> Scale {
    if BF16_NORMS.contains(&norm) {
        return Scale { on_packing: [1.0, 1.0], on_scores: norm.recip() as f32 };
    }
    // of a norm between 2⁻¹³³ and 2¹⁴⁴ each half fits f32
    let exponent = -norm.log2().floor() as i32;
    let halves = [exponent / 2, exponent - exponent / 2].map(|half| 2_f64.powi(half));
    let scaled = norm * halves[0] * halves[1];
    Scale { on_packing: halves.map(|half| half as f32), on_scores: scaled.recip() as f32 }
}

fn squares_in_f64(level: Level, matrix: &Matrix, row: usize) -> f64 {
    let mut values = [0.0_f32; 256];
    let mut total = 0.0;
    for first_col in (0..matrix.n_cols).step_by(values.len()) {
        let n = values.len().min(matrix.n_cols - first_col);
        decode_row(level, matrix, row, first_col, &mut values[..n]);
        total += values[..n].iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
    }
    total
}

/// Packs rows from `first_row` on and the words from `words.start` on into strips of `width` rows; a strip holds a group of
/// `width` words, one of each of its rows, per word of `words`. What lies beyond the matrix and rows without direction are 0.
pub(super) fn pack(
    level: Level,
    packing: Packing,
    width: usize,
    (matrix, factors): (&Matrix, &[Factors]),
    first_row: usize,
    words: std::ops::Range<usize>,
    packed: &mut [f32],
) {
    let strip_len = words.len() * width;
    for (strip, packed) in packed.chunks_exact_mut(strip_len.max(1)).enumerate() {
        let first_row = first_row + strip * width;
        let strip = Strip { level, packing, matrix, factors, first_row, first_word: words.start };
        match width {
            6 => simd::vectorised(level, Pack::<6> { strip, packed }),
            12 => simd::vectorised(level, Pack::<12> { strip, packed }),
            16 => simd::vectorised(level, Pack::<16> { strip, packed }),
            _ => simd::vectorised(level, Pack::<32> { strip, packed }),
        }
    }
}

/// One strip to be packed.
struct Strip<'a> {
    level: Level,
    packing: Packing,
    matrix: &'a Matrix,
    factors: &'a [Factors],
    first_row: usize,
    first_word: usize,
}

struct Pack<'a, const WIDTH: usize> {
    strip: Strip<'a>,
    packed: &'a mut [f32],
}

impl<const WIDTH: usize> Loop for Pack<'_, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Strip { level, packing, matrix, factors, first_row, first_word } = self.strip;
        let mut values = [[0.0_f32; GROUP_WORDS]; WIDTH];
        for (group, out) in self.packed.chunks_mut(GROUP_WORDS * WIDTH).enumerate() {
            let n = out.len() / WIDTH;
            let first_word = first_word + group * GROUP_WORDS;
            for (row, values) in (first_row..).zip(&mut values) {
                let Some(scale) = factors.get(row).copied().flatten() else {
                    values.fill(0.0);
                    continue;
                };
                match (packing, &matrix.values) {
                    (Packing::Bf16Pairs, Values::Bf16(bits)) => {
                        let row = &bits[row * matrix.n_cols..(row + 1) * matrix.n_cols];
                        pair_up(&row[2 * first_word..], scale, &mut values[..n]);
                    }
                    (_, Values::F32(of_matrix)) if matrix.column_scale.is_none() => {
                        let start = row * matrix.n_cols + first_word;
                        let [first, second] = scale.on_packing;
                        for (value, stored) in values[..n].iter_mut().zip(&of_matrix[start..start + n]) {
                            *value = stored * first * second;
                        }
                    }
                    _ => {
                        decode_row(level, matrix, row, first_word, &mut values[..n]);
                        let [first, second] = scale.on_packing;
                        for value in &mut values[..n] {
                            *value = *value * first * second;
                        }
                    }
                }
            }
            for (word, out) in out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
                for (value, values) in out.iter_mut().zip(&values) {
                    *value = values[word];
                }
            }
        }
    }
}

/// Two bf16 a word, as many words as `out` is long; a missing last element is 0.
#[inline(always)]
fn pair_up(row: &[u16], scale: Scale, out: &mut [f32]) {
    let word = |pair: [u16; 2]| f32::from_bits(u32::from(pair[0]) | u32::from(pair[1]) << 16);
    let is_as_stored = scale.on_packing == [1.0, 1.0];
    let [first, second] = scale.on_packing;
    // exact: a power of two, and what becomes subnormal counts as zero anyway
    let scaled = |bits: u16| {
        let value = f32::from_bits(u32::from(bits) << 16) * first * second;
        (value.to_bits() >> 16) as u16
    };
    let (pairs, last) = row.as_chunks::<2>();
    for (out, pair) in out.iter_mut().zip(pairs) {
        *out = word(if is_as_stored { *pair } else { pair.map(scaled) });
    }
    if let (Some(out), [last]) = (out.get_mut(pairs.len()), last) {
        *out = word(if is_as_stored { [*last, 0] } else { [scaled(*last), 0] });
    }
}
