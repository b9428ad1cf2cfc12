//! A reference becomes bytes by position. The only place that opens files for reading.

#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation)]

mod contain;
mod error;
mod fault;
mod hub;
mod local;
mod reference;

pub use contain::Boundary;
pub use error::{Error, NO_WEIGHTS};
pub use fault::{Fault, grouped, shown, shown_path};
pub use hub::HubCache;
pub use local::{Identity, LocalFile};
pub use reference::{Location, resolve, resolve_with};

use std::fmt::Debug;

/// Bytes by position. Implementations: a local file; later a seeded generator, a range server, an object store.
pub trait Source: Send + Sync + Debug {
    /// File name as shown in reports (no directory).
    fn name(&self) -> &str;
    /// Length in bytes, fixed when the source was opened.
    fn size_bytes(&self) -> u64;
    /// Fills `buffer` from byte `offset` on; a read past the end or a short read is an error with the first missing byte.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error>;
    /// Bytes that a read of `n_bytes` from `offset` on takes from files: fewer or more where they are decoded.
    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        let _ = offset;
        n_bytes
    }
    /// Fails if the underlying object changed since it was opened (dev, inode, size, mtime).
    fn verify_unchanged(&self) -> Result<(), Error>;
}
