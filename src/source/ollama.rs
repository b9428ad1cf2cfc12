//! The store of Ollama: `manifests/HOST/OWNER/NAME/TAG` name the `blobs/sha256-HEX` that models are made of.
//!
//! Layout: ollama, `server/manifest.go` and `server/modelpath.go`; a manifest is that of an OCI image.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fault::{Fault, grouped, in_bytes, shown, shown_path};
use super::{Error, LocalFile, Source};

/// Longest manifest; written ones stay below 4 KB.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Most models that are listed, and most names of a folder that are looked at.
const MAX_NAMES: usize = 10_000;
/// Most models in a message.
const MAX_SHOWN: usize = 8;
/// What a name leaves out: host, owner, tag.
const DEFAULTS: [&str; 3] = ["registry.ollama.ai", "library", "latest"];
/// Folders between `manifests` and a manifest's own name.
const N_PARTS: usize = 4;

const MODEL: &str = "application/vnd.ollama.image.model";
const ADAPTER: &str = "application/vnd.ollama.image.adapter";

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

/// A folder that is a store.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    /// The store in this folder, if it is one.
    pub(super) fn at(folder: &Path) -> Option<Store> {
        let is_store = folder.join("manifests").is_dir() && folder.join("blobs").is_dir();
        is_store.then(|| Store(folder.to_path_buf()))
    }

    /// The store that a file is a manifest of.
    pub(super) fn of_manifest(path: &Path) -> Option<Store> {
        let real = path.canonicalize().ok()?;
        let manifests = real.ancestors().nth(N_PARTS).filter(|folder| folder.ends_with("manifests"))?;
        Store::at(manifests.parent()?)
    }

    /// The store and the name in `STORE:NAME` or `STORE:NAME:TAG`.
    pub(super) fn and_name(reference: &str) -> Option<(Store, &str)> {
        reference.match_indices(':').find_map(|(at, _)| {
            let (folder, name) = (&reference[..at], &reference[at + 1..]);
            Some((Store::at(Path::new(folder)).filter(|_| !folder.is_empty() && !name.is_empty())?, name))
        })
    }

    /// Where the blobs lie.
    pub(super) fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The manifest of a model by its name: `NAME`, `OWNER/NAME` or `HOST/OWNER/NAME`, perhaps with `:TAG`.
    ///
    /// # Errors
    /// The store has no such model: the message lists those that it has.
    pub(super) fn manifest_of(&self, name: &str) -> Result<PathBuf, Error> {
        let found = self.path_of(name).filter(|path| path.is_file());
        found.ok_or_else(|| {
            let says = format!("the store has no model '{}'", shown(name));
            self.choose(Fault::new("OL-MISSING", says))
        })
    }

    fn path_of(&self, name: &str) -> Option<PathBuf> {
        // a host may hold a port: only what stands behind the last slash can be a tag
        let (before, last) =
            name.rsplit_once('/').map_or((None, name), |(before, last)| (Some(before), last));
        let (last, tag) = last.split_once(':').unwrap_or((last, DEFAULTS[2]));
        let mut parts: Vec<&str> = before.map(|before| before.split('/').collect()).unwrap_or_default();
        parts.extend([last, tag]);
        let missing = N_PARTS.checked_sub(parts.len())?;
        let parts = DEFAULTS[..missing].iter().copied().chain(parts);
        let is_plain =
            |part: &str| !part.is_empty() && !matches!(part, "." | "..") && !part.contains(['\\', '\0', '/']);
        let mut path = self.0.join("manifests");
        for part in parts {
            if !is_plain(part) {
                return None;
            }
            path.push(part);
        }
        Some(path)
    }

    /// That a model has to be chosen, and which there are.
    pub(super) fn ambiguous(&self) -> Error {
        self.choose(Fault::new("OL-CHOOSE", "this is the store of Ollama, not one model"))
    }

    fn choose(&self, fault: Box<Fault>) -> Error {
        let names = self.names();
        let mut found = names.iter().take(MAX_SHOWN).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        if names.len() > MAX_SHOWN {
            found.push_str(&format!(" and {} more", names.len() - MAX_SHOWN));
        }
        let fault = fault.in_file(&self.0);
        Error::Refused(match names.first() {
            None => fault.found_wanted("no models", "one").hint("fetch a model with ollama pull"),
            Some(first) => fault.found_wanted(found, "one of them").hint(format!(
                "choose one by its name: '{}:{}'",
                shown_path(&self.0),
                shown(first)
            )),
        })
    }

    /// Names of the models as one would ask for them, sorted.
    fn names(&self) -> Vec<String> {
        let mut level = vec![(self.0.join("manifests"), Vec::<String>::new())];
        for _ in 0..N_PARTS {
            let mut below = Vec::new();
            for (folder, parts) in level {
                let Ok(entries) = std::fs::read_dir(&folder) else { continue };
                for entry in entries.flatten().take(MAX_NAMES.saturating_sub(below.len())) {
                    // a name that is not UTF-8 cannot be asked for; hidden files are the system's
                    if let Some(name) = entry.file_name().to_str().filter(|name| !name.starts_with('.')) {
                        let parts = parts.iter().cloned().chain([name.to_owned()]).collect();
                        below.push((entry.path(), parts));
                    }
                }
            }
            level = below;
        }
        let files = level.into_iter().filter(|(path, _)| path.is_file());
        let mut names: Vec<String> = files.map(|(_, parts)| short_name(&parts)).collect();
        names.sort_unstable();
        names
    }
}

/// Host, owner, name and tag as one would write them.
fn short_name(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        [host, owner, name, tag] if host == DEFAULTS[0] && owner == DEFAULTS[1] => format!("{name}:{tag}"),
        [host, owner, name, tag] if host == DEFAULTS[0] => format!("{owner}/{name}:{tag}"),
        [host, owner, name, tag] => format!("{host}/{owner}/{name}:{tag}"),
        _ => parts.join("/"),
    }
}

/// Name of the blob that holds a model's weights, and how long it has to be.
///
/// # Errors
/// The manifest is none, or names no weights, several, an adapter over them, or something that is no digest.
pub(super) fn weights_of(manifest: &Path) -> Result<(String, u64), Error> {
    let refuse = |fault: Box<Fault>| Error::Refused(fault.in_file(manifest));
    let file = LocalFile::open(manifest)?;
    let size = file.size_bytes();
    if size > MAX_MANIFEST_BYTES {
        return Err(refuse(
            Fault::new("OL-MANIFEST", "the manifest is longer than allowed")
                .found_wanted(in_bytes(size), format!("at most {}", grouped(MAX_MANIFEST_BYTES))),
        ));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    let Manifest { layers } = serde_json::from_slice(&bytes).map_err(|cause| {
        refuse(
            Fault::new(
                "OL-MANIFEST",
                format!("this is no manifest of a model: {}", shown(&cause.to_string())),
            )
            .hint("fetch the model again with ollama pull"),
        )
    })?;
    let of_type = |wanted: &str| layers.iter().filter(|layer| layer.media_type == wanted).collect::<Vec<_>>();
    let models = of_type(MODEL);
    let [model] = models[..] else {
        return Err(refuse(
            Fault::new("OL-LAYERS", "the manifest does not name one file of weights")
                .found_wanted(format!("{} layers of type {MODEL}", models.len()), "one")
                .hint("a model of a cloud service has no weights here; else name the blob itself"),
        ));
    };
    if !of_type(ADAPTER).is_empty() {
        return Err(refuse(
            Fault::new(
                "OL-ADAPTER",
                "an adapter is laid over the weights, which is not undone for this format",
            )
            .found_wanted(format!("a layer of type {ADAPTER}"), "weights alone")
            .hint(format!("to compare the weights without it, name '{}' itself", shown(&model.digest))),
        ));
    }
    let is_hex =
        |text: &&str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let Some(hex) = model.digest.strip_prefix("sha256:").filter(is_hex) else {
        return Err(refuse(
            Fault::new("OL-DIGEST", "the weights are named by something that is no digest")
                .found_wanted(format!("'{}'", shown(&model.digest)), "sha256: and 64 hexadecimal digits"),
        ));
    };
    Ok((format!("sha256-{hex}"), model.size))
}

/// That the blob is as long as the manifest says.
///
/// # Errors
/// It is not.
pub(super) fn check_size(path: &Path, blob: &dyn Source, wanted_bytes: u64) -> Result<(), Error> {
    let size = blob.size_bytes();
    if size == wanted_bytes {
        return Ok(());
    }
    let fault = Fault::new("OL-SIZE", "the file of weights has another length than its manifest says");
    Err(Error::Refused(
        fault
            .in_file(path)
            .found_wanted(in_bytes(size), grouped(wanted_bytes))
            .hint("the download looks unfinished; fetch the model again with ollama pull"),
    ))
}
