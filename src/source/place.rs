//! Where the files of one model lie: something that lists names and opens them as sources.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Error, Source};

/// The files of one model, wherever they lie. Implementations: a local folder, a repository of the Hub, an address on
/// the web, a bucket.
pub trait Place: Send + Sync + Debug {
    /// The place as it is called in messages.
    fn path(&self) -> PathBuf;
    /// A file of this place as it is called in messages.
    fn path_of(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
    /// Names of the files, in any order, of folders too where the place has some; nothing is opened.
    ///
    /// # Errors
    /// The place cannot be listed.
    fn names(&self) -> Result<Vec<String>, Error>;
    /// Names of files that a downloader has begun and not finished.
    fn unfinished(&self) -> Vec<String> {
        Vec::new()
    }
    /// Whether there is something of this name, of whatever kind.
    ///
    /// # Errors
    /// The place does not answer.
    fn has(&self, name: &str) -> Result<bool, Error>;
    /// Opens a file; its size is known from then on.
    ///
    /// # Errors
    /// It is not there, is no file, or lies outside what belongs to the model.
    fn open(&self, name: &str) -> Result<Arc<dyn Source>, Error>;
    /// Commit of a revision of the Hub.
    fn commit(&self) -> Option<String> {
        None
    }
}

/// What a reference stands for.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where the model's files lie.
    pub place: Arc<dyn Place>,
    /// The file that the reference names, if it names one: its path in messages, and itself.
    pub file: Option<(PathBuf, Arc<dyn Source>)>,
}
