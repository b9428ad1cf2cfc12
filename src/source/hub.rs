//! The local Hub cache: `models--org--name/{refs,blobs,snapshots/<commit>}`. Read only; no network, ever.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::Error;

/// Longest file of `refs/` that is read; a commit has 40 characters.
const MAX_REF_BYTES: u64 = 256;

/// `[hf://]org/name[@revision]`, every part a plain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelId<'text> {
    owner: Option<&'text str>,
    name: &'text str,
    revision: Option<&'text str>,
}

impl<'text> ModelId<'text> {
    pub(super) fn parse(reference: &'text str) -> Option<ModelId<'text>> {
        let text = reference.strip_prefix("hf://").unwrap_or(reference);
        let (id, revision) = match text.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = match id.split_once('/') {
            Some((owner, name)) => (Some(owner), name),
            None => (None, id),
        };
        let is_valid = is_plain(name)
            && owner.is_none_or(is_plain)
            && revision.is_none_or(|revision| revision.split('/').all(is_plain));
        is_valid.then_some(ModelId { owner, name, revision })
    }

    pub(super) fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    fn folder_name(&self) -> String {
        match self.owner {
            Some(owner) => format!("models--{owner}--{}", self.name),
            None => format!("models--{}", self.name),
        }
    }
}

/// One part of an id, a revision or a commit: no separator, no `..`, nothing that a file system could interpret.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= 255
        && !part.starts_with('.')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// One revision of a model in the local Hub cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The folder of this revision.
    pub folder: PathBuf,
    /// The folder of all revisions of the model, where links may lead.
    pub repository: PathBuf,
    /// Its commit.
    pub commit: String,
}

/// Where downloaded models lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubCache {
    folder: Option<PathBuf>,
}

impl HubCache {
    /// The folder that the Hub's own tools would use: `$HF_HUB_CACHE`, `$HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`,
    /// `$XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`; the first that is set.
    #[must_use]
    pub fn from_environment() -> HubCache {
        let folder =
            |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let found = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache/huggingface/hub")));
        HubCache { folder: found }
    }

    /// A cache in this folder.
    #[must_use]
    pub fn at(folder: &Path) -> HubCache {
        HubCache { folder: Some(folder.to_path_buf()) }
    }

    /// Its folder, if any is known.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The revision of a model that is in the cache, or None.
    pub(super) fn find(&self, id: &ModelId<'_>) -> Result<Option<Snapshot>, Error> {
        let Some(cache) = &self.folder else { return Ok(None) };
        let repository = cache.join(id.folder_name());
        if !repository.is_dir() {
            return Ok(None);
        }
        let revision = id.revision.unwrap_or("main");
        let snapshots = repository.join("snapshots");
        let reference = revision.strip_prefix("refs/").unwrap_or(revision);
        let mut commit = read_ref(&repository.join("refs").join(reference));
        if commit.is_none() && !revision.contains('/') && snapshots.join(revision).is_dir() {
            commit = Some(revision.to_string());
        }
        if commit.is_none() && id.revision.is_none() {
            commit = only_snapshot(&snapshots);
        }
        Ok(commit.and_then(|commit| {
            let folder = snapshots.join(&commit);
            folder.is_dir().then_some(Snapshot { folder, repository, commit })
        }))
    }
}

fn read_ref(path: &Path) -> Option<String> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_REF_BYTES).read_to_string(&mut text).ok()?;
    let commit = text.trim();
    is_plain(commit).then(|| commit.to_string())
}

/// The one snapshot of a model that was downloaded by commit, without a branch.
fn only_snapshot(snapshots: &Path) -> Option<String> {
    let mut folders =
        std::fs::read_dir(snapshots).ok()?.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let first = folders.next()?;
    if folders.next().is_some() {
        return None;
    }
    first.file_name().into_string().ok()
}
