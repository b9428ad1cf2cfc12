//! Where the storages of a file lie, and the tensors that are views of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::state_dict::Named;
use super::value::{Elements, Value};
use crate::checkpoint::strided::Strided;
use crate::checkpoint::{Encoding, TensorEntry};
use crate::source::{Fault, Source, grouped, in_bytes, shown};

/// Byte ranges of a file by the key of their storage.
#[derive(Debug, Default)]
pub(super) struct Storages {
    /// Key → (offset, length in bytes).
    pub ranges: HashMap<String, (u64, u64)>,
}

impl Storages {
    /// The entry of a tensor, its view checked against its storage.
    pub(super) fn entry(&self, file: &Arc<dyn Source>, named: &Named<'_>) -> Result<TensorEntry, Box<Fault>> {
        let tensor = named.tensor;
        let Value::Storage(storage) = named.pickled.value(tensor.storage) else {
            return Err(Fault::new("PK-BROKEN", "a tensor's storage is none"));
        };
        let Elements::Known(dtype) = tensor.elements else {
            return Err(Fault::new("PK-DTYPE", "a tensor holds complex numbers of 16 bytes")
                .found_wanted("complex128", "a type that safetensors knows"));
        };
        let Some(element_bytes) = dtype.size_bytes().map(|size| size as u64) else {
            return Err(Fault::new("PK-DTYPE", "a tensor holds elements of less than a byte"));
        };
        let key = named.pickled.key(storage);
        let Some(&(offset, size_bytes)) = self.ranges.get(key) else {
            return Err(Fault::new("PK-STORAGE", format!("the storage '{}' is not in the file", shown(key)))
                .hint("the file is incomplete; fetch it again"));
        };
        let unit_bytes = if storage.elements.is_some() { element_bytes } else { 1 };
        if storage.n_elements.checked_mul(unit_bytes) != Some(size_bytes) {
            return Err(Fault::new(
                "PK-STORAGE",
                format!("the storage '{}' has another length than the pickle says", shown(key)),
            )
            .at_byte(offset)
            .found_wanted(in_bytes(size_bytes), format!("{} × {unit_bytes}", grouped(storage.n_elements)))
            .hint("the file is damaged; fetch it again"));
        }
        let n_stored = size_bytes / element_bytes;
        let n_elements = tensor.shape.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
        let last =
            tensor.shape.iter().zip(&tensor.strides).try_fold(tensor.offset, |last, (&dim, &stride)| {
                last.checked_add(dim.saturating_sub(1).checked_mul(stride)?)
            });
        let (Some(n_elements), Some(last)) = (n_elements, last) else {
            return Err(Fault::new("PK-SHAPE", "the dimensions of a tensor multiply past any size")
                .found_wanted(
                    format!("{:?}", tensor.shape),
                    format!("at most {} elements", grouped(n_stored)),
                ));
        };
        if n_elements > 0 && (last >= n_stored || n_elements > n_stored) {
            return Err(Fault::new("PK-SHAPE", "a tensor reaches outside its storage")
                .at_byte(offset)
                .found_wanted(
                    format!("{} elements up to element {}", grouped(n_elements), grouped(last)),
                    format!("at most {}", grouped(n_stored)),
                ));
        }
        let is_contiguous = n_elements <= 1 || {
            let mut step = 1;
            tensor.shape.iter().zip(&tensor.strides).rev().all(|(&dim, &stride)| {
                let fits = dim == 1 || stride == step;
                step *= dim;
                fits
            })
        };
        let start = offset + tensor.offset * element_bytes;
        let encoding = (!is_contiguous).then(|| Encoding {
            cells: None,
            name: format!("{}, in another order", dtype.name()),
            elements: Arc::new(Strided {
                file: Arc::clone(file),
                start,
                element_bytes,
                shape: tensor.shape.clone(),
                strides: tensor.strides.clone(),
            }) as Arc<dyn Source>,
        });
        Ok(TensorEntry {
            name: named.name.clone(),
            dtype,
            shape: tensor.shape.clone(),
            file_idx: 0,
            offset: start,
            size_bytes: n_elements * element_bytes,
            encoding,
        })
    }
}
