//! Decoders with GPT-2's names: alike in words, unlike in the order of rows and columns.

use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Gate, Rope, Rule, text};

/// Everything of GPT-2 and its kin below this prefix or none.
const STEMS: &[&str] = &["transformer.", ""];

const NORMS: &[Rule] = &[("h.N.ln_1", Is(Norm1)), ("h.N.ln_2", Is(Norm2)), ("ln_f", Is(FinalNorm))];
const EMBED: &[Rule] = &[("wte", Is(Embed))];
const POSITIONS: &[Rule] = &[("wpe", Is(Pos))];
const HEAD: &[Rule] = &[("lm_head", Is(Head)), ("score", Is(OutputHead))];

const GPT2_BLOCK: &[Rule] = &[
    ("h.N.attn.c_attn", QkvColumns),
    ("h.N.attn.c_proj", Conv1d(O)),
    ("h.N.mlp.c_fc", Conv1d(Up)),
    ("h.N.mlp.c_proj", Conv1d(Down)),
];
/// The same once a quantiser has turned the matrices upright: [out, in], q over k over v.
const GPT2_UPRIGHT_BLOCK: &[Rule] = &[
    ("h.N.attn.c_attn", QkvBlocks),
    ("h.N.attn.c_proj", Is(O)),
    ("h.N.mlp.c_fc", Is(Up)),
    ("h.N.mlp.c_proj", Is(Down)),
];
const JAIS_GATE: &[Rule] = &[("h.N.mlp.c_fc2", Conv1d(crate::roles::Part::Gate))];

const STARCODER_BLOCK: &[Rule] = &[
    ("h.N.attn.c_attn", QkvBlocksIfOneKv),
    ("h.N.attn.c_proj", Is(O)),
    ("h.N.mlp.c_fc", Is(Up)),
    ("h.N.mlp.c_proj", Is(Down)),
];

const NEO_ATTENTION: &[Rule] = &[
    ("h.N.attn.attention.q_proj", Is(Q)),
    ("h.N.attn.attention.k_proj", Is(K)),
    ("h.N.attn.attention.v_proj", Is(V)),
    ("h.N.attn.attention.out_proj", Is(O)),
];
const NEO_MLP: &[Rule] = &[("h.N.mlp.c_fc", Is(Up)), ("h.N.mlp.c_proj", Is(Down))];
const EXAONE_MLP: &[Rule] = &[
    ("h.N.mlp.c_fc_0", Is(crate::roles::Part::Gate)),
    ("h.N.mlp.c_fc_1", Is(Up)),
    ("h.N.mlp.c_proj", Is(Down)),
];

const GPTJ_ATTENTION: &[Rule] = &[
    ("h.N.attn.q_proj", Is(Q)),
    ("h.N.attn.k_proj", Is(K)),
    ("h.N.attn.v_proj", Is(V)),
    ("h.N.attn.out_proj", Is(O)),
];
const CODEGEN_ATTENTION: &[Rule] = &[("h.N.attn.qkv_proj", QkvFour), ("h.N.attn.out_proj", Is(O))];
const GPTJ_MLP: &[Rule] = &[("h.N.mlp.fc_in", Is(Up)), ("h.N.mlp.fc_out", Is(Down))];
const PARALLEL_NORM: &[Rule] = &[("h.N.ln_1", Is(Norm1)), ("ln_f", Is(FinalNorm))];

const QWEN1_BLOCK: &[Rule] = &[
    ("h.N.attn.c_attn", QkvBlocks),
    ("h.N.attn.c_proj", Is(O)),
    // silu is applied to w2, so w1 is the linear branch
    ("h.N.mlp.w1", Is(Up)),
    ("h.N.mlp.w2", Is(crate::roles::Part::Gate)),
    ("h.N.mlp.c_proj", Is(Down)),
];

const MPT: &[Rule] = &[
    ("blocks.N.attn.Wqkv", QkvBlocks),
    ("blocks.N.attn.out_proj", Is(O)),
    ("blocks.N.ffn.up_proj", Is(Up)),
    ("blocks.N.ffn.down_proj", Is(Down)),
    ("blocks.N.norm_1", Is(Norm1)),
    ("blocks.N.norm_2", Is(Norm2)),
    ("norm_f", Is(FinalNorm)),
    ("wte", Is(Embed)),
];

const OLMO_ORIGINAL: &[Rule] = &[
    ("blocks.N.att_proj", QkvBlocks),
    ("blocks.N.attn_out", Is(O)),
    ("blocks.N.ff_proj", UpGate),
    ("blocks.N.ff_out", Is(Down)),
    ("wte", Is(Embed)),
    ("ff_out", Is(Head)),
];

pub(super) const FAMILIES: &[Family] = &[
    Family {
        gate: Gate::MlpInOut,
        ..Family::new(
            "gpt2",
            &["gpt2"],
            &[text(STEMS, &[GPT2_BLOCK, NORMS, EMBED, POSITIONS]), text(&[""], &[HEAD])],
        )
    },
    Family {
        alibi: true,
        gate: Gate::MlpInOut,
        ..Family::new(
            "jais",
            &["jais"],
            &[text(STEMS, &[GPT2_BLOCK, JAIS_GATE, NORMS, EMBED]), text(&[""], &[HEAD])],
        )
    },
    Family {
        gate: Gate::MlpOutIn,
        ..Family::new(
            "starcoder",
            &["gpt_bigcode"],
            &[text(STEMS, &[STARCODER_BLOCK, NORMS, EMBED, POSITIONS]), text(&[""], &[HEAD])],
        )
    },
    Family {
        gate: Gate::MlpOutIn,
        ..Family::new(
            "gpt2",
            &["gpt2"],
            &[text(STEMS, &[GPT2_UPRIGHT_BLOCK, NORMS, EMBED, POSITIONS]), text(&[""], &[HEAD])],
        )
    },
    Family::new(
        "gpt-neo",
        &["gpt_neo"],
        &[text(STEMS, &[NEO_ATTENTION, NEO_MLP, NORMS, EMBED, POSITIONS]), text(&[""], &[HEAD])],
    ),
    Family::new(
        "exaone",
        &["exaone"],
        &[text(STEMS, &[NEO_ATTENTION, EXAONE_MLP, NORMS, EMBED]), text(&[""], &[HEAD])],
    ),
    Family {
        rope: Rope::Interleaved { one_in: 1 },
        ..Family::new(
            "gptj",
            &["gptj"],
            &[text(STEMS, &[GPTJ_ATTENTION, GPTJ_MLP, PARALLEL_NORM, EMBED]), text(&[""], &[HEAD])],
        )
    },
    Family {
        rope: Rope::Interleaved { one_in: 1 },
        ..Family::new(
            "codegen",
            &["codegen"],
            &[text(STEMS, &[CODEGEN_ATTENTION, GPTJ_MLP, PARALLEL_NORM, EMBED]), text(&[""], &[HEAD])],
        )
    },
    Family::new("qwen1", &["qwen"], &[text(STEMS, &[QWEN1_BLOCK, NORMS, EMBED]), text(&[""], &[HEAD])]),
    Family { alibi: true, ..Family::new("mpt", &["mpt"], &[text(STEMS, &[MPT]), text(&[""], &[HEAD])]) },
    Family::new(
        "olmo-original",
        &["olmo"],
        &[text(&["model.transformer.", "transformer.", ""], &[OLMO_ORIGINAL])],
    ),
];
