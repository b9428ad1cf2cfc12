//! ONNX: the initialisers and constants of a graph, in the file or in files beside it. The graph itself is not read further than
//! it takes to name them.
//!
//! Format: onnx/onnx.proto and docs/ExternalData.md of ONNX. Nothing marks the first bytes of such a file, so its name has to.

mod graph;
mod names;
mod wire;

use std::path::Path;
use std::sync::Arc;

use self::graph::{Graph, Stored, Weight};
use self::names::Renamed;
use self::wire::Wire;
use super::strided::Strided;
use super::{Checkpoint, Encoding, Error, Limits, Note, TensorEntry, index};
use crate::source::{Fault, Place, Source, grouped, in_bytes, shown};
use crate::wording::agreeing;

/// The word of reports.
const FORMAT: &str = "onnx";
/// Rule of the note about tensors that are not read.
pub(super) const UNREAD: &str = "ON-UNREAD";
/// Most names in a note.
const MAX_SHOWN: usize = 4;
/// Most files beside the graph: exporters write one, or one a tensor.
const MAX_FILES: usize = 100_000;

/// Whether a file is named like one.
pub(super) fn is_one(file: &dyn Source) -> bool {
    file.name().to_ascii_lowercase().ends_with(".onnx")
}

/// A file that was opened at `path`, with the files beside it that hold its tensors.
pub(super) fn open(
    path: &Path,
    file: Arc<dyn Source>,
    place: &dyn Place,
    limits: &Limits,
) -> Result<Checkpoint, Error> {
    let graph = graph::read(&mut Wire::new(file.as_ref()), limits).map_err(|error| error.in_file(path))?;
    let (renamed, n_renamed) = names::rename(&graph.weights, &graph.readers);
    let mut files = Files { names: vec![file.name().to_owned()], files: vec![file], place };
    let mut tensors = Vec::new();
    for (weight, renamed) in graph.weights.iter().zip(renamed) {
        let place = |error: Error| error.in_file(path);
        let (file_idx, offset) = files.locate(weight).map_err(place)?;
        tensors.push(entry(weight, renamed, (file_idx, offset), &files.files[file_idx]));
    }
    tensors.sort_by_key(|tensor| (tensor.file_idx, tensor.offset));
    Ok(Checkpoint {
        reference: String::new(),
        format: FORMAT,
        commit: None,
        files: files.files,
        tensors,
        config: None,
        vocabulary: None,
        notes: notes(&graph, n_renamed),
        adapter: None,
    })
}

/// The files that hold tensors, in the order in which they are met.
struct Files<'a> {
    names: Vec<String>,
    files: Vec<Arc<dyn Source>>,
    place: &'a dyn Place,
}

impl Files<'_> {
    /// In which file the elements of a tensor start, and where.
    fn locate(&mut self, weight: &Weight) -> Result<(usize, u64), Error> {
        let (name, offset, given_bytes) = match &weight.stored {
            Stored::Inside(range) => return Ok((0, range.start)),
            Stored::Beside { file, offset, n_bytes } => (file, *offset, *n_bytes),
        };
        let refuse = |fault: Box<Fault>| Error::from(fault.of_tensor(&weight.name).at_byte(weight.at));
        if let Some(why) = index::not_a_plain_name(name, &self.names[0]) {
            let says =
                format!("the tensors of a graph must lie in a file beside it, and '{}' {why}", shown(name));
            return Err(refuse(
                Fault::new("ON-EXTERNAL", says).found_wanted(shown(name), "a plain file name"),
            ));
        }
        let idx = match self.names.iter().position(|known| known == name) {
            Some(idx) => idx,
            None => self.add(name).map_err(|error| match error {
                Error::Refused(fault) => refuse(fault),
                other => other,
            })?,
        };
        let size = self.files[idx].size_bytes();
        let element_bytes = weight.dtype.size_bytes().unwrap_or(1) as u64;
        // the shape's product was checked when it was read
        let wanted = weight.shape.iter().product::<u64>().checked_mul(element_bytes);
        let end = wanted.and_then(|wanted| offset.checked_add(wanted)).filter(|end| *end <= size);
        if end.is_none() || given_bytes.is_some_and(|given| Some(given) != wanted) {
            let says = format!(
                "tensor '{}' does not lie in '{}' as the graph says",
                shown(&weight.name),
                shown(name)
            );
            let found = format!(
                "{} from byte {} of {}",
                given_bytes.map_or("the rest".to_owned(), in_bytes),
                grouped(offset),
                grouped(size)
            );
            let wanted = format!("{} bytes", wanted.map_or("fewer".to_owned(), grouped));
            let hint = "the download looks unfinished, or the file beside the graph belongs to another one";
            return Err(refuse(Fault::new("ON-EXTERNAL", says).found_wanted(found, wanted).hint(hint)));
        }
        Ok((idx, offset))
    }

    fn add(&mut self, name: &str) -> Result<usize, Error> {
        if self.files.len() > MAX_FILES {
            return Err(Fault::new("ON-EXTERNAL", "the graph names too many files beside it")
                .found_wanted(
                    format!("more than {}", grouped(MAX_FILES as u64)),
                    format!("at most {}", grouped(MAX_FILES as u64)),
                )
                .into());
        }
        if !self.place.has(name)? {
            let says = format!("the file '{}', which holds tensors of the graph, is not there", shown(name));
            return Err(Fault::new("ON-MISSING", says)
                .hint("fetch it too, and leave it beside the graph")
                .into());
        }
        self.files.push(self.place.open(name)?);
        self.names.push(name.to_owned());
        Ok(self.files.len() - 1)
    }
}

fn entry(
    weight: &Weight,
    renamed: Renamed,
    (file_idx, offset): (usize, u64),
    file: &Arc<dyn Source>,
) -> TensorEntry {
    let element_bytes = weight.dtype.size_bytes().unwrap_or(1) as u64;
    let mut shape = weight.shape.clone();
    let encoding = renamed.is_transposed.then(|| {
        shape.reverse();
        Encoding {
            cells: None,
            name: format!("{}, in another order", weight.dtype.name()),
            elements: Arc::new(Strided {
                file: Arc::clone(file),
                start: offset,
                element_bytes,
                shape: shape.clone(),
                strides: vec![1, shape[0]],
            }) as Arc<dyn Source>,
        }
    });
    let size_bytes = shape.iter().product::<u64>() * element_bytes;
    TensorEntry { name: renamed.name, dtype: weight.dtype, shape, file_idx, offset, size_bytes, encoding }
}

fn notes(graph: &Graph, n_renamed: usize) -> Vec<Note> {
    let mut notes = Vec::new();
    if n_renamed > 0 {
        let says = format!(
            "{} {}",
            grouped(n_renamed as u64),
            agreeing(
                n_renamed,
                "tensor without a name of its own is called after the node that reads it",
                "tensors without a name of their own are called after the node that reads them"
            )
        );
        notes.push(Note { rule: "ON-NAMES", says });
    }
    if graph.n_numbers > 0 {
        let says = format!(
            "{} of the graph {} no weights (scalars, shapes, indices, texts)",
            grouped(graph.n_numbers),
            agreeing(graph.n_numbers, "tensor is", "tensors are")
        );
        notes.push(Note { rule: "ON-NUMBERS", says });
    }
    if !graph.unread.is_empty() {
        let shown: Vec<String> = graph
            .unread
            .iter()
            .take(MAX_SHOWN)
            .map(|(name, why)| format!("'{}' ({why})", shown(name)))
            .collect();
        let more = graph.unread.len().saturating_sub(MAX_SHOWN);
        let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
        let says = format!("not read: {}{more}", shown.join(", "));
        notes.push(Note { rule: UNREAD, says });
    }
    notes
}
