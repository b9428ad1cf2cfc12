//! From what the user wrote to a place.

use std::path::{Path, PathBuf};

use super::Error;
use super::fault::{shown, shown_path};
use super::hub::{self, HubCache};

/// Where a model lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// One file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
    /// One revision of a model in the local Hub cache.
    Snapshot {
        /// The folder of this revision.
        folder: PathBuf,
        /// The folder of all revisions of the model, where links may lead.
        repository: PathBuf,
        /// Its commit.
        commit: String,
    },
}

/// Finds what a reference means: an existing path wins over a cached Hub id.
///
/// # Errors
/// Nothing is there.
pub fn resolve(reference: &str) -> Result<Location, Error> {
    resolve_with(reference, &HubCache::from_environment())
}

/// As [`resolve`], with the cache named by the caller.
///
/// # Errors
/// Nothing is there.
pub fn resolve_with(reference: &str, cache: &HubCache) -> Result<Location, Error> {
    let path = Path::new(reference);
    if !reference.is_empty() && !reference.contains('\0') {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Ok(folder_or_snapshot(path)),
            // a pipe or device is refused when it is opened, with its own message
            Ok(_) => return Ok(Location::File(path.to_path_buf())),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) if path.symlink_metadata().is_ok() => {
                return Err(super::local::io("open", path, None, cause));
            }
            Err(_) => {}
        }
    }
    if let Some(id) = hub::ModelId::parse(reference)
        && let Some(location) = cache.find(&id)?
    {
        return Ok(location);
    }
    Err(if is_api_model(reference) {
        Error::ApiModel { reference: shown(reference) }
    } else {
        Error::NotFound { reference: shown(reference), hint: missing_hint(reference, cache) }
    })
}

/// A folder of the Hub cache that was named by its path keeps its commit and may link into its own blobs.
fn folder_or_snapshot(path: &Path) -> Location {
    let folder = Location::Folder(path.to_path_buf());
    let Ok(real) = path.canonicalize() else { return folder };
    let Some(snapshots) = real.parent() else { return folder };
    let Some(repository) = snapshots.parent() else { return folder };
    let is_cache = snapshots.file_name().is_some_and(|name| name == "snapshots")
        && repository.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--"));
    match real.file_name() {
        Some(commit) if is_cache => Location::Snapshot {
            folder: path.to_path_buf(),
            repository: repository.to_path_buf(),
            commit: commit.to_string_lossy().into_owned(),
        },
        _ => folder,
    }
}

/// Families that are served behind an API and whose weights were never published.
const API_PREFIXES: [&str; 14] = [
    "gpt-3",
    "gpt-4",
    "gpt-5",
    "chatgpt",
    "o1-",
    "o3-",
    "o4-",
    "claude",
    "gemini",
    "text-davinci",
    "text-embedding-",
    "mistral-large-latest",
    "grok-3",
    "grok-4",
];
/// Who serves them: the same word under another owner is somebody's own model.
const API_OWNERS: [&str; 6] = ["openai", "anthropic", "google", "mistralai", "x-ai", "azure"];

fn is_api_model(reference: &str) -> bool {
    let lower = reference.to_lowercase();
    let (owner, name) = match lower.split_once('/') {
        Some((owner, name)) => (Some(owner), name),
        None => (None, lower.as_str()),
    };
    let has_extension = [".safetensors", ".gguf", ".bin", ".json"].iter().any(|end| name.ends_with(end));
    !has_extension
        && owner.is_none_or(|owner| API_OWNERS.contains(&owner))
        && (matches!(name, "o1" | "o3" | "o4") || API_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

fn missing_hint(reference: &str, cache: &HubCache) -> String {
    if hub::ModelId::parse(reference).is_none_or(|id| !id.has_owner()) {
        return "check the spelling of the path".to_string();
    }
    match cache.folder() {
        Some(folder) => format!(
            "check the path, or download the model into the cache at '{}' first; no network is used here",
            shown_path(folder)
        ),
        None => "check the path, or set HF_HUB_CACHE to the cache that holds the model".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, is_api_model, resolve_with};
    use crate::source::{Error, HubCache};

    #[test]
    fn names_behind_an_api_are_known_and_open_models_are_not_among_them() {
        for (name, is_api) in [
            ("gpt-4o", true),
            ("openai/gpt-4.1-mini", true),
            ("claude-3-opus", true),
            ("Gemini-1.5-pro", true),
            ("o1", true),
            ("gpt2", false),
            ("openai/gpt-oss-20b", false),
            ("EleutherAI/gpt-neox-20b", false),
            ("EleutherAI/gpt-j-6b", false),
            ("claude.safetensors", false),
            ("somebody/claude2-alpaca-7b", false),
        ] {
            assert_eq!(is_api_model(name), is_api, "{name}");
        }
    }

    #[test]
    fn what_is_nowhere_is_not_found() {
        let empty = tempfile::tempdir().expect("temporary folder");
        let cache = HubCache::at(empty.path());
        for reference in ["", "no/such", "no-such.safetensors", "a\0b", "../../x@y", "org/name@../../etc"] {
            assert!(matches!(resolve_with(reference, &cache), Err(Error::NotFound { .. })), "{reference:?}");
        }
        assert!(matches!(resolve_with("gpt-4o", &cache), Err(Error::ApiModel { .. })));
    }

    #[test]
    fn a_cached_revision_is_found_by_name_branch_and_commit() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let repository = folder.path().join("models--org--name");
        let snapshot = repository.join("snapshots/0123abcd");
        std::fs::create_dir_all(&snapshot).expect("folder");
        std::fs::create_dir_all(repository.join("refs/pr")).expect("folder");
        std::fs::write(repository.join("refs/main"), "0123abcd\n").expect("write");
        std::fs::write(repository.join("refs/pr/1"), "0123abcd").expect("write");
        std::fs::write(repository.join("refs/evil"), "../../..").expect("write");
        let cache = HubCache::at(folder.path());
        for reference in
            ["org/name", "org/name@main", "org/name@refs/pr/1", "org/name@0123abcd", "hf://org/name@main"]
        {
            let found = resolve_with(reference, &cache).expect(reference);
            let Location::Snapshot { commit, folder, .. } = found else { panic!("{reference}: {found:?}") };
            assert_eq!((commit.as_str(), folder), ("0123abcd", snapshot.clone()), "{reference}");
        }
        for reference in ["org/name@evil", "org/name@other", "org/other"] {
            assert!(matches!(resolve_with(reference, &cache), Err(Error::NotFound { .. })), "{reference}");
        }
        let by_path = resolve_with(&snapshot.to_string_lossy(), &cache).expect("by path");
        assert!(matches!(by_path, Location::Snapshot { commit, .. } if commit == "0123abcd"));
    }
}
