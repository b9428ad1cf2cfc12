//! From what the user wrote to a place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{shown, shown_path};
use super::hub::{self, HubCache, ModelId, Snapshot};
use super::ollama::{self, Store};
use super::url::Url;
use super::{Access, Boundary, Error, Fault, Found, Links, LocalFile, LocalFolder, Network, Place};
use super::{remote_hub, web};

/// Finds what a reference means: an existing path wins over a model id, the local cache over the Hub. No connection is
/// opened unless the reference is an address or a model id that is not in the cache, and the access allows it.
///
/// # Errors
/// Nothing is there, it is no file, or the network gave up.
pub fn resolve(reference: &str, access: &Access) -> Result<Found, Error> {
    let path = Path::new(reference);
    if !reference.is_empty() && !reference.contains('\0') {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return folder(path, access.links),
            Ok(_) => {
                return match Store::of_manifest(path) {
                    Some(store) => in_store(&store, path, access.links),
                    None => file(path, access.links),
                };
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) if path.symlink_metadata().is_ok() => {
                return Err(super::local::io("open", path, None, cause));
            }
            Err(_) => {}
        }
    }
    if let Some(path) = file_of_folder(reference) {
        return file(&path, access.links);
    }
    if let Some((store, name)) = Store::and_name(reference) {
        return in_store(&store, &store.manifest_of(name)?, access.links);
    }
    if is_api_model(reference) {
        return Err(Error::ApiModel { reference: shown(reference) });
    }
    if let Some(url) = Url::parse(reference) {
        return match ModelId::from_url(&url, &access.hub()?) {
            Some(id) => model(reference, &id, access),
            None => web::find(&url, online(reference, access)?),
        };
    }
    if reference.starts_with("s3://") {
        return object(reference, online(reference, access)?);
    }
    let id = ModelId::parse(reference).ok_or_else(|| not_found(reference, None, access))?;
    model(reference, &id, access)
}

/// A model of the Hub: from the local cache where its weights are there, else from the Hub itself.
fn model(reference: &str, id: &ModelId, access: &Access) -> Result<Found, Error> {
    let snapshot = access.cache.find(id)?;
    let may_ask = access.network == Network::Allowed && is_meant_for_the_hub(reference, id);
    match snapshot {
        Some(snapshot) if !may_ask || snapshot.has_weights(id.within.as_deref()) => {
            cached(id, snapshot, access.links)
        }
        _ if may_ask => remote_hub::find(id, access),
        _ => Err(not_found(reference, Some(id), access)),
    }
}

/// A word alone and a path with the ending of a file are more likely mistyped paths: what they say stays here.
fn is_meant_for_the_hub(reference: &str, id: &ModelId) -> bool {
    reference.contains("://") || id.has_owner() && !hub::is_weights(&id.name) && !id.name.ends_with(".json")
}

fn cached(id: &ModelId, snapshot: Snapshot, links: Links) -> Result<Found, Error> {
    let within = id.within.as_ref().map(|within| snapshot.folder.join(within));
    let folder = match &within {
        Some(path) if path.is_dir() => path.clone(),
        Some(path) => path.parent().unwrap_or(&snapshot.folder).to_path_buf(),
        None => snapshot.folder.clone(),
    };
    let place = Arc::new(opened(&folder, Some(snapshot), links)?);
    let file = match within.filter(|path| !path.is_dir()) {
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Some((path, place.open(&name)?))
        }
        None => None,
    };
    Ok(Found { place, file })
}

#[cfg(feature = "s3")]
fn object(reference: &str, access: &Access) -> Result<Found, Error> {
    super::s3::find(reference, access)
}

#[cfg(not(feature = "s3"))]
fn object(reference: &str, _: &Access) -> Result<Found, Error> {
    Err(Error::Remote(
        Fault::new(
            "S3-FEATURE",
            format!("'{}' lies in an object store, which this build cannot reach", shown(reference)),
        )
        .hint("build with --features s3, or copy the model to a disk"),
    ))
}

/// The access, where it includes the network.
fn online<'a>(reference: &str, access: &'a Access) -> Result<&'a Access, Error> {
    match access.network {
        Network::Allowed => Ok(access),
        Network::Forbidden => Err(Error::Remote(
            Fault::new(
                "NET-OFFLINE",
                format!(
                    "'{}' lies behind the network, which may not be used",
                    shown(without_query(reference))
                ),
            )
            .hint("leave out --offline and HF_HUB_OFFLINE, or name a local copy"),
        )),
    }
}

fn without_query(reference: &str) -> &str {
    reference.split('?').next().unwrap_or_default()
}

fn not_found(reference: &str, id: Option<&ModelId>, access: &Access) -> Error {
    Error::NotFound { reference: shown(without_query(reference)), hint: missing_hint(id, &access.cache) }
}

/// A folder of weights.
fn folder(path: &Path, links: Links) -> Result<Found, Error> {
    if let Some(store) = Store::at(path) {
        return Err(store.ambiguous());
    }
    Ok(Found { place: Arc::new(opened(path, snapshot_of(path), links)?), file: None })
}

/// The weights that a manifest of a store names.
fn in_store(store: &Store, manifest: &Path, links: Links) -> Result<Found, Error> {
    let (name, size_bytes) = ollama::weights_of(manifest)?;
    let place = opened(&store.blobs(), None, links)?;
    let path = place.path_of(&name);
    let blob = place.open(&name)?;
    ollama::check_size(&path, blob.as_ref(), size_bytes)?;
    Ok(Found { place: Arc::new(place), file: Some((path, blob)) })
}

/// A file that the user named, and its folder.
fn file(path: &Path, links: Links) -> Result<Found, Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    // a pipe or device is refused here, with its own message; a link that was named itself may lead anywhere
    let file = LocalFile::open(path)?;
    // a snapshot's files are links into the repository's blobs
    let place = opened(&parent, snapshot_of(&parent), links)?;
    Ok(Found { place: Arc::new(place), file: Some((path.to_path_buf(), Arc::new(file))) })
}

/// `folder:file`: one of several models in a folder.
fn file_of_folder(reference: &str) -> Option<PathBuf> {
    let (folder, file) = reference.rsplit_once(':')?;
    let is_plain = !file.is_empty() && !file.contains(['/', '\\', '\0']) && file != "." && file != "..";
    let path = Path::new(folder).join(file);
    (is_plain && Path::new(folder).is_dir() && path.symlink_metadata().is_ok()).then_some(path)
}

fn opened(folder: &Path, snapshot: Option<Snapshot>, links: Links) -> Result<LocalFolder, Error> {
    let boundary = match (links, &snapshot) {
        (Links::Anywhere, _) => Boundary::anywhere(),
        (Links::Inside, None) => Boundary::of(&[folder])?,
        (Links::Inside, Some(snapshot)) => Boundary::of(&[folder, &snapshot.repository])?,
    };
    Ok(LocalFolder::new(folder, boundary, snapshot.map(|snapshot| snapshot.commit)))
}

/// A folder of the Hub cache that was named by its path keeps its commit and may link into its own blobs.
fn snapshot_of(path: &Path) -> Option<Snapshot> {
    let real = path.canonicalize().ok()?;
    let snapshots = real.parent()?;
    let repository = snapshots.parent()?;
    let is_cache = snapshots.file_name().is_some_and(|name| name == "snapshots")
        && repository.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--"));
    is_cache.then_some(Snapshot {
        folder: path.to_path_buf(),
        repository: repository.to_path_buf(),
        commit: real.file_name()?.to_string_lossy().into_owned(),
    })
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

fn missing_hint(id: Option<&ModelId>, cache: &HubCache) -> String {
    if id.is_none_or(|id| !id.has_owner()) {
        return "check the spelling of the path".to_string();
    }
    match cache.folder() {
        Some(folder) => format!(
            "check the path, or download the model into the cache at '{}' first; no network was used",
            shown_path(folder)
        ),
        None => "check the path, or set HF_HUB_CACHE to the cache that holds the model".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_api_model, resolve};
    use crate::source::{Access, Error, HubCache};

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
        let access = Access { cache: HubCache::at(empty.path()), ..Access::default() };
        for reference in ["", "no/such", "no-such.safetensors", "a\0b", "../../x@y", "org/name@../../etc"] {
            assert!(matches!(resolve(reference, &access), Err(Error::NotFound { .. })), "{reference:?}");
        }
        assert!(matches!(resolve("gpt-4o", &access), Err(Error::ApiModel { .. })));
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
        let access = Access { cache: HubCache::at(folder.path()), ..Access::default() };
        for reference in
            ["org/name", "org/name@main", "org/name@refs/pr/1", "org/name@0123abcd", "hf://org/name@main"]
        {
            let found = resolve(reference, &access).expect(reference);
            assert_eq!(
                (found.place.commit().as_deref(), found.place.path()),
                (Some("0123abcd"), snapshot.clone()),
                "{reference}"
            );
        }
        for reference in ["org/name@evil", "org/name@other", "org/other"] {
            assert!(matches!(resolve(reference, &access), Err(Error::NotFound { .. })), "{reference}");
        }
        let by_path = resolve(&snapshot.to_string_lossy(), &access).expect("by path");
        assert_eq!(by_path.place.commit().as_deref(), Some("0123abcd"));
    }
}
