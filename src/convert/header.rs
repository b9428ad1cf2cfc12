//! The header of a safetensors file: length, JSON, padded to whole words of eight bytes.

use serde_json::{Map, Value, json};

use super::Plan;
use crate::checkpoint::{CONFIG_KEY, Checkpoint, config_text};

/// Length and header of the new file, with what was changed in `__metadata__`.
#[must_use]
pub fn header(plan: &Plan, checkpoint: &Checkpoint) -> Vec<u8> {
    let changes: Map<String, Value> = plan
        .tensors
        .iter()
        .filter(|tensor| !tensor.changes.is_empty())
        .map(|tensor| (tensor.name.clone(), Value::from(tensor.changes.join("; "))))
        .collect();
    let pairs = |list: &[(String, String)]| -> Map<String, Value> {
        list.iter().map(|(name, why)| (name.clone(), Value::from(why.as_str()))).collect()
    };
    let mut entries = Map::new();
    entries.insert(
        "__metadata__".to_owned(),
        json!({
            "format": "pt",
            "cognate.version": env!("CARGO_PKG_VERSION"),
            "cognate.source": checkpoint.reference,
            CONFIG_KEY: config_text(&plan.config),
            "cognate.changes": Value::Object(changes).to_string(),
            "cognate.left_out": Value::Object(pairs(&plan.left_out)).to_string(),
            "cognate.skipped": Value::Object(pairs(&plan.skipped)).to_string(),
        }),
    );
    let mut begin = 0;
    for tensor in &plan.tensors {
        let end = begin + tensor.size_bytes();
        let entry =
            json!({ "dtype": tensor.dtype.name(), "shape": tensor.shape, "data_offsets": [begin, end] });
        entries.insert(tensor.name.clone(), entry);
        begin = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    header
}
