//! The bytes of a new tensor, piece by piece.

use super::NewTensor;
use crate::stream::{Error, ReadMeter, read_rows};
use crate::tensor::{Dtype, Matrix};

/// Elements of a piece: 16 MiB of f32, whatever the size of the tensor.
const CHUNK_ELEMENTS: u64 = 4 << 20;

/// Gives the bytes of a new tensor to `write`, in order.
///
/// # Errors
/// A read failed, or `write` did.
pub fn chunks<E: From<Error>>(
    tensor: &NewTensor,
    meter: &ReadMeter,
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let (stored, view) = (&tensor.from, &tensor.from.view);
    if let (true, Some(size)) =
        (tensor.dtype == stored.dtype && view.is_contiguous(), tensor.dtype.size_bytes())
    {
        let (size, mut done) = (size as u64, 0);
        let mut bytes = Vec::new();
        while done < view.n_elements() {
            let n = CHUNK_ELEMENTS.min(view.n_elements() - done);
            bytes.resize(usize::try_from(n * size).unwrap_or(usize::MAX), 0);
            let at = stored.offset + (view.base + done) * size;
            stored.file.read_at(at, &mut bytes).map_err(Error::from)?;
            write(&bytes)?;
            done += n;
        }
        return Ok(());
    }
    let rows_a_chunk = (CHUNK_ELEMENTS / view.n_cols.max(1)).max(1);
    let cols_a_chunk = CHUNK_ELEMENTS.min(view.n_cols.max(1));
    let mut first_row = 0;
    while first_row < view.n_rows {
        let end_row = view.n_rows.min(first_row + rows_a_chunk);
        let rows: Vec<u64> = (first_row..end_row).collect();
        let mut first_col = 0;
        while first_col < view.n_cols {
            let end_col = view.n_cols.min(first_col + cols_a_chunk);
            let matrix = read_rows(stored, &rows, first_col..end_col, meter)?;
            write(&cast(&matrix, tensor.dtype))?;
            first_col = end_col;
        }
        first_row = end_row;
    }
    Ok(())
}

/// Little-endian elements of a matrix in another type, rounded to nearest even.
fn cast(matrix: &Matrix, dtype: Dtype) -> Vec<u8> {
    let (found, bytes) = matrix.as_bytes();
    // words in memory are in the machine's order, files are little-endian
    if found == dtype && cfg!(target_endian = "little") {
        return bytes.to_vec();
    }
    let values = (0..matrix.n_rows).flat_map(|row| (0..matrix.n_cols).map(move |col| matrix.at(row, col)));
    match dtype {
        Dtype::F16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
        Dtype::Bf16 => values.flat_map(|value| half::bf16::from_f32(value).to_le_bytes()).collect(),
        _ => values.flat_map(f32::to_le_bytes).collect(),
    }
}
