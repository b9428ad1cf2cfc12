//! Which tensors of a pickle are the model's, and under which names.

use std::collections::HashSet;

use super::value::{Id, Pickled, TensorRef, Value};
use crate::checkpoint::{Error, Limits, Note};
use crate::source::{Fault, grouped, in_bytes, shown};
use crate::wording::agreeing;

/// Longest name of a tensor, as in safetensors.
const MAX_NAME_BYTES: usize = 4096;
/// Most names in a message.
const MAX_SHOWN: usize = 6;

/// Entries of a training checkpoint that hold the weights in use, best first.
const WEIGHTS: [&str; 9] =
    ["state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params", "generator"];
/// Running means of the weights: another set of the same tensors.
const AVERAGES: [&str; 7] =
    ["ema", "model_ema", "ema_state_dict", "state_dict_ema", "params_ema", "ema_model", "averaged"];

/// Rule of the note about a set of tensors that is another part of the model.
pub(in crate::checkpoint) const OTHER_SET: &str = "PK-OTHER";

/// Prefixes that wrappers put before every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// A tensor and its name.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub name: String,
    pub tensor: &'a TensorRef,
    /// The pickle that it stands in.
    pub pickled: &'a Pickled,
}

/// The model's tensors, in the order of the dict.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub tensors: Vec<Named<'a>>,
    pub notes: Vec<Note>,
}

/// The root if it holds tensors, else the one entry of it that does.
pub(super) fn find<'a>(pickled: &'a Pickled, limits: &Limits) -> Result<Found<'a>, Error> {
    let Value::Dict(root) = pickled.value(pickled.root) else {
        return Err(no_state_dict("it holds no dict of tensors").into());
    };
    let mut notes = Vec::new();
    let chosen = if n_tensors(pickled, root) > 0 { root } else { chosen_entry(pickled, root, &mut notes)? };
    // tensors that lie deeper than those that are read
    let deeper = sets(pickled, chosen);
    notes.extend(deeper.iter().map(not_read));
    let mut found = Vec::new();
    let mut names = HashSet::new();
    let mut n_others = 0_u64;
    for &(key, value) in chosen {
        let Value::Tensor(tensor) = pickled.value(value) else {
            n_others += 1;
            continue;
        };
        let Some(name) = pickled.text(key) else {
            return Err(Fault::new("PK-NAME", "a tensor has a name that is no text").into());
        };
        if name.len() > MAX_NAME_BYTES {
            return Err(Fault::new("PK-NAME", "a tensor's name is too long")
                .found_wanted(in_bytes(name.len() as u64), "at most 4,096")
                .into());
        }
        if !names.insert(name) {
            return Err(Fault::new("PK-DUPLICATE", format!("the name '{}' is given twice", shown(name)))
                .of_tensor(name)
                .hint("loaders take the last one; which of them is the weight cannot be told")
                .into());
        }
        if found.len() >= limits.max_tensors {
            return Err(Fault::new("PK-TENSORS", "the file holds more tensors than allowed")
                .found_wanted(
                    format!("more than {}", grouped(limits.max_tensors as u64)),
                    grouped(limits.max_tensors as u64),
                )
                .hint("raise --max-tensors if this is intended")
                .into());
        }
        found.push(Named { name: name.to_owned(), tensor, pickled });
    }
    let n_others = n_others.saturating_sub(deeper.len() as u64);
    if n_others > 0 {
        let says = format!(
            "{} {} no weights",
            grouped(n_others),
            agreeing(n_others, "entry beside the tensors holds", "entries beside the tensors hold")
        );
        notes.push(Note { rule: "PK-BESIDE", says });
    }
    unwrap_names(&mut found, &mut notes);
    Ok(Found { tensors: found, notes })
}

fn n_tensors(pickled: &Pickled, dict: &[(Id, Id)]) -> usize {
    dict.iter().filter(|(_, value)| matches!(pickled.value(*value), Value::Tensor(_))).count()
}

/// Name, entries and number of tensors of a dict that holds some.
type TensorSet<'a> = (&'a str, &'a [(Id, Id)], usize);

/// The entries that hold tensors themselves.
fn sets<'a>(pickled: &'a Pickled, root: &[(Id, Id)]) -> Vec<TensorSet<'a>> {
    let set = |&(key, value): &(Id, Id)| {
        let Value::Dict(entries) = pickled.value(value) else { return None };
        let n = n_tensors(pickled, entries);
        (n > 0).then(|| (pickled.text(key).unwrap_or("?"), entries.as_slice(), n))
    };
    root.iter().filter_map(set).collect()
}

/// The entry of a training checkpoint that holds the weights; every other set of tensors is noted.
fn chosen_entry<'a>(
    pickled: &'a Pickled,
    root: &'a [(Id, Id)],
    notes: &mut Vec<Note>,
) -> Result<&'a [(Id, Id)], Error> {
    let sets = sets(pickled, root);
    let by_name = |names: &[&str]| {
        names.iter().find_map(|name| sets.iter().find(|(key, ..)| key.eq_ignore_ascii_case(name)))
    };
    let chosen = match sets.as_slice() {
        [] => return Err(no_state_dict("no dict in it holds tensors").into()),
        [one] => one,
        _ => match by_name(&WEIGHTS).or_else(|| by_name(&AVERAGES)) {
            Some(set) => set,
            None => {
                let names: Vec<String> = sets.iter().take(MAX_SHOWN).map(|(name, ..)| shown(name)).collect();
                return Err(Fault::new(
                    "PK-AMBIGUOUS",
                    format!(
                        "several dicts of tensors, and none is named as the model's: {}",
                        names.join(", ")
                    ),
                )
                .found_wanted(format!("{} sets", sets.len()), "one")
                .hint("save the one that is meant as a file of its own")
                .into());
            }
        },
    };
    notes.push(Note {
        rule: "PK-ENTRY",
        says: format!("the tensors are those of the entry '{}'", shown(chosen.0)),
    });
    notes.extend(sets.iter().filter(|set| !std::ptr::eq(set.1, chosen.1)).map(not_read));
    Ok(chosen.1)
}

/// That a set of tensors was not read. A running mean is the same network again, anything else another part of the model.
fn not_read((name, _, n): &TensorSet<'_>) -> Note {
    let is_average = AVERAGES.iter().any(|average| name.eq_ignore_ascii_case(average));
    let (rule, what) = if is_average {
        ("PK-MEAN", "a running mean of the weights")
    } else {
        (OTHER_SET, "another set of tensors")
    };
    let says = format!(
        "'{}' ({} {}), {what}, was not read",
        shown(name),
        grouped(*n as u64),
        agreeing(*n, "tensor", "tensors")
    );
    Note { rule, says }
}

/// Takes off what a wrapper put before every name.
fn unwrap_names(tensors: &mut [Named<'_>], notes: &mut Vec<Note>) {
    for prefix in WRAPPERS {
        if !tensors.is_empty()
            && tensors.iter().all(|named| named.name.len() > prefix.len() && named.name.starts_with(prefix))
        {
            tensors.iter_mut().for_each(|named| drop(named.name.drain(..prefix.len())));
            notes.push(Note { rule: "PK-PREFIX", says: format!("'{prefix}' was taken off every name") });
        }
    }
}

fn no_state_dict(says: &str) -> Box<Fault> {
    Fault::new("PK-NO-TENSORS", format!("the pickle is no state dict: {says}"))
        .found_wanted("something else", "a dict of names and tensors, or one entry of it")
        .hint("save the model's state_dict() alone, or as safetensors, with the tool that wrote it")
}
