//! The stored tensors that a quantised weight is made of.

use std::collections::HashMap;
use std::sync::Arc;

use crate::checkpoint::TensorEntry;
use crate::cpu::Cpu;
use crate::reductions::Elements;
use crate::source::{self, Fault, Source};
use crate::tensor::Dtype;

/// All tensors of a checkpoint, by name.
pub(super) struct Pieces<'a> {
    pub files: &'a [Arc<dyn Source>],
    pub tensors: &'a [TensorEntry],
    pub by_name: &'a HashMap<&'a str, usize>,
}

impl Pieces<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, name: &str) -> Option<Piece> {
        let idx = self.index(name)?;
        let tensor = self.tensors.get(idx)?;
        Some(Piece {
            idx,
            name: tensor.name.clone(),
            file: Arc::clone(self.files.get(tensor.file_idx)?),
            offset: tensor.offset,
            size_bytes: tensor.size_bytes,
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
        })
    }

    /// The piece of this name, or that it is missing.
    pub(super) fn need(&self, name: &str) -> Result<Piece, String> {
        self.get(name).ok_or_else(|| format!("'{}' is missing", source::shown(name)))
    }

    /// Indices of the tensors of these names that are there.
    pub(super) fn present(&self, names: &[String]) -> Vec<usize> {
        names.iter().filter_map(|name| self.index(name)).collect()
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub idx: usize,
    pub name: String,
    pub file: Arc<dyn Source>,
    pub offset: u64,
    pub size_bytes: u64,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
}

impl Piece {
    pub(super) fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Whether the shape is this one; else what it is, in words.
    pub(super) fn shaped(&self, wanted: &[u64]) -> Result<(), String> {
        if self.shape == wanted {
            return Ok(());
        }
        Err(format!("'{}' has shape {:?}, not {wanted:?}", source::shown(&self.name), self.shape))
    }

    /// Whether the type is one of these; else what it is, in words.
    pub(super) fn typed(&self, wanted: &[Dtype]) -> Result<(), String> {
        if wanted.contains(&self.dtype) {
            return Ok(());
        }
        let names: Vec<&str> = wanted.iter().map(|dtype| dtype.name()).collect();
        Err(format!(
            "'{}' has type {}, not {}",
            source::shown(&self.name),
            self.dtype.name(),
            names.join(" or ")
        ))
    }

    /// The two dimensions of a matrix that holds something.
    pub(super) fn matrix(&self) -> Result<[u64; 2], String> {
        match self.shape[..] {
            [rows, cols] if rows > 0 && cols > 0 => Ok([rows, cols]),
            _ => Err(format!("'{}' has shape {:?}, not a matrix", source::shown(&self.name), self.shape)),
        }
    }

    /// `n_bytes` from byte `first` of the tensor on.
    pub(super) fn bytes(&self, first: u64, n_bytes: u64) -> Result<Vec<u8>, source::Error> {
        let mut bytes = vec![0; to_usize(n_bytes)];
        self.file.read_at(self.offset + first, &mut bytes)?;
        Ok(bytes)
    }

    /// `n` elements from element `first` on, as f32.
    pub(super) fn floats(&self, first: u64, n: u64) -> Result<Vec<f32>, source::Error> {
        let size = self.dtype.size_bits() / 8;
        let bytes = self.bytes(first * size, n * size)?;
        let mut values = vec![0.0; to_usize(n)];
        Cpu::portable().decode(Elements { dtype: self.dtype, bytes: &bytes }, &mut values);
        Ok(values)
    }

    /// `n` 32-bit words from word `first` on.
    pub(super) fn words(&self, first: u64, n: u64) -> Result<Vec<u32>, source::Error> {
        let bytes = self.bytes(first * 4, n * 4)?;
        Ok(bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
    }

    /// A value in the tensor that breaks its form.
    pub(super) fn refuse(
        &self,
        rule: &'static str,
        says: &str,
        element: u64,
        found: String,
        wanted: String,
    ) -> source::Error {
        let byte = self.offset + element * (self.dtype.size_bits() / 8);
        let mut fault =
            Fault::new(rule, says).of_tensor(&self.name).at_byte(byte).found_wanted(found, wanted);
        fault.file = Some(source::shown(self.file.name()));
        source::Error::Refused(fault.hint("the file is damaged, or no writer of this form made it"))
    }
}

/// Types that scales are stored in.
pub(super) const SCALES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];

/// Half a unit in the last place of a type, relative: the most that storing a step may have moved it.
pub(super) fn rounding_of(dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F16 => 1.0 / 2048.0,
        Dtype::Bf16 => 1.0 / 256.0,
        _ => 1.0 / 16_777_216.0,
    }
}

/// Byte counts of ranges inside a file that was checked.
pub(super) fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
