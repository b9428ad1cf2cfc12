//! Reads past the system's cache (`O_DIRECT`), for bytes that are read once: the system neither finds pages for them nor copies
//! them, which on a cold file costs more than summing them.
//!
//! Who reads a file twice wants it cached. So only what the cache does not hold is read past it, and the question for a page
//! leaves that page in the cache: the next run finds it, reads the ordinary way, and the run after that is warm.

use std::fs::File;
use std::io::{ErrorKind, IoSliceMut};
use std::path::Path;

use rustix::io::{ReadWriteFlags, preadv2};

use super::block::{ALIGNMENT, Block};

/// Opens a file past the cache; None where its file system has no such way.
pub(super) fn open(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_DIRECT | libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open(path).ok()
}

/// Whether the system would have to go to the disk for this byte; false where it does not tell.
pub(super) fn is_uncached(file: &File, offset: u64) -> bool {
    let mut byte = [0];
    let answer = preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT);
    answer == Err(rustix::io::Errno::AGAIN)
}

/// Reads `n_bytes` from `offset` on with the pages around them. False where it did not work: the ordinary way then says why.
pub(super) fn read(file: &File, offset: u64, n_bytes: usize, block: &mut Block) -> bool {
    let lead = usize::try_from(offset % ALIGNMENT as u64).unwrap_or(0);
    let Some(wanted) = lead.checked_add(n_bytes) else { return false };
    let start = offset - lead as u64;
    let Some(room) = block.room(wanted.next_multiple_of(ALIGNMENT)) else { return false };
    let mut n_done = 0;
    while n_done < wanted {
        match std::os::unix::fs::FileExt::read_at(file, &mut room[n_done..], start + n_done as u64) {
            // a part of an odd length is the end of the file: what follows would not be aligned
            Ok(n_read) if n_read > 0 && (n_done + n_read >= wanted || n_read.is_multiple_of(ALIGNMENT)) => {
                n_done += n_read;
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return false,
        }
    }
    block.set_filled(lead..wanted);
    true
}
