//! A folder of the local file system as the place of a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::local::io;
use super::{Boundary, Error, LocalFile, Place, Source};

/// A local folder whose files may lie inside a boundary once links are followed.
#[derive(Clone, Debug)]
pub struct LocalFolder {
    folder: PathBuf,
    boundary: Boundary,
    commit: Option<String>,
}

impl LocalFolder {
    /// A folder, with the places to which links may lead and the commit of a cached revision.
    #[must_use]
    pub fn new(folder: &Path, boundary: Boundary, commit: Option<String>) -> LocalFolder {
        LocalFolder { folder: folder.to_path_buf(), boundary, commit }
    }
}

impl Place for LocalFolder {
    fn path(&self) -> PathBuf {
        self.folder.clone()
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        names(&self.folder)
    }

    fn unfinished(&self) -> Vec<String> {
        // downloaders keep unfinished files elsewhere: below the folder, or among the blobs of the cache
        [".cache/huggingface/download", "../../blobs"]
            .iter()
            .flat_map(|below| names(&self.folder.join(below)).unwrap_or_default())
            .filter(|name| name.ends_with(".incomplete"))
            .collect()
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        Ok(self.folder.join(name).symlink_metadata().is_ok())
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Source>, Error> {
        let path = self.folder.join(name);
        self.boundary.check(&path)?;
        Ok(Arc::new(LocalFile::open(&path)?))
    }

    fn commit(&self) -> Option<String> {
        self.commit.clone()
    }
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let refused = |cause| io("list", folder, None, cause);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        // a name that is not UTF-8 cannot be one that we look for
        if let Ok(name) = entry.map_err(refused)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
