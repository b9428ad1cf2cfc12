//! Pieces that were read last and are likely to be read again: bounded in bytes, shared by all threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that a checkpoint keeps: some pieces for every thread, whatever the size of the model.
const MAX_BYTES: usize = 64 << 20;

/// One kept piece.
#[derive(Debug)]
struct Entry<T> {
    key: (u64, u64),
    size_bytes: usize,
    piece: Arc<T>,
}

/// Pieces by (owner, number), the latest last.
#[derive(Debug)]
pub(super) struct Kept<T> {
    entries: Mutex<Vec<Entry<T>>>,
    n_owners: AtomicU64,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept { entries: Mutex::default(), n_owners: AtomicU64::new(0) }
    }
}

impl<T> Kept<T> {
    /// A number for one more owner.
    pub(super) fn owner(&self) -> u64 {
        self.n_owners.fetch_add(1, Ordering::Relaxed)
    }

    /// The piece, if it is still there.
    pub(super) fn find(&self, key: (u64, u64)) -> Option<Arc<T>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|entry| entry.key == key)?;
        let found = entries.remove(at);
        let piece = Arc::clone(&found.piece);
        entries.push(found);
        Some(piece)
    }

    /// Keeps a piece, and lets go of those not used for longest.
    pub(super) fn keep(&self, key: (u64, u64), piece: &Arc<T>, size_bytes: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { key, size_bytes, piece: Arc::clone(piece) });
        let mut total: usize = entries.iter().map(|entry| entry.size_bytes).sum();
        while total > MAX_BYTES && entries.len() > 1 {
            total -= entries.remove(0).size_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, MAX_BYTES};
    use std::sync::Arc;

    #[test]
    fn the_pieces_used_last_stay() {
        let kept = Kept::default();
        let third = MAX_BYTES / 3;
        for number in 0..3 {
            kept.keep((0, number), &Arc::new(number), third);
        }
        assert_eq!(kept.find((0, 0)).as_deref(), Some(&0));
        kept.keep((1, 0), &Arc::new(9), third);
        let present = [(0, 0), (0, 1), (0, 2), (1, 0)].map(|key| kept.find(key).is_some());
        assert_eq!(present, [true, false, true, true]);
        // one piece that is larger than all is still kept: it is in use
        kept.keep((2, 0), &Arc::new(7), 2 * MAX_BYTES);
        assert!(kept.find((2, 0)).is_some() && kept.find((1, 0)).is_none());
    }
}
