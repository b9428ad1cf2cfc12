//! Tiny safetensors models: seeded noise in the layout of a small gated transformer.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

/// Tensors of a fixture.
pub(crate) const N_TENSORS: usize = 2 + 2 * 9;
const N_LAYERS: usize = 2;
const HIDDEN: usize = 32;
const WIDTH: usize = 64;
const VOCABULARY: usize = 48;

/// A model in memory.
pub(crate) struct Fixture {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Fixture {
    /// Noise that differs from seed to seed.
    pub(crate) fn trained(seed: u64) -> Fixture {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut noise =
            |n: usize, mean: f32| -> Vec<f32> { (0..n).map(|_| mean + 0.05 * draw(&mut state)).collect() };
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, rows: usize, cols: usize| {
            tensors.insert(name, (vec![rows, cols], noise(rows * cols, 0.0)));
        };
        add("model.embed_tokens.weight".to_owned(), VOCABULARY, HIDDEN);
        for layer in 0..N_LAYERS {
            for part in ["q", "k", "v", "o"] {
                add(format!("model.layers.{layer}.self_attn.{part}_proj.weight"), HIDDEN, HIDDEN);
            }
            add(format!("model.layers.{layer}.mlp.gate_proj.weight"), WIDTH, HIDDEN);
            add(format!("model.layers.{layer}.mlp.up_proj.weight"), WIDTH, HIDDEN);
            add(format!("model.layers.{layer}.mlp.down_proj.weight"), HIDDEN, WIDTH);
        }
        let mut norms = vec!["model.norm.weight".to_owned()];
        for layer in 0..N_LAYERS {
            norms.push(format!("model.layers.{layer}.input_layernorm.weight"));
            norms.push(format!("model.layers.{layer}.post_attention_layernorm.weight"));
        }
        for name in norms {
            tensors.insert(name, (vec![HIDDEN], noise(HIDDEN, 1.0)));
        }
        Fixture { tensors }
    }

    /// The same with one element of a weight that is not a number.
    pub(crate) fn with_nan(mut self) -> Fixture {
        let gate = self.tensors.get_mut("model.layers.0.mlp.gate_proj.weight").expect("a gate");
        gate.1[5] = f32::NAN;
        self
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) {
        let bytes: BTreeMap<&String, (Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                (name, (shape.clone(), values.iter().flat_map(|value| value.to_le_bytes()).collect()))
            })
            .collect();
        let views = bytes.iter().map(|(name, (shape, bytes))| {
            (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a valid tensor"))
        });
        serialize_to_file(views, None, path).expect("the file is written");
    }
}

/// A sum of four uniform draws of an xorshift generator, centred.
fn draw(state: &mut u64) -> f32 {
    let mut sum = 0.0;
    for _ in 0..4 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        sum += f32::from(u16::try_from(*state >> 48).expect("16 bits")) / 65536.0 - 0.5;
    }
    sum
}

/// A folder with the models `a`, `copy` (equal to `a`) and `b` (unrelated).
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, seed) in [("a", 1), ("copy", 1), ("b", 2)] {
        let model = folder.path().join(name);
        std::fs::create_dir(&model).expect("made");
        Fixture::trained(seed).write(&model.join("model.safetensors"));
    }
    folder
}
