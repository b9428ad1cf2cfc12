//! From a model in memory to a folder: safetensors in one file or several with an index, config and tokenizer.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype as FileDtype, TensorView, serialize_to_file};
use serde_json::{Map, Value, json};

use super::model::{Model, StoredTensor};
use super::read::writable;
use super::{Dense, Error};
use crate::tensor::Dtype;

/// A tensor ready for the file.
struct Encoded {
    name: String,
    dtype: FileDtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Writes the model into `folder`, which is made if it does not exist.
///
/// # Errors
/// The system refuses.
pub fn write(model: &Model, folder: &Path) -> Result<(), Error> {
    let failed = |cause: String| Error::Write { path: folder.to_path_buf(), cause };
    fs::create_dir_all(folder).map_err(|cause| failed(cause.to_string()))?;
    let put = |name: &str, value: &Value| {
        let text = serde_json::to_string(value).map_err(|cause| failed(cause.to_string()))?;
        fs::write(folder.join(name), text + "\n").map_err(|cause| failed(cause.to_string()))
    };
    if let Some(config) = &model.config {
        put("config.json", config)?;
    }
    if let Some(tokenizer) = &model.tokenizer {
        put("tokenizer.json", tokenizer)?;
    }
    let tensors = encoded(model);
    let n_files = model.n_files.clamp(1, tensors.len().max(1));
    if n_files == 1 {
        return write_file(tensors.iter(), &folder.join("model.safetensors")).map_err(failed);
    }
    let shard = |file: usize| format!("model-{:05}-of-{n_files:05}.safetensors", file + 1);
    let mut weight_map = Map::new();
    for file in 0..n_files {
        // neighbours go to different files, as in no published model: nothing may depend on the order
        let members = || tensors.iter().skip(file).step_by(n_files);
        write_file(members(), &folder.join(shard(file))).map_err(failed)?;
        weight_map.extend(members().map(|tensor| (tensor.name.clone(), shard(file).into())));
    }
    let total_size: usize = tensors.iter().map(|tensor| tensor.bytes.len()).sum();
    put(
        "model.safetensors.index.json",
        &json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map }),
    )
}

/// Removes a folder that [`write()`] made.
///
/// # Errors
/// The system refuses.
pub fn remove(folder: &Path) -> Result<(), Error> {
    let failed =
        |cause: std::io::Error| Error::Write { path: folder.to_path_buf(), cause: cause.to_string() };
    fs::remove_dir_all(folder).map_err(failed)
}

fn write_file<'a>(tensors: impl Iterator<Item = &'a Encoded>, path: &Path) -> Result<(), String> {
    let views: Result<Vec<_>, String> = tensors
        .map(|tensor| {
            TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)
                .map(|view| (tensor.name.as_str(), view))
                .map_err(|cause| format!("{}: {cause}", tensor.name))
        })
        .collect();
    serialize_to_file(views?, None, path).map_err(|cause| cause.to_string())
}

fn encoded(model: &Model) -> Vec<Encoded> {
    let stored = model.stored.iter().filter(|tensor| !tensor.rows.is_empty());
    let mut tensors: Vec<Encoded> = stored.map(|tensor| encode(model, tensor)).collect();
    tensors.extend(model.loose.iter().filter_map(|tensor| {
        Some(Encoded {
            name: tensor.name.clone(),
            dtype: file_dtype(tensor.dtype)?,
            shape: tensor.shape.clone(),
            bytes: tensor.bytes.clone(),
        })
    }));
    tensors
}

fn encode(model: &Model, tensor: &StoredTensor) -> Encoded {
    let dtype = writable(tensor.dtype);
    let matrix_of = |role| model.parts.get(role);
    let n_cols = tensor.rows.first().and_then(|(role, _)| matrix_of(role)).map_or(0, |matrix| matrix.n_cols);
    let outs: Vec<&[f64]> = tensor
        .rows
        .iter()
        .map(|(role, row)| {
            matrix_of(role).filter(|matrix| *row < matrix.n_rows).map_or(&[][..], |m| m.row(*row))
        })
        .collect();
    let n_outs = outs.len() / tensor.n_stacked.max(1);
    let value = |out: usize, col: usize| outs[out].get(col).copied().unwrap_or(0.0);
    let mut bytes = Vec::new();
    if tensor.is_transposed && !tensor.is_vector {
        for stack in 0..tensor.n_stacked {
            for col in 0..n_cols {
                (0..n_outs).for_each(|out| push(&mut bytes, value(stack * n_outs + out, col), dtype));
            }
        }
    } else {
        for out in 0..outs.len() {
            (0..n_cols).for_each(|col| push(&mut bytes, value(out, col), dtype));
        }
    }
    Encoded {
        name: tensor.name.clone(),
        dtype: file_dtype(dtype).unwrap_or(FileDtype::F32),
        shape: tensor.shape(n_cols),
        bytes,
    }
}

/// Appends the value rounded to a type of [`writable`].
fn push(bytes: &mut Vec<u8>, value: f64, dtype: Dtype) {
    match dtype {
        Dtype::F64 => bytes.extend(value.to_le_bytes()),
        Dtype::F16 => bytes.extend(half::f16::from_f64(value).to_le_bytes()),
        Dtype::Bf16 => bytes.extend(half::bf16::from_f64(value).to_le_bytes()),
        // a narrowing is what storing in f32 means
        _ => bytes.extend((value as f32).to_le_bytes()),
    }
}

/// The value after it was stored in a type of [`writable`].
#[must_use]
pub(super) fn rounded(value: f64, dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F64 => value,
        Dtype::F16 => half::f16::from_f64(value).to_f64(),
        Dtype::Bf16 => half::bf16::from_f64(value).to_f64(),
        _ => f64::from(value as f32),
    }
}

/// A matrix after it was stored.
#[must_use]
pub(super) fn rounded_matrix(matrix: &Dense, dtype: Dtype) -> Dense {
    let values = matrix.values.iter().map(|&value| rounded(value, dtype)).collect();
    Dense { values, ..matrix.clone() }
}

/// None for a type that the file format's library does not know.
fn file_dtype(dtype: Dtype) -> Option<FileDtype> {
    Some(match dtype {
        Dtype::F64 => FileDtype::F64,
        Dtype::F32 => FileDtype::F32,
        Dtype::F16 => FileDtype::F16,
        Dtype::Bf16 => FileDtype::BF16,
        Dtype::I64 => FileDtype::I64,
        Dtype::I32 => FileDtype::I32,
        Dtype::I16 => FileDtype::I16,
        Dtype::I8 => FileDtype::I8,
        Dtype::U64 => FileDtype::U64,
        Dtype::U32 => FileDtype::U32,
        Dtype::U16 => FileDtype::U16,
        Dtype::U8 => FileDtype::U8,
        Dtype::Bool => FileDtype::BOOL,
        _ => return None,
    })
}
