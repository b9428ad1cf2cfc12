//! What lies in a model's folder, and which of it are the weights.

use std::path::Path;
use std::sync::Arc;

use super::{Error, Note};
use crate::source::{Fault, NO_WEIGHTS, Place, shown};

/// Most file names of one kind that are kept; a folder of more is no model's folder.
const MAX_NAMES: usize = 100_000;
/// Most names in a message.
const MAX_SHOWN: usize = 8;

const INDEX_SUFFIX: &str = ".safetensors.index.json";
/// The names that loaders look for first.
const MAIN_INDEX: &str = "model.safetensors.index.json";
const MAIN_FILE: &str = "model.safetensors";

/// Weights in formats that are not read.
const OTHER_FORMATS: [&str; 8] = [".bin", ".pt", ".pth", ".ckpt", ".h5", ".onnx", ".msgpack", ".npz"];
/// Files that end like weights and are none.
const NOT_WEIGHTS: [&str; 4] = ["training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt"];

/// The names in a folder that matter, sorted.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub place: Arc<dyn Place>,
    pub indexes: Vec<String>,
    pub safetensors: Vec<String>,
    pub ggufs: Vec<String>,
    pub other_formats: Vec<String>,
    pub incomplete: Vec<String>,
    pub has_config: bool,
    pub is_empty: bool,
}

/// The one set of weights of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    Single(String),
    Index(String),
    Gguf(String),
}

/// Lists a folder; nothing in it is opened.
pub(super) fn list(place: &Arc<dyn Place>) -> Result<Contents, Error> {
    let mut contents = Contents::unlisted(place);
    for name in place.names()? {
        contents.is_empty = false;
        let list = if name.ends_with(INDEX_SUFFIX) {
            &mut contents.indexes
        } else if name.ends_with(".safetensors") {
            &mut contents.safetensors
        } else if name.ends_with(".gguf") {
            &mut contents.ggufs
        } else if name.ends_with(".incomplete") {
            &mut contents.incomplete
        } else if OTHER_FORMATS.iter().any(|end| name.ends_with(end)) && !NOT_WEIGHTS.contains(&name.as_str())
        {
            &mut contents.other_formats
        } else {
            contents.has_config |= name == "config.json";
            continue;
        };
        if list.len() < MAX_NAMES {
            list.push(name);
        }
    }
    contents.incomplete.extend(place.unfinished().into_iter().take(MAX_SHOWN));
    for list in [
        &mut contents.indexes,
        &mut contents.safetensors,
        &mut contents.ggufs,
        &mut contents.other_formats,
        &mut contents.incomplete,
    ] {
        list.sort_unstable();
    }
    Ok(contents)
}

/// Whether a path is named like an index of shards.
pub(super) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX_SUFFIX))
}

/// Number of shards in a name like `model-00001-of-00003.safetensors`.
pub(super) fn shard_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".safetensors")?;
    let (before, n_shards) = name.rsplit_once("-of-")?;
    let (_, shard) = before.rsplit_once('-')?;
    shard.parse::<u32>().ok()?;
    n_shards.parse().ok()
}

impl Contents {
    /// A folder of which no name is known.
    pub(super) fn unlisted(place: &Arc<dyn Place>) -> Contents {
        Contents {
            place: Arc::clone(place),
            indexes: Vec::new(),
            safetensors: Vec::new(),
            ggufs: Vec::new(),
            other_formats: Vec::new(),
            incomplete: Vec::new(),
            has_config: false,
            is_empty: true,
        }
    }

    /// Which files are the weights, or why that cannot be told.
    pub(super) fn weights(&self) -> Result<Weights, Error> {
        let has = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        let index = match self.indexes.as_slice() {
            [] => None,
            _ if has(&self.indexes, MAIN_INDEX) => Some(MAIN_INDEX),
            [one] => Some(one.as_str()),
            _ => return Err(self.ambiguous("several indexes of shards", &self.indexes).into()),
        };
        if let Some(index) = index {
            let whole = index.replace(INDEX_SUFFIX, ".safetensors");
            if has(&self.safetensors, &whole) {
                let says = format!("both '{}' and '{}' are here", shown(&whole), shown(index));
                return Err(Fault::new("IX-BOTH", says)
                    .in_file(&self.place.path())
                    .found_wanted("two sets of weights", "one")
                    .hint(format!(
                        "loaders disagree on which counts: name '{}' or '{}' itself",
                        shown(&whole),
                        shown(index)
                    ))
                    .into());
            }
            return Ok(Weights::Index(index.to_string()));
        }
        if has(&self.safetensors, MAIN_FILE) {
            return Ok(Weights::Single(MAIN_FILE.to_string()));
        }
        match self.safetensors.as_slice() {
            [] => self.gguf(),
            [one] => Ok(Weights::Single(one.clone())),
            several => {
                let mut fault = self.ambiguous("several safetensors files and no index", several);
                if several.iter().all(|name| shard_of(Path::new(name)).is_some()) {
                    fault = fault.hint(format!("these are shards: fetch their index, {MAIN_INDEX}, too"));
                }
                Err(fault.into())
            }
        }
    }

    /// The one GGUF model of a folder that holds nothing else; projectors of vision models do not count beside a model.
    fn gguf(&self) -> Result<Weights, Error> {
        let models = super::gguf::group(&self.ggufs);
        let is_model = |name: &&String| !name.starts_with("mmproj");
        let without_projectors: Vec<&String> = models.iter().filter(is_model).collect();
        match (models.as_slice(), without_projectors.as_slice()) {
            ([], _) => Err(self.no_weights()),
            (_, [one]) => Ok(Weights::Gguf((*one).clone())),
            ([one], _) => Ok(Weights::Gguf(one.clone())),
            _ => {
                let says = format!("the folder holds several GGUF models: {}", listed(&models));
                let folder = crate::source::shown_path(&self.place.path());
                Err(Fault::new("DIR-AMBIGUOUS", says)
                    .in_file(&self.place.path())
                    .found_wanted(format!("{} models", models.len()), "one")
                    .hint(format!("choose one by its name: '{folder}:{}'", shown(&models[0])))
                    .into())
            }
        }
    }

    fn ambiguous(&self, found: &str, names: &[String]) -> Box<Fault> {
        Fault::new("DIR-AMBIGUOUS", format!("the folder holds {found}: {}", listed(names)))
            .in_file(&self.place.path())
            .found_wanted(format!("{} files", names.len()), "model.safetensors, or an index of its shards")
            .hint("name the file or index itself")
    }

    fn no_weights(&self) -> Error {
        if !self.incomplete.is_empty() {
            let says = format!("the download is unfinished: {}", listed(&self.incomplete));
            return Fault::new("DIR-UNFINISHED", says)
                .in_file(&self.place.path())
                .hint("fetch the model again")
                .into();
        }
        if !self.other_formats.is_empty() {
            let says =
                format!("the weights are in a format that is not read: {}", listed(&self.other_formats));
            return Fault::new("DIR-FORMAT", says)
                .in_file(&self.place.path())
                .found_wanted("other formats", "safetensors or GGUF")
                .hint("convert them to safetensors with the tool that wrote them; pickles are never executed here")
                .into();
        }
        let says = match (self.is_empty, self.has_config) {
            (true, _) => "the folder is empty: no weights, so there is nothing to compare",
            (false, true) => "the folder holds a config and no weights, so there is nothing to compare",
            (false, false) => "the folder holds no weights, so there is nothing to compare",
        };
        let fault = Fault::new("DIR-NO-WEIGHTS", says)
            .in_file(&self.place.path())
            .found_wanted("no weights", "model.safetensors, or an index and its shards")
            .hint(NO_WEIGHTS);
        Error::NoWeights(fault)
    }

    /// What the report must mention about files that were not used.
    pub(super) fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if !self.incomplete.is_empty() {
            let says = format!("left over from an unfinished download: {}", listed(&self.incomplete));
            notes.push(Note { rule: "IX-INCOMPLETE", says });
        }
        let unused: Vec<String> = match self.weights() {
            Ok(Weights::Single(used)) => {
                self.safetensors.iter().filter(|name| **name != used).cloned().collect()
            }
            // the shards are compared with the index where it is read
            _ => Vec::new(),
        };
        let used_gguf = match self.weights() {
            Ok(Weights::Gguf(used)) => Some(used),
            _ => None,
        };
        let ggufs =
            super::gguf::group(&self.ggufs).into_iter().filter(|name| Some(name) != used_gguf.as_ref());
        let unused: Vec<String> =
            unused.into_iter().chain(ggufs).chain(self.other_formats.iter().cloned()).collect();
        if !unused.is_empty() {
            let says = format!("other weights in the folder were not read: {}", listed(&unused));
            notes.push(Note { rule: "DIR-OTHER", says });
        }
        notes
    }
}

/// Some names, escaped, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(MAX_SHOWN).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_SHOWN {
        text.push_str(&format!(" and {} more", names.len() - MAX_SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shard_of;
    use std::path::Path;

    #[test]
    fn shard_names_are_told_from_others() {
        for (name, n_shards) in [
            ("model-00001-of-00003.safetensors", Some(3)),
            ("model.safetensors", None),
            ("best-of-3.safetensors", None),
            ("a-1-of-x.safetensors", None),
        ] {
            assert_eq!(shard_of(Path::new(name)), n_shards, "{name}");
        }
    }
}
