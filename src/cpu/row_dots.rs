//! Σab, Σa², Σb² of row i of a with row i of b.

use rayon::prelude::*;

use super::decode::decode_row;
use super::simd::{self, Level, Loop};
use crate::reductions::RowDots;
use crate::tensor::Matrix;

/// Elements of a row that are decoded together: both sides are 8 KiB, which leaves L1 room for what is read.
const BLOCK_ELEMENTS: usize = 1024;

pub(super) fn row_dots(level: Level, a: &Matrix, b: &Matrix) -> Vec<RowDots> {
    let n_rows = a.n_rows.min(b.n_rows);
    let n_cols = a.n_cols.min(b.n_cols);
    of_rows(n_rows, n_cols, |row| {
        let (mut a_values, mut b_values) = ([0.0_f32; BLOCK_ELEMENTS], [0.0_f32; BLOCK_ELEMENTS]);
        let mut total = RowDots::default();
        for first_col in (0..n_cols).step_by(BLOCK_ELEMENTS) {
            let n = BLOCK_ELEMENTS.min(n_cols - first_col);
            for (matrix, values) in [(a, &mut a_values), (b, &mut b_values)] {
                simd::vectorised(
                    level,
                    DecodeRow { level, matrix, row, first_col, values: &mut values[..n] },
                );
            }
            let [ab, aa, bb] = simd::dots(level, &a_values[..n], &b_values[..n]);
            total.ab += ab;
            total.aa += aa;
            total.bb += bb;
        }
        total
    })
}

/// Σa² of every row.
pub(super) fn squares(level: Level, matrix: &Matrix) -> Vec<f64> {
    of_rows(matrix.n_rows, matrix.n_cols, |row| {
        let mut values = [0.0_f32; BLOCK_ELEMENTS];
        let mut total = 0.0;
        for first_col in (0..matrix.n_cols).step_by(BLOCK_ELEMENTS) {
            let values = &mut values[..BLOCK_ELEMENTS.min(matrix.n_cols - first_col)];
            simd::vectorised(level, DecodeRow { level, matrix, row, first_col, values });
            let [squares, ..] = simd::dots(level, values, values);
            total += squares;
        }
        total
    })
}

/// `of_row` for every row, in parallel; tasks of at least 256 blocks, as short rows are not worth a task each.
fn of_rows<T: Send>(n_rows: usize, n_cols: usize, of_row: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    let blocks_per_row = n_cols.div_ceil(BLOCK_ELEMENTS).max(1);
    (0..n_rows).into_par_iter().with_min_len((256 / blocks_per_row).max(1)).map(of_row).collect()
}

/// Part of one row, decoded.
struct DecodeRow<'a> {
    level: Level,
    matrix: &'a Matrix,
    row: usize,
    first_col: usize,
    values: &'a mut [f32],
}

impl Loop for DecodeRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        decode_row(self.level, self.matrix, self.row, self.first_col, self.values);
    }
}
