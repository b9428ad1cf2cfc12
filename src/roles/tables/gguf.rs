//! GGUF's names: one set for all architectures, which differ in row order, fused tensors and where norms stand.
//!
//! Names: gguf/constants.py of the PyPI package `gguf`; what a norm is for: the graphs of llama.cpp. The converter has cut GPT-2's
//! transposed tensors and the per-head QKV of NeoX, BLOOM and Falcon into plain [q; k; v] already. All tables know
//! the same names, so that the architecture, as `model_type`, decides between them.

use crate::roles::Component::{Decoder, Encoder};
use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::Stacked::OutIn;
use crate::roles::family::{Cut, Family, Rope, Rule, stack, text};

const ATTENTION: &[Rule] = &[
    ("blk.N.attn_qkv", QkvBlocks),
    ("blk.N.attn_q", Is(Q)),
    ("blk.N.attn_k", Is(K)),
    ("blk.N.attn_v", Is(V)),
    ("blk.N.attn_output", Is(O)),
    ("blk.N.attn_q_norm", Is(QNorm)),
    ("blk.N.attn_k_norm", Is(KNorm)),
    ("blk.N.attn_sinks", Is(Sinks)),
];

/// Attention through a narrow latent; `attn_kv_b` was stored by converters before April 2025, its halves since.
const LATENT: &[Rule] = &[
    ("blk.N.attn_q_a", Is(QA)),
    ("blk.N.attn_q_a_norm", Is(QANorm)),
    ("blk.N.attn_q_b", Is(QB)),
    ("blk.N.attn_kv_a_mqa", Is(KvA)),
    ("blk.N.attn_kv_a_norm", Is(KvANorm)),
    ("blk.N.attn_kv_b", KvB),
    ("blk.N.attn_k_b", HeadsTransposed(KB)),
    ("blk.N.attn_v_b", Heads(VB)),
];

const MLP: &[Rule] = &[("blk.N.ffn_gate", Is(Gate)), ("blk.N.ffn_up", Is(Up)), ("blk.N.ffn_down", Is(Down))];

/// [gate; up] under the name of up.
const FUSED_MLP: &[Rule] = &[("blk.N.ffn_up", GateUp)];

const EXPERTS: &[Rule] = &[
    ("blk.N.ffn_gate_inp", Is(Router)),
    ("blk.N.exp_probs_b.bias", Is(RouterBias)),
    ("blk.N.exp_probs_b", Is(RouterBias)),
    ("blk.N.ffn_gate_exps", Experts(Gate, OutIn)),
    ("blk.N.ffn_up_exps", Experts(Up, OutIn)),
    ("blk.N.ffn_down_exps", Experts(Down, OutIn)),
    ("blk.N.ffn_gate_up_exps", ExpertsGateUp(OutIn)),
    ("blk.N.ffn_gate_inp_shexp", Is(SharedExpertGate)),
    ("blk.N.ffn_gate_shexp", Shared(Gate)),
    ("blk.N.ffn_up_shexp", Shared(Up)),
    ("blk.N.ffn_down_shexp", Shared(Down)),
    // one tensor an expert, before 2024
    ("blk.N.ffn_gate.E", Is(Gate)),
    ("blk.N.ffn_up.E", Is(Up)),
    ("blk.N.ffn_down.E", Is(Down)),
];

const NORMS: &[Rule] = &[
    ("blk.N.attn_norm", Is(Norm1)),
    ("blk.N.post_attention_norm", Is(Norm1b)),
    ("blk.N.ffn_norm", Is(Norm2)),
    ("blk.N.post_ffw_norm", Is(Norm2b)),
    // post-norm encoders
    ("blk.N.attn_output_norm", Is(Norm1b)),
    ("blk.N.layer_output_norm", Is(Norm2b)),
];

/// Where no `ffn_norm` is stored, the norm behind attention stands in front of the MLP.
const NORM_BEFORE_MLP: &[Rule] = &[("blk.N.post_attention_norm", Is(Norm2))];

/// Falcon with two norms: the first one stored is that of the MLP.
const FALCON_TWO_NORMS: &[Rule] = &[("blk.N.attn_norm", Is(Norm2)), ("blk.N.attn_norm_2", Is(Norm1))];

const STATE_SPACE: &[Rule] = &[
    ("blk.N.ssm_in", Is(InProj)),
    ("blk.N.ssm_conv1d", Is(Conv)),
    ("blk.N.ssm_x", Is(XProj)),
    ("blk.N.ssm_dt", Is(DtProj)),
    ("blk.N.ssm_a", Is(ALog)),
    ("blk.N.ssm_d", Is(DSkip)),
    ("blk.N.ssm_norm", Is(Norm1b)),
    ("blk.N.ssm_out", Is(OutProj)),
];

/// A layer behind the stack that predicts one more token.
const PREDICTION: &[Rule] = &[
    ("blk.N.nextn.eh_proj", Is(InProj)),
    ("blk.N.nextn.enorm", Is(EmbedNorm)),
    ("blk.N.nextn.hnorm", Is(HiddenNorm)),
    ("blk.N.nextn.embed_tokens", Is(Embed)),
    ("blk.N.nextn.shared_head_norm", Is(FinalNorm)),
    ("blk.N.nextn.shared_head_head", Is(Head)),
];

const SCALING: Cut = Fixed("rotary scaling factors");

const ENDS: &[Rule] = &[
    ("token_embd", Is(Embed)),
    ("token_embd_norm", Is(EmbedNorm)),
    ("token_types", Is(TokenType)),
    ("position_embd", Is(Pos)),
    ("output_norm", Is(FinalNorm)),
    ("output", Is(Head)),
    ("cls", Is(Pooler)),
    ("cls.output", Is(OutputHead)),
    ("rope_factors_long", SCALING),
    ("rope_factors_short", SCALING),
    ("blk.N.rope_freqs", SCALING),
    ("blk.N.attn_rot_embd", SCALING),
];

const ALL: &[&[Rule]] = &[ATTENTION, LATENT, MLP, EXPERTS, NORMS, STATE_SPACE, PREDICTION, ENDS];

const T5_ATTENTION: &[Rule] = &[
    ("blk.N.attn_q", Is(Q)),
    ("blk.N.attn_k", Is(K)),
    ("blk.N.attn_v", Is(V)),
    ("blk.N.attn_o", Is(O)),
    ("blk.N.attn_rel_b", Is(Pos)),
    ("blk.N.attn_norm", Is(Norm1)),
    ("blk.N.ffn_norm", Is(Norm2)),
    ("output_norm", Is(FinalNorm)),
];
const T5_CROSS: &[Rule] = &[
    ("blk.N.cross_attn_q", Is(CrossQ)),
    ("blk.N.cross_attn_k", Is(CrossK)),
    ("blk.N.cross_attn_v", Is(CrossV)),
    ("blk.N.cross_attn_o", Is(CrossO)),
    ("blk.N.cross_attn_norm", Is(CrossNorm)),
    ("blk.N.cross_attn_rel_b", Is(Other)),
];

/// Rows 2j and 2j + 1 of a Q or K head rotate together (`LLAMA_ROPE_TYPE_NORM`): permuted so by the converter, or so in the model.
/// DeepSeek's latent attention rotates the last rows of a head, in the order that its own files have.
const INTERLEAVED: &[&str] = &[
    "llama",
    "llama4",
    "deci",
    "baichuan",
    "plamo",
    "orion",
    "internlm2",
    "minicpm",
    "xverse",
    "command-r",
    "cohere2",
    "olmo",
    "arctic",
    "deepseek",
    "granite",
    "granitemoe",
    "granitehybrid",
    "chameleon",
    "bailingmoe",
    "smollm3",
    "arcee",
    "ernie4_5",
    "ernie4_5-moe",
    "mistral3",
    "llama-embed",
    "maincoder",
    "gptj",
];

/// Label of all tables; reports put the architecture's name beside it.
pub(in crate::roles) const LABEL: &str = "gguf";

pub(super) const FAMILIES: &[Family] = &[
    Family::new(LABEL, &[], &[text(&[""], ALL)]),
    Family { rope: Rope::Interleaved { one_in: 1 }, ..Family::new(LABEL, INTERLEAVED, &[text(&[""], ALL)]) },
    Family {
        rope: Rope::Interleaved { one_in: 2 },
        ..Family::new(
            LABEL,
            &["chatglm", "glm4"],
            &[text(
                &[""],
                &[FUSED_MLP, ATTENTION, LATENT, MLP, EXPERTS, NORMS, STATE_SPACE, PREDICTION, ENDS],
            )],
        )
    },
    Family::new(
        LABEL,
        &["phi3"],
        &[text(&[""], &[FUSED_MLP, ATTENTION, LATENT, MLP, EXPERTS, NORMS, STATE_SPACE, PREDICTION, ENDS])],
    ),
    Family::new(
        LABEL,
        &["gpt-oss", "glm4moe", "qwen3next"],
        &[text(
            &[""],
            &[NORM_BEFORE_MLP, ATTENTION, LATENT, MLP, EXPERTS, NORMS, STATE_SPACE, PREDICTION, ENDS],
        )],
    ),
    Family::new(
        LABEL,
        &["falcon"],
        &[text(
            &[""],
            &[FALCON_TWO_NORMS, ATTENTION, LATENT, MLP, EXPERTS, NORMS, STATE_SPACE, PREDICTION, ENDS],
        )],
    ),
    Family::new(LABEL, &["falcon"], &[text(&[""], ALL)]),
    // the reader has taken the added 1 away again
    Family {
        norm_adds_one: true,
        ..Family::new(LABEL, &["gemma", "gemma2", "gemma3", "gemma-embedding"], &[text(&[""], ALL)])
    },
    Family { alibi: true, ..Family::new(LABEL, &["bloom", "mpt", "jais", "refact"], &[text(&[""], ALL)]) },
    Family::new(
        LABEL,
        &["bert", "nomic-bert", "jina-bert-v2", "jina-bert-v3", "neo-bert", "modern-bert", "eurobert"],
        &[stack(&[""], Encoder, ALL)],
    ),
    Family::new(
        LABEL,
        &["t5", "t5encoder"],
        &[
            stack(&["enc."], Encoder, &[T5_ATTENTION, MLP]),
            stack(&["dec."], Decoder, &[T5_ATTENTION, T5_CROSS, MLP]),
            text(&[""], &[ENDS]),
        ],
    ),
];
