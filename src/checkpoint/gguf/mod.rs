//! GGUF, versions 2 and 3, in one file or in numbered parts: metadata, tensor descriptions, aligned data.
//!
//! Specification: ggml/docs/gguf.md; where it is loose, what `gguf_init_from_file` of ggml accepts. Read strictly: what two
//! readers could take for different tensors is refused.

mod blocks;
mod cursor;
mod facts;
mod metadata;
mod split;
mod tensors;
mod tokens;
mod undo;

use std::path::Path;
use std::sync::Arc;

use self::cursor::Cursor;
use self::metadata::Metadata;
use super::{Checkpoint, Error, Limits, Note, TensorEntry, duplicates};
use crate::source::{Fault, Place, Source, grouped, shown};

pub(super) use split::group;

/// The word of reports.
pub(super) const FORMAT: &str = "gguf";

/// The first four bytes of a file.
const MAGIC: [u8; 4] = *b"GGUF";

/// Whether a file says that it is one, or is named like one.
pub(super) fn is_one(file: &dyn Source) -> bool {
    let name = file.name().to_ascii_lowercase();
    let mut magic = [0; 4];
    name.ends_with(".gguf")
        || (!name.ends_with(".safetensors") && file.read_at(0, &mut magic).is_ok() && magic == MAGIC)
}

/// A file that was opened at `path`, with its other parts where it is one of several.
pub(super) fn open(
    path: &Path,
    file: Arc<dyn Source>,
    place: &dyn Place,
    limits: &Limits,
) -> Result<Checkpoint, Error> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names = split::parts(&name, place)?;
    let mut files: Vec<Arc<dyn Source>> = Vec::new();
    for part in &names {
        files.push(if *part == name { Arc::clone(&file) } else { place.open(part)? });
    }
    let path_of =
        |nth: usize| if names[nth] == name { path.to_path_buf() } else { place.path_of(&names[nth]) };
    from_sources(files, limits).map_err(|(nth, error)| error.in_file(&path_of(nth)))
}

/// A checkpoint of the bytes of a file, or of all parts of one in order, wherever they lie.
///
/// # Errors
/// The first rule that is broken.
pub fn open_gguf(files: Vec<Arc<dyn Source>>, limits: &Limits) -> Result<Checkpoint, Error> {
    from_sources(files, limits).map_err(|(_, error)| error)
}

/// The error comes with the number of the file that it is in.
fn from_sources(files: Vec<Arc<dyn Source>>, limits: &Limits) -> Result<Checkpoint, (usize, Error)> {
    let mut notes = Vec::new();
    let mut tensors: Vec<TensorEntry> = Vec::new();
    let mut first: Option<Metadata> = None;
    for (nth, file) in files.iter().enumerate() {
        let place = |error: Error| (nth, error);
        let (metadata, entries) = admit(file, nth, limits, &mut notes).map_err(place)?;
        split::check(&metadata, nth, files.len()).map_err(|fault| place(fault.into()))?;
        if tensors.len() + entries.len() > limits.max_tensors {
            return Err(place(too_many_tensors((tensors.len() + entries.len()) as u64, limits).into()));
        }
        tensors.extend(entries);
        first.get_or_insert(metadata);
    }
    let metadata = first.unwrap_or_default();
    let last = files.len().saturating_sub(1);
    let refuse = |fault: Box<Fault>| (last, Error::from(fault));
    split::check_total(&metadata, tensors.len() as u64, files.len()).map_err(refuse)?;
    if let Some(name) = duplicates::find(tensors.iter().map(|tensor| tensor.name.as_str())).map_err(refuse)? {
        let fault = Fault::new("GG-DUPLICATE", format!("tensor '{}' occurs twice", shown(name)))
            .of_tensor(name)
            .hint("readers disagree on which of the two counts; the file is refused");
        return Err(refuse(fault));
    }
    let vocabulary = tokens::vocabulary(&metadata, &mut notes).map_err(|fault| (0, fault.into()))?;
    let config = facts::config(&metadata, vocabulary.as_ref(), &mut notes);
    let architecture = config.model_type.as_deref().unwrap_or_default();
    for tensor in &mut tensors {
        undo::conversion(tensor, &files[tensor.file_idx], architecture);
    }
    if tensors.is_empty() {
        let says = "the file holds no tensors, only metadata and a vocabulary".to_string();
        notes.push(Note { rule: "GG-EMPTY", says });
    }
    Ok(Checkpoint {
        reference: String::new(),
        format: FORMAT,
        adapter: None,
        commit: None,
        files,
        tensors,
        config: Some(config),
        vocabulary,
        notes,
    })
}

/// Reads and checks one file's header. Nothing of the data is read.
fn admit(
    file: &Arc<dyn Source>,
    file_idx: usize,
    limits: &Limits,
    notes: &mut Vec<Note>,
) -> Result<(Metadata, Vec<TensorEntry>), Error> {
    let mut cursor = Cursor::new(file.as_ref(), limits.max_header_bytes);
    start(&mut cursor)?;
    let n_tensors = cursor.count("the number of tensors")?;
    let n_keys = cursor.count("the number of metadata keys")?;
    if n_tensors > limits.max_tensors as u64 {
        return Err(too_many_tensors(n_tensors, limits).at_byte(8).into());
    }
    cursor.expect_room(n_tensors, tensors::MIN_INFO_BYTES, "GG-COUNT", "tensors", 8)?;
    let metadata = metadata::read(&mut cursor, n_keys)?;
    let entries = tensors::read(&mut cursor, n_tensors, metadata.alignment()?, file, file_idx, notes)?;
    Ok((metadata, entries))
}

fn too_many_tensors(n_tensors: u64, limits: &Limits) -> Box<Fault> {
    let limit = limits.max_tensors as u64;
    Fault::new("GG-COUNT", format!("the header names more than {} tensors", grouped(limit)))
        .found_wanted(grouped(n_tensors), format!("at most {}", grouped(limit)))
        .hint("raise --max-tensors if this is intended")
}

/// Magic and version.
fn start(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    let magic: [u8; 4] = cursor.array("the magic number")?;
    if magic != MAGIC {
        let found = format!("'{}'", shown(&String::from_utf8_lossy(&magic)));
        return Err(Fault::new("GG-MAGIC", "this is not a GGUF file, whatever its name says")
            .at_byte(0)
            .found_wanted(found, "'GGUF'")
            .hint("the download may have saved an error page, or a pointer of git lfs; look into the file")
            .into());
    }
    let version = u32::from_le_bytes(cursor.array("the version")?);
    let fault = |rule, says: &str| {
        Fault::new(rule, says).at_byte(4).found_wanted(format!("version {version}"), "2 or 3")
    };
    match version {
        2 | 3 => Ok(()),
        1 => Err(fault("GG-VERSION", "GGUF version 1 counts with other widths and is not read")
            .hint("convert it with llama.cpp's gguf tools; it was in use for weeks in August 2023")
            .into()),
        _ if matches!(version.swap_bytes(), 1..=3) => {
            Err(fault("GG-ENDIAN", "the file was written for big-endian machines")
                .hint("convert it with gguf-convert-endian of the PyPI package gguf")
                .into())
        }
        _ => Err(fault("GG-VERSION", "this version of GGUF is not known").into()),
    }
}
