//! Digest of a whole file, on request: hashing costs more than comparing.

use std::sync::atomic::Ordering;

use super::{Error, ReadMeter};
use crate::source::Source;

/// Bytes read at a time.
const PIECE_BYTES: u64 = 8 << 20;

/// blake3 of all bytes of a file, as 64 hexadecimal digits. One piece is read while the one before is hashed.
///
/// # Errors
/// A read failed.
pub fn digest(file: &dyn Source, meter: &ReadMeter) -> Result<String, Error> {
    let size_bytes = file.size_bytes();
    let mut hasher = blake3::Hasher::new();
    let (mut current, mut ahead) = (Vec::new(), Vec::new());
    read_piece(file, 0, &mut current, meter)?;
    let mut offset = current.len() as u64;
    while !current.is_empty() {
        ahead.clear();
        let read_ahead = || {
            if offset == size_bytes { Ok(()) } else { read_piece(file, offset, &mut ahead, meter) }
        };
        let hash = || {
            hasher.update_rayon(&current);
        };
        let (read, ()) = rayon::join(read_ahead, hash);
        read?;
        offset += ahead.len() as u64;
        std::mem::swap(&mut current, &mut ahead);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn read_piece(file: &dyn Source, offset: u64, piece: &mut Vec<u8>, meter: &ReadMeter) -> Result<(), Error> {
    let n_bytes = PIECE_BYTES.min(file.size_bytes() - offset);
    piece.resize(usize::try_from(n_bytes).unwrap_or(usize::MAX), 0);
    file.read_at(offset, piece)?;
    meter.requested_bytes.fetch_add(n_bytes, Ordering::Relaxed);
    meter.page_bytes.fetch_add(n_bytes.next_multiple_of(4096), Ordering::Relaxed);
    Ok(())
}
