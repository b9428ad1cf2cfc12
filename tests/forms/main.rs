//! Stored forms that are decoded while they are read: quantised weights, adapters, and what is written from them.

#[path = "../common/hostile.rs"]
#[expect(dead_code, reason = "shared with other tests of hostile files")]
mod hostile;

#[path = "../common/names.rs"]
mod fixtures;

mod adapters;
mod convert;
mod hostile_adapters;
mod hostile_onnx;
mod hostile_quantised;
mod onnx;
mod packers;
mod quantised;
mod zoo_copies;

use std::path::{Path, PathBuf};

use cognate::checkpoint::{self, Checkpoint, Limits};

/// A folder of reference values.
fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn open(path: &Path) -> Checkpoint {
    checkpoint::open(&path.to_string_lossy(), &Limits::default()).expect("a model")
}

/// Elements of the tensor at this place as they are read, in f32.
fn values(checkpoint: &Checkpoint, idx: usize) -> Vec<f32> {
    let tensor = &checkpoint.tensors[idx];
    let (source, offset) = checkpoint.elements_of(tensor);
    let size = tensor.dtype.size_bytes().expect("whole bytes");
    let n = usize::try_from(tensor.n_elements()).expect("small");
    let mut bytes = vec![0; n * size];
    source.read_at(offset, &mut bytes).expect("a read");
    let mut values = vec![0.0; n];
    let elements = cognate::reductions::Elements { dtype: tensor.dtype, bytes: &bytes };
    cognate::cpu::Cpu::portable().decode(elements, &mut values);
    values
}

/// The tensor of this name.
fn index(checkpoint: &Checkpoint, name: &str) -> usize {
    checkpoint.tensors.iter().position(|tensor| tensor.name == name).expect(name)
}
