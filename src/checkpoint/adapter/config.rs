//! `adapter_config.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Adapter;
use crate::checkpoint::json;
use crate::source::{Fault, shown};

/// Most entries of a pattern.
const MAX_PATTERNS: usize = 65_536;

/// The fields that decide what the factors mean; all others are ignored.
#[derive(Deserialize)]
struct Stored {
    peft_type: Option<String>,
    base_model_name_or_path: Option<String>,
    r: Option<u64>,
    lora_alpha: Option<f64>,
    use_rslora: Option<bool>,
    use_dora: Option<bool>,
    fan_in_fan_out: Option<bool>,
    rank_pattern: Option<BTreeMap<String, u64>>,
    alpha_pattern: Option<BTreeMap<String, f64>>,
    layer_replication: Option<serde_json::Value>,
}

/// Reads the text of an `adapter_config.json`.
pub(in crate::checkpoint) fn parse(text: &str) -> Result<Adapter, Box<Fault>> {
    let refuse = |says: String| Fault::new("AD-CONFIG", says);
    let stored: Stored = serde_json::from_str(text).map_err(|cause| {
        refuse(format!("adapter_config.json is not read: {}", json::says(&cause)))
            .at_byte(json::position(text, &cause) as u64)
    })?;
    let kind = stored.peft_type.unwrap_or_default();
    if kind != "LORA" {
        return Err(refuse(format!("adapters of the kind '{}' are not read", shown(&kind)))
            .found_wanted(shown(&kind), "LORA")
            .hint("merge it into its base with the tool that made it"));
    }
    if stored.layer_replication.is_some_and(|value| !value.is_null()) {
        return Err(refuse("adapters that repeat layers of their base are not read".to_owned()));
    }
    let (Some(rank), Some(alpha)) = (stored.r, stored.lora_alpha) else {
        return Err(refuse("the adapter's config names no rank or no alpha".to_owned())
            .found_wanted("no r or lora_alpha", "both"));
    };
    let (ranks, alphas) = (stored.rank_pattern.unwrap_or_default(), stored.alpha_pattern.unwrap_or_default());
    if rank == 0 || ranks.values().any(|rank| *rank == 0) {
        return Err(refuse("the adapter's config names a rank of 0".to_owned()));
    }
    if ranks.len() + alphas.len() > MAX_PATTERNS {
        return Err(refuse(format!("more than {MAX_PATTERNS} modules have a rank or alpha of their own")));
    }
    if !alpha.is_finite() || alphas.values().any(|alpha| !alpha.is_finite()) {
        return Err(refuse("the adapter's alpha is not a finite number".to_owned()));
    }
    // PEFT reads these keys as patterns; names of modules are all that writers put there
    let is_name =
        |key: &&String| key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if let Some(key) = ranks.keys().chain(alphas.keys()).find(|key| !is_name(key)) {
        return Err(refuse(format!("the pattern '{}' is not the name of a module", shown(key)))
            .hint("patterns are never compiled; write the modules' names"));
    }
    let (is_rank_stabilised, is_dora) = (stored.use_rslora == Some(true), stored.use_dora == Some(true));
    Ok(Adapter {
        base: stored.base_model_name_or_path.filter(|name| !name.is_empty()),
        kind: match (is_dora, is_rank_stabilised) {
            (true, _) => "dora",
            (false, true) => "rslora",
            (false, false) => "lora",
        },
        rank,
        ranks,
        alpha,
        alphas,
        is_rank_stabilised,
        is_in_out: stored.fan_in_fan_out == Some(true),
        ..Adapter::default()
    })
}
