//! Vision towers, alone or inside a multimodal model (whose prefix is gone by then), and projectors.

use crate::roles::Component::{Projector, Text, Vision};
use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rule, stack};

const VIT_LAYER: &[Rule] = &[
    ("encoder.layer.N.attention.attention.query", Is(Q)),
    ("encoder.layer.N.attention.attention.key", Is(K)),
    ("encoder.layer.N.attention.attention.value", Is(V)),
    ("encoder.layer.N.attention.output.dense", Is(O)),
    ("encoder.layer.N.intermediate.dense", Is(Up)),
    ("encoder.layer.N.output.dense", Is(Down)),
    ("encoder.layer.N.layernorm_before", Is(Norm1)),
    ("encoder.layer.N.layernorm_after", Is(Norm2)),
    ("layernorm", Is(FinalNorm)),
    ("embeddings.cls_token", Is(ClassToken)),
    ("embeddings.position_embeddings", Is(Pos)),
    ("embeddings.patch_embeddings.projection", Is(Embed)),
    ("pooler.dense", Is(Pooler)),
];

/// The same as transformers 5 has it in memory, and adapters name it.
const VIT_LAYER_IN_MEMORY: &[Rule] = &[
    ("layers.N.attention.q_proj", Is(Q)),
    ("layers.N.attention.k_proj", Is(K)),
    ("layers.N.attention.v_proj", Is(V)),
    ("layers.N.attention.o_proj", Is(O)),
    ("layers.N.mlp.fc1", Is(Up)),
    ("layers.N.mlp.fc2", Is(Down)),
    ("layers.N.layernorm_before", Is(Norm1)),
    ("layers.N.layernorm_after", Is(Norm2)),
];

/// timm, and the towers that follow it.
const FUSED_BLOCK: &[Rule] = &[
    ("blocks.N.attn.qkv", QkvBlocks),
    ("blocks.N.attn.proj", Is(O)),
    ("blocks.N.norm1", Is(Norm1)),
    ("blocks.N.norm2", Is(Norm2)),
];
const PLAIN_MLP: &[Rule] = &[("blocks.N.mlp.fc1", Is(Up)), ("blocks.N.mlp.fc2", Is(Down))];
const QWEN_MLP: &[Rule] = &[
    ("blocks.N.mlp.linear_fc1", Is(Up)),
    ("blocks.N.mlp.linear_fc2", Is(Down)),
    ("blocks.N.mlp.gate_proj", Is(Gate)),
    ("blocks.N.mlp.up_proj", Is(Up)),
    ("blocks.N.mlp.down_proj", Is(Down)),
];
const TIMM_ENDS: &[Rule] = &[
    ("cls_token", Is(ClassToken)),
    ("pos_embed", Is(Pos)),
    ("patch_embed.proj", Is(Embed)),
    ("norm", Is(FinalNorm)),
    ("fc_norm", Is(FinalNorm)),
    ("head", Is(OutputHead)),
];
const QWEN_ENDS: &[Rule] = &[("patch_embed.proj", Is(Embed)), ("pos_embed", Is(Pos))];
const QWEN_MERGER: &[Rule] = &[
    ("merger.ln_q", Is(Norm1)),
    ("merger.norm", Is(Norm1)),
    ("merger.mlp.0", Is(Up)),
    ("merger.mlp.2", Is(Down)),
    ("merger.linear_fc1", Is(Up)),
    ("merger.linear_fc2", Is(Down)),
    ("deepstack_merger_list.N.norm", Is(Norm1)),
    ("deepstack_merger_list.N.linear_fc1", Is(Up)),
    ("deepstack_merger_list.N.linear_fc2", Is(Down)),
];

/// CLIP and SigLIP, both towers.
const CLIP: &[Rule] = &[
    ("encoder.layers.N.self_attn.q_proj", Is(Q)),
    ("encoder.layers.N.self_attn.k_proj", Is(K)),
    ("encoder.layers.N.self_attn.v_proj", Is(V)),
    ("encoder.layers.N.self_attn.out_proj", Is(O)),
    ("encoder.layers.N.mlp.fc1", Is(Up)),
    ("encoder.layers.N.mlp.fc2", Is(Down)),
    ("encoder.layers.N.layer_norm1", Is(Norm1)),
    ("encoder.layers.N.layer_norm2", Is(Norm2)),
    ("embeddings.token_embedding", Is(Embed)),
    ("embeddings.patch_embedding", Is(Embed)),
    ("embeddings.class_embedding", Is(ClassToken)),
    ("embeddings.position_embedding", Is(Pos)),
    ("pre_layrnorm", Is(EmbedNorm)),
    ("pre_layernorm", Is(EmbedNorm)),
    ("post_layernorm", Is(FinalNorm)),
    ("final_layer_norm", Is(FinalNorm)),
    // the attention pool of SigLIP
    ("head.probe", Is(ClassToken)),
    ("head.attention.in_proj", Is(Pooler)),
    ("head.attention.out_proj", Is(OutProj)),
    ("head.layernorm", Is(HeadNorm)),
    ("head.mlp.fc1", Is(HeadTransform)),
    ("head.mlp.fc2", Is(OutputHead)),
    ("head", Is(OutputHead)),
];
const CLIP_PROJECTIONS: &[Rule] = &[("text_projection", Is(OutProj)), ("logit_scale", Is(Other))];
const CLIP_VISION_PROJECTION: &[Rule] = &[("visual_projection", Is(OutProj)), ("logit_bias", Is(Other))];

/// CLIP as its authors stored it.
const OPEN_CLIP: &[Rule] = &[
    ("transformer.resblocks.N.attn.in_proj", QkvBlocks),
    ("transformer.resblocks.N.attn.out_proj", Is(O)),
    ("transformer.resblocks.N.ln_1", Is(Norm1)),
    ("transformer.resblocks.N.ln_2", Is(Norm2)),
    ("transformer.resblocks.N.mlp.c_fc", Is(Up)),
    ("transformer.resblocks.N.mlp.c_proj", Is(Down)),
    ("token_embedding", Is(Embed)),
    ("positional_embedding", Is(Pos)),
    ("class_embedding", Is(ClassToken)),
    ("conv1", Is(Embed)),
    ("ln_pre", Is(EmbedNorm)),
    ("ln_post", Is(FinalNorm)),
    ("ln_final", Is(FinalNorm)),
    ("proj", Is(OutProj)),
    ("text_projection", Is(OutProj)),
    ("logit_scale", Is(Other)),
];

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "vit",
        &["vit", "deit"],
        &[
            stack(&["vit.", "deit.", ""], Vision, &[VIT_LAYER, VIT_LAYER_IN_MEMORY]),
            stack(&[""], Vision, &[&[("classifier", Is(OutputHead))]]),
        ],
    ),
    Family::new("timm-vit", &[], &[stack(&[""], Vision, &[FUSED_BLOCK, PLAIN_MLP, TIMM_ENDS])]),
    Family::new(
        "qwen-vision",
        &[],
        &[
            stack(&[""], Vision, &[FUSED_BLOCK, PLAIN_MLP, QWEN_MLP, QWEN_ENDS]),
            stack(&[""], Projector, &[QWEN_MERGER]),
        ],
    ),
    Family::new(
        "clip",
        &["clip", "siglip"],
        &[
            stack(&["vision_model.", ""], Text, &[CLIP, CLIP_PROJECTIONS]),
            stack(&[""], Vision, &[CLIP_VISION_PROJECTION]),
        ],
    ),
    Family::new("open-clip", &[], &[stack(&[""], Text, &[OPEN_CLIP])]),
];

/// What stands between towers has no layers: its prefix says what it is.
pub(in crate::roles) const PROJECTOR: Family = Family::new(
    "projector",
    &[],
    &[stack(
        &[""],
        Projector,
        &[&[
            ("linear_1", Is(Up)),
            ("linear_2", Is(Down)),
            ("0", Is(Up)),
            ("2", Is(Down)),
            ("linear", Is(Up)),
            ("norm", Is(Norm1)),
        ]],
    )],
);
