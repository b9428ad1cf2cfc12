//! Numbers that the conversion to GGUF changed become those of the model again, element by element while they are read.
//!
//! What it permutes or stacks is a matter of views (`roles`). Source: the conversion scripts of llama.cpp.

use std::ops::Range;
use std::sync::Arc;

use crate::checkpoint::{Encoding, TensorEntry};
use crate::source::{Below, Error, Source};
use crate::tensor::Dtype;

/// What was done to every element.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// 1 + x: the gain of norms that multiply by 1 + γ.
    AddedOne,
    /// −exp(x): the decay of state-space layers.
    NegativeExponential,
}

impl Change {
    fn undo(self, stored: f32) -> f32 {
        match self {
            Change::AddedOne => stored - 1.0,
            Change::NegativeExponential => (-stored).ln(),
        }
    }
}

/// Architectures whose norms were stored with 1 added. Gemma 3n is not among them: its gains are stored as they are.
const ADDED_ONE: [&str; 4] = ["gemma", "gemma2", "gemma3", "gemma-embedding"];

/// Serves a tensor as it was before the conversion. Norms and decays are always stored as F32.
pub(super) fn conversion(tensor: &mut TensorEntry, file: &Arc<dyn Source>, architecture: &str) {
    let change = if ADDED_ONE.contains(&architecture) && tensor.name.ends_with("norm.weight") {
        Change::AddedOne
    } else if tensor.name.ends_with(".ssm_a") {
        Change::NegativeExponential
    } else {
        return;
    };
    if tensor.dtype == Dtype::F32 && tensor.encoding.is_none() {
        let (file, offset, size_bytes) = (Arc::clone(file), tensor.offset, tensor.size_bytes);
        let elements = Arc::new(Undone { file, offset, size_bytes, change });
        tensor.encoding = Some(Encoding { name: Dtype::F32.name().to_owned(), elements, cells: None });
    }
}

/// F32 elements of one tensor with the change undone.
#[derive(Debug)]
struct Undone {
    file: Arc<dyn Source>,
    offset: u64,
    size_bytes: u64,
    change: Change,
}

impl Source for Undone {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let before = usize::try_from(offset % 4).unwrap_or(0);
        let mut elements = vec![0; (before + buffer.len()).next_multiple_of(4)];
        self.file.read_at(self.offset + offset - before as u64, &mut elements)?;
        for element in elements.as_chunks_mut::<4>().0 {
            *element = self.change.undo(f32::from_le_bytes(*element)).to_le_bytes();
        }
        buffer.copy_from_slice(&elements[before..before + buffer.len()]);
        Ok(())
    }

    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        self.file.cost_bytes(self.offset.saturating_add(offset), n_bytes)
    }

    fn is_remote(&self) -> bool {
        self.file.is_remote()
    }

    fn below(&self, ranges: &[Range<u64>]) -> Vec<Below> {
        let whole = |range: &Range<u64>| {
            let (start, end) = (range.start / 4 * 4, range.end.next_multiple_of(4).min(self.size_bytes));
            self.offset + start..self.offset + end
        };
        let inside = ranges.iter().filter(|range| range.start < range.end && range.end <= self.size_bytes);
        vec![(Arc::clone(&self.file), inside.map(whole).collect())]
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.file.verify_unchanged()
    }
}
