//! Rows of a matrix become packed panels: decoded, scaled to length 1, laid out for the register tile.

use super::decode::decode_row;
use super::simd::{self, Level, Loop};
use crate::tensor::Matrix;

/// Columns of a matrix that are decoded together while packing: a line of L1 per row of a strip.
const GROUP_COLUMNS: usize = 64;

/// Two factors whose product is 1/‖row‖; two, because one f32 overflows for very short rows. None for a row without
/// direction: all zeros, or with a NaN or Inf in it.
pub(super) type Factors = Option<[f32; 2]>;

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
    /// At least `n` zeros.
    pub(super) fn zeros(n: usize) -> Aligned {
        Aligned { lines: vec![Line([0.0; 16]); n.div_ceil(16)] }
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
pub(super) fn factors(level: Level, matrix: &Matrix) -> Vec<Factors> {
    super::row_dots::squares(level, matrix)
        .into_iter()
        .enumerate()
        .map(|(row, squares)| factors_of(level, matrix, row, squares))
        .collect()
}

fn factors_of(level: Level, matrix: &Matrix, row: usize, f32_squares: f64) -> Factors {
    // outside this range f32 squares have overflowed or vanished: sum again in f64
    let squares = if f32_squares > 1e-30 && f32_squares < 1e38 {
        f32_squares
    } else {
        squares_in_f64(level, matrix, row)
    };
    if squares == 0.0 || !squares.is_finite() {
        return None;
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
    Some([shift as f32, (inverse / shift) as f32])
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

/// Packs `n_rows` rows from `first_row` on and the columns from `first_col` on into strips of WIDTH rows; a strip holds
/// `n_cols` groups of WIDTH elements, one of each of its rows. Rows beyond the matrix and rows without direction are 0.
pub(super) fn pack<const WIDTH: usize>(
    level: Level,
    matrix: &Matrix,
    factors: &[Factors],
    first_row: usize,
    columns: std::ops::Range<usize>,
    packed: &mut [f32],
) {
    let strip_len = columns.len() * WIDTH;
    for (strip, packed) in packed.chunks_exact_mut(strip_len.max(1)).enumerate() {
        let first_row = first_row + strip * WIDTH;
        let first_col = columns.start;
        simd::vectorised(level, Strip::<WIDTH> { level, matrix, factors, first_row, first_col, packed });
    }
}

/// One strip to be packed.
struct Strip<'a, const WIDTH: usize> {
    level: Level,
    matrix: &'a Matrix,
    factors: &'a [Factors],
    first_row: usize,
    first_col: usize,
    packed: &'a mut [f32],
}

impl<const WIDTH: usize> Loop for Strip<'_, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut values = [[0.0_f32; GROUP_COLUMNS]; WIDTH];
        for (group, out) in self.packed.chunks_mut(GROUP_COLUMNS * WIDTH).enumerate() {
            let n = out.len() / WIDTH;
            let first_col = self.first_col + group * GROUP_COLUMNS;
            for (row, values) in (self.first_row..).zip(&mut values) {
                let Some([first, second]) = self.factors.get(row).copied().flatten() else {
                    values.fill(0.0);
                    continue;
                };
                decode_row(self.level, self.matrix, row, first_col, &mut values[..n]);
                for value in &mut values[..n] {
                    *value = *value * first * second;
                }
            }
            for (col, out) in out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
                for (value, values) in out.iter_mut().zip(&values) {
                    *value = values[col];
                }
            }
        }
    }
}
