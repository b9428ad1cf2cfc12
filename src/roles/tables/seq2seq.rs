//! Encoder–decoders, and OPT, which is the decoder of one.

use crate::roles::Component::{Decoder, Encoder, Text};
use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rule, stack, text};

const T5_ATTENTION: &[Rule] = &[
    ("block.N.layer.0.SelfAttention.q", Is(Q)),
    ("block.N.layer.0.SelfAttention.k", Is(K)),
    ("block.N.layer.0.SelfAttention.v", Is(V)),
    ("block.N.layer.0.SelfAttention.o", Is(O)),
    ("block.N.layer.0.SelfAttention.relative_attention_bias", Is(Pos)),
    ("block.N.layer.0.layer_norm", Is(Norm1)),
    ("final_layer_norm", Is(FinalNorm)),
    ("embed_tokens", Is(Embed)),
];
/// The MLP is the second sublayer of an encoder block.
const T5_ENCODER_MLP: &[Rule] = &[
    ("block.N.layer.1.layer_norm", Is(Norm2)),
    ("block.N.layer.1.DenseReluDense.wi", Is(Up)),
    ("block.N.layer.1.DenseReluDense.wi_0", Is(Gate)),
    ("block.N.layer.1.DenseReluDense.wi_1", Is(Up)),
    ("block.N.layer.1.DenseReluDense.wo", Is(Down)),
];
/// In a decoder block the second sublayer looks at the encoder, and the MLP is the third.
const T5_DECODER: &[Rule] = &[
    ("block.N.layer.1.layer_norm", Is(CrossNorm)),
    ("block.N.layer.1.EncDecAttention.q", Is(CrossQ)),
    ("block.N.layer.1.EncDecAttention.k", Is(CrossK)),
    ("block.N.layer.1.EncDecAttention.v", Is(CrossV)),
    ("block.N.layer.1.EncDecAttention.o", Is(CrossO)),
    // the first release stored one that is never used
    ("block.N.layer.1.EncDecAttention.relative_attention_bias", Is(Other)),
    ("block.N.layer.2.layer_norm", Is(Norm2)),
    ("block.N.layer.2.DenseReluDense.wi", Is(Up)),
    ("block.N.layer.2.DenseReluDense.wi_0", Is(Gate)),
    ("block.N.layer.2.DenseReluDense.wi_1", Is(Up)),
    ("block.N.layer.2.DenseReluDense.wo", Is(Down)),
];
const T5_ENDS: &[Rule] = &[("shared", Is(Embed)), ("lm_head", Is(Head))];

/// Post-norm block of BART and Marian; mBART and OPT use the same names before each half.
const BART_SELF: &[Rule] = &[
    ("layers.N.self_attn.q_proj", Is(Q)),
    ("layers.N.self_attn.k_proj", Is(K)),
    ("layers.N.self_attn.v_proj", Is(V)),
    ("layers.N.self_attn.out_proj", Is(O)),
    ("layers.N.fc1", Is(Up)),
    ("layers.N.fc2", Is(Down)),
    ("embed_tokens", Is(Embed)),
    ("layernorm_embedding", Is(EmbedNorm)),
];
const BART_NORMS: &[Rule] =
    &[("layers.N.self_attn_layer_norm", Is(Norm1b)), ("layers.N.final_layer_norm", Is(Norm2b))];
const PRE_NORMS: &[Rule] = &[
    ("layers.N.self_attn_layer_norm", Is(Norm1)),
    ("layers.N.final_layer_norm", Is(Norm2)),
    ("layer_norm", Is(FinalNorm)),
];
const POSITIONS: &[Rule] = &[("embed_positions", Is(Pos))];
const SINUSOIDS: &[Rule] =
    &[("embed_positions", Fixed("sinusoid table")), ("embed_positions.weights", Fixed("sinusoid table"))];
const BART_CROSS: &[Rule] = &[
    ("layers.N.encoder_attn.q_proj", Is(CrossQ)),
    ("layers.N.encoder_attn.k_proj", Is(CrossK)),
    ("layers.N.encoder_attn.v_proj", Is(CrossV)),
    ("layers.N.encoder_attn.out_proj", Is(CrossO)),
    ("layers.N.encoder_attn_layer_norm", Is(CrossNorm)),
];
const BART_ENDS: &[Rule] = &[
    ("model.shared", Is(Embed)),
    ("shared", Is(Embed)),
    ("lm_head", Is(Head)),
    ("final_logits", Is(Head)),
    ("classification_head.dense", Is(Pooler)),
    ("classification_head.out_proj", Is(OutputHead)),
];
const WHISPER_ENDS: &[Rule] = &[("proj_out", Is(Head))];
const WHISPER_FRONT: &[Rule] = &[("conv1", Is(Conv)), ("conv2", Is(InProj))];
const OPT_ENDS: &[Rule] =
    &[("project_in", Is(InProj)), ("project_out", Is(OutProj)), ("final_layer_norm", Is(FinalNorm))];

const ENCODERS: &[&str] = &["model.encoder.", "encoder."];
const DECODERS: &[&str] = &["model.decoder.", "decoder."];

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "t5",
        &["t5", "mt5", "umt5"],
        &[
            stack(&["encoder."], Encoder, &[T5_ATTENTION, T5_ENCODER_MLP]),
            stack(&["decoder."], Decoder, &[T5_ATTENTION, T5_DECODER]),
            text(&[""], &[T5_ENDS]),
        ],
    ),
    Family::new(
        "bart",
        &["bart", "plbart", "led"],
        &[
            stack(ENCODERS, Encoder, &[BART_SELF, BART_NORMS, POSITIONS]),
            stack(DECODERS, Decoder, &[BART_SELF, BART_CROSS, BART_NORMS, POSITIONS]),
            text(&[""], &[BART_ENDS]),
        ],
    ),
    Family {
        sinusoidal_positions: true,
        ..Family::new(
            "marian",
            &["marian"],
            &[
                stack(ENCODERS, Encoder, &[BART_SELF, BART_NORMS, SINUSOIDS]),
                stack(DECODERS, Decoder, &[BART_SELF, BART_CROSS, BART_NORMS, SINUSOIDS]),
                text(&[""], &[BART_ENDS]),
            ],
        )
    },
    Family::new(
        "mbart",
        &["mbart", "pegasus", "blenderbot"],
        &[
            stack(ENCODERS, Encoder, &[BART_SELF, PRE_NORMS, POSITIONS]),
            stack(DECODERS, Decoder, &[BART_SELF, BART_CROSS, PRE_NORMS, POSITIONS]),
            text(&[""], &[BART_ENDS]),
        ],
    ),
    Family {
        sinusoidal_positions: true,
        ..Family::new(
            "m2m100",
            &["m2m_100", "nllb"],
            &[
                stack(ENCODERS, Encoder, &[BART_SELF, PRE_NORMS, SINUSOIDS]),
                stack(DECODERS, Decoder, &[BART_SELF, BART_CROSS, PRE_NORMS, SINUSOIDS]),
                text(&[""], &[BART_ENDS]),
            ],
        )
    },
    Family::new(
        "whisper",
        &["whisper"],
        &[
            stack(ENCODERS, Encoder, &[BART_SELF, PRE_NORMS, SINUSOIDS, WHISPER_FRONT]),
            stack(DECODERS, Decoder, &[BART_SELF, BART_CROSS, PRE_NORMS, POSITIONS]),
            text(&[""], &[WHISPER_ENDS]),
        ],
    ),
    Family::new(
        "opt",
        &["opt", "galactica"],
        &[
            stack(DECODERS, Text, &[BART_SELF, PRE_NORMS, POSITIONS, OPT_ENDS]),
            text(&[""], &[&[("lm_head", Is(Head))]]),
        ],
    ),
];
