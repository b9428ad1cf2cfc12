//! Definition of the row dots: three sums in f64.

use cognate::tensor::Matrix;

/// Σab, Σa², Σb² and Σ|ab| of one row.
pub(crate) fn row_dots(a: &Matrix, b: &Matrix, row: usize) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for col in 0..a.n_cols {
        let (x, y) = (f64::from(a.at(row, col)), f64::from(b.at(row, col)));
        for (sum, term) in sums.iter_mut().zip([x * y, x * x, y * y, (x * y).abs()]) {
            *sum += term;
        }
    }
    sums
}
