//! A tensor of blocks, read as the f32 elements it decodes to.

use std::ops::Range;
use std::sync::Arc;

use crate::checkpoint::Encoding;
use crate::cpu::Cpu;
use crate::source::{Below, Error, Source};
use crate::tensor::{BlockType, Cell};

/// Bytes of an element as served.
const ELEMENT_BYTES: u64 = 4;
/// Elements decoded before they are copied out: they stay in the nearest cache.
const STRIDE_ELEMENTS: usize = 4096;

/// What is served of each element, as an f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Value,
    /// Lower end of the cell.
    Low,
    /// Upper end of the cell.
    High,
}

/// The elements of one tensor. A read decodes the blocks that it touches and no others.
#[derive(Clone, Debug)]
struct BlockElements {
    file: Arc<dyn Source>,
    offset: u64,
    block: BlockType,
    n_elements: u64,
    served: Served,
    cpu: Cpu,
}

/// How a tensor of blocks is read.
pub(super) fn encoding(file: &Arc<dyn Source>, offset: u64, block: BlockType, n_elements: u64) -> Encoding {
    let (file, cpu) = (Arc::clone(file), Cpu::detect());
    let values = BlockElements { file, offset, block, n_elements, served: Served::Value, cpu };
    let bound = |served| -> Arc<dyn Source> { Arc::new(BlockElements { served, ..values.clone() }) };
    // of a codebook no element has a cell, but it rounds too
    let cells = Some([bound(Served::Low), bound(Served::High)]);
    Encoding { name: block.name().to_owned(), elements: Arc::new(values), cells }
}

/// Blocks that cover a range of elements.
struct Cover {
    first_element: u64,
    offset: u64,
    n_bytes: u64,
}

impl BlockElements {
    fn cover(&self, first: u64, n: u64) -> Cover {
        let (elements, size) = (self.block.n_elements() as u64, self.block.size_bytes() as u64);
        let first_block = first / elements;
        let n_blocks = first.saturating_add(n).div_ceil(elements) - first_block;
        Cover {
            first_element: first_block * elements,
            offset: self.offset + first_block * size,
            n_bytes: n_blocks * size,
        }
    }

    fn decode(&self, blocks: &[u8], out: &mut [f32]) {
        if self.served == Served::Value {
            self.cpu.decode_blocks(self.block, blocks, out);
            return;
        }
        let mut cells = vec![Cell::UNKNOWN; out.len()];
        self.cpu.block_cells(self.block, blocks, &mut cells);
        for (bound, cell) in out.iter_mut().zip(cells) {
            *bound = match (cell.low <= cell.high, self.served) {
                (false, _) => f32::NAN,
                (true, Served::Low) => cell.low,
                (true, _) => cell.high,
            };
        }
    }

    fn read_blocks(&self, cover: &Cover) -> Result<Vec<u8>, Error> {
        // bounded by the caller's buffer: no type stores an element in more than two bytes
        let mut blocks = vec![0; usize::try_from(cover.n_bytes).unwrap_or(0)];
        self.file.read_at(cover.offset, &mut blocks)?;
        Ok(blocks)
    }
}

impl Source for BlockElements {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn size_bytes(&self) -> u64 {
        self.n_elements.saturating_mul(ELEMENT_BYTES)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if buffer.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(buffer.len() as u64);
        let first = offset / ELEMENT_BYTES;
        let cover = self.cover(first, end.div_ceil(ELEMENT_BYTES) - first);
        let blocks = self.read_blocks(&cover)?;
        let (elements, size) = (self.block.n_elements(), self.block.size_bytes());
        let per_stride = STRIDE_ELEMENTS / elements;
        let mut decoded = [0.0_f32; STRIDE_ELEMENTS];
        // bytes of the first block that lie before the range asked for
        let mut before = usize::try_from(offset - cover.first_element * ELEMENT_BYTES).unwrap_or(0);
        let mut rest = buffer;
        for stride in blocks.chunks(per_stride * size) {
            let decoded = &mut decoded[..stride.len() / size * elements];
            self.decode(stride, decoded);
            let n = rest.len().min(decoded.len() * 4 - before);
            let (now, later) = rest.split_at_mut(n);
            copy_bytes(decoded, before, now);
            before = 0;
            rest = later;
        }
        Ok(())
    }

    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        let first = offset / ELEMENT_BYTES;
        let end = offset.saturating_add(n_bytes).div_ceil(ELEMENT_BYTES);
        let cover = self.cover(first, end.saturating_sub(first));
        self.file.cost_bytes(cover.offset, cover.n_bytes)
    }

    fn is_remote(&self) -> bool {
        self.file.is_remote()
    }

    fn below(&self, ranges: &[Range<u64>]) -> Vec<Below> {
        let blocks = |range: &Range<u64>| {
            let first = range.start / ELEMENT_BYTES;
            let cover = self.cover(first, range.end.div_ceil(ELEMENT_BYTES) - first);
            cover.offset..cover.offset + cover.n_bytes
        };
        let inside = ranges.iter().filter(|range| range.start < range.end && range.end <= self.size_bytes());
        vec![(Arc::clone(&self.file), inside.map(blocks).collect())]
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.file.verify_unchanged()
    }
}

/// Little-endian bytes of the elements, from byte `from` on.
fn copy_bytes(elements: &[f32], from: usize, out: &mut [u8]) {
    if from.is_multiple_of(4) && out.len().is_multiple_of(4) {
        for (bytes, element) in out.as_chunks_mut::<4>().0.iter_mut().zip(&elements[from / 4..]) {
            *bytes = element.to_le_bytes();
        }
    } else {
        let bytes = elements.iter().flat_map(|element| element.to_le_bytes());
        for (out, byte) in out.iter_mut().zip(bytes.skip(from)) {
            *out = byte;
        }
    }
}
