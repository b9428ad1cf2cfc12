//! A reference becomes bytes by position. The only place that opens files for reading, and the only one that opens sockets.

#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation)]

mod access;
mod block;
mod contain;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod direct;
mod error;
mod fault;
mod folder;
mod http;
mod http_file;
mod hub;
mod hub_store;
mod local;
mod ollama;
mod place;
mod ranged;
mod reference;
mod remote_hub;
#[cfg(feature = "s3")]
mod s3;
mod seeded;
mod throttled;
mod url;
mod web;

pub use access::{Access, Links, Network, Secret};
pub use block::Block;
pub use contain::Boundary;
pub use error::{Error, NO_WEIGHTS};
pub use fault::{Fault, grouped, in_bytes, shown, shown_path};
pub use folder::LocalFolder;
pub use http::Patience;
pub use hub::HubCache;
pub use local::{Identity, LocalFile};
pub use place::{Found, Place};
pub use reference::resolve;
pub use seeded::{Noise, Seeded};
pub use throttled::{Line, Throttled};

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// A source, and ranges of its bytes.
pub type Below = (Arc<dyn Source>, Vec<Range<u64>>);

/// Bytes by position. Implementations: a local file, a file behind a network, decoders of stored forms, seeded noise.
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
    /// Whether the byte at `offset` would have to come from a disk whose cache can be passed by.
    fn is_uncached(&self, offset: u64) -> bool {
        let _ = offset;
        false
    }
    /// Fills `block` with the bytes from `offset` on and leaves nothing of them in the system's cache; false where that does not
    /// work, and [`Source::read_at`] has to be asked.
    ///
    /// # Errors
    /// The file is another one by now.
    fn read_past_cache(&self, offset: u64, n_bytes: usize, block: &mut Block) -> Result<bool, Error> {
        let _ = (offset, n_bytes, block);
        Ok(false)
    }
    /// Whether a read goes over a network.
    fn is_remote(&self) -> bool {
        false
    }
    /// The bytes of other sources that a read of these ranges takes, where this one decodes them: what will be read of many
    /// tensors of a file can then be fetched together. Empty where the bytes are its own. Sizes no allocation by what is
    /// beyond the caller's ranges.
    fn below(&self, ranges: &[Range<u64>]) -> Vec<Below> {
        let _ = ranges;
        Vec::new()
    }
    /// Says that these bytes will be read soon. A source far away fetches them in few requests, one that decodes passes
    /// it on; others do nothing.
    ///
    /// # Errors
    /// They could not be fetched.
    fn expect(&self, ranges: &[Range<u64>]) -> Result<(), Error> {
        self.below(ranges).iter().try_for_each(|(source, ranges)| source.expect(ranges))
    }
    /// What tells this file from others of its place where the system knows: one file under two names has one identity.
    fn identity(&self) -> Option<String> {
        None
    }
    /// Fails if the underlying object changed since it was opened (dev, inode, size, mtime).
    fn verify_unchanged(&self) -> Result<(), Error>;
}
