//! Llama's names, and the families that keep them with other norms.

use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rope, Rule, text};

/// Attention matrices with their biases.
pub(super) const ATTENTION: &[Rule] = &[
    ("model.layers.N.self_attn.q_proj", Is(Q)),
    ("model.layers.N.self_attn.k_proj", Is(K)),
    ("model.layers.N.self_attn.v_proj", Is(V)),
    ("model.layers.N.self_attn.o_proj", Is(O)),
];

/// Gated MLP.
pub(super) const MLP: &[Rule] = &[
    ("model.layers.N.mlp.gate_proj", Is(Gate)),
    ("model.layers.N.mlp.up_proj", Is(Up)),
    ("model.layers.N.mlp.down_proj", Is(Down)),
];

/// Norm in front of each half of a block.
pub(super) const NORMS: &[Rule] =
    &[("model.layers.N.input_layernorm", Is(Norm1)), ("model.layers.N.post_attention_layernorm", Is(Norm2))];

/// Norm of each query and key head.
pub(super) const QK_NORMS: &[Rule] =
    &[("model.layers.N.self_attn.q_norm", Is(QNorm)), ("model.layers.N.self_attn.k_norm", Is(KNorm))];

/// Embedding and last norm.
pub(super) const TRUNK_ENDS: &[Rule] = &[("model.embed_tokens", Is(Embed)), ("model.norm", Is(FinalNorm))];

/// Token head, and the one-row heads of reward models and classifiers.
pub(super) const HEAD: &[Rule] = &[("lm_head", Is(Head))];

/// Classifier of sequence models.
pub(super) const CLASSIFIER: &[Rule] = &[("score", Is(OutputHead)), ("v_head.summary", Is(OutputHead))];

/// Learned positions.
const POSITIONS: &[Rule] = &[("model.embed_positions", Is(Pos))];

/// The first upload of Yi: Llama with two norms named otherwise.
const YI_NORMS: &[Rule] = &[("model.layers.N.ln1", Is(Norm1)), ("model.layers.N.ln2", Is(Norm2))];

/// Norms before and after both halves of a block; `post_attention_layernorm` is not Llama's.
const GEMMA_NORMS: &[Rule] = &[
    ("model.layers.N.input_layernorm", Is(Norm1)),
    ("model.layers.N.post_attention_layernorm", Is(Norm1b)),
    ("model.layers.N.pre_feedforward_layernorm", Is(Norm2)),
    ("model.layers.N.post_feedforward_layernorm", Is(Norm2b)),
];

/// Norms after both halves of a block, none before.
const POST_NORMS: &[Rule] = &[
    ("model.layers.N.post_attention_layernorm", Is(Norm1b)),
    ("model.layers.N.post_feedforward_layernorm", Is(Norm2b)),
];

/// One norm in front of a parallel block.
const PARALLEL_NORM: &[Rule] = &[("model.layers.N.input_layernorm", Is(Norm1))];

/// Cross-attention layers that a vision model inserts into the text stack.
const INSERTED: &[Rule] = &[
    ("model.layers.N.cross_attn.q_proj", Is(CrossQ)),
    ("model.layers.N.cross_attn.k_proj", Is(CrossK)),
    ("model.layers.N.cross_attn.v_proj", Is(CrossV)),
    ("model.layers.N.cross_attn.o_proj", Is(CrossO)),
    ("model.layers.N.cross_attn.q_norm", Is(CrossQNorm)),
    ("model.layers.N.cross_attn.k_norm", Is(CrossKNorm)),
    ("model.layers.N.cross_attn_attn_gate", Is(CrossGate)),
    ("model.layers.N.cross_attn_mlp_gate", Is(Other)),
];

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "llama",
        &["llama", "mistral", "qwen2", "internlm", "xgen", "stablelm", "deepseek", "smollm3", "granite"],
        &[text(&[""], &[ATTENTION, MLP, NORMS, TRUNK_ENDS, HEAD, CLASSIFIER])],
    ),
    // the names under which models of other families with learned positions are written
    Family::new("llama", &[], &[text(&[""], &[ATTENTION, MLP, NORMS, TRUNK_ENDS, POSITIONS, HEAD])]),
    Family {
        norm_adds_one: true,
        ..Family::new(
            "gemma",
            &["gemma"],
            &[text(&[""], &[ATTENTION, MLP, NORMS, TRUNK_ENDS, HEAD, CLASSIFIER])],
        )
    },
    Family::new(
        "yi",
        &["yi", "Yi"],
        &[text(&[""], &[ATTENTION, MLP, YI_NORMS, TRUNK_ENDS, HEAD, CLASSIFIER])],
    ),
    Family {
        norm_adds_one: true,
        ..Family::new(
            "gemma2",
            &["gemma2"],
            &[text(&[""], &[ATTENTION, MLP, GEMMA_NORMS, TRUNK_ENDS, HEAD, CLASSIFIER])],
        )
    },
    Family {
        norm_adds_one: true,
        ..Family::new(
            "gemma3",
            &["gemma3", "gemma3_text"],
            &[text(&[""], &[ATTENTION, QK_NORMS, MLP, GEMMA_NORMS, TRUNK_ENDS, HEAD, CLASSIFIER])],
        )
    },
    Family::new("olmo", &["olmo"], &[text(&[""], &[ATTENTION, MLP, TRUNK_ENDS, HEAD])]),
    Family::new(
        "olmo2",
        &["olmo2", "olmo3"],
        &[text(&[""], &[ATTENTION, QK_NORMS, MLP, POST_NORMS, TRUNK_ENDS, HEAD])],
    ),
    Family::new(
        "qwen3",
        &["qwen3"],
        &[text(&[""], &[ATTENTION, QK_NORMS, MLP, NORMS, TRUNK_ENDS, HEAD, CLASSIFIER])],
    ),
    Family {
        rope: Rope::Interleaved { one_in: 1 },
        ..Family::new(
            "cohere",
            &["cohere", "cohere2"],
            &[text(&[""], &[ATTENTION, MLP, PARALLEL_NORM, TRUNK_ENDS])],
        )
    },
    Family {
        rope: Rope::Interleaved { one_in: 1 },
        ..Family::new(
            "cohere-qk-norm",
            &["cohere"],
            &[text(&[""], &[ATTENTION, QK_NORMS, MLP, PARALLEL_NORM, TRUNK_ENDS])],
        )
    },
    Family::new(
        "llama-cross-attention",
        &["mllama", "mllama_text_model"],
        &[text(&[""], &[ATTENTION, INSERTED, MLP, NORMS, TRUNK_ENDS, HEAD])],
    ),
];
