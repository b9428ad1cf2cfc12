//! What lies in a model's folder, and which of it are the weights.

use std::path::Path;
use std::sync::Arc;

use super::{Error, Note};
use crate::source::{Fault, NO_WEIGHTS, Place, shown};

/// Most file names of one kind that are kept; a folder of more is no model's folder.
const MAX_NAMES: usize = 100_000;
/// Most names in a message.
const MAX_SHOWN: usize = 8;

/// The names that loaders look for first.
const MAIN_INDEX: &str = "model.safetensors.index.json";
const MAIN_FILES: [&str; 2] = ["model.safetensors", ADAPTER_FILE];
const MAIN_PICKLE_INDEX: &str = "pytorch_model.bin.index.json";
const MAIN_PICKLES: [&str; 1] = ["pytorch_model.bin"];
/// Factors of an adapter, as PEFT names them.
pub(super) const ADAPTER_FILE: &str = "adapter_model.safetensors";
/// How an index of shards ends.
const INDEX_SUFFIXES: [&str; 2] = [".safetensors.index.json", ".bin.index.json"];

/// How files of `torch.save` end.
const PICKLES: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];
/// Weights in formats that are not read.
const OTHER_FORMATS: [&str; 3] = [".h5", ".msgpack", ".npz"];
/// Files that end like weights and are none.
const NOT_WEIGHTS: [&str; 5] =
    ["training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt"];

fn is_beside_weights(name: &str) -> bool {
    NOT_WEIGHTS.contains(&name) || name.starts_with("rng_state")
}

/// The files of one format, and what loaders look for first among them.
struct Set<'a> {
    what: &'static str,
    indexes: &'a [String],
    files: &'a [String],
    main_index: &'static str,
    main_files: &'static [&'static str],
    end: &'static str,
}

/// The names in a folder that matter, sorted.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub place: Arc<dyn Place>,
    pub indexes: Vec<String>,
    pub safetensors: Vec<String>,
    pub ggufs: Vec<String>,
    pub pickle_indexes: Vec<String>,
    pub pickles: Vec<String>,
    pub onnx: Vec<String>,
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
    Onnx(String),
}

/// Lists a folder; nothing in it is opened.
pub(super) fn list(place: &Arc<dyn Place>) -> Result<Contents, Error> {
    let mut contents = Contents::unlisted(place);
    for name in place.names()? {
        contents.is_empty = false;
        let list = if name.ends_with(INDEX_SUFFIXES[0]) {
            &mut contents.indexes
        } else if name.ends_with(INDEX_SUFFIXES[1]) {
            &mut contents.pickle_indexes
        } else if name.ends_with(".safetensors") {
            &mut contents.safetensors
        } else if name.ends_with(".gguf") {
            &mut contents.ggufs
        } else if name.ends_with(".incomplete") {
            &mut contents.incomplete
        } else if PICKLES.iter().any(|end| name.ends_with(end)) && !is_beside_weights(&name) {
            &mut contents.pickles
        } else if name.ends_with(".onnx") {
            &mut contents.onnx
        } else if OTHER_FORMATS.iter().any(|end| name.ends_with(end)) {
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
        &mut contents.pickle_indexes,
        &mut contents.pickles,
        &mut contents.onnx,
        &mut contents.other_formats,
        &mut contents.incomplete,
    ] {
        list.sort_unstable();
    }
    Ok(contents)
}

/// Whether a path is named like an index of shards.
pub(super) fn is_index(path: &Path) -> bool {
    path.file_name()
        .map(|name| name.to_string_lossy())
        .is_some_and(|name| INDEX_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)))
}

/// Number of shards in a name like `model-00001-of-00003.safetensors`.
pub(super) fn shard_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".safetensors").or_else(|| name.strip_suffix(".bin"))?;
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
            pickle_indexes: Vec::new(),
            pickles: Vec::new(),
            onnx: Vec::new(),
            other_formats: Vec::new(),
            incomplete: Vec::new(),
            has_config: false,
            is_empty: true,
        }
    }

    /// Which files are the weights, or why that cannot be told. Loaders prefer safetensors where there are any.
    pub(super) fn weights(&self) -> Result<Weights, Error> {
        let safetensors = Set {
            what: "safetensors",
            indexes: &self.indexes,
            files: &self.safetensors,
            main_index: MAIN_INDEX,
            main_files: &MAIN_FILES,
            end: ".safetensors",
        };
        let pickles = Set {
            what: "PyTorch",
            indexes: &self.pickle_indexes,
            files: &self.pickles,
            main_index: MAIN_PICKLE_INDEX,
            main_files: &MAIN_PICKLES,
            end: ".bin",
        };
        for set in [safetensors, pickles] {
            if let Some(weights) = self.of_set(&set)? {
                return Ok(weights);
            }
        }
        if self.ggufs.is_empty() {
            return self.onnx();
        }
        self.gguf()
    }

    /// The one graph of a folder that holds no weights of another format.
    fn onnx(&self) -> Result<Weights, Error> {
        match self.onnx.as_slice() {
            [] => Err(self.no_weights()),
            [one] => Ok(Weights::Onnx(one.clone())),
            several => Err(self.ambiguous("several ONNX graphs", several).into()),
        }
    }

    /// The files that are each a model of their own, sorted; none where the folder itself is one model: it has a config, or a name that
    /// loaders look for first.
    pub(super) fn loose(&self) -> Vec<String> {
        let files = || self.safetensors.iter().chain(&self.pickles);
        let indexes = || self.indexes.iter().chain(&self.pickle_indexes);
        let is_main = |name: &String| {
            [MAIN_INDEX, MAIN_PICKLE_INDEX].contains(&name.as_str())
                || MAIN_FILES.contains(&name.as_str())
                || MAIN_PICKLES.contains(&name.as_str())
        };
        if self.has_config || files().chain(indexes()).any(is_main) {
            return Vec::new();
        }
        // shards are read through their index, parts of a GGUF model through the first of them
        let whole = files().filter(|name| shard_of(Path::new(name)).is_none());
        let mut names: Vec<String> = whole.chain(indexes()).chain(&self.onnx).cloned().collect();
        names.extend(super::gguf::group(&self.ggufs));
        names.sort_unstable();
        names
    }

    /// The weights of one format; None where the folder has none.
    fn of_set(&self, set: &Set<'_>) -> Result<Option<Weights>, Error> {
        let has = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        let index = match set.indexes {
            [] => None,
            _ if has(set.indexes, set.main_index) => Some(set.main_index),
            [one] => Some(one.as_str()),
            _ => return Err(self.ambiguous("several indexes of shards", set.indexes).into()),
        };
        if let Some(index) = index {
            let whole = index.replace(&format!("{}.index.json", set.end), set.end);
            if has(set.files, &whole) {
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
            return Ok(Some(Weights::Index(index.to_string())));
        }
        if let Some(main) = set.main_files.iter().find(|main| has(set.files, main)) {
            return Ok(Some(Weights::Single((*main).to_string())));
        }
        match set.files {
            [] => Ok(None),
            [one] => Ok(Some(Weights::Single(one.clone()))),
            several => {
                let found = format!("several {} files and no index", set.what);
                let mut fault = self.ambiguous(&found, several);
                if several.iter().all(|name| shard_of(Path::new(name)).is_some()) {
                    fault =
                        fault.hint(format!("these are shards: fetch their index, {}, too", set.main_index));
                } else if several.iter().all(|name| name.starts_with("consolidated.")) {
                    fault = fault.hint(
                        "each of these holds a slice of every matrix, which is not put together here; fetch the model in one piece",
                    );
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
            .found_wanted(format!("{} files", names.len()), "one file of weights, or an index of its shards")
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
                .found_wanted("other formats", "safetensors, GGUF, ONNX, or files of torch.save")
                .hint("convert them to safetensors with the tool that wrote them")
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
                let all = self.safetensors.iter().chain(&self.pickle_indexes).chain(&self.pickles);
                all.filter(|name| **name != used).cloned().collect()
            }
            // the files are compared with the index where it is read
            _ => Vec::new(),
        };
        let used_gguf = match self.weights() {
            Ok(Weights::Gguf(used)) => Some(used),
            _ => None,
        };
        let ggufs =
            super::gguf::group(&self.ggufs).into_iter().filter(|name| Some(name) != used_gguf.as_ref());
        let is_onnx = matches!(self.weights(), Ok(Weights::Onnx(_)));
        let onnx = self.onnx.iter().filter(|_| !is_onnx).cloned();
        let unused: Vec<String> =
            unused.into_iter().chain(ggufs).chain(onnx).chain(self.other_formats.iter().cloned()).collect();
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
