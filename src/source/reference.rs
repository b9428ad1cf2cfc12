//! From what the user wrote to a place.

use std::path::PathBuf;

/// Where a model lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// One file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

/// Finds what a reference means: an existing path wins over a cached Hub id.
///
/// # Errors
/// Nothing is there.
pub fn resolve(_reference: &str) -> Result<Location, super::Error> {
    todo!()
}
