//! One side of a chunk: bytes in a buffer that is used again, or in a block that was read past the system's cache.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::gather::{count, place, to_usize};
use super::{ReadMeter, StoredView};
use crate::source::{self, Block};

/// Shorter runs are not worth the question where they lie, and may have been read ahead whole.
const SHORTEST_RUN_BYTES: u64 = 1 << 20;

/// Elements of a run, and how the run goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// First element of the tensor.
    pub(super) first_element: u64,
    /// Bytes of the piece.
    pub(super) n_bytes: u64,
    /// Bytes from its start to the end of the run that this worker reads.
    pub(super) n_run_bytes: u64,
    /// The run begins here.
    pub(super) is_first: bool,
}

/// Bytes of one side, used again for every chunk.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) buffer: Vec<u8>,
    block: Block,
    /// File (its address) and bytes that the block holds.
    held: Option<(usize, Range<u64>)>,
    /// Where in the block the chunk lies; None: in the buffer.
    in_block: Option<Range<usize>>,
    is_past_cache: bool,
}

impl Side {
    /// The chunk.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.in_block {
            Some(range) => &self.block.bytes()[range.clone()],
            None => &self.buffer,
        }
    }

    /// The next chunk comes by reads of its own into the buffer.
    pub(super) fn begin_buffer(&mut self, n_bytes: usize) -> &mut [u8] {
        self.in_block = None;
        self.buffer.resize(n_bytes, 0);
        &mut self.buffer
    }

    /// Reads a piece of a run. Where the run lies outside the system's cache, several pieces come at once past it.
    pub(super) fn read_piece(
        &mut self,
        stored: &StoredView,
        piece: Piece,
        meter: &ReadMeter,
    ) -> Result<(), source::Error> {
        let start = place(stored, piece.first_element);
        let end = start.saturating_add(piece.n_bytes);
        count(stored, start, piece.n_bytes, meter);
        let file = Arc::as_ptr(&stored.file).cast::<()>().addr();
        if piece.is_first {
            self.held = None;
            // the last byte: what was read before may have made the system read ahead into this run
            let last = start.saturating_add(piece.n_run_bytes.saturating_sub(1));
            self.is_past_cache = piece.n_run_bytes >= SHORTEST_RUN_BYTES && stored.file.is_uncached(last);
        }
        if self.is_past_cache {
            let is_held =
                |held: &(usize, Range<u64>)| held.0 == file && held.1.start <= start && end <= held.1.end;
            if !self.held.as_ref().is_some_and(is_held) {
                self.held = None;
                // whole pieces, as many as one block holds
                let n_pieces = (Block::BYTES as u64 / piece.n_bytes.max(1)).max(1);
                let n_bytes = n_pieces.saturating_mul(piece.n_bytes).min(piece.n_run_bytes);
                if stored.file.read_past_cache(start, to_usize(n_bytes), &mut self.block)? {
                    self.held = Some((file, start..start.saturating_add(n_bytes)));
                }
            }
            if let Some((_, held)) = &self.held {
                let first = to_usize(start - held.start);
                self.in_block = Some(first..first + to_usize(piece.n_bytes));
                meter.past_cache_bytes.fetch_add(piece.n_bytes, Ordering::Relaxed);
                return Ok(());
            }
            self.is_past_cache = false;
        }
        stored.file.read_at(start, self.begin_buffer(to_usize(piece.n_bytes)))
    }
}
