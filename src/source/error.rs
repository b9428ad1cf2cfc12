//! What can go wrong while bytes are fetched.

use std::path::PathBuf;

/// Failure to find, open or read a source. Exit code 3, but for `NothingToCompare` (4).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a path nor a cached model id.
    #[error("'{reference}' is neither a file, a folder nor a model in the local Hub cache")]
    NotFound {
        /// What the user wrote, escaped.
        reference: String,
        /// What to do, one line.
        hint: String,
    },
    /// The operating system refused.
    #[error("cannot {action} '{}': {cause}", path.display())]
    Io {
        /// open, read, stat, list.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Byte offset of a read.
        offset: Option<u64>,
        /// The system's own words.
        cause: std::io::Error,
    },
}
