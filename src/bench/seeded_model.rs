//! Checkpoints with the shapes of published models and seeded noise for weights, made while they are read.

use std::sync::Arc;

use crate::checkpoint::{Checkpoint, Config, TensorEntry};
use crate::source::{Line, Noise, Seeded, Source, Throttled};
use crate::tensor::Dtype;

/// Shapes of a published model of the Llama kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// `1.1b`, `7b`, `34b`, `70b`.
    pub name: &'static str,
    /// Whose configuration it is.
    pub of: &'static str,
    hidden: u64,
    n_layers: u64,
    mlp_width: u64,
    n_heads: u64,
    n_kv_heads: u64,
    n_tokens: u64,
}

/// The models that there are.
pub const MODELS: [ModelShape; 4] = [
    ModelShape {
        name: "1.1b",
        of: "TinyLlama-1.1B",
        hidden: 2048,
        n_layers: 22,
        mlp_width: 5632,
        n_heads: 32,
        n_kv_heads: 4,
        n_tokens: 32000,
    },
    ModelShape {
        name: "7b",
        of: "Llama-2-7B",
        hidden: 4096,
        n_layers: 32,
        mlp_width: 11008,
        n_heads: 32,
        n_kv_heads: 32,
        n_tokens: 32000,
    },
    ModelShape {
        name: "34b",
        of: "Yi-34B",
        hidden: 7168,
        n_layers: 60,
        mlp_width: 20480,
        n_heads: 56,
        n_kv_heads: 8,
        n_tokens: 64000,
    },
    ModelShape {
        name: "70b",
        of: "Llama-2-70B",
        hidden: 8192,
        n_layers: 80,
        mlp_width: 28672,
        n_heads: 64,
        n_kv_heads: 8,
        n_tokens: 32000,
    },
];

impl ModelShape {
    /// Tensor names and shapes, in the order of the forward pass.
    fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        let kv_width = self.hidden / self.n_heads * self.n_kv_heads;
        let table = vec![self.n_tokens, self.hidden];
        let mut tensors = vec![("model.embed_tokens.weight".to_owned(), table.clone())];
        for layer in 0..self.n_layers {
            let block = [
                ("input_layernorm", vec![self.hidden]),
                ("self_attn.q_proj", vec![self.hidden, self.hidden]),
                ("self_attn.k_proj", vec![kv_width, self.hidden]),
                ("self_attn.v_proj", vec![kv_width, self.hidden]),
                ("self_attn.o_proj", vec![self.hidden, self.hidden]),
                ("post_attention_layernorm", vec![self.hidden]),
                ("mlp.gate_proj", vec![self.mlp_width, self.hidden]),
                ("mlp.up_proj", vec![self.mlp_width, self.hidden]),
                ("mlp.down_proj", vec![self.hidden, self.mlp_width]),
            ];
            tensors.extend(
                block.into_iter().map(|(part, shape)| (format!("model.layers.{layer}.{part}.weight"), shape)),
            );
        }
        tensors.push(("model.norm.weight".to_owned(), vec![self.hidden]));
        tensors.push(("lm_head.weight".to_owned(), table));
        tensors
    }

    fn config(&self) -> Config {
        Config {
            model_type: Some("llama".to_owned()),
            architecture: Some("LlamaForCausalLM".to_owned()),
            hidden_size: Some(self.hidden),
            intermediate_size: Some(self.mlp_width),
            n_layers: Some(self.n_layers),
            n_heads: Some(self.n_heads),
            n_kv_heads: Some(self.n_kv_heads),
            vocab_size: Some(self.n_tokens),
            tied_embeddings: Some(false),
            activation: Some("silu".to_owned()),
            ..Config::default()
        }
    }
}

/// A model of bf16 noise, its bytes over `line` where one is given. Matrices around 0 ± 0.02, norm gains around 1 ± 0.05.
#[must_use]
pub fn checkpoint(shape: &ModelShape, seed: u64, line: Option<&Arc<Line>>) -> Checkpoint {
    let mut offset = 0;
    let (mut tensors, mut ranges) = (Vec::new(), Vec::new());
    for (name, dims) in shape.tensors() {
        let n_elements: u64 = dims.iter().product();
        let (mean, spread) = if dims.len() == 1 { (1.0, 0.05) } else { (0.0, 0.02) };
        ranges.push(Noise { n_elements, mean, spread });
        let size_bytes = n_elements * 2;
        tensors.push(TensorEntry {
            name,
            dtype: Dtype::Bf16,
            shape: dims,
            file_idx: 0,
            offset,
            size_bytes,
            encoding: None,
        });
        offset += size_bytes;
    }
    let noise: Arc<dyn Source> = Arc::new(Seeded::new(&format!("seed {seed}"), seed, &ranges));
    let file = match line {
        Some(line) => Arc::new(Throttled::new(noise, Arc::clone(line))),
        None => noise,
    };
    Checkpoint {
        reference: format!("{} of seed {seed}", shape.name),
        format: "noise",
        commit: None,
        files: vec![file],
        tensors,
        config: Some(shape.config()),
        adapter: None,
        vocabulary: None,
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_the_published_number_of_parameters() {
        // TinyLlama 1,100,048,384; Llama-2-7B 6,738,415,616; Yi-34B 34,388,917,248; Llama-2-70B 68,976,648,192: the counts of
        // their published checkpoints
        let wanted = [1_100_048_384, 6_738_415_616, 34_388_917_248, 68_976_648_192];
        for (shape, wanted) in MODELS.iter().zip(wanted) {
            let model = checkpoint(shape, 1, None);
            let n: u64 = model.tensors.iter().map(TensorEntry::n_elements).sum();
            assert_eq!(n, wanted, "{}", shape.name);
            assert_eq!(model.files[0].size_bytes(), 2 * n);
        }
    }
}
