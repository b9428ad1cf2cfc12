//! Encoder-only models: BERT and those that follow its names more or less.

use crate::roles::Component::Encoder;
use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rule, stack};

const EMBEDDINGS: &[Rule] = &[
    ("embeddings.word_embeddings", Is(Embed)),
    ("embeddings.position_embeddings", Is(Pos)),
    ("embeddings.token_type_embeddings", Is(TokenType)),
    ("embeddings.LayerNorm", Is(EmbedNorm)),
];

const BERT_LAYER: &[Rule] = &[
    ("encoder.layer.N.attention.self.query", Is(Q)),
    ("encoder.layer.N.attention.self.key", Is(K)),
    ("encoder.layer.N.attention.self.value", Is(V)),
    ("encoder.layer.N.attention.output.dense", Is(O)),
    ("encoder.layer.N.attention.output.LayerNorm", Is(Norm1b)),
    ("encoder.layer.N.intermediate.dense", Is(Up)),
    ("encoder.layer.N.output.dense", Is(Down)),
    ("encoder.layer.N.output.LayerNorm", Is(Norm2b)),
];

const DEBERTA_LAYER: &[Rule] = &[
    ("encoder.layer.N.attention.self.query_proj", Is(Q)),
    ("encoder.layer.N.attention.self.key_proj", Is(K)),
    ("encoder.layer.N.attention.self.value_proj", Is(V)),
    ("encoder.layer.N.attention.output.dense", Is(O)),
    ("encoder.layer.N.attention.output.LayerNorm", Is(Norm1b)),
    ("encoder.layer.N.intermediate.dense", Is(Up)),
    ("encoder.layer.N.output.dense", Is(Down)),
    ("encoder.layer.N.output.LayerNorm", Is(Norm2b)),
    ("encoder.rel_embeddings", Is(Pos)),
    ("encoder.LayerNorm", Is(FinalNorm)),
];

const POOLER: &[Rule] = &[("pooler.dense", Is(Pooler)), ("pooler", Is(Pooler))];

const HEADS: &[Rule] = &[
    ("cls.predictions", Is(Head)),
    ("cls.predictions.decoder", Is(Head)),
    ("cls.predictions.transform.dense", Is(HeadTransform)),
    ("cls.predictions.transform.LayerNorm", Is(HeadNorm)),
    ("cls.seq_relationship", Is(OutputHead)),
    ("lm_head", Is(Head)),
    ("lm_head.decoder", Is(Head)),
    ("lm_head.dense", Is(HeadTransform)),
    ("lm_head.layer_norm", Is(HeadNorm)),
    ("lm_predictions.lm_head", Is(Head)),
    ("lm_predictions.lm_head.dense", Is(HeadTransform)),
    ("lm_predictions.lm_head.LayerNorm", Is(HeadNorm)),
    ("mask_predictions.classifier", Is(OutputHead)),
    ("mask_predictions.dense", Is(Other)),
    ("mask_predictions.LayerNorm", Is(Other)),
    ("classifier", Is(OutputHead)),
    ("classifier.out_proj", Is(OutputHead)),
    ("classifier.dense", Is(Pooler)),
    ("qa_outputs", Is(OutputHead)),
];

const DISTILBERT: &[Rule] = &[
    ("transformer.layer.N.attention.q_lin", Is(Q)),
    ("transformer.layer.N.attention.k_lin", Is(K)),
    ("transformer.layer.N.attention.v_lin", Is(V)),
    ("transformer.layer.N.attention.out_lin", Is(O)),
    ("transformer.layer.N.sa_layer_norm", Is(Norm1b)),
    ("transformer.layer.N.ffn.lin1", Is(Up)),
    ("transformer.layer.N.ffn.lin2", Is(Down)),
    ("transformer.layer.N.output_layer_norm", Is(Norm2b)),
];
const DISTILBERT_HEADS: &[Rule] = &[
    ("vocab_transform", Is(HeadTransform)),
    ("vocab_layer_norm", Is(HeadNorm)),
    ("vocab_projector", Is(Head)),
    ("pre_classifier", Is(Pooler)),
    ("classifier", Is(OutputHead)),
    ("qa_outputs", Is(OutputHead)),
];

/// One stored layer serves at every depth: it has the index of its group.
const ALBERT: &[Rule] = &[
    ("encoder.embedding_hidden_mapping_in", Is(InProj)),
    ("encoder.albert_layer_groups.N.albert_layers.0.attention.query", Is(Q)),
    ("encoder.albert_layer_groups.N.albert_layers.0.attention.key", Is(K)),
    ("encoder.albert_layer_groups.N.albert_layers.0.attention.value", Is(V)),
    ("encoder.albert_layer_groups.N.albert_layers.0.attention.dense", Is(O)),
    ("encoder.albert_layer_groups.N.albert_layers.0.attention.LayerNorm", Is(Norm1b)),
    ("encoder.albert_layer_groups.N.albert_layers.0.ffn", Is(Up)),
    ("encoder.albert_layer_groups.N.albert_layers.0.ffn_output", Is(Down)),
    ("encoder.albert_layer_groups.N.albert_layers.0.full_layer_layer_norm", Is(Norm2b)),
];
const ALBERT_HEADS: &[Rule] = &[
    ("predictions", Is(Head)),
    ("predictions.decoder", Is(Head)),
    ("predictions.dense", Is(HeadTransform)),
    ("predictions.LayerNorm", Is(HeadNorm)),
    ("sop_classifier.classifier", Is(OutputHead)),
    ("classifier", Is(OutputHead)),
];

pub(super) const FAMILIES: &[Family] = &[
    Family::new(
        "bert",
        &["bert", "roberta", "xlm-roberta", "camembert", "electra"],
        &[
            stack(&["bert.", "roberta.", "electra.", ""], Encoder, &[EMBEDDINGS, BERT_LAYER, POOLER]),
            stack(&[""], Encoder, &[HEADS]),
        ],
    ),
    Family::new(
        "deberta",
        &["deberta-v2", "deberta"],
        &[
            stack(&["deberta.", ""], Encoder, &[EMBEDDINGS, DEBERTA_LAYER, POOLER]),
            stack(&[""], Encoder, &[HEADS, POOLER]),
        ],
    ),
    Family::new(
        "distilbert",
        &["distilbert"],
        &[
            stack(&["distilbert.", ""], Encoder, &[EMBEDDINGS, DISTILBERT]),
            stack(&[""], Encoder, &[DISTILBERT_HEADS]),
        ],
    ),
    Family::new(
        "albert",
        &["albert"],
        &[
            stack(&["albert.", ""], Encoder, &[EMBEDDINGS, ALBERT, POOLER]),
            stack(&[""], Encoder, &[ALBERT_HEADS]),
        ],
    ),
];
