//! Decoders with experts: every block has a router, and each expert an MLP of its own.

use super::llama::{ATTENTION, HEAD, NORMS, QK_NORMS, TRUNK_ENDS};
use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::Stacked::{InOut, OutIn};
use crate::roles::family::{Family, Rope, Rule, text};

/// Layers that stay dense, and the experts' own MLPs of the same names.
const DENSE: &[Rule] = super::llama::MLP;

/// One tensor per expert and matrix.
const EXPERTS: &[Rule] = &[
    ("model.layers.N.mlp.gate", Is(Router)),
    ("model.layers.N.mlp.experts.E.gate_proj", Is(Gate)),
    ("model.layers.N.mlp.experts.E.up_proj", Is(Up)),
    ("model.layers.N.mlp.experts.E.down_proj", Is(Down)),
];

/// All experts of a layer in one tensor.
const STACKED: &[Rule] = &[
    ("model.layers.N.mlp.experts.gate_up_proj", ExpertsGateUp(OutIn)),
    ("model.layers.N.mlp.experts.down_proj", Experts(Down, OutIn)),
];

const QWEN_SHARED: &[Rule] = &[
    ("model.layers.N.mlp.shared_expert.gate_proj", Shared(Gate)),
    ("model.layers.N.mlp.shared_expert.up_proj", Shared(Up)),
    ("model.layers.N.mlp.shared_expert.down_proj", Shared(Down)),
    ("model.layers.N.mlp.shared_expert_gate", Is(SharedExpertGate)),
];

const MIXTRAL: &[Rule] = &[
    ("model.layers.N.block_sparse_moe.gate", Is(Router)),
    ("model.layers.N.block_sparse_moe.experts.E.w1", Is(Gate)),
    ("model.layers.N.block_sparse_moe.experts.E.w3", Is(Up)),
    ("model.layers.N.block_sparse_moe.experts.E.w2", Is(Down)),
    ("model.layers.N.block_sparse_moe.experts.gate_up_proj", ExpertsGateUp(OutIn)),
    ("model.layers.N.block_sparse_moe.experts.down_proj", Experts(Down, OutIn)),
];

const LLAMA_MOE: &[Rule] = &[
    ("model.layers.N.mlp.gate.gate_network.0", Is(Router)),
    ("model.layers.N.mlp.gate.gate_network.2", Is(RouterBias)),
    ("model.layers.N.mlp.gate.gate_network", Is(Router)),
    ("model.layers.N.mlp.gate.weight_noise", Is(Other)),
    ("model.layers.N.mlp.calculator.experts.weight_gate.E", Is(Gate)),
    ("model.layers.N.mlp.calculator.experts.weight_up.E", Is(Up)),
    ("model.layers.N.mlp.calculator.experts.weight_down.E", Is(Down)),
];

const LLAMA4: &[Rule] = &[
    ("model.layers.N.feed_forward.router", Is(Router)),
    ("model.layers.N.feed_forward.experts.gate_up_proj", ExpertsGateUp(InOut)),
    ("model.layers.N.feed_forward.experts.down_proj", Experts(Down, InOut)),
    ("model.layers.N.feed_forward.shared_expert.gate_proj", Shared(Gate)),
    ("model.layers.N.feed_forward.shared_expert.up_proj", Shared(Up)),
    ("model.layers.N.feed_forward.shared_expert.down_proj", Shared(Down)),
    ("model.layers.N.feed_forward.gate_proj", Is(Gate)),
    ("model.layers.N.feed_forward.up_proj", Is(Up)),
    ("model.layers.N.feed_forward.down_proj", Is(Down)),
];

const GPT_OSS: &[Rule] = &[
    ("model.layers.N.self_attn.sinks", Is(Sinks)),
    ("model.layers.N.mlp.router", Is(Router)),
    ("model.layers.N.mlp.experts.gate_up_proj", ExpertsAlternating(InOut)),
    ("model.layers.N.mlp.experts.down_proj", Experts(Down, InOut)),
    // the quantised form is not transposed
    ("model.layers.N.mlp.experts.gate_up_proj_blocks", ExpertsAlternating(OutIn)),
    ("model.layers.N.mlp.experts.down_proj_blocks", Experts(Down, OutIn)),
];

/// Attention through a narrow latent.
const LATENT: &[Rule] = &[
    ("model.layers.N.self_attn.q_proj", Is(Q)),
    ("model.layers.N.self_attn.q_a_proj", Is(QA)),
    ("model.layers.N.self_attn.q_a_layernorm", Is(QANorm)),
    ("model.layers.N.self_attn.q_b_proj", Is(QB)),
    ("model.layers.N.self_attn.kv_a_proj_with_mqa", Is(KvA)),
    ("model.layers.N.self_attn.kv_a_layernorm", Is(KvANorm)),
    ("model.layers.N.self_attn.kv_b_proj", KvB),
    ("model.layers.N.self_attn.o_proj", Is(O)),
];

const DEEPSEEK_SHARED: &[Rule] = &[
    ("model.layers.N.mlp.gate.e_score_correction_bias", Is(RouterBias)),
    ("model.layers.N.mlp.shared_experts.gate_proj", Shared(Gate)),
    ("model.layers.N.mlp.shared_experts.up_proj", Shared(Up)),
    ("model.layers.N.mlp.shared_experts.down_proj", Shared(Down)),
];

/// A layer behind the stack that predicts one more token.
const PREDICTION: &[Rule] = &[
    ("model.layers.N.eh_proj", Is(InProj)),
    ("model.layers.N.enorm", Is(EmbedNorm)),
    ("model.layers.N.hnorm", Is(HiddenNorm)),
    ("model.layers.N.embed_tokens", Is(Embed)),
    ("model.layers.N.shared_head.norm", Is(FinalNorm)),
    ("model.layers.N.shared_head.head", Is(Head)),
];

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "qwen2-moe",
        &["qwen2_moe"],
        &[text(&[""], &[ATTENTION, EXPERTS, STACKED, QWEN_SHARED, DENSE, NORMS, TRUNK_ENDS, HEAD])],
    ),
    Family::new(
        "qwen3-moe",
        &["qwen3_moe", "qwen3_vl_moe"],
        &[text(&[""], &[ATTENTION, QK_NORMS, EXPERTS, STACKED, DENSE, NORMS, TRUNK_ENDS, HEAD])],
    ),
    Family::new("mixtral", &["mixtral"], &[text(&[""], &[ATTENTION, MIXTRAL, NORMS, TRUNK_ENDS, HEAD])]),
    Family::new(
        "llama-moe",
        &["llama_moe"],
        &[text(&[""], &[ATTENTION, LLAMA_MOE, NORMS, TRUNK_ENDS, HEAD])],
    ),
    Family {
        rope: Rope::Interleaved { one_in: 1 },
        ..Family::new(
            "llama4",
            &["llama4", "llama4_text"],
            &[text(&[""], &[ATTENTION, LLAMA4, NORMS, TRUNK_ENDS, HEAD])],
        )
    },
    Family::new("gpt-oss", &["gpt_oss"], &[text(&[""], &[ATTENTION, GPT_OSS, NORMS, TRUNK_ENDS, HEAD])]),
    Family::new(
        "deepseek-mla",
        &["deepseek_v2", "deepseek_v3", "kimi_k2"],
        &[text(
            &[""],
            &[LATENT, EXPERTS, STACKED, DEEPSEEK_SHARED, DENSE, PREDICTION, NORMS, TRUNK_ENDS, HEAD],
        )],
    ),
    Family::new(
        "glm4-moe",
        &["glm4_moe", "deepseek"],
        &[text(
            &[""],
            &[
                ATTENTION,
                QK_NORMS,
                EXPERTS,
                STACKED,
                DEEPSEEK_SHARED,
                DENSE,
                PREDICTION,
                NORMS,
                TRUNK_ENDS,
                HEAD,
            ],
        )],
    ),
];
