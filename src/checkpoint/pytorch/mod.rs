//! Files of `torch.save`: a pickle that names tensors, and their bytes. Read as data; nothing in it is ever executed.
//!
//! Two containers: a zip archive of stored entries (since PyTorch 1.6), and five streams one after the other (before).
//! Format: `torch/serialization.py`, `torch/_utils.py`, and Python's `pickletools.py` for the opcodes.

mod legacy;
mod machine;
mod state_dict;
mod storage;
mod value;
mod zip;

pub(super) use state_dict::OTHER_SET;

use std::sync::Arc;

use super::{Error, Limits, Note, TensorEntry};
use crate::source::Source;

/// How a file of `torch.save` starts, where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// A zip archive.
    Zip,
    /// Five streams.
    Legacy,
}

/// Bytes that [`Container::of`] looks at.
pub(super) const SNIFF_BYTES: usize = legacy::MAGIC.len();

impl Container {
    /// The container that a file with these first bytes is.
    pub(super) fn of(start: &[u8]) -> Option<Container> {
        if start.starts_with(b"PK\x03\x04") {
            Some(Container::Zip)
        } else if start.starts_with(legacy::MAGIC) {
            Some(Container::Legacy)
        } else {
            None
        }
    }
}

/// The tensors in the order of the state dict, `file_idx` 0. Reads and checks what names them, and nothing of their data.
pub(super) fn admit(
    file: &Arc<dyn Source>,
    container: Container,
    limits: &Limits,
) -> Result<(Vec<TensorEntry>, Vec<Note>), Error> {
    let (pickled, storages) = match container {
        Container::Zip => zip::open(file.as_ref(), limits)?,
        Container::Legacy => legacy::open(file.as_ref(), limits)?,
    };
    let found = state_dict::find(&pickled, limits)?;
    let mut entries = Vec::new();
    for named in &found.tensors {
        let entry = storages.entry(file, named).map_err(|fault| fault.of_tensor(&named.name))?;
        entries.push(entry);
    }
    Ok((entries, found.notes))
}
