//! Rows and columns of a view become dense bytes in canonical order, with as few reads as their places allow.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::{ReadMeter, StoredView};
use crate::source;

/// Bytes between two runs that are read and thrown away rather than cost another call: one page, which the system
/// fetches anyway.
const MAX_GAP_BYTES: u64 = 4096;

/// Most bytes of a read that goes through a scratch buffer.
const MAX_SCRATCH_BYTES: u64 = 1 << 20;

const PAGE_BYTES: u64 = 4096;

/// Reads one range and counts it.
pub(super) fn read(
    stored: &StoredView,
    first_element: u64,
    buffer: &mut [u8],
    meter: &ReadMeter,
) -> Result<(), source::Error> {
    if buffer.is_empty() {
        return Ok(());
    }
    let start = place(stored, first_element);
    count(stored, start, buffer.len() as u64, meter);
    stored.file.read_at(start, buffer)
}

/// Where in the file an element lies.
pub(super) fn place(stored: &StoredView, element: u64) -> u64 {
    stored.offset.saturating_add(element.saturating_mul(element_bytes(stored)))
}

/// Counts a read.
pub(super) fn count(stored: &StoredView, start: u64, n_bytes: u64, meter: &ReadMeter) {
    let n_bytes = stored.file.cost_bytes(start, n_bytes);
    let end_page = start.saturating_add(n_bytes).div_ceil(PAGE_BYTES);
    meter.requested_bytes.fetch_add(n_bytes, Ordering::Relaxed);
    meter.page_bytes.fetch_add((end_page - start / PAGE_BYTES) * PAGE_BYTES, Ordering::Relaxed);
}

/// Bytes of one element; whole, because decodable types are.
pub(super) fn element_bytes(stored: &StoredView) -> u64 {
    stored.dtype.size_bytes().map_or(1, |size| size as u64)
}

/// Canonical rows, as a range or listed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows<'a> {
    /// Consecutive ones.
    Range(u64, u64),
    /// These, in this order.
    Listed(&'a [u64]),
}

impl Rows<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Rows::Range(first, end) => usize::try_from(end - first).unwrap_or(usize::MAX),
            Rows::Listed(rows) => rows.len(),
        }
    }

    fn at(self, index: usize) -> u64 {
        match self {
            Rows::Range(first, _) => first + index as u64,
            Rows::Listed(rows) => rows[index],
        }
    }
}

/// Elements (row, col) for `rows` × `columns`, row-major, into `out`, which has exactly that many bytes.
pub(super) fn gather(
    stored: &StoredView,
    rows: Rows<'_>,
    columns: Range<u64>,
    out: &mut [u8],
    scratch: &mut Vec<u8>,
    meter: &ReadMeter,
) -> Result<(), source::Error> {
    if out.is_empty() {
        Ok(())
    } else if stored.view.col_stride == 1 || columns.end - columns.start == 1 {
        gather_rows(stored, rows, columns, out, scratch, meter)
    } else {
        gather_columns(stored, rows, columns, out, scratch, meter)
    }
}

/// Each row is one run of bytes; runs that touch are read straight to their place, runs that almost touch through
/// the scratch buffer.
fn gather_rows(
    stored: &StoredView,
    rows: Rows<'_>,
    columns: Range<u64>,
    out: &mut [u8],
    scratch: &mut Vec<u8>,
    meter: &ReadMeter,
) -> Result<(), source::Error> {
    let size = element_bytes(stored);
    let row_elements = columns.end - columns.start;
    let row_bytes = out.len() / rows.len();
    let start_of = |index: usize| stored.view.element(rows.at(index), columns.start);
    let mut index = 0;
    while index < rows.len() {
        let first = start_of(index);
        // the longest sequence of rows that one read can fetch, and whether its rows touch
        let (mut end, mut next) = (index + 1, first + row_elements);
        let mut touches = true;
        while end < rows.len() {
            let start = start_of(end);
            if start < next || (start - next).saturating_mul(size) > MAX_GAP_BYTES {
                break;
            }
            let goes_straight = touches && start == next;
            if !goes_straight && (start + row_elements - first).saturating_mul(size) > MAX_SCRATCH_BYTES {
                break;
            }
            touches &= start == next;
            next = start + row_elements;
            end += 1;
        }
        let out_rows = &mut out[index * row_bytes..end * row_bytes];
        if touches {
            read(stored, first, out_rows, meter)?;
        } else {
            scratch.resize(to_usize((next - first) * size), 0);
            read(stored, first, scratch, meter)?;
            for (offset, out_row) in (index..end).zip(out_rows.chunks_exact_mut(row_bytes)) {
                let from = to_usize((start_of(offset) - first) * size);
                out_row.copy_from_slice(&scratch[from..from + row_bytes]);
            }
        }
        index = end;
    }
    Ok(())
}

/// Stored transposed: for each column, rows at a constant distance are read together and scattered.
fn gather_columns(
    stored: &StoredView,
    rows: Rows<'_>,
    columns: Range<u64>,
    out: &mut [u8],
    scratch: &mut Vec<u8>,
    meter: &ReadMeter,
) -> Result<(), source::Error> {
    let size = to_usize(element_bytes(stored));
    let n_columns = to_usize(columns.end - columns.start);
    let row_bytes = n_columns * size;
    let start_of = |index: usize, col: u64| stored.view.element(rows.at(index), col);
    let mut index = 0;
    while index < rows.len() {
        let (end, step) = equidistant(index, rows.len(), size as u64, |index| start_of(index, columns.start));
        let span = (to_usize(step) * (end - index - 1) + 1) * size;
        scratch.resize(span, 0);
        for (col_idx, col) in columns.clone().enumerate() {
            read(stored, start_of(index, col), scratch, meter)?;
            let elements = scratch.chunks(to_usize(step) * size);
            for (row_idx, element) in (index..end).zip(elements) {
                let place = row_idx * row_bytes + col_idx * size;
                out[place..place + size].copy_from_slice(&element[..size]);
            }
        }
        index = end;
    }
    Ok(())
}

/// End of the run of rows from `index` on whose elements lie at one small distance, and that distance in elements.
fn equidistant(index: usize, n_rows: usize, size: u64, start_of: impl Fn(usize) -> u64) -> (usize, u64) {
    let first = start_of(index);
    let step = match (index + 1 < n_rows).then(|| start_of(index + 1)) {
        Some(second) if second > first && (second - first).saturating_mul(size) <= MAX_GAP_BYTES => {
            second - first
        }
        _ => return (index + 1, 1),
    };
    let mut end = index + 2;
    while end < n_rows
        && start_of(end) == first + step * (end - index) as u64
        && step * (end - index) as u64 * size < MAX_SCRATCH_BYTES
    {
        end += 1;
    }
    (end, step)
}

/// Byte counts of buffers that already exist or were bounded above.
pub(super) fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
