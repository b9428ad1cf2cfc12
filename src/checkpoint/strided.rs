//! A tensor that is a view of its storage (transposed, a slice of columns) as row-major bytes.

use std::ops::Range;
use std::sync::Arc;

use crate::source::{Below, Error, Source};

/// Elements whose places are worked out at a time.
const BLOCK_ELEMENTS: usize = 1 << 16;
/// Bytes between two runs that are read and thrown away rather than cost another call.
const MAX_GAP_BYTES: u64 = 4096;
/// Most bytes of one read.
const MAX_READ_BYTES: u64 = 1 << 20;
/// Most elements whose places are named before they are read; what is left out is fetched when it is read.
const MAX_EXPECTED_ELEMENTS: u64 = 1 << 22;

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

    /// Stored places of `n` elements from `first` on, ascending, each with its number among them.
    fn places(&self, first: u64, n: usize) -> Vec<(u64, usize)> {
        let mut places: Vec<(u64, usize)> = (0..n).map(|i| (self.place(first + i as u64), i)).collect();
        places.sort_unstable();
        places
    }

    /// Ascending places cut into what one read takes.
    fn runs<'a>(&self, places: &'a [(u64, usize)]) -> impl Iterator<Item = &'a [(u64, usize)]> + use<'a> {
        let element_bytes = self.element_bytes;
        let mut rest = places;
        std::iter::from_fn(move || {
            let begin = rest.first()?.0;
            let goes_on = |pair: &[(u64, usize)]| {
                (pair[1].0 - pair[0].0) * element_bytes <= MAX_GAP_BYTES
                    && (pair[1].0 + 1 - begin) * element_bytes <= MAX_READ_BYTES
            };
            let n = 1 + rest.windows(2).take_while(|pair| goes_on(pair)).count();
            let (run, others) = rest.split_at(n);
            rest = others;
            Some(run)
        })
    }

    /// Whole elements from `first` on.
    fn read_elements(&self, first: u64, out: &mut [u8]) -> Result<(), Error> {
        let size = to_usize(self.element_bytes);
        for (block, out) in out.chunks_mut(BLOCK_ELEMENTS * size).enumerate() {
            let first = first + (block * BLOCK_ELEMENTS) as u64;
            let places = self.places(first, out.len() / size);
            let mut scratch = Vec::new();
            for run in self.runs(&places) {
                let (begin, end) = (run[0].0, run[run.len() - 1].0 + 1);
                scratch.resize(to_usize((end - begin) * self.element_bytes), 0);
                self.file.read_at(self.start + begin * self.element_bytes, &mut scratch)?;
                for &(place, i) in run {
                    let from = to_usize(place - begin) * size;
                    out[i * size..][..size].copy_from_slice(&scratch[from..from + size]);
                }
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

    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        self.file.cost_bytes(self.start.saturating_add(offset), n_bytes)
    }

    fn is_remote(&self) -> bool {
        self.file.is_remote()
    }

    fn below(&self, ranges: &[Range<u64>]) -> Vec<Below> {
        let mut below = Vec::new();
        let mut n_left = MAX_EXPECTED_ELEMENTS;
        for range in ranges.iter().filter(|range| range.start < range.end && range.end <= self.size_bytes()) {
            let (mut first, end) = (range.start / self.element_bytes, range.end.div_ceil(self.element_bytes));
            while first < end && n_left > 0 {
                let n = (end - first).min(BLOCK_ELEMENTS as u64).min(n_left);
                let places = self.places(first, to_usize(n));
                below.extend(self.runs(&places).map(|run| {
                    let byte = |place: u64| self.start + place * self.element_bytes;
                    byte(run[0].0)..byte(run[run.len() - 1].0 + 1)
                }));
                first += n;
                n_left -= n;
            }
        }
        vec![(Arc::clone(&self.file), below)]
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.file.verify_unchanged()
    }
}
