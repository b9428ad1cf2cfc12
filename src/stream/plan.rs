//! Items become tasks of bounded size, in tensor order; the cut depends on shapes alone.

use std::ops::Range;

use super::gather::{Rows, element_bytes, gather, to_usize};
use super::side::{Piece, Side};
use super::{ReadMeter, RowPairing, StoredView, WorkItem};
use crate::source;

/// Sizes of what is read at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of one chunk of the wider side.
    pub(super) chunk_bytes: u64,
    /// Chunks of one task.
    pub(super) chunks_per_task: u64,
}

/// Rows of a tile where one side is stored transposed.
const TILE_ROWS: u64 = 1024;

/// How an item is walked through.
#[derive(Clone, Debug)]
enum Layout {
    /// Every view is one run of elements: pieces of that run.
    Flat { n_elements: u64, chunk_elements: u64 },
    /// Blocks of whole rows, or tiles.
    Tiles { n_rows: u64, n_cols: u64, tile_rows: u64, tile_cols: u64 },
}

/// A matrix or a pair of them with the way to walk through it.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    views: Vec<StoredView>,
    listed: Option<[&'a [u64]; 2]>,
    layout: Layout,
}

/// Some chunks of one walk.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) walk_idx: usize,
    pub(super) chunks: Range<u64>,
}

impl<'a> Walk<'a> {
    /// One matrix, in canonical order.
    pub(super) fn of_view(stored: &StoredView, sizes: Sizes) -> Walk<'a> {
        Walk::new(vec![stored.clone()], None, sizes)
    }

    /// Two matrices, row by row.
    pub(super) fn of_pair(item: &'a WorkItem, sizes: Sizes) -> Walk<'a> {
        let listed = match &item.rows {
            RowPairing::Same => None,
            RowPairing::Listed { left, right } => Some([&**left, &**right]),
        };
        Walk::new(vec![item.left.clone(), item.right.clone()], listed, sizes)
    }

    fn new(mut views: Vec<StoredView>, listed: Option<[&'a [u64]; 2]>, sizes: Sizes) -> Walk<'a> {
        if listed.is_none() && views.iter().all(|stored| stored.view.col_stride != 1) {
            // stored order is as good as any where all sides share it
            let transposed: Option<Vec<_>> = views.iter().map(|stored| stored.view.transposed()).collect();
            for (stored, view) in views.iter_mut().zip(transposed.into_iter().flatten()) {
                stored.view = view;
            }
        }
        let size = views.iter().map(element_bytes).max().unwrap_or(1);
        let chunk_elements = (sizes.chunk_bytes / size).max(4096);
        let n_cols = views.iter().map(|stored| stored.view.n_cols).min().unwrap_or(0);
        let n_rows = match listed {
            Some([left, right]) => left.len().min(right.len()) as u64,
            None => views.iter().map(|stored| stored.view.n_rows).min().unwrap_or(0),
        };
        let is_flat = listed.is_none()
            && views.iter().all(|stored| stored.view.is_contiguous() && stored.view.n_cols == n_cols);
        let layout = if is_flat {
            Layout::Flat { n_elements: n_rows * n_cols, chunk_elements }
        } else if views.iter().all(|stored| stored.view.col_stride == 1) {
            let tile_cols = n_cols.clamp(1, chunk_elements);
            // a multiple of four rows is a whole number of 32-bit words, whatever the width: checksums add up
            let tile_rows = (chunk_elements / tile_cols).max(1).next_multiple_of(4);
            Layout::Tiles { n_rows, n_cols, tile_rows, tile_cols }
        } else {
            let tile_cols = (chunk_elements / TILE_ROWS).clamp(4, n_cols.max(4));
            Layout::Tiles { n_rows, n_cols, tile_rows: TILE_ROWS, tile_cols }
        };
        Walk { views, listed, layout }
    }

    fn n_chunks(&self) -> u64 {
        match self.layout {
            Layout::Flat { n_elements, chunk_elements } => n_elements.div_ceil(chunk_elements),
            Layout::Tiles { n_rows, n_cols, tile_rows, tile_cols } => {
                n_rows.div_ceil(tile_rows) * n_cols.div_ceil(tile_cols)
            }
        }
    }

    /// Reads one chunk of a task for every side.
    pub(super) fn read_chunk(
        &self,
        task: &Task,
        chunk: u64,
        sides: &mut [Side],
        scratch: &mut Vec<u8>,
        meter: &ReadMeter,
    ) -> Result<(), source::Error> {
        for (side_idx, (stored, side)) in self.views.iter().zip(sides).enumerate() {
            let size = element_bytes(stored);
            match self.layout {
                Layout::Flat { n_elements, chunk_elements } => {
                    let first = chunk * chunk_elements;
                    let n = chunk_elements.min(n_elements - first);
                    let n_run = (task.chunks.end * chunk_elements).min(n_elements) - first;
                    let piece = Piece {
                        first_element: stored.view.base + first,
                        n_bytes: n * size,
                        n_run_bytes: n_run * size,
                        is_first: chunk == task.chunks.start,
                    };
                    side.read_piece(stored, piece, meter)?;
                }
                Layout::Tiles { n_rows, n_cols, tile_rows, tile_cols } => {
                    let tiles_across = n_cols.div_ceil(tile_cols);
                    let first_row = chunk / tiles_across * tile_rows;
                    let first_col = chunk % tiles_across * tile_cols;
                    let end_row = (first_row + tile_rows).min(n_rows);
                    let columns = first_col..(first_col + tile_cols).min(n_cols);
                    let rows = match self.listed {
                        None => Rows::Range(first_row, end_row),
                        Some(listed) => {
                            Rows::Listed(&listed[side_idx][to_usize(first_row)..to_usize(end_row)])
                        }
                    };
                    let n_bytes = to_usize((end_row - first_row) * (columns.end - columns.start) * size);
                    let buffer = side.begin_buffer(n_bytes);
                    gather(stored, rows, columns, buffer, scratch, meter)?;
                }
            }
        }
        Ok(())
    }
}

/// All walks cut into tasks, in order.
pub(super) fn tasks(walks: &[Walk<'_>], sizes: Sizes) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (walk_idx, walk) in walks.iter().enumerate() {
        let n_chunks = walk.n_chunks();
        for first in (0..n_chunks).step_by(to_usize(sizes.chunks_per_task)) {
            tasks.push(Task { walk_idx, chunks: first..(first + sizes.chunks_per_task).min(n_chunks) });
        }
    }
    tasks
}
