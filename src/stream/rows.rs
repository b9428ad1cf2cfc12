//! Chosen rows of a stored matrix, in memory.

use std::ops::Range;

use rayon::prelude::*;

use super::gather::{Rows, element_bytes, gather, to_usize};
use super::{Error, ReadMeter, StoredView};
use crate::cpu::Cpu;
use crate::reductions::Elements;
use crate::tensor::{Dtype, Matrix, Values};

/// Bytes of the rows that one task reads.
const TASK_BYTES: u64 = 1 << 20;

pub(super) fn read_rows(
    stored: &StoredView,
    rows: &[u64],
    columns: Range<u64>,
    meter: &ReadMeter,
) -> Result<Matrix, Error> {
    let n_cols = to_usize(columns.end.saturating_sub(columns.start));
    let n_elements = rows.len() * n_cols;
    let values = match stored.dtype {
        Dtype::Bf16 => Values::Bf16(packed(stored, rows, columns, n_elements, meter)?),
        Dtype::F16 => Values::F16(packed(stored, rows, columns, n_elements, meter)?),
        _ => Values::F32(decoded(stored, rows, columns, n_elements, meter)?),
    };
    Ok(Matrix { n_rows: rows.len(), n_cols, values, column_scale: None })
}

/// Rows of a task, at least one.
fn rows_per_task(stored: &StoredView, n_cols: usize) -> usize {
    to_usize(TASK_BYTES / (n_cols as u64 * element_bytes(stored)).max(1)).max(1)
}

fn packed(
    stored: &StoredView,
    rows: &[u64],
    columns: Range<u64>,
    n_elements: usize,
    meter: &ReadMeter,
) -> Result<Vec<u16>, Error> {
    let mut values = vec![0_u16; n_elements];
    if n_elements == 0 {
        return Ok(values);
    }
    let n_cols = n_elements / rows.len();
    let rows_per_task = rows_per_task(stored, n_cols);
    values.par_chunks_mut(rows_per_task * n_cols).zip(rows.par_chunks(rows_per_task)).try_for_each(
        |(values, rows)| {
            let bytes = bytemuck::cast_slice_mut(values);
            gather(stored, Rows::Listed(rows), columns.clone(), bytes, &mut Vec::new(), meter)?;
            for value in values {
                *value = u16::from_le(*value);
            }
            Ok::<(), Error>(())
        },
    )?;
    Ok(values)
}

fn decoded(
    stored: &StoredView,
    rows: &[u64],
    columns: Range<u64>,
    n_elements: usize,
    meter: &ReadMeter,
) -> Result<Vec<f32>, Error> {
    let mut values = vec![0.0_f32; n_elements];
    if n_elements == 0 {
        return Ok(values);
    }
    let n_cols = n_elements / rows.len();
    let rows_per_task = rows_per_task(stored, n_cols);
    let cpu = Cpu::detect();
    values.par_chunks_mut(rows_per_task * n_cols).zip(rows.par_chunks(rows_per_task)).try_for_each(
        |(values, rows)| {
            let mut bytes = vec![0_u8; values.len() * to_usize(element_bytes(stored))];
            gather(stored, Rows::Listed(rows), columns.clone(), &mut bytes, &mut Vec::new(), meter)?;
            cpu.decode(Elements { dtype: stored.dtype, bytes: &bytes }, values);
            Ok::<(), Error>(())
        },
    )?;
    Ok(values)
}
