//! Memory for reads past the system's cache.

#[cfg(any(target_os = "linux", target_os = "android"))]
use memmap2::MmapMut;

/// Offsets, lengths and memory of a read past the cache are multiples of it: the largest that common disks ask for.
pub(super) const ALIGNMENT: usize = 4096;

/// Bytes of a huge page of the usual processors.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Memory that a disk writes to itself, in huge pages where the system has them: a request then is one piece instead of hundreds.
#[derive(Debug, Default)]
pub struct Block {
    /// Anonymous; no file is behind it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    memory: Option<MmapMut>,
    /// Where in it the bytes of the last read lie.
    filled: std::ops::Range<usize>,
}

impl Block {
    /// Most bytes of one read that stay inside one huge page wherever they lie in their file.
    pub const BYTES: usize = HUGE_PAGE_BYTES - 2 * ALIGNMENT;

    /// The bytes of the last read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(memory) = &self.memory {
            return &memory[self.filled.clone()];
        }
        &[]
    }

    /// Room for that many bytes, aligned; None where the system has none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn room(&mut self, n_bytes: usize) -> Option<&mut [u8]> {
        self.filled = 0..0;
        if self.memory.as_ref().is_none_or(|memory| memory.len() < n_bytes) {
            let memory = MmapMut::map_anon(n_bytes.next_multiple_of(HUGE_PAGE_BYTES)).ok()?;
            // a wish: without huge pages the block is slower and as right
            let _ = memory.advise(memmap2::Advice::HugePage);
            self.memory = Some(memory);
        }
        self.memory.as_mut().map(|memory| &mut memory[..n_bytes])
    }

    /// Says where in the room the bytes lie.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn set_filled(&mut self, filled: std::ops::Range<usize>) {
        self.filled = filled;
    }
}
