//! Symbolic links: followed, but only inside the folders that belong to the model.

use std::path::{Path, PathBuf};

use super::Error;
use super::local::io;

/// The folders that the files of one model may lie in once all links are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Canonical paths; empty: anywhere.
    folders: Vec<PathBuf>,
}

impl Boundary {
    /// Files may lie in or below any of these folders.
    ///
    /// # Errors
    /// One of them cannot be resolved.
    pub fn of(folders: &[&Path]) -> Result<Boundary, Error> {
        let folders = folders
            .iter()
            .map(|folder| folder.canonicalize().map_err(|cause| io("open", folder, None, cause)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Boundary { folders })
    }

    /// Files may lie anywhere.
    #[must_use]
    pub fn anywhere() -> Boundary {
        Boundary { folders: Vec::new() }
    }

    /// Resolves every link of `path` and checks where it ends.
    ///
    /// # Errors
    /// A loop, a link to nothing, or a file outside.
    pub fn check(&self, path: &Path) -> Result<(), Error> {
        let target = path.canonicalize().map_err(|cause| io("open", path, None, cause))?;
        if self.folders.is_empty() || self.folders.iter().any(|folder| target.starts_with(folder)) {
            return Ok(());
        }
        Err(Error::Outside { path: path.to_path_buf(), target })
    }
}
