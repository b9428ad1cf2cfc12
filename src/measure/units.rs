//! Units of the trace test: which matrices of a layer hold them, along which axis, and their features in memory.

use std::ops::Range;

use crate::canonical::CanonicalPart;
use crate::stream::{Error, ReadMeter, RowRead, StoredView, read_rows};
use crate::tensor::{Matrix, Values};

/// Axis of a canonical matrix along which the units lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// A unit is a row (an output): gate, up, v.
    Rows,
    /// A unit is a column (an input): down, o, embedding dimensions.
    Columns,
}

/// A matrix and the axis along which units lie in it.
pub type UnitMatrix<'a> = (&'a CanonicalPart, Axis);

/// The given units of a matrix with all their features, [units, features].
///
/// # Errors
/// A read failed.
pub fn whole_units((part, axis): UnitMatrix<'_>, units: &[u64], meter: &ReadMeter) -> Result<Matrix, Error> {
    let features: Vec<u64> =
        if axis == Axis::Rows { Vec::new() } else { (0..part.stored.view.n_rows).collect() };
    load_units(&part.stored, axis, units, &features, meter)
}

/// Units of a matrix.
#[must_use]
pub fn n_units((part, axis): UnitMatrix<'_>) -> u64 {
    if axis == Axis::Rows { part.stored.view.n_rows } else { part.stored.view.n_cols }
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
    let RowRead { stored: read, rows, columns } = read_of_units(stored, axis, units, feature_rows);
    let found = read_rows(&read, &rows, columns.clone(), meter)?;
    let is_flipped = read.view != stored.view;
    Ok(match axis {
        Axis::Rows if is_flipped => select_columns(&(found, columns.start), units),
        Axis::Rows => found,
        Axis::Columns if is_flipped => keep_columns(&found, feature_rows),
        Axis::Columns => select_columns(&(found, columns.start), units),
    })
}

/// What [`load_units`] reads: of a matrix stored transposed the transposed view.
#[must_use]
pub fn read_of_units(stored: &StoredView, axis: Axis, units: &[u64], feature_rows: &[u64]) -> RowRead {
    let is_by_rows = stored.view.col_stride == 1 || stored.view.transposed().is_none();
    let (stored, rows, columns) = match axis {
        Axis::Rows if is_by_rows => (stored.clone(), units.to_vec(), 0..stored.view.n_cols),
        Axis::Rows => (flipped(stored), (0..stored.view.n_cols).collect(), span(units)),
        Axis::Columns if is_by_rows => (stored.clone(), feature_rows.to_vec(), span(units)),
        Axis::Columns => {
            let flipped = flipped(stored);
            let n_cols = flipped.view.n_cols;
            (flipped, units.to_vec(), 0..n_cols)
        }
    };
    RowRead { stored, rows, columns }
}

/// The transposed view of a single-block matrix.
fn flipped(stored: &StoredView) -> StoredView {
    let view = stored.view.transposed().expect("callers checked that the view has one block");
    StoredView { view, ..stored.clone() }
}

/// The columns that hold the units.
fn span(units: &[u64]) -> Range<u64> {
    match (units.first(), units.last()) {
        (Some(first), Some(last)) => *first..last + 1,
        _ => 0..0,
    }
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
            values.extend(matrix.row(row));
        }
    }
    Matrix::from_f32(n_rows, n_cols, values)
}

/// A vector (norm gain) as f32, plus `shift` (1 for norms that multiply by 1 + γ).
///
/// # Errors
/// A read failed.
pub fn load_vector(stored: &StoredView, shift: f32, meter: &ReadMeter) -> Result<Vec<f32>, Error> {
    if stored.view.n_cols == 1 {
        let rows: Vec<u64> = (0..stored.view.n_rows).collect();
        let matrix = read_rows(stored, &rows, 0..1, meter)?;
        return Ok((0..matrix.n_rows).map(|row| matrix.at(row, 0) + shift).collect());
    }
    let matrix = read_rows(stored, &[0], 0..stored.view.n_cols, meter)?;
    Ok((0..matrix.n_cols).map(|col| matrix.at(0, col) + shift).collect())
}
