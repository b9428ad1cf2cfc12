//! Units of the trace test: which matrices of a layer hold them, along which axis, and their features in memory.

use std::ops::Range;

use crate::stream::{Error, ReadMeter, StoredView, read_rows};
use crate::tensor::{Matrix, Values};

/// Axis of a canonical matrix along which the units lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// A unit is a row (an output): gate, up, v.
    Rows,
    /// A unit is a column (an input): down, o, embedding dimensions.
    Columns,
}

/// Features of the chosen units of one matrix, [units, features].
///
/// Along rows the features are all columns. Along columns they are the given rows; a matrix stored transposed is read the
/// other way round, so that each read is a run of bytes.
///
/// # Errors
/// A read failed.
pub fn load_units(
    stored: &StoredView,
    axis: Axis,
    units: &[u64],
    feature_rows: &[u64],
    meter: &ReadMeter,
) -> Result<Matrix, Error> {
    let view = &stored.view;
    match axis {
        Axis::Rows if view.col_stride == 1 || view.transposed().is_none() => {
            read_rows(stored, units, 0..view.n_cols, meter)
        }
        Axis::Rows => {
            let all: Vec<u64> = (0..view.n_cols).collect();
            Ok(select_columns(&read_span(&flipped(stored), &all, units, meter)?, units))
        }
        Axis::Columns if view.col_stride == 1 || view.transposed().is_none() => {
            Ok(select_columns(&read_span(stored, feature_rows, units, meter)?, units))
        }
        Axis::Columns => {
            let stored = flipped(stored);
            let features = read_rows(&stored, units, 0..stored.view.n_cols, meter)?;
            Ok(keep_columns(&features, feature_rows))
        }
    }
}

/// The transposed view of a single-block matrix.
fn flipped(stored: &StoredView) -> StoredView {
    let view = stored.view.transposed().expect("callers checked that the view has one block");
    StoredView { view, ..stored.clone() }
}

/// The given rows over the columns that span the units: [rows, hi − lo], with the span's first column.
fn read_span(
    stored: &StoredView,
    rows: &[u64],
    units: &[u64],
    meter: &ReadMeter,
) -> Result<(Matrix, u64), Error> {
    let span: Range<u64> = match (units.first(), units.last()) {
        (Some(first), Some(last)) => *first..last + 1,
        _ => 0..0,
    };
    Ok((read_rows(stored, rows, span.clone(), meter)?, span.start))
}

/// Chosen columns of a span, as rows.
fn select_columns((span, first): &(Matrix, u64), units: &[u64]) -> Matrix {
    let n_features = span.n_rows;
    let columns: Vec<usize> =
        units.iter().map(|unit| usize::try_from(unit - first).unwrap_or(usize::MAX)).collect();
    let pick = |bits: &[u16]| -> Vec<u16> {
        let mut out = Vec::with_capacity(columns.len() * n_features);
        for &column in &columns {
            out.extend((0..n_features).map(|row| bits[row * span.n_cols + column]));
        }
        out
    };
    let values = match &span.values {
        Values::Bf16(bits) => Values::Bf16(pick(bits)),
        Values::F16(bits) => Values::F16(pick(bits)),
        Values::F32(values) => {
            let mut out = Vec::with_capacity(columns.len() * n_features);
            for &column in &columns {
                out.extend((0..n_features).map(|row| values[row * span.n_cols + column]));
            }
            Values::F32(out)
        }
    };
    Matrix { n_rows: columns.len(), n_cols: n_features, values, column_scale: None }
}

/// Chosen columns of every row.
fn keep_columns(matrix: &Matrix, columns: &[u64]) -> Matrix {
    let columns: Vec<usize> = columns.iter().map(|c| usize::try_from(*c).unwrap_or(usize::MAX)).collect();
    let at = |row: usize| columns.iter().map(move |column| row * matrix.n_cols + column);
    let rows = 0..matrix.n_rows;
    let values = match &matrix.values {
        Values::Bf16(bits) => Values::Bf16(rows.flat_map(at).map(|i| bits[i]).collect()),
        Values::F16(bits) => Values::F16(rows.flat_map(at).map(|i| bits[i]).collect()),
        Values::F32(values) => Values::F32(rows.flat_map(at).map(|i| values[i]).collect()),
    };
    Matrix { n_rows: matrix.n_rows, n_cols: columns.len(), values, column_scale: None }
}

/// Rows of several matrices side by side: unit i has the features of all of them.
#[must_use]
pub fn side_by_side(matrices: &[Matrix]) -> Matrix {
    let n_rows = matrices.first().map_or(0, |matrix| matrix.n_rows);
    let n_cols = matrices.iter().map(|matrix| matrix.n_cols).sum();
    let mut values = Vec::with_capacity(n_rows * n_cols);
    for row in 0..n_rows {
        for matrix in matrices {
            values.extend((0..matrix.n_cols).map(|col| matrix.at(row, col)));
        }
    }
    Matrix::from_f32(n_rows, n_cols, values)
}

/// A vector (norm gain) as f32, plus `shift` (1 for norms that multiply by 1 + γ).
///
/// # Errors
/// A read failed.
pub fn load_vector(stored: &StoredView, shift: f32, meter: &ReadMeter) -> Result<Vec<f32>, Error> {
    let matrix = read_rows(stored, &[0], 0..stored.view.n_cols, meter)?;
    Ok((0..matrix.n_cols).map(|col| matrix.at(0, col) + shift).collect())
}
