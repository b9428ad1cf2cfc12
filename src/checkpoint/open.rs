//! From a reference to a checkpoint: file, folder, index or cached model id.

use std::path::Path;
use std::sync::Arc;

use super::folder::{self, Contents};
use super::weights::{self, Admitted};
use super::{
    Checkpoint, Config, Counterparts, Error, Limits, Note, ONE_SHARD, Quantisation, adapter, gguf, index,
    onnx, quantised, sidecar,
};
use crate::source::{Access, Found, Network, Place, Source, resolve};
use crate::wording::counted;

/// Opens a file, folder, index or model id and validates everything but the values.
///
/// # Errors
/// The first rule that is broken, with file, tensor, byte, found, wanted and a hint.
pub fn open(reference: &str, limits: &Limits) -> Result<Checkpoint, Error> {
    open_with(reference, limits, &Access::from_environment(limits.links, limits.network))
}

/// As [`open`]; an adapter is laid over `base`, or else over the model that it names, if that is in the local Hub cache.
/// Without any, the changes that it makes are its tensors ([`Adapter::is_delta`](super::Adapter::is_delta)). `counterparts` finds modules
/// that the base stores under other names.
///
/// # Errors
/// As [`open`], of the adapter or of its base.
pub fn open_over(
    reference: &str,
    base: Option<&str>,
    limits: &Limits,
    counterparts: Counterparts,
) -> Result<Checkpoint, Error> {
    let access = Access::from_environment(limits.links, limits.network);
    let checkpoint = open_with(reference, limits, &access)?;
    let Some(adapter) = checkpoint.adapter.clone() else { return Ok(checkpoint) };
    // what an adapter names is another's text: looked up in the cache, never as a path and never in the network
    let cached = Access { network: Network::Forbidden, ..access.clone() };
    let named = adapter.base.as_ref().map(|name| format!("hf://{name}"));
    let base = match (base, named) {
        (Some(base), _) => Some(open_with(base, limits, &access)?),
        (None, Some(named)) if resolve(&named, &cached).is_ok() => Some(open_with(&named, limits, &cached)?),
        _ => None,
    };
    adapter::lay_over(checkpoint, adapter, base, counterparts)
}

/// Names of the files in a folder that are each a model of their own; none where the folder itself is one model.
///
/// # Errors
/// The folder cannot be listed.
pub fn loose_models(folder: &str, limits: &Limits) -> Result<Vec<String>, Error> {
    let found = resolve(folder, &Access::from_environment(limits.links, limits.network))?;
    Ok(folder::list(&found.place)?.loose())
}

/// As [`open`], with cache, links and network named by the caller.
///
/// # Errors
/// As [`open`].
pub fn open_with(reference: &str, limits: &Limits, access: &Access) -> Result<Checkpoint, Error> {
    let Found { place, file } = resolve(reference, access)?;
    let (mut checkpoint, contents) = match file {
        Some((path, file)) => open_file(&path, file, &place, limits)?,
        None => open_place(&place, limits)?,
    };
    checkpoint.commit = place.commit();
    finish(checkpoint, reference, &contents)
}

/// The weights of a folder.
fn open_place(place: &Arc<dyn Place>, limits: &Limits) -> Result<(Checkpoint, Contents), Error> {
    let contents = folder::list(place)?;
    let mut checkpoint = match contents.weights()? {
        folder::Weights::Single(name) => single(&place.path_of(&name), place.open(&name)?, limits)?,
        folder::Weights::Index(name) => {
            index::open(&place.path_of(&name), place.open(&name)?, &contents, limits)?
        }
        folder::Weights::Gguf(name) => {
            gguf::open(&place.path_of(&name), place.open(&name)?, place.as_ref(), limits)?
        }
        folder::Weights::Onnx(name) => {
            onnx::open(&place.path_of(&name), place.open(&name)?, place.as_ref(), limits)?
        }
    };
    checkpoint.notes.extend(contents.notes());
    Ok((checkpoint, contents))
}

/// A file that the user named: itself, with the config and tokenizer beside it.
fn open_file(
    path: &Path,
    file: Arc<dyn Source>,
    place: &Arc<dyn Place>,
    limits: &Limits,
) -> Result<(Checkpoint, Contents), Error> {
    // a folder that may be entered but not listed still gives the file
    let contents = folder::list(place).unwrap_or_else(|_| Contents::unlisted(place));
    let mut checkpoint = if folder::is_index(path) {
        let mut checkpoint = index::open(path, file, &contents, limits)?;
        checkpoint.notes.extend(contents.notes());
        checkpoint
    } else if gguf::is_one(file.as_ref()) {
        gguf::open(path, file, place.as_ref(), limits)?
    } else if onnx::is_one(file.as_ref()) {
        onnx::open(path, file, place.as_ref(), limits)?
    } else {
        single(path, file, limits)?
    };
    if let Some(n_shards) = folder::shard_of(path).filter(|&n| n > 1 && checkpoint.files.len() == 1) {
        let says = format!("this file is one of {n_shards} shards; the others were not read");
        checkpoint.notes.push(Note { rule: ONE_SHARD, says });
    }
    Ok((checkpoint, contents))
}

/// A checkpoint of one file, without config or vocabulary yet.
fn single(path: &Path, file: Arc<dyn Source>, limits: &Limits) -> Result<Checkpoint, Error> {
    let Admitted { format, entries, notes, config } =
        weights::admit(&file, limits).map_err(|error| error.in_file(path))?;
    Ok(Checkpoint {
        reference: String::new(),
        format,
        commit: None,
        files: vec![file],
        tensors: entries,
        config,
        vocabulary: None,
        notes,
        adapter: None,
    })
}

/// Adds what lies beside the weights.
fn finish(mut checkpoint: Checkpoint, reference: &str, contents: &Contents) -> Result<Checkpoint, Error> {
    reference.clone_into(&mut checkpoint.reference);
    // a GGUF file brings its own, and names its tensors and architecture unlike a config that lies beside it; so may a file of ours
    let is_whole = checkpoint.format == gguf::FORMAT;
    let brings_config = checkpoint.config.is_some();
    if !brings_config {
        checkpoint.config = sidecar::config(&*contents.place, &mut checkpoint.notes)?;
    }
    if let Some(config) = &mut checkpoint.config {
        let who = if brings_config { "the metadata" } else { "config.json" };
        compare_with_shapes(who, config, &checkpoint.tensors, &mut checkpoint.notes);
    }
    if is_whole {
        return Ok(checkpoint);
    }
    if let Some(config) = &mut checkpoint.config
        && config.quantisation == Quantisation::default()
        && checkpoint.tensors.iter().any(|tensor| tensor.name.ends_with(".qweight"))
    {
        config.quantisation = sidecar::quantisation(&*contents.place)?;
    }
    quantised::decode_groups(&mut checkpoint);
    if checkpoint.files.iter().any(|file| file.name() == folder::ADAPTER_FILE) {
        checkpoint.adapter = sidecar::adapter(&*contents.place)?;
    }
    checkpoint.vocabulary = sidecar::vocabulary(&*contents.place, &mut checkpoint.notes)?;
    Ok(checkpoint)
}

/// Notes where the config contradicts the tensors. The tensors win: an impossible layer count is dropped.
fn compare_with_shapes(
    who: &str,
    config: &mut Config,
    tensors: &[super::TensorEntry],
    notes: &mut Vec<Note>,
) {
    if tensors.is_empty() {
        return;
    }
    if let Some(n_layers) = config.n_layers.filter(|&n| n > tensors.len() as u64) {
        let says = format!(
            "{who} names {}, more than there are tensors; the tensors decide",
            counted(n_layers, "layer", "layers")
        );
        notes.push(Note { rule: "CT-CONTRADICTION", says });
        config.n_layers = None;
    }
    if let Some(hidden) = config.hidden_size
        && !tensors.iter().any(|tensor| tensor.shape.contains(&hidden))
    {
        let says = format!("{who} names a hidden size of {hidden}, which no tensor has; the tensors decide");
        notes.push(Note { rule: "CT-CONTRADICTION", says });
        config.hidden_size = None;
    }
}
