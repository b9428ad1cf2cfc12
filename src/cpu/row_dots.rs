//! Σab, Σa², Σb² of row i of a with row i of b.

use rayon::prelude::*;

use super::BLOCK_ELEMENTS;
use super::decode::decode_row;
use super::simd::{self, Level};
use crate::reductions::RowDots;
use crate::tensor::Matrix;

pub(super) fn row_dots(level: Level, a: &Matrix, b: &Matrix) -> Vec<RowDots> {
    let n_rows = a.n_rows.min(b.n_rows);
    let n_cols = a.n_cols.min(b.n_cols);
    let blocks_per_row = n_cols.div_ceil(BLOCK_ELEMENTS).max(1);
    // tasks of at least 64 blocks: short rows are not worth a task each
    let rows_per_task = (64 / blocks_per_row).max(1);
    (0..n_rows)
        .into_par_iter()
        .with_min_len(rows_per_task)
        .map(|row| of_row(level, a, b, row, n_cols))
        .collect()
}

fn of_row(level: Level, a: &Matrix, b: &Matrix, row: usize, n_cols: usize) -> RowDots {
    let (mut a_values, mut b_values) = ([0.0_f32; BLOCK_ELEMENTS], [0.0_f32; BLOCK_ELEMENTS]);
    let mut total = RowDots::default();
    for first_col in (0..n_cols).step_by(BLOCK_ELEMENTS) {
        let n = BLOCK_ELEMENTS.min(n_cols - first_col);
        simd::vectorised(level, || {
            decode_row(level, a, row, first_col, &mut a_values[..n]);
            decode_row(level, b, row, first_col, &mut b_values[..n]);
        });
        let [ab, aa, bb] = simd::dots(level, &a_values[..n], &b_values[..n]);
        total.ab += ab;
        total.aa += aa;
        total.bb += bb;
    }
    total
}
