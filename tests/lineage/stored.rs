//! Models as lists of named tensors: read from a file, rewritten, and written again.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};

/// One tensor.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    /// A tensor of f32.
    pub(crate) fn of_f32(shape: &[usize], values: &[f32]) -> Stored {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// A tensor of bf16, rounded.
    pub(crate) fn of_bf16(shape: &[usize], values: &[f64]) -> Stored {
        let bytes = values.iter().flat_map(|value| half::bf16::from_f64(*value).to_le_bytes()).collect();
        Stored { dtype: Dtype::BF16, shape: shape.to_vec(), bytes }
    }

    /// The values of a bf16 tensor.
    pub(crate) fn values(&self) -> Vec<f64> {
        assert_eq!(self.dtype, Dtype::BF16);
        self.bytes
            .chunks_exact(2)
            .map(|bytes| half::bf16::from_le_bytes([bytes[0], bytes[1]]).to_f64())
            .collect()
    }

    /// The given indices of one axis, in that order.
    pub(crate) fn taken(&self, axis: usize, indices: &[usize]) -> Stored {
        let n_bytes = self.bytes.len() / self.shape.iter().product::<usize>();
        let inner = self.shape[axis + 1..].iter().product::<usize>() * n_bytes;
        let slab = self.shape[axis] * inner;
        let slabs = self.bytes.chunks_exact(slab);
        let bytes = slabs.flat_map(|slab| {
            indices.iter().flat_map(move |index| slab[index * inner..(index + 1) * inner].iter().copied())
        });
        let bytes = bytes.collect();
        let mut shape = self.shape.clone();
        shape[axis] = indices.len();
        Stored { dtype: self.dtype, shape, bytes }
    }

    /// bf16 becomes f32: the 16 bits are the upper half, so every value stays what it is.
    pub(crate) fn widened(&self) -> Stored {
        assert_eq!(self.dtype, Dtype::BF16);
        let bytes = self.bytes.chunks_exact(2).flat_map(|bf16| [0, 0, bf16[0], bf16[1]]).collect();
        Stored { dtype: Dtype::F32, shape: self.shape.clone(), bytes }
    }
}

/// Tensors by name.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// `config.json`, where there is one.
    pub(crate) config: Option<String>,
}

impl Model {
    /// Reads `model.safetensors` and `config.json` of a folder.
    pub(crate) fn read(folder: &Path) -> Model {
        let bytes = std::fs::read(folder.join("model.safetensors")).expect("a model");
        let file = SafeTensors::deserialize(&bytes).expect("a valid file");
        let tensors = file.iter().map(|(name, view)| {
            let stored =
                Stored { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_owned(), stored)
        });
        let config = std::fs::read_to_string(folder.join("config.json")).ok();
        Model { tensors: tensors.collect(), config }
    }

    /// The same tensors under other names.
    pub(crate) fn renamed(&self, rename: impl Fn(usize, &str) -> String) -> Model {
        let tensors = self.tensors.iter().enumerate();
        let tensors = tensors.map(|(at, (name, stored))| (rename(at, name), stored.clone())).collect();
        Model { tensors, config: self.config.clone() }
    }

    /// Writes a folder with one file.
    pub(crate) fn write(&self, folder: &Path) {
        self.write_config(folder);
        write_file(self.tensors.iter(), &folder.join("model.safetensors"));
    }

    /// Writes a folder with two shards and an index; neighbours by name go to different shards.
    pub(crate) fn write_sharded(&self, folder: &Path) {
        self.write_config(folder);
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        for (number, shard) in shards.iter().enumerate() {
            let members = self.tensors.iter().enumerate().filter(|(at, _)| at % 2 == number);
            write_file(members.map(|(_, tensor)| tensor), &folder.join(shard));
        }
        let size: usize = self.tensors.values().map(|stored| stored.bytes.len()).sum();
        let weight_map: serde_json::Map<String, serde_json::Value> = (self.tensors.keys().enumerate())
            .map(|(at, name)| (name.clone(), shards[at % 2].into()))
            .collect();
        let index = serde_json::json!({ "metadata": { "total_size": size }, "weight_map": weight_map });
        std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("written");
    }

    fn write_config(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder");
        if let Some(config) = &self.config {
            std::fs::write(folder.join("config.json"), config).expect("written");
        }
    }
}

fn write_file<'a>(tensors: impl Iterator<Item = (&'a String, &'a Stored)>, path: &Path) {
    let views = tensors.map(|(name, stored)| {
        let view = TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes);
        (name.as_str(), view.expect("a valid tensor"))
    });
    serialize_to_file(views, None, path).expect("written");
}
