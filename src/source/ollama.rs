//! The store of Ollama: manifests that name blobs by digest, each model's weights one GGUF among the blobs.
//!
//! `STORE/manifests/HOST/OWNER/NAME/TAG` is JSON; its layer of the media type below lies at `STORE/blobs/sha256-HEX`. A reference
//! is the store and a name as Ollama takes it, `STORE:NAME`, `STORE:NAME:TAG`, `STORE:OWNER/NAME:TAG`; the store alone where it
//! holds one model; or the manifest's own path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::fault::{grouped, shown, shown_path};
use super::local::io;
use super::{Boundary, Error, Fault, Found, Links, LocalFolder, Place};

/// Media type of the layer that holds the weights.
const WEIGHTS: &str = "application/vnd.ollama.image.model";
/// Media type of an adapter's weights.
const ADAPTER: &str = "application/vnd.ollama.image.adapter";
/// Host and owner of names that give none, tag of names that give none.
const DEFAULTS: [&str; 3] = ["registry.ollama.ai", "library", "latest"];
/// Longest manifest that is read; real ones have about 1 KB.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Folders below `manifests` on the way to a tag.
const DEPTH: usize = 4;
/// Most entries of a folder of the store that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Most models in a message.
const MAX_SHOWN: usize = 12;

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
}

/// What a reference means in a store; None if it names none.
pub(super) fn find(reference: &str, links: Links) -> Option<Result<Found, Error>> {
    let path = Path::new(reference);
    if is_store(path) {
        return Some(the_only_one(path, links));
    }
    if let Some(store) = store_of_manifest(path) {
        return Some(model(&store, path, links));
    }
    // colons may stand in the folder's name too: the longest folder that is a store counts
    let ends = reference.match_indices(':').map(|(at, _)| at).rev();
    let (store, name) = ends
        .map(|at| (&reference[..at], &reference[at + 1..]))
        .find(|(store, _)| is_store(Path::new(store)))?;
    let store = Path::new(store);
    Some(match manifest_of(store, name) {
        Some(manifest) if manifest.is_file() => model(store, &manifest, links),
        _ => Err(no_such(store, name)),
    })
}

fn is_store(path: &Path) -> bool {
    path.join("manifests").is_dir() && path.join("blobs").is_dir()
}

/// The store of a file below its `manifests`.
fn store_of_manifest(path: &Path) -> Option<PathBuf> {
    if !path.is_file() {
        return None;
    }
    let manifests = path.ancestors().nth(DEPTH)?;
    let store = manifests.parent()?;
    (manifests.file_name()? == "manifests" && is_store(store)).then(|| store.to_path_buf())
}

/// Where the manifest of a name lies; None if the name could lead elsewhere.
fn manifest_of(store: &Path, name: &str) -> Option<PathBuf> {
    let (name, tag) = name.split_once(':').unwrap_or((name, DEFAULTS[2]));
    let mut parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 3 {
        return None;
    }
    for default in DEFAULTS[..2].iter().rev().skip(parts.len() - 1) {
        parts.insert(0, default);
    }
    parts.push(tag);
    let is_plain =
        |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0', ':']);
    parts.iter().all(is_plain).then(|| store.join("manifests").join(parts.iter().collect::<PathBuf>()))
}

fn the_only_one(store: &Path, links: Links) -> Result<Found, Error> {
    let names = names(store)?;
    match names.as_slice() {
        [one] => match manifest_of(store, one) {
            Some(manifest) => model(store, &manifest, links),
            None => Err(no_such(store, one)),
        },
        [] => Err(fault("OL-EMPTY", "this store of Ollama holds no model".into(), store)
            .hint("`ollama pull NAME` puts one there")
            .into()),
        several => Err(fault("DIR-AMBIGUOUS", "this is a store of Ollama with several models".into(), store)
            .found_wanted(listed(several), "one")
            .hint(format!("name one of them, like '{}:{}'", shown_path(store), several[0]))
            .into()),
    }
}

/// Names of the models of a store, as Ollama prints them, sorted.
fn names(store: &Path) -> Result<Vec<String>, Error> {
    let mut open = vec![(store.join("manifests"), Vec::<String>::new())];
    let mut found = Vec::new();
    while let Some((folder, parts)) = open.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|cause| io("list", &folder, None, cause))?;
        for entry in entries.flatten().take(MAX_ENTRIES) {
            // names that are no text are no model's
            let Ok(name) = entry.file_name().into_string() else { continue };
            let mut parts = parts.clone();
            parts.push(name);
            let path = entry.path();
            if parts.len() < DEPTH && path.is_dir() {
                open.push((path, parts));
            } else if parts.len() == DEPTH && path.is_file() {
                let n_defaults =
                    parts.iter().zip(&DEFAULTS[..2]).take_while(|(part, default)| part == default);
                let skipped = n_defaults.count();
                found.push(format!("{}:{}", parts[skipped..DEPTH - 1].join("/"), parts[DEPTH - 1]));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The weights that a manifest names.
fn model(store: &Path, manifest: &Path, links: Links) -> Result<Found, Error> {
    let layers = read(manifest)?.layers;
    let of_type =
        |wanted: &str| -> Vec<&Layer> { layers.iter().filter(|layer| layer.media_type == wanted).collect() };
    let weights = of_type(WEIGHTS);
    let [layer] = weights.as_slice() else {
        let found = match (weights.len(), of_type(ADAPTER).len()) {
            (0, 0) => "no layer of weights".to_owned(),
            (0, n) => format!("{n} layers of adapters alone"),
            (n, _) => format!("{n} layers of weights"),
        };
        let says = "the manifest does not name one file of weights".to_owned();
        return Err(fault("OL-LAYERS", says, manifest).found_wanted(found, "one layer of weights").into());
    };
    let Some(blob) = blob_name(&layer.digest) else {
        let says = "the manifest's digest is no SHA-256".to_owned();
        return Err(fault("OL-DIGEST", says, manifest)
            .found_wanted(shown(&layer.digest), "sha256: and 64 hexadecimal digits")
            .into());
    };
    let blobs = store.join("blobs");
    let boundary = match links {
        Links::Anywhere => Boundary::anywhere(),
        Links::Inside => Boundary::of(&[&blobs])?,
    };
    let place = LocalFolder::new(&blobs, boundary, None);
    if !place.has(&blob)? {
        return Err(fault("OL-BLOB", format!("the blob '{blob}' is not in the store"), manifest)
            .hint("the download looks unfinished: `ollama pull` it again")
            .into());
    }
    let file = place.open(&blob)?;
    if file.size_bytes() != layer.size {
        return Err(fault(
            "OL-SIZE",
            "the blob has another size than its manifest says".into(),
            &blobs.join(&blob),
        )
        .found_wanted(
            format!("{} bytes", grouped(file.size_bytes())),
            format!("{} bytes", grouped(layer.size)),
        )
        .hint("the download looks unfinished: `ollama pull` it again")
        .into());
    }
    Ok(Found { place: Arc::new(place), file: Some((blobs.join(&blob), file)) })
}

fn read(manifest: &Path) -> Result<Manifest, Error> {
    let refused = |cause| io("read", manifest, None, cause);
    let size = std::fs::metadata(manifest).map_err(refused)?.len();
    if size > MAX_MANIFEST_BYTES {
        return Err(fault("OL-MANIFEST", "the manifest is longer than any real one".into(), manifest)
            .found_wanted(grouped(size), format!("at most {} bytes", grouped(MAX_MANIFEST_BYTES)))
            .into());
    }
    let bytes = std::fs::read(manifest).map_err(refused)?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        fault(
            "OL-MANIFEST",
            format!("this is no manifest of Ollama: {}", shown(&cause.to_string())),
            manifest,
        )
        .hint("`ollama pull` writes it anew")
        .into()
    })
}

/// `sha256:HEX` as it is called among the blobs.
fn blob_name(digest: &str) -> Option<String> {
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| format!("sha256-{hex}"))
}

fn no_such(store: &Path, name: &str) -> Error {
    let fault = fault("OL-MODEL", format!("the store holds no model '{}'", shown(name)), store);
    match names(store) {
        Ok(names) if !names.is_empty() => fault.found_wanted(listed(&names), shown(name)).into(),
        _ => fault.into(),
    }
}

fn listed(names: &[String]) -> String {
    let rest = names.len().saturating_sub(MAX_SHOWN);
    let and_more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let names: Vec<String> = names.iter().take(MAX_SHOWN).map(|name| shown(name)).collect();
    format!("{}{and_more}", names.join(", "))
}

fn fault(rule: &'static str, says: String, path: &Path) -> Box<Fault> {
    Fault::new(rule, says).in_file(path)
}

impl From<Box<Fault>> for Error {
    fn from(fault: Box<Fault>) -> Error {
        Error::Store(fault)
    }
}
