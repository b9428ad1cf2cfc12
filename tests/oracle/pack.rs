//! Definition of packed rows: value · column factor, one rounding to f32, times 2^s, to the nearest f16.

use cognate::tensor::Matrix;
use half::f16;

/// The element and, where two parts are wanted, what rounding left of it; both as f16.
pub(crate) fn parts(matrix: &Matrix, row: usize, col: usize, scale: f32) -> [f16; 2] {
    let element = matrix.at(row, col) * scale;
    let high = f16::from_f32(element);
    [high, f16::from_f32(element - high.to_f32())]
}
