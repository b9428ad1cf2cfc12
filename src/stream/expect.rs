//! Reads that are about to happen, told to the files: one that lies far away fetches them in few requests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::gather::element_bytes;
use super::{Error, StoredView};
use crate::source::{self, Below, Source};

/// Canonical rows and columns of one matrix.
#[derive(Clone, Debug)]
pub struct RowRead {
    /// The matrix.
    pub stored: StoredView,
    /// Its rows.
    pub rows: Vec<u64>,
    /// Of each row these columns.
    pub columns: Range<u64>,
}

/// Deepest nesting of sources that decode: an adapter over a quantised base in blocks has two.
const MAX_DEPTH: usize = 8;

/// Says to all files side by side what will be read of them.
///
/// # Errors
/// What a file fetched ahead did not come.
pub fn expect_rows(reads: &[RowRead]) -> Result<(), Error> {
    // many views lie in one file, also where each is decoded by a source of its own
    let mut by_file: BTreeMap<usize, Below> = BTreeMap::new();
    for read in reads.iter().filter(|read| read.stored.file.is_remote()) {
        collect(&read.stored.file, ranges(read), MAX_DEPTH, &mut by_file);
    }
    let files: Vec<Below> = by_file.into_values().collect();
    std::thread::scope(|scope| {
        let told: Vec<_> =
            files.iter().map(|(file, ranges)| scope.spawn(move || file.expect(ranges))).collect();
        told.into_iter().try_for_each(|told| told.join().unwrap_or(Ok(())))
    })
    .map_err(|error: source::Error| Error::from(error))
}

/// Ranges of a source, or of what it decodes.
fn collect(
    source: &Arc<dyn Source>,
    ranges: Vec<Range<u64>>,
    depth: usize,
    by_file: &mut BTreeMap<usize, Below>,
) {
    let below = if depth == 0 { Vec::new() } else { source.below(&ranges) };
    if below.is_empty() {
        let key = Arc::as_ptr(source).cast::<()>().addr();
        by_file.entry(key).or_insert_with(|| (Arc::clone(source), Vec::new())).1.extend(ranges);
    }
    for (source, ranges) in below {
        if source.is_remote() {
            collect(&source, ranges, depth - 1, by_file);
        }
    }
}

/// Bytes of each row, or of each column where columns are the runs of the file.
fn ranges(read: &RowRead) -> Vec<Range<u64>> {
    let RowRead { stored, rows, columns } = read;
    let size = element_bytes(stored);
    let bytes = |first: u64, last: u64| {
        let start = stored.offset.saturating_add(first.saturating_mul(size));
        start..stored.offset.saturating_add(last.saturating_add(1).saturating_mul(size))
    };
    if columns.is_empty() || rows.is_empty() {
        return Vec::new();
    }
    if stored.view.col_stride == 1 {
        let row = |row: &u64| {
            bytes(stored.view.element(*row, columns.start), stored.view.element(*row, columns.end - 1))
        };
        return rows.iter().map(row).collect();
    }
    columns
        .clone()
        .map(|column| {
            let elements = || rows.iter().map(|row| stored.view.element(*row, column));
            bytes(elements().min().unwrap_or(0), elements().max().unwrap_or(0))
        })
        .collect()
}
