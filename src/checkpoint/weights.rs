//! One file of weights, whatever its format.

use std::sync::Arc;

use super::pytorch::{self, Container};
use super::{Config, Error, Limits, Note, TensorEntry, safetensors, unknown};
use crate::source::Source;

/// The tensors of one file, with absolute offsets and `file_idx` 0.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The format's word.
    pub format: &'static str,
    pub entries: Vec<TensorEntry>,
    pub notes: Vec<Note>,
    /// The config that the file itself holds.
    pub config: Option<Config>,
}

/// Reads and checks what names the tensors of a file. The content tells the format; only a file that calls itself safetensors must
/// be that, since loaders would not read anything else under such a name.
pub(super) fn admit(file: &Arc<dyn Source>, limits: &Limits) -> Result<Admitted, Error> {
    let mut start = [0; pytorch::SNIFF_BYTES];
    let n_bytes = usize::try_from(file.size_bytes()).map_or(start.len(), |size| size.min(start.len()));
    file.read_at(0, &mut start[..n_bytes])?;
    let container = Container::of(&start[..n_bytes]).filter(|_| !file.name().ends_with(".safetensors"));
    if let Some(container) = container {
        let (entries, notes) = pytorch::admit(file, container, limits)?;
        return Ok(Admitted { format: "pytorch", entries, notes, config: None });
    }
    unknown::check(file.as_ref())?;
    let (entries, notes, config) = safetensors::admit(file.as_ref(), limits)?;
    Ok(Admitted { format: "safetensors", entries, notes, config })
}
