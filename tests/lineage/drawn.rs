//! Models drawn at random in the layouts of several families: nothing trained, so independence is exact.

use cognate::numerics::Rng;

use crate::stored::{Model, Stored};

const HIDDEN: usize = 64;
const WIDTH: usize = 192;
const VOCABULARY: usize = 300;
const N_LAYERS: usize = 3;

/// A layout: tensors of the stem and of each layer, with `N` for the layer.
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    config: &'static str,
    tensors: &'static [(&'static str, &'static [usize])],
}

/// The layouts, all of 64 wide residual streams but the convolutional net.
pub(crate) const LAYOUTS: &[Layout] = &[
    Layout {
        name: "llama with grouped queries",
        config: r#"{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 2,
            "num_hidden_layers": 3, "intermediate_size": 192, "vocab_size": 300}"#,
        tensors: &[
            ("model.embed_tokens.weight", &[VOCABULARY, HIDDEN]),
            ("model.layers.N.input_layernorm.weight", &[HIDDEN]),
            ("model.layers.N.self_attn.q_proj.weight", &[HIDDEN, HIDDEN]),
            ("model.layers.N.self_attn.k_proj.weight", &[16, HIDDEN]),
            ("model.layers.N.self_attn.v_proj.weight", &[16, HIDDEN]),
            ("model.layers.N.self_attn.o_proj.weight", &[HIDDEN, HIDDEN]),
            ("model.layers.N.post_attention_layernorm.weight", &[HIDDEN]),
            ("model.layers.N.mlp.gate_proj.weight", &[WIDTH, HIDDEN]),
            ("model.layers.N.mlp.up_proj.weight", &[WIDTH, HIDDEN]),
            ("model.layers.N.mlp.down_proj.weight", &[HIDDEN, WIDTH]),
            ("model.norm.weight", &[HIDDEN]),
            ("lm_head.weight", &[VOCABULARY, HIDDEN]),
        ],
    },
    Layout {
        // Conv1D: stored [in, out]
        name: "gpt2, transposed",
        config: r#"{"model_type": "gpt2", "n_embd": 64, "n_head": 8, "n_layer": 3, "vocab_size": 300}"#,
        tensors: &[
            ("transformer.wte.weight", &[VOCABULARY, HIDDEN]),
            ("transformer.wpe.weight", &[128, HIDDEN]),
            ("transformer.h.N.ln_1.weight", &[HIDDEN]),
            ("transformer.h.N.ln_1.bias", &[HIDDEN]),
            ("transformer.h.N.attn.c_attn.weight", &[HIDDEN, 3 * HIDDEN]),
            ("transformer.h.N.attn.c_attn.bias", &[3 * HIDDEN]),
            ("transformer.h.N.attn.c_proj.weight", &[HIDDEN, HIDDEN]),
            ("transformer.h.N.attn.c_proj.bias", &[HIDDEN]),
            ("transformer.h.N.ln_2.weight", &[HIDDEN]),
            ("transformer.h.N.ln_2.bias", &[HIDDEN]),
            ("transformer.h.N.mlp.c_fc.weight", &[HIDDEN, WIDTH]),
            ("transformer.h.N.mlp.c_fc.bias", &[WIDTH]),
            ("transformer.h.N.mlp.c_proj.weight", &[WIDTH, HIDDEN]),
            ("transformer.h.N.mlp.c_proj.bias", &[HIDDEN]),
            ("transformer.ln_f.weight", &[HIDDEN]),
            ("transformer.ln_f.bias", &[HIDDEN]),
        ],
    },
    Layout {
        name: "gpt-neox, fused per head",
        config: r#"{"model_type": "gpt_neox", "hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 3,
            "intermediate_size": 192, "rotary_pct": 0.25, "vocab_size": 300}"#,
        tensors: &[
            ("gpt_neox.embed_in.weight", &[VOCABULARY, HIDDEN]),
            ("gpt_neox.layers.N.input_layernorm.weight", &[HIDDEN]),
            ("gpt_neox.layers.N.input_layernorm.bias", &[HIDDEN]),
            ("gpt_neox.layers.N.post_attention_layernorm.weight", &[HIDDEN]),
            ("gpt_neox.layers.N.post_attention_layernorm.bias", &[HIDDEN]),
            ("gpt_neox.layers.N.attention.query_key_value.weight", &[3 * HIDDEN, HIDDEN]),
            ("gpt_neox.layers.N.attention.query_key_value.bias", &[3 * HIDDEN]),
            ("gpt_neox.layers.N.attention.dense.weight", &[HIDDEN, HIDDEN]),
            ("gpt_neox.layers.N.attention.dense.bias", &[HIDDEN]),
            ("gpt_neox.layers.N.mlp.dense_h_to_4h.weight", &[WIDTH, HIDDEN]),
            ("gpt_neox.layers.N.mlp.dense_h_to_4h.bias", &[WIDTH]),
            ("gpt_neox.layers.N.mlp.dense_4h_to_h.weight", &[HIDDEN, WIDTH]),
            ("gpt_neox.layers.N.mlp.dense_4h_to_h.bias", &[HIDDEN]),
            ("gpt_neox.final_layer_norm.weight", &[HIDDEN]),
            ("gpt_neox.final_layer_norm.bias", &[HIDDEN]),
            ("embed_out.weight", &[VOCABULARY, HIDDEN]),
        ],
    },
    Layout {
        name: "bert",
        config: r#"{"model_type": "bert", "hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 3,
            "intermediate_size": 192, "vocab_size": 300}"#,
        tensors: &[
            ("embeddings.word_embeddings.weight", &[VOCABULARY, HIDDEN]),
            ("embeddings.position_embeddings.weight", &[32, HIDDEN]),
            ("embeddings.token_type_embeddings.weight", &[2, HIDDEN]),
            ("embeddings.LayerNorm.weight", &[HIDDEN]),
            ("embeddings.LayerNorm.bias", &[HIDDEN]),
            ("encoder.layer.N.attention.self.query.weight", &[HIDDEN, HIDDEN]),
            ("encoder.layer.N.attention.self.query.bias", &[HIDDEN]),
            ("encoder.layer.N.attention.self.key.weight", &[HIDDEN, HIDDEN]),
            ("encoder.layer.N.attention.self.key.bias", &[HIDDEN]),
            ("encoder.layer.N.attention.self.value.weight", &[HIDDEN, HIDDEN]),
            ("encoder.layer.N.attention.self.value.bias", &[HIDDEN]),
            ("encoder.layer.N.attention.output.dense.weight", &[HIDDEN, HIDDEN]),
            ("encoder.layer.N.attention.output.dense.bias", &[HIDDEN]),
            ("encoder.layer.N.attention.output.LayerNorm.weight", &[HIDDEN]),
            ("encoder.layer.N.attention.output.LayerNorm.bias", &[HIDDEN]),
            ("encoder.layer.N.intermediate.dense.weight", &[WIDTH, HIDDEN]),
            ("encoder.layer.N.intermediate.dense.bias", &[WIDTH]),
            ("encoder.layer.N.output.dense.weight", &[HIDDEN, WIDTH]),
            ("encoder.layer.N.output.dense.bias", &[HIDDEN]),
            ("encoder.layer.N.output.LayerNorm.weight", &[HIDDEN]),
            ("encoder.layer.N.output.LayerNorm.bias", &[HIDDEN]),
        ],
    },
    Layout {
        name: "vit",
        config: r#"{"model_type": "vit", "hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 3,
            "intermediate_size": 192}"#,
        tensors: &[
            ("vit.embeddings.cls_token", &[1, 1, HIDDEN]),
            ("vit.embeddings.position_embeddings", &[1, 17, HIDDEN]),
            ("vit.embeddings.patch_embeddings.projection.weight", &[HIDDEN, 3, 4, 4]),
            ("vit.embeddings.patch_embeddings.projection.bias", &[HIDDEN]),
            ("vit.encoder.layer.N.layernorm_before.weight", &[HIDDEN]),
            ("vit.encoder.layer.N.layernorm_before.bias", &[HIDDEN]),
            ("vit.encoder.layer.N.attention.attention.query.weight", &[HIDDEN, HIDDEN]),
            ("vit.encoder.layer.N.attention.attention.key.weight", &[HIDDEN, HIDDEN]),
            ("vit.encoder.layer.N.attention.attention.value.weight", &[HIDDEN, HIDDEN]),
            ("vit.encoder.layer.N.attention.output.dense.weight", &[HIDDEN, HIDDEN]),
            ("vit.encoder.layer.N.layernorm_after.weight", &[HIDDEN]),
            ("vit.encoder.layer.N.layernorm_after.bias", &[HIDDEN]),
            ("vit.encoder.layer.N.intermediate.dense.weight", &[WIDTH, HIDDEN]),
            ("vit.encoder.layer.N.intermediate.dense.bias", &[WIDTH]),
            ("vit.encoder.layer.N.output.dense.weight", &[HIDDEN, WIDTH]),
            ("vit.encoder.layer.N.output.dense.bias", &[HIDDEN]),
            ("vit.layernorm.weight", &[HIDDEN]),
            ("vit.layernorm.bias", &[HIDDEN]),
        ],
    },
    Layout {
        name: "convolutions with batch norm",
        config: "",
        tensors: &[
            ("conv1.weight", &[32, 3, 3, 3]),
            ("bn1.weight", &[32]),
            ("bn1.bias", &[32]),
            ("bn1.running_mean", &[32]),
            ("bn1.running_var", &[32]),
            ("conv2.weight", &[64, 32, 3, 3]),
            ("bn2.weight", &[64]),
            ("bn2.bias", &[64]),
            ("bn2.running_mean", &[64]),
            ("bn2.running_var", &[64]),
            ("conv3.weight", &[64, 64, 3, 3]),
            ("bn3.weight", &[64]),
            ("bn3.bias", &[64]),
            ("bn3.running_mean", &[64]),
            ("bn3.running_var", &[64]),
            ("conv4.weight", &[64, 64, 3, 3]),
            ("bn4.weight", &[64]),
            ("bn4.bias", &[64]),
            ("bn4.running_mean", &[64]),
            ("bn4.running_var", &[64]),
            ("fc.weight", &[48, 64]),
            ("fc.bias", &[48]),
        ],
    },
];

/// A random model; `noise` adds that share of each value's scale from a second stream, as a short training would.
pub(crate) fn draw(layout: &Layout, seed: u64, noise: f64) -> Model {
    let mut tensors = std::collections::BTreeMap::new();
    for (number, (pattern, shape)) in (0..).zip(layout.tensors) {
        let n_layers = if pattern.contains(".N.") { N_LAYERS } else { 1 };
        for layer in 0..n_layers {
            let name = pattern.replace(".N.", &format!(".{layer}."));
            let labels = [seed, number, layer as u64];
            let (mut base, mut change) = (Rng::new(&labels), Rng::new(&[&labels[..], &[7]].concat()));
            let is_positive = shape.len() == 1 && !name.ends_with("bias") && !name.ends_with("mean");
            let mean = if is_positive { 1.0 } else { 0.0 };
            let n_elements: usize = shape.iter().product();
            let values: Vec<f32> = (0..n_elements)
                .map(|_| {
                    let value = mean + 0.05 * (base.normal() + noise * change.normal());
                    // a narrowing of numbers near 1
                    value as f32
                })
                .collect();
            tensors.insert(name, Stored::of_f32(shape, &values));
        }
    }
    let config = (!layout.config.is_empty()).then(|| layout.config.to_owned());
    Model { tensors, config }
}
