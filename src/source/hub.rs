//! Names of models, and the local Hub cache: `models--org--name/{refs,blobs,snapshots/<commit>}`. No network, ever.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::Error;
use super::url::{Url, decoded};

/// Longest file of `refs/` that is read; a commit has 40 characters.
const MAX_REF_BYTES: u64 = 256;

/// A model of the Hub: `org/name[@revision][:path]`, `hf://org/name[@revision][/path]` or an address pasted from a browser.
/// Every part is a plain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelId {
    pub owner: Option<String>,
    pub name: String,
    pub revision: Option<String>,
    /// A file or folder inside the repository.
    pub within: Option<String>,
}

/// Hosts whose addresses name models, beside the one that `HF_ENDPOINT` names.
const HUB_HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];

impl ModelId {
    pub(super) fn parse(reference: &str) -> Option<ModelId> {
        if let Some(text) = reference.strip_prefix("hf://") {
            let parts: Vec<&str> = text.split('/').collect();
            let (first, rest) = if parts.len() == 1 { parts.split_at(1) } else { parts.split_at(2) };
            // the revision belongs to the last part of the id, and may itself hold separators
            let (id, after) = match first.last()?.split_once('@') {
                None => (first.join("/"), rest.to_vec()),
                Some((_, revision)) => {
                    let id = first.join("/");
                    let id = id.split('@').next()?.to_string();
                    let after: Vec<&str> = std::iter::once(revision).chain(rest.iter().copied()).collect();
                    return ModelId::of_parts(&id, &after);
                }
            };
            return ModelId::checked(&id, None, &after.join("/"));
        }
        let (text, within) = reference.split_once(':').unwrap_or((reference, ""));
        let (id, revision) = match text.split_once('@') {
            Some((id, revision)) => (id, Some(revision.to_string())),
            None => (text, None),
        };
        ModelId::checked(id, revision, within)
    }

    /// From `https://huggingface.co/org/name[/tree/revision/…]`, `/blob/…` or `/resolve/…`.
    pub(super) fn from_url(url: &Url, endpoint: &Url) -> Option<ModelId> {
        let path = if url.same_origin(endpoint) {
            url.path().strip_prefix(endpoint.path())?
        } else if HUB_HOSTS.contains(&url.host()) {
            url.path().strip_prefix('/')?
        } else {
            return None;
        };
        let parts: Option<Vec<String>> = path.trim_end_matches('/').split('/').map(decoded).collect();
        let parts = parts?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["datasets" | "spaces" | "api" | "docs" | "models" | "collections" | "papers", ..] => None,
            [name] => ModelId::checked(name, None, ""),
            [owner, name] => ModelId::checked(&format!("{owner}/{name}"), None, ""),
            [name, "tree" | "blob" | "resolve", after @ ..] => ModelId::of_parts(name, after),
            [owner, name, "tree" | "blob" | "resolve", after @ ..] => {
                ModelId::of_parts(&format!("{owner}/{name}"), after)
            }
            _ => None,
        }
    }

    /// What follows the id: a revision, which under `refs` has three parts, and a path.
    fn of_parts(id: &str, after: &[&str]) -> Option<ModelId> {
        let n_revision = match after {
            ["refs", "pr" | "convert", _, ..] => 3,
            [first, ..] if !first.is_empty() => 1,
            _ => return None,
        };
        let (revision, within) = after.split_at(n_revision);
        ModelId::checked(id, Some(revision.join("/")), &within.join("/"))
    }

    fn checked(id: &str, revision: Option<String>, within: &str) -> Option<ModelId> {
        let (owner, name) = match id.split_once('/') {
            Some((owner, name)) => (Some(owner.to_string()), name.to_string()),
            None => (None, id.to_string()),
        };
        let within = within.trim_end_matches('/');
        let is_valid = is_plain(&name)
            && owner.as_deref().is_none_or(is_plain)
            && revision.as_deref().is_none_or(|revision| revision.split('/').all(is_plain))
            && (within.is_empty() || is_path_inside(within));
        let within = (!within.is_empty()).then(|| within.to_string());
        is_valid.then_some(ModelId { owner, name, revision, within })
    }

    pub(super) fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// `org/name`.
    pub(super) fn id(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{owner}/{}", self.name),
            None => self.name.clone(),
        }
    }

    pub(super) fn folder_name(&self) -> String {
        match &self.owner {
            Some(owner) => format!("models--{owner}--{}", self.name),
            None => format!("models--{}", self.name),
        }
    }
}

/// A path below a folder, in the Hub's spelling: no empty part, none that a file system could take for another place.
pub(super) fn is_path_inside(path: &str) -> bool {
    path.len() <= 1024
        && path.split('/').all(|part| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.len() <= 255
                && !part.contains(['\\', ':', '\0'])
                && !part.chars().any(char::is_control)
        })
}

/// One part of an id, a revision or a commit: no separator, no `..`, nothing that a file system could interpret.
pub(super) fn is_plain(part: &str) -> bool {
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
    pub(super) fn find(&self, id: &ModelId) -> Result<Option<Snapshot>, Error> {
        let Some(cache) = &self.folder else { return Ok(None) };
        let repository = cache.join(id.folder_name());
        if !repository.is_dir() {
            return Ok(None);
        }
        let revision = id.revision.as_deref().unwrap_or("main");
        let snapshots = repository.join("snapshots");
        let reference = revision.strip_prefix("refs/").unwrap_or(revision);
        let refs = repository.join("refs");
        let mut commit = read_ref(&refs.join(revision)).or_else(|| read_ref(&refs.join(reference)));
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

impl Snapshot {
    /// Whether weights are there, and every shard of those that are counted in their names. Configs alone are what a
    /// look at the Hub leaves behind.
    pub(super) fn has_weights(&self, within: Option<&str>) -> bool {
        let place = match within {
            Some(within) => self.folder.join(within),
            None => self.folder.clone(),
        };
        if place.is_file() && within.is_some_and(is_weights) {
            return true;
        }
        let place = if place.is_file() { place.parent().unwrap_or(&self.folder) } else { &place };
        let Ok(entries) = std::fs::read_dir(place) else { return false };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut n_found: std::collections::BTreeMap<String, (u64, u64)> = std::collections::BTreeMap::new();
        let mut has_any = false;
        for name in names.filter(|name| is_weights(name)) {
            has_any = true;
            if let Some((set, n_shards)) = shard_set(&name) {
                let counts = n_found.entry(set).or_insert((0, n_shards));
                counts.0 += u64::from(place.join(&name).is_file());
            }
        }
        has_any && n_found.values().all(|(n_found, n_shards)| n_found >= n_shards)
    }
}

/// Endings of files that hold weights, and are therefore never fetched as a whole.
pub(super) fn is_weights(name: &str) -> bool {
    [".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".msgpack"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Of `model-00001-of-00003.safetensors` what all three share, and their number.
fn shard_set(name: &str) -> Option<(String, u64)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (before, n_shards) = stem.rsplit_once("-of-")?;
    let (set, number) = before.rsplit_once('-')?;
    number.parse::<u64>().ok()?;
    Some((format!("{set}.{extension}"), n_shards.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::ModelId;
    use crate::source::url::Url;

    fn shown(id: Option<ModelId>) -> Option<String> {
        id.map(|id| {
            let revision = id.revision.as_deref().unwrap_or("-");
            format!("{} {revision} {}", id.id(), id.within.as_deref().unwrap_or("-"))
        })
    }

    #[test]
    fn ids_are_read_in_every_spelling_and_nothing_leaves_the_repository() {
        for (reference, wanted) in [
            ("org/name", Some("org/name - -")),
            ("gpt2", Some("gpt2 - -")),
            ("org/name@v1.0", Some("org/name v1.0 -")),
            ("org/name@refs/pr/1", Some("org/name refs/pr/1 -")),
            ("org/name:sub/folder", Some("org/name - sub/folder")),
            ("org/name@main:a.gguf", Some("org/name main a.gguf")),
            ("hf://org/name", Some("org/name - -")),
            ("hf://org/name/sub/a.gguf", Some("org/name - sub/a.gguf")),
            ("hf://org/name@v1/a.safetensors", Some("org/name v1 a.safetensors")),
            ("hf://org/name@refs/pr/1/a.safetensors", Some("org/name refs/pr/1 a.safetensors")),
            ("hf://gpt2@main", Some("gpt2 main -")),
            ("a/b/c", None),
            ("org/name@", None),
            ("org/name@../x", None),
            ("org/name:../x", None),
            ("hf://org/name/../../x", None),
            ("hf://org/name@main/..", None),
            ("hf://", None),
            ("C:\\models\\a", None),
            ("../x", None),
            ("org/na me", None),
        ] {
            assert_eq!(shown(ModelId::parse(reference)).as_deref(), wanted, "{reference}");
        }
    }

    #[test]
    fn addresses_of_a_browser_name_models() {
        let endpoint = Url::parse("http://mirror.local/hf/").expect("an address");
        for (address, wanted) in [
            ("https://huggingface.co/org/name", Some("org/name - -")),
            ("https://huggingface.co/org/name/", Some("org/name - -")),
            ("https://huggingface.co/org/name?tab=readme#top", Some("org/name - -")),
            ("https://hf.co/gpt2", Some("gpt2 - -")),
            ("https://huggingface.co/org/name/tree/main", Some("org/name main -")),
            ("https://huggingface.co/org/name/tree/refs%2Fpr%2F2", Some("org/name refs/pr/2 -")),
            ("https://huggingface.co/org/name/tree/refs/pr/2", Some("org/name refs/pr/2 -")),
            ("https://huggingface.co/org/name/blob/v1/sub/a.gguf", Some("org/name v1 sub/a.gguf")),
            (
                "https://huggingface.co/org/name/resolve/main/a.safetensors?download=true",
                Some("org/name main a.safetensors"),
            ),
            ("http://mirror.local/hf/org/name", Some("org/name - -")),
            ("http://mirror.local/other/org/name", None),
            ("https://huggingface.co/datasets/org/name", None),
            ("https://huggingface.co/org/name/discussions/1", None),
            ("https://huggingface.co/org/name/blob/main/%2e%2e/x", None),
            ("https://example.org/org/name", None),
        ] {
            let url = Url::parse(address).expect(address);
            assert_eq!(shown(ModelId::from_url(&url, &endpoint)).as_deref(), wanted, "{address}");
        }
    }
}
