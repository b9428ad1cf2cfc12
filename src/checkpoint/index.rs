//! A model in shards: `model.safetensors.index.json` says which file holds which tensor.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::folder::{Contents, listed};
use super::weights::{self, Admitted};
use super::{Checkpoint, Error, Limits, Note, TensorEntry, json, sidecar};
use crate::source::{Fault, Source, grouped, in_bytes, shown};
use crate::wording::agreeing;

/// Longest index that is read; a million tensors take about 100 MB.
const MAX_INDEX_BYTES: u64 = 128 << 20;

/// What an index says.
#[derive(Debug, Default)]
struct Index {
    /// Shard names in order of first mention.
    shards: Vec<String>,
    /// Tensor and its shard, in the order of the text.
    tensors: Vec<(String, u32)>,
    /// `metadata.total_size` as written.
    total_size: Option<String>,
}

/// Opens every shard that an index names.
pub(super) fn open(
    path: &Path,
    file: Arc<dyn Source>,
    contents: &Contents,
    limits: &Limits,
) -> Result<Checkpoint, Error> {
    let text = sidecar::read_text(path, &*file, MAX_INDEX_BYTES, "IX-JSON")?;
    let index = parse(&text, file.name(), limits).map_err(|fault| fault.in_file(path))?;
    drop(text);
    let shards = shards(&index, contents)?;
    let paths: Vec<PathBuf> = index.shards.iter().map(|name| contents.place.path_of(name)).collect();
    // headers of a model that lies far away come side by side
    let admitted: Vec<Result<Admitted, Error>> =
        shards.par_iter().map(|shard| weights::admit(shard, limits)).collect();
    let mut read = Read { files: Vec::new(), tensors: Vec::new(), notes: Vec::new() };
    let mut format = "safetensors";
    for (file_idx, (shard, admitted)) in shards.into_iter().zip(admitted).enumerate() {
        let path = &paths[file_idx];
        let Admitted { format: of_shard, mut entries, notes, .. } =
            admitted.map_err(|error| error.in_file(path))?;
        format = of_shard;
        entries.iter_mut().for_each(|entry| entry.file_idx = file_idx);
        read.tensors
            .try_reserve(entries.len())
            .map_err(|_| Fault::new("MEMORY", "not enough memory for the list of tensors").in_file(path))?;
        read.tensors.append(&mut entries);
        for note in notes {
            read.notes.push(Note { says: format!("{}: {}", shown(shard.name()), note.says), ..note });
        }
        read.files.push(shard);
    }
    file.verify_unchanged()?;
    read.reconcile(&index, path, &paths)?;
    read.note_total_size(&index);
    read.note_unlisted(&index, contents);
    Ok(Checkpoint {
        reference: String::new(),
        format,
        commit: None,
        files: read.files,
        tensors: read.tensors,
        config: None,
        vocabulary: None,
        notes: read.notes,
        adapter: None,
    })
}

/// Every shard, opened; a missing one, or one file under two names, is refused.
fn shards(index: &Index, contents: &Contents) -> Result<Vec<Arc<dyn Source>>, Error> {
    let place = &contents.place;
    let mut shards: Vec<Arc<dyn Source>> = Vec::with_capacity(index.shards.len());
    let mut seen: HashMap<String, &str> = HashMap::new();
    for name in &index.shards {
        if !place.has(name)? {
            return Err(missing_shard(&place.path_of(name), contents).into());
        }
        let shard = place.open(name)?;
        if let Some(other) = shard.identity().and_then(|identity| seen.insert(identity, name)) {
            return Err(Fault::new("IX-TWICE", format!("this shard is the same file as '{}'", shown(other)))
                .in_file(&place.path_of(name))
                .found_wanted("one file under two names", "one name a shard")
                .into());
        }
        shards.push(shard);
    }
    Ok(shards)
}

fn missing_shard(path: &Path, contents: &Contents) -> Box<Fault> {
    let missing = "a shard that the index names is not there";
    if contents.incomplete.is_empty() {
        return Fault::new("IX-MISSING", missing).in_file(path).hint("fetch this shard");
    }
    Fault::new("IX-MISSING", format!("download unfinished: {missing}"))
        .in_file(path)
        .found_wanted(listed(&contents.incomplete), "the whole shard")
        .hint("let the download finish, or fetch this shard again")
}

/// What the shards hold.
struct Read {
    files: Vec<Arc<dyn Source>>,
    tensors: Vec<TensorEntry>,
    notes: Vec<Note>,
}

impl Read {
    /// Every tensor of the index must be in its shard, and no tensor in two shards.
    fn reconcile(&mut self, index: &Index, index_path: &Path, paths: &[PathBuf]) -> Result<(), Error> {
        let mut stored: HashMap<&str, usize> = HashMap::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            if let Some(other) = stored.insert(&tensor.name, tensor.file_idx) {
                return Err(Fault::new(
                    "IX-DUPLICATE",
                    format!("tensor '{}' is in two shards", shown(&tensor.name)),
                )
                .in_file(&paths[tensor.file_idx])
                .of_tensor(&tensor.name)
                .at_byte(tensor.offset)
                .found_wanted(format!("also in '{}'", shown(&index.shards[other])), "one shard a tensor")
                .hint("loaders disagree on which of the two counts; the model is refused")
                .into());
            }
        }
        for (name, shard) in &index.tensors {
            let file_idx = *shard as usize;
            let found = stored.remove(name.as_str());
            if found != Some(file_idx) {
                let found = found
                    .map_or("nowhere".to_string(), |other| format!("in '{}'", shown(&index.shards[other])));
                return Err(Fault::new(
                    "IX-ABSENT",
                    format!("tensor '{}' is not in the shard that the index names", shown(name)),
                )
                .in_file(index_path)
                .of_tensor(name)
                .found_wanted(found, format!("in '{}'", shown(&index.shards[file_idx])))
                .hint("index and shards are not of one download; fetch both again")
                .into());
            }
        }
        if !stored.is_empty() {
            let mut names: Vec<String> = stored.into_keys().map(str::to_string).collect();
            names.sort_unstable();
            let says = format!(
                "{} {} unindexed, and compared all the same: {}",
                grouped(names.len() as u64),
                agreeing(names.len(), "tensor is", "tensors are"),
                listed(&names)
            );
            self.notes.push(Note { rule: "IX-UNINDEXED", says });
        }
        Ok(())
    }

    fn note_total_size(&mut self, index: &Index) {
        let size_bytes = self.tensors.iter().fold(0_u64, |sum, tensor| sum.saturating_add(tensor.size_bytes));
        let says = match &index.total_size {
            None => "the index has no total_size".to_string(),
            // some writers give a float
            Some(text) if text.parse() == Ok(size_bytes) || text.parse() == Ok(size_bytes as f64) => return,
            Some(text) => format!(
                "total_size of the index is {}, the tensors have {}",
                shown(text),
                in_bytes(size_bytes)
            ),
        };
        self.notes.push(Note { rule: "IX-TOTAL-SIZE", says });
    }

    fn note_unlisted(&mut self, index: &Index, contents: &Contents) {
        let named: HashSet<&str> = index.shards.iter().map(String::as_str).collect();
        let unlisted: Vec<String> = contents
            .safetensors
            .iter()
            .chain(&contents.pickles)
            .filter(|name| !named.contains(name.as_str()))
            .cloned()
            .collect();
        if !unlisted.is_empty() {
            let says =
                format!("files of weights that the index does not name were not read: {}", listed(&unlisted));
            self.notes.push(Note { rule: "DIR-OTHER", says });
        }
    }
}

fn parse(text: &str, own_name: &str, limits: &Limits) -> Result<Index, Box<Fault>> {
    let mut state = State {
        index: Index::default(),
        shard_ids: HashMap::new(),
        fault: None,
        has_map: false,
        own_name,
        limits,
    };
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = parser.deserialize_map(IndexVisitor { state: &mut state }).and_then(|()| parser.end());
    if let Err(cause) = parsed {
        return Err(state.fault.take().unwrap_or_else(|| {
            Fault::new(
                "IX-JSON",
                format!("the index does not have the form of an index: {}", json::says(&cause)),
            )
            .at_byte(json::position(text, &cause) as u64)
        }));
    }
    if state.index.tensors.is_empty() {
        return Err(
            Fault::new("IX-JSON", "the index names no tensor").found_wanted("no weight_map", "weight_map")
        );
    }
    check_names(&state.index)?;
    Ok(state.index)
}

struct State<'a> {
    index: Index,
    shard_ids: HashMap<String, u32>,
    fault: Option<Box<Fault>>,
    has_map: bool,
    own_name: &'a str,
    limits: &'a Limits,
}

impl State<'_> {
    fn refuse<E: de::Error>(&mut self, fault: Box<Fault>) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }
}

struct IndexVisitor<'state, 'a> {
    state: &'state mut State<'a>,
}

impl<'de> Visitor<'de> for IndexVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with weight_map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.state;
        let mut has_metadata = false;
        while let Some(key) = map.next_key::<String>()? {
            let is_twice = match key.as_str() {
                "weight_map" => {
                    map.next_value_seed(WeightMap { state })?;
                    std::mem::replace(&mut state.has_map, true)
                }
                "metadata" => {
                    state.index.total_size = total_size(map.next_value::<&'de RawValue>()?.get());
                    std::mem::replace(&mut has_metadata, true)
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if is_twice {
                return Err(state
                    .refuse(Fault::new("IX-JSON", format!("'{}' occurs twice in the index", shown(&key)))));
            }
        }
        Ok(())
    }
}

/// `total_size` as written, where the metadata are an object that has one.
fn total_size(metadata: &str) -> Option<String> {
    let fields: HashMap<String, &RawValue> = serde_json::from_str(metadata).ok()?;
    fields.get("total_size").map(|raw| raw.get().to_string())
}

struct WeightMap<'state, 'a> {
    state: &'state mut State<'a>,
}

impl<'de> DeserializeSeed<'de> for WeightMap<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WeightMap<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensor names and shard names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.state;
        while let Some((tensor, shard)) = map.next_entry::<String, String>()? {
            if state.index.tensors.len() >= state.limits.max_tensors {
                let fault = Fault::new(
                    "IX-COUNT",
                    format!("the index names more than {} tensors", grouped(state.limits.max_tensors as u64)),
                )
                .hint("raise --max-tensors if this is intended");
                return Err(state.refuse(fault));
            }
            let shard_id = match state.shard_ids.get(&shard) {
                Some(&id) => id,
                None => {
                    if let Some(why) = not_a_plain_name(&shard, state.own_name) {
                        let fault = Fault::new(
                            "IX-NAME",
                            format!("a shard must be a plain file name, and '{}' {why}", shown(&shard)),
                        )
                        .of_tensor(&tensor)
                        .found_wanted(format!("'{}'", shown(&shard)), "a file name beside the index")
                        .hint("such an index can point at another model's weights; fetch the original");
                        return Err(state.refuse(fault));
                    }
                    let id = u32::try_from(state.index.shards.len()).unwrap_or(u32::MAX);
                    state.index.shards.push(shard.clone());
                    state.shard_ids.insert(shard, id);
                    id
                }
            };
            if state.index.tensors.try_reserve(1).is_err() {
                return Err(state.refuse(Fault::new("MEMORY", "not enough memory for the index")));
            }
            state.index.tensors.push((tensor, shard_id));
        }
        Ok(())
    }
}

/// Why a name is not that of a file beside the index.
pub(super) fn not_a_plain_name(name: &str, own_name: &str) -> Option<&'static str> {
    let drive = name.as_bytes().get(1) == Some(&b':');
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("is a folder"),
        _ if name.contains('\0') => Some("holds a NUL"),
        _ if name.contains(['/', '\\']) => Some("holds a separator"),
        _ if drive => Some("names a drive"),
        _ if name == own_name => Some("is the file itself"),
        _ => None,
    }
}

/// No tensor twice, no two shards that one file system would take for one.
fn check_names(index: &Index) -> Result<(), Box<Fault>> {
    let mut seen = HashSet::with_capacity(index.tensors.len());
    if let Some((tensor, _)) = index.tensors.iter().find(|(tensor, _)| !seen.insert(tensor.as_str())) {
        return Err(Fault::new(
            "IX-DUPLICATE",
            format!("tensor '{}' occurs twice in the index", shown(tensor)),
        )
        .of_tensor(tensor));
    }
    let mut folded: HashMap<String, &str> = HashMap::new();
    for shard in &index.shards {
        if let Some(other) = folded.insert(shard.to_lowercase(), shard) {
            return Err(Fault::new(
                "IX-CASE",
                format!("shards '{}' and '{}' differ only in case", shown(other), shown(shard)),
            )
            .hint("on some file systems they are one file; the model is refused"));
        }
    }
    Ok(())
}
