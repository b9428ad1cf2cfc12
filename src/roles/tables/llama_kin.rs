//! Decoders built like Llama under other names, or with its matrices fused.

use super::llama::{HEAD, MLP, NORMS, TRUNK_ENDS};
use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rope, Rule, text};

/// Meta's own files: rows of Q and K in interleaved order.
const META: &[Rule] = &[
    ("layers.N.attention.wq", Is(Q)),
    ("layers.N.attention.wk", Is(K)),
    ("layers.N.attention.wv", Is(V)),
    ("layers.N.attention.wo", Is(O)),
    ("layers.N.feed_forward.w1", Is(Gate)),
    ("layers.N.feed_forward.w3", Is(Up)),
    ("layers.N.feed_forward.w2", Is(Down)),
    ("layers.N.attention_norm", Is(Norm1)),
    ("layers.N.ffn_norm", Is(Norm2)),
    ("norm", Is(FinalNorm)),
    ("tok_embeddings", Is(Embed)),
    ("output", Is(Head)),
];

const INTERNLM2: &[Rule] = &[
    ("model.layers.N.attention.wqkv", QkvGroups),
    ("model.layers.N.attention.wo", Is(O)),
    ("model.layers.N.feed_forward.w1", Is(Gate)),
    ("model.layers.N.feed_forward.w3", Is(Up)),
    ("model.layers.N.feed_forward.w2", Is(Down)),
    ("model.layers.N.attention_norm", Is(Norm1)),
    ("model.layers.N.ffn_norm", Is(Norm2)),
    ("model.norm", Is(FinalNorm)),
    ("model.tok_embeddings", Is(Embed)),
    ("output", Is(Head)),
];

const BAICHUAN_ATTENTION: &[Rule] =
    &[("model.layers.N.self_attn.W_pack", QkvBlocks), ("model.layers.N.self_attn.o_proj", Is(O))];

const PHI3_ATTENTION: &[Rule] =
    &[("model.layers.N.self_attn.qkv_proj", QkvBlocks), ("model.layers.N.self_attn.o_proj", Is(O))];

const FUSED_MLP: &[Rule] =
    &[("model.layers.N.mlp.gate_up_proj", GateUp), ("model.layers.N.mlp.down_proj", Is(Down))];

const PHI: &[Rule] = &[
    ("model.layers.N.self_attn.q_proj", Is(Q)),
    ("model.layers.N.self_attn.k_proj", Is(K)),
    ("model.layers.N.self_attn.v_proj", Is(V)),
    ("model.layers.N.self_attn.qkv_proj", QkvBlocks),
    ("model.layers.N.self_attn.dense", Is(O)),
    ("model.layers.N.self_attn.q_layernorm", Is(QNorm)),
    ("model.layers.N.self_attn.k_layernorm", Is(KNorm)),
    ("model.layers.N.mlp.fc1", Is(Up)),
    ("model.layers.N.mlp.fc2", Is(Down)),
    ("model.layers.N.input_layernorm", Is(Norm1)),
    ("model.final_layernorm", Is(FinalNorm)),
    ("model.embed_tokens", Is(Embed)),
];

/// Four norms a block; `post_attention_layernorm` stands before the MLP as in Llama.
const GLM4_NORMS: &[Rule] = &[
    ("model.layers.N.post_self_attn_layernorm", Is(Norm1b)),
    ("model.layers.N.post_mlp_layernorm", Is(Norm2b)),
];

const STARCODER2: &[Rule] = &[("model.layers.N.mlp.c_fc", Is(Up)), ("model.layers.N.mlp.c_proj", Is(Down))];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        rope: Rope::Interleaved { one_in: 1 },
        ..Family::new("llama-meta", &[], &[text(&[""], &[META])])
    },
    Family::new("internlm2", &["internlm2"], &[text(&[""], &[INTERNLM2])]),
    // the 13 B models of the family carry ALiBi, which only their code says
    Family::new(
        "baichuan",
        &["baichuan"],
        &[text(&[""], &[BAICHUAN_ATTENTION, MLP, NORMS, TRUNK_ENDS, HEAD])],
    ),
    Family::new("phi3", &["phi3"], &[text(&[""], &[PHI3_ATTENTION, FUSED_MLP, NORMS, TRUNK_ENDS, HEAD])]),
    Family::new("phi", &["phi"], &[text(&[""], &[PHI, HEAD])]),
    Family {
        rope: Rope::Interleaved { one_in: 2 },
        ..Family::new(
            "glm",
            &["glm"],
            &[text(&[""], &[super::llama::ATTENTION, FUSED_MLP, NORMS, TRUNK_ENDS, HEAD])],
        )
    },
    Family {
        rope: Rope::Interleaved { one_in: 2 },
        ..Family::new(
            "glm4",
            &["glm4"],
            &[text(&[""], &[super::llama::ATTENTION, FUSED_MLP, NORMS, GLM4_NORMS, TRUNK_ENDS, HEAD])],
        )
    },
    Family::new(
        "starcoder2",
        &["starcoder2"],
        &[text(&[""], &[super::llama::ATTENTION, STARCODER2, NORMS, TRUNK_ENDS, HEAD])],
    ),
];
