//! Metadata → the facts that decide layouts, under the keys of `config.json`'s reader.

use super::metadata::{Metadata, Value};
use crate::checkpoint::{Config, Note, Vocabulary};
use crate::source::shown;

/// No dimension or count of a published model comes near.
const MAX_NUMBER: u64 = 1 << 32;

/// The config that the metadata amount to. `model_type` is the format's name of the architecture.
pub(super) fn config(metadata: &Metadata, vocabulary: Option<&Vocabulary>, notes: &mut Vec<Note>) -> Config {
    let Some(architecture) = metadata.text("general.architecture") else {
        let says = "general.architecture is missing: names and shapes decide".to_string();
        notes.push(Note { rule: "GG-ARCHITECTURE", says });
        return Config::default();
    };
    let mut unusable = Vec::new();
    let mut number = |key: &str| {
        let key = format!("{architecture}.{key}");
        let value = match metadata.get(&key)? {
            // one number a layer: layers without attention, or without an MLP, say 0
            Value::List(numbers) => {
                numbers.iter().copied().max().and_then(|number| u64::try_from(number).ok())
            }
            _ => metadata.number(&key),
        };
        let usable = value.filter(|value| (1..=MAX_NUMBER).contains(value));
        if usable.is_none() && value != Some(0) {
            unusable.push(key);
        }
        usable
    };
    let n_heads = number("attention.head_count");
    let config = Config {
        model_type: Some(architecture.to_owned()),
        architecture: None,
        hidden_size: number("embedding_length"),
        intermediate_size: number("feed_forward_length"),
        n_layers: number("block_count"),
        n_heads,
        n_kv_heads: number("attention.head_count_kv").or(n_heads),
        head_dim: number("attention.key_length"),
        vocab_size: number("vocab_size").or_else(|| vocabulary.map(|tokens| tokens.tokens.len() as u64)),
        tied_embeddings: None,
        n_experts: number("expert_count"),
        rotary_dim: number("rope.dimension_count"),
        activation: None,
        flags: Vec::new(),
        alibi: uses_alibi(metadata, architecture),
        ..Config::default()
    };
    for key in unusable {
        let says = format!("'{}' of the metadata is not a usable value and was ignored", shown(&key));
        notes.push(Note { rule: "GG-FACT", says });
    }
    config
}

/// BLOOM and Jais always, MPT and Baichuan where the slopes are bounded.
fn uses_alibi(metadata: &Metadata, architecture: &str) -> bool {
    let key = format!("{architecture}.attention.max_alibi_bias");
    let bound = metadata.get(&key);
    matches!(architecture, "bloom" | "jais" | "refact")
        || matches!(bound, Some(Value::Float(bound)) if *bound > 0.0)
}
