//! T11: token rows in another order, with more of them, or fewer; the tokenizer rewritten alike. Function unchanged
//! for the tokens that stay.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::Model;
use super::{NotApplicable, permutation};
use crate::numerics::Rng;
use crate::roles::{Part, Role};

/// Every token gets another id.
///
/// # Errors
/// There is no token table, or no tokenizer that could say what the rows are now.
pub(super) fn shuffle(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    needs_tokenizer(model)?;
    let order = permutation(n_rows(model)?, rng);
    keep(model, &order);
    Ok(())
}

/// A sixteenth of new tokens behind the old ones, drawn as the old rows are distributed.
///
/// # Errors
/// There is no token table.
pub(super) fn extend(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    let n_old = n_rows(model)?;
    let n_new = n_old.div_ceil(16);
    for role in tables(model) {
        // the rows that grow repeat old ones, then are drawn anew
        let rows: Vec<usize> = (0..n_old + n_new).map(|row| row % n_old).collect();
        model.select_rows(&role, &rows);
        if let Some(table) = model.get_mut(&role) {
            let (mean, std) = table.mean_and_std();
            for row in n_old..n_old + n_new {
                table.row_mut(row).iter_mut().for_each(|value| *value = mean + std * rng.normal());
            }
        }
    }
    if let Some(added) = model.tokenizer.as_mut().and_then(|tokenizer| tokenizer.get_mut("added_tokens")) {
        let new = (0..n_new).map(|at| {
            json!({ "id": n_old + at, "content": format!("<|new-{at}|>"), "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
        });
        if let Some(list) = added.as_array_mut() {
            list.extend(new);
        }
    }
    model.set_config(&["vocab_size"], (n_old + n_new).into());
    Ok(())
}

/// A quarter of the tokens taken out, chosen by the seed; the others move up.
///
/// # Errors
/// There is no token table, or no tokenizer that could say what the rows are now.
pub(super) fn cut(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    needs_tokenizer(model)?;
    let n_old = n_rows(model)?;
    let kept = rng.sample(n_old, n_old - n_old / 4);
    keep(model, &kept);
    model.set_config(&["vocab_size"], kept.len().into());
    Ok(())
}

fn needs_tokenizer(model: &Model) -> Result<(), NotApplicable> {
    let vocab = model.tokenizer.as_ref().and_then(|tokenizer| tokenizer.pointer("/model/vocab"));
    if vocab.is_some() { Ok(()) } else { Err(NotApplicable("no tokenizer.json to be rewritten alike")) }
}

/// Roles with one row per token.
fn tables(model: &Model) -> Vec<Role> {
    [Part::Embed, Part::Head].iter().flat_map(|part| model.roles_of(*part)).collect()
}

fn n_rows(model: &Model) -> Result<usize, NotApplicable> {
    let embed = model.roles_of(Part::Embed);
    let n_rows = embed.first().and_then(|role| model.parts.get(role)).map_or(0, |table| table.n_rows);
    let others = tables(model);
    if n_rows == 0 {
        return Err(NotApplicable("there is no token table"));
    }
    if others.iter().any(|role| model.parts.get(role).is_some_and(|table| table.n_rows != n_rows)) {
        return Err(NotApplicable("embedding and head hold different numbers of tokens"));
    }
    Ok(n_rows)
}

/// Row i becomes row `kept[i]` of before, in the tables and in the tokenizer.
fn keep(model: &mut Model, kept: &[usize]) {
    for role in tables(model) {
        model.select_rows(&role, kept);
    }
    let new_of_old: BTreeMap<u64, usize> = (0..).zip(kept).map(|(new, old)| (*old as u64, new)).collect();
    if let Some(tokenizer) = &mut model.tokenizer {
        rewrite(tokenizer, &new_of_old);
    }
}

/// Gives every token its new id; tokens without one go, and merges that need them.
fn rewrite(tokenizer: &mut Value, new_of_old: &BTreeMap<u64, usize>) {
    let new_id = |id: Option<u64>| id.and_then(|id| new_of_old.get(&id)).copied();
    if let Some(added) = tokenizer.get_mut("added_tokens").and_then(Value::as_array_mut) {
        added.retain_mut(|token| {
            let Some(new) = new_id(token.get("id").and_then(Value::as_u64)) else { return false };
            token["id"] = new.into();
            true
        });
    }
    let Some(model) = tokenizer.get_mut("model").and_then(Value::as_object_mut) else { return };
    match model.get_mut("vocab") {
        Some(Value::Object(vocab)) => {
            vocab.retain(|_, id| match new_id(id.as_u64()) {
                Some(new) => {
                    *id = new.into();
                    true
                }
                None => false,
            });
        }
        Some(Value::Array(list)) => {
            let mut rows: Vec<(usize, Value)> = std::mem::take(list)
                .into_iter()
                .zip(0_u64..)
                .filter_map(|(token, id)| Some((new_id(Some(id))?, token)))
                .collect();
            rows.sort_by_key(|(id, _)| *id);
            *list = rows.into_iter().map(|(_, token)| token).collect();
        }
        _ => {}
    }
    let known = model.get("vocab").and_then(Value::as_object).cloned();
    if let (Some(known), Some(merges)) = (known, model.get_mut("merges").and_then(Value::as_array_mut)) {
        merges.retain(|merge| {
            let halves: Vec<&str> = match merge {
                Value::String(text) => text.split(' ').collect(),
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            halves.iter().all(|half| known.contains_key(*half)) && known.contains_key(&halves.concat())
        });
    }
}
