//! Definition of the score matrix: cosines in f64; a row without direction scores 0.

use cognate::tensor::Matrix;

/// Row-major [a.n_rows, b.n_rows].
pub(crate) fn scores(a: &Matrix, b: &Matrix) -> Vec<f64> {
    let (a, b) = (directions(a), directions(b));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    a.iter().flat_map(|x| b.iter().map(move |y| dot(x, y))).collect()
}

/// Rows of length 1, or of zeros.
fn directions(matrix: &Matrix) -> Vec<Vec<f64>> {
    let row = |row: usize| -> Vec<f64> {
        let values: Vec<f64> = (0..matrix.n_cols).map(|col| f64::from(matrix.at(row, col))).collect();
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let has_direction = norm > 0.0 && norm.is_finite();
        values.iter().map(|value| if has_direction { value / norm } else { 0.0 }).collect()
    };
    (0..matrix.n_rows).map(row).collect()
}
