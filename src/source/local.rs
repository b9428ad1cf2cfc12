//! Local files, read by position.

/// An open regular file.
#[derive(Debug)]
pub struct LocalFile {}
