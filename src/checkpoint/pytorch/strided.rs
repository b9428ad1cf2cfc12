//! A tensor that is a view of its storage (transposed, a slice of columns) as row-major bytes.

use std::sync::Arc;

use crate::source::{Error, Source};

/// Elements whose places are worked out at a time.
const BLOCK_ELEMENTS: usize = 1 << 16;
/// Bytes between two runs that are read and thrown away rather than cost another call.
const MAX_GAP_BYTES: u64 = 4096;
/// Most bytes of one read.
const MAX_READ_BYTES: u64 = 1 << 20;

/// Row-major elements of a strided view; every place was checked to lie in the file.
#[derive(Debug)]
pub(super) struct Strided {
    pub file: Arc<dyn Source>,
    /// Byte of the view's first element.
    pub start: u64,
    pub element_bytes: u64,
    pub shape: Vec<u64>,
    /// Elements between neighbours of each dimension.
    pub strides: Vec<u64>,
}

impl Strided {
    fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Stored place, in elements from the start, of the row-major element `index`.
    fn place(&self, mut index: u64) -> u64 {
        let mut place = 0;
        for (&dim, &stride) in self.shape.iter().zip(&self.strides).rev() {
            place += (index % dim) * stride;
            index /= dim;
        }
        place
    }

    /// Whole elements from `first` on.
    fn read_elements(&self, first: u64, out: &mut [u8]) -> Result<(), Error> {
        let size = to_usize(self.element_bytes);
        for (block, out) in out.chunks_mut(BLOCK_ELEMENTS * size).enumerate() {
            let first = first + (block * BLOCK_ELEMENTS) as u64;
            let mut places: Vec<(u64, usize)> =
                (0..out.len() / size).map(|i| (self.place(first + i as u64), i)).collect();
            places.sort_unstable();
            let mut scratch = Vec::new();
            let mut at = 0;
            while at < places.len() {
                let begin = places[at].0;
                let mut end = at + 1;
                while end < places.len()
                    && (places[end].0 - places[end - 1].0) * self.element_bytes <= MAX_GAP_BYTES
                    && (places[end].0 + 1 - begin) * self.element_bytes <= MAX_READ_BYTES
                {
                    end += 1;
                }
                let n_bytes = (places[end - 1].0 + 1 - begin) * self.element_bytes;
                scratch.resize(to_usize(n_bytes), 0);
                self.file.read_at(self.start + begin * self.element_bytes, &mut scratch)?;
                for &(place, i) in &places[at..end] {
                    let from = to_usize(place - begin) * size;
                    out[i * size..][..size].copy_from_slice(&scratch[from..from + size]);
                }
                at = end;
            }
        }
        Ok(())
    }
}

/// Counts of bytes that a caller has a buffer for.
fn to_usize(n_bytes: u64) -> usize {
    usize::try_from(n_bytes).unwrap_or(usize::MAX)
}

impl Source for Strided {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn size_bytes(&self) -> u64 {
        self.n_elements() * self.element_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if buffer.is_empty() {
            return Ok(());
        }
        let (first, end) =
            (offset / self.element_bytes, (offset + buffer.len() as u64).div_ceil(self.element_bytes));
        if first * self.element_bytes == offset && buffer.len() as u64 == (end - first) * self.element_bytes {
            return self.read_elements(first, buffer);
        }
        // a range that cuts an element
        let mut whole = vec![0; to_usize((end - first) * self.element_bytes)];
        self.read_elements(first, &mut whole)?;
        let from = to_usize(offset - first * self.element_bytes);
        buffer.copy_from_slice(&whole[from..from + buffer.len()]);
        Ok(())
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.file.verify_unchanged()
    }
}
