//! Decoders with one fused query-key-value matrix and `dense` layers: GPT-NeoX, BLOOM, Falcon, ChatGLM.

use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rope, Rule, text};

const NEOX_LAYER: &[Rule] = &[
    ("layers.N.attention.query_key_value", QkvGroups),
    ("layers.N.attention.dense", Is(O)),
    ("layers.N.mlp.dense_h_to_4h", Is(Up)),
    ("layers.N.mlp.dense_4h_to_h", Is(Down)),
    ("layers.N.input_layernorm", Is(Norm1)),
    ("layers.N.post_attention_layernorm", Is(Norm2)),
];
const NEOX_ENDS: &[Rule] = &[("embed_in", Is(Embed)), ("final_layer_norm", Is(FinalNorm))];

const BLOOM_LAYER: &[Rule] = &[
    ("h.N.self_attention.query_key_value", QkvGroups),
    ("h.N.self_attention.dense", Is(O)),
    ("h.N.mlp.dense_h_to_4h", Is(Up)),
    ("h.N.mlp.dense_4h_to_h", Is(Down)),
    ("h.N.input_layernorm", Is(Norm1)),
];
const SECOND_NORM: &[Rule] = &[("h.N.post_attention_layernorm", Is(Norm2))];
const BLOOM_ENDS: &[Rule] = &[("word_embeddings", Is(Embed)), ("ln_f", Is(FinalNorm))];
const EMBED_NORM: &[Rule] = &[("word_embeddings_layernorm", Is(EmbedNorm))];
const FALCON_NORMS: &[Rule] = &[("h.N.ln_attn", Is(Norm1)), ("h.N.ln_mlp", Is(Norm2))];
const FALCON_GROUPED: &[Rule] = &[
    ("h.N.self_attention.query_key_value", QkvGroups),
    ("h.N.self_attention.dense", Is(O)),
    ("h.N.mlp.dense_h_to_4h", Is(Up)),
    ("h.N.mlp.dense_4h_to_h", Is(Down)),
];
const HEAD: &[Rule] = &[("lm_head", Is(Head)), ("score", Is(OutputHead))];

const CHATGLM1: &[Rule] = &[
    ("layers.N.attention.query_key_value", QkvGroups),
    ("layers.N.attention.dense", Is(O)),
    ("layers.N.mlp.dense_h_to_4h", Is(Up)),
    ("layers.N.mlp.dense_4h_to_h", Is(Down)),
    ("layers.N.input_layernorm", Is(Norm1)),
    ("layers.N.post_attention_layernorm", Is(Norm2)),
    ("word_embeddings", Is(Embed)),
    ("final_layernorm", Is(FinalNorm)),
];

const CHATGLM2: &[Rule] = &[
    ("encoder.layers.N.self_attention.query_key_value", QkvBlocks),
    ("encoder.layers.N.self_attention.dense", Is(O)),
    ("encoder.layers.N.mlp.dense_h_to_4h", GateUp),
    ("encoder.layers.N.mlp.dense_4h_to_h", Is(Down)),
    ("encoder.layers.N.input_layernorm", Is(Norm1)),
    ("encoder.layers.N.post_attention_layernorm", Is(Norm2)),
    ("encoder.final_layernorm", Is(FinalNorm)),
    ("embedding.word_embeddings", Is(Embed)),
    ("output_layer", Is(Head)),
];

const STEMS: &[&str] = &["transformer.", ""];

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "gpt-neox",
        &["gpt_neox"],
        &[
            text(&["gpt_neox.", ""], &[NEOX_LAYER, NEOX_ENDS]),
            text(&[""], &[&[("embed_out", Is(Head))], HEAD]),
        ],
    ),
    Family {
        alibi: true,
        ..Family::new(
            "bloom",
            &["bloom"],
            &[text(STEMS, &[BLOOM_LAYER, SECOND_NORM, BLOOM_ENDS, EMBED_NORM]), text(&[""], &[HEAD])],
        )
    },
    // the small original models carry ALiBi and say so in the config
    Family::new(
        "falcon",
        &["falcon", "RefinedWeb", "RefinedWebModel"],
        &[text(STEMS, &[BLOOM_LAYER, BLOOM_ENDS]), text(&[""], &[HEAD])],
    ),
    Family::new(
        "falcon-rw",
        &["falcon", "RefinedWebModel"],
        &[text(STEMS, &[BLOOM_LAYER, SECOND_NORM, BLOOM_ENDS]), text(&[""], &[HEAD])],
    ),
    Family::new(
        "falcon-grouped",
        &["falcon", "RefinedWeb"],
        &[text(STEMS, &[FALCON_GROUPED, FALCON_NORMS, BLOOM_ENDS]), text(&[""], &[HEAD])],
    ),
    Family::new("chatglm", &["chatglm"], &[text(STEMS, &[CHATGLM1]), text(&[""], &[HEAD])]),
    Family {
        rope: Rope::Interleaved { one_in: 2 },
        ..Family::new("chatglm2", &["chatglm"], &[text(STEMS, &[CHATGLM2])])
    },
];
