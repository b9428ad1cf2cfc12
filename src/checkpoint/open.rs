//! From a reference to a checkpoint: file, folder, index or cached model id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{self, Contents};
use super::weights::{self, Admitted};
use super::{Checkpoint, Config, Error, Limits, Note, index, sidecar};
use crate::source::{Boundary, HubCache, LocalFile, Location, Source, resolve_with};

/// Opens a file, folder, index or cached model id and validates everything but the values.
///
/// # Errors
/// The first rule that is broken, with file, tensor, byte, found, wanted and a hint.
pub fn open(reference: &str, limits: &Limits) -> Result<Checkpoint, Error> {
    open_with(reference, limits, &HubCache::from_environment())
}

/// As [`open`], with the Hub cache named by the caller.
///
/// # Errors
/// As [`open`].
pub fn open_with(reference: &str, limits: &Limits, cache: &HubCache) -> Result<Checkpoint, Error> {
    let (location, boundary, commit) = match resolve_with(reference, cache)? {
        Location::File(path) => return open_file(reference, &path, limits),
        Location::Folder(folder) => {
            let boundary =
                if limits.follow_outside { Boundary::anywhere() } else { Boundary::of(&[&folder])? };
            (folder, boundary, None)
        }
        Location::Snapshot { folder, repository, commit } => {
            let boundary = if limits.follow_outside {
                Boundary::anywhere()
            } else {
                Boundary::of(&[&folder, &repository])?
            };
            (folder, boundary, Some(commit))
        }
    };
    let contents = folder::list(&location)?;
    let mut checkpoint = match contents.weights()? {
        folder::Weights::Single(path) => {
            boundary.check(&path)?;
            single(&path, limits)?
        }
        folder::Weights::Index(path) => index::open(&path, &boundary, &contents, limits)?,
    };
    checkpoint.notes.extend(contents.notes());
    checkpoint.commit = commit;
    finish(checkpoint, reference, &contents, &boundary)
}

/// A file that the user named: itself, with the config and tokenizer beside it.
fn open_file(reference: &str, path: &Path, limits: &Limits) -> Result<Checkpoint, Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    // a snapshot's files are links into the repository's blobs
    let place = crate::source::resolve_with(&parent.to_string_lossy(), &HubCache::default());
    let (boundary, commit) = match place {
        _ if limits.follow_outside => (Boundary::anywhere(), None),
        Ok(Location::Snapshot { folder, repository, commit }) => {
            (Boundary::of(&[&folder, &repository])?, Some(commit))
        }
        _ => (Boundary::of(&[&parent])?, None),
    };
    // a folder that may be entered but not listed still gives the file
    let contents = folder::list(&parent).unwrap_or_else(|_| Contents::unlisted(&parent));
    let mut checkpoint = if folder::is_index(path) {
        let mut checkpoint = index::open(path, &boundary, &contents, limits)?;
        checkpoint.notes.extend(contents.notes());
        checkpoint
    } else {
        single(path, limits)?
    };
    if let Some(n_shards) = folder::shard_of(path).filter(|&n| n > 1 && checkpoint.files.len() == 1) {
        let says = format!("this file is one of {n_shards} shards; the others were not read");
        checkpoint.notes.push(Note { rule: "IX-ONE-SHARD", says });
    }
    checkpoint.commit = commit;
    finish(checkpoint, reference, &contents, &boundary)
}

/// A checkpoint of one file, without config or vocabulary yet.
fn single(path: &Path, limits: &Limits) -> Result<Checkpoint, Error> {
    let file = Arc::new(LocalFile::open(path)?) as Arc<dyn Source>;
    let Admitted { format, entries, notes } =
        weights::admit(&file, limits).map_err(|error| error.in_file(path))?;
    Ok(Checkpoint {
        reference: String::new(),
        format,
        commit: None,
        files: vec![file],
        tensors: entries,
        config: None,
        vocabulary: None,
        notes,
    })
}

/// Adds what lies beside the weights.
fn finish(
    mut checkpoint: Checkpoint,
    reference: &str,
    contents: &Contents,
    boundary: &Boundary,
) -> Result<Checkpoint, Error> {
    reference.clone_into(&mut checkpoint.reference);
    checkpoint.config = sidecar::config(contents, boundary, &mut checkpoint.notes)?;
    if let Some(config) = &mut checkpoint.config {
        compare_with_shapes(config, &checkpoint.tensors, &mut checkpoint.notes);
    }
    checkpoint.vocabulary = sidecar::vocabulary(contents, boundary, &mut checkpoint.notes)?;
    Ok(checkpoint)
}

/// Notes where the config contradicts the tensors. The tensors win: an impossible layer count is dropped.
fn compare_with_shapes(config: &mut Config, tensors: &[super::TensorEntry], notes: &mut Vec<Note>) {
    if let Some(n_layers) = config.n_layers.filter(|&n| n > tensors.len() as u64) {
        let says =
            format!("config.json names {n_layers} layers, more than there are tensors; the tensors decide");
        notes.push(Note { rule: "CT-CONTRADICTION", says });
        config.n_layers = None;
    }
    if let Some(hidden) = config.hidden_size
        && !tensors.is_empty()
        && !tensors.iter().any(|tensor| tensor.shape.contains(&hidden))
    {
        let says =
            format!("config.json names a hidden size of {hidden}, which no tensor has; the tensors decide");
        notes.push(Note { rule: "CT-CONTRADICTION", says });
        config.hidden_size = None;
    }
}
