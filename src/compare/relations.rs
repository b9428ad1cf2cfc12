//! What happened between two models that share weights; several relations may hold.

use std::collections::BTreeMap;

use super::stages::{BlockMatch, PlainStage, ProbeStage};
use super::{Pair, Relation, Side};
use crate::align::Alignment;
use crate::canonical::Group;
use crate::evidence::agrees;
use crate::measure::families::Kind;
use crate::numerics::median;
use crate::roles::{Component, Expert};
use crate::verdict::weights::{Decision, Facts, Requantised, WeightsVerdict};

/// Relations in a fixed order; none where no weights are shared.
pub(super) fn relations(
    pair: &Pair<'_>,
    alignment: &Alignment,
    facts: &Facts<'_>,
    decision: &Decision,
    plain: &PlainStage,
    probed: &ProbeStage,
) -> Vec<Relation> {
    use WeightsVerdict::{
        CommonOrigin, Derived, Identical, PartlyDerived, Requantised as RequantisedVerdict,
    };
    let mut found = Vec::new();
    let mut add = |kind: &str, detail: String| found.push(Relation { kind: kind.to_owned(), detail });
    match decision.verdict {
        Identical if facts.equality.dtypes_differ => add("cast", dtypes(pair, alignment)),
        Identical | Derived | PartlyDerived | RequantisedVerdict | CommonOrigin => {}
        _ => return found,
    }
    match &facts.requantised {
        Some(Requantised::Rounded { .. }) => add("cast", format!("{}, lossy", dtypes(pair, alignment))),
        Some(Requantised::Grid { copy, grid: form, .. } | Requantised::Codebook { copy, form }) => {
            let side = if *copy == Side::Left { "left" } else { "right" };
            add("quantised-copy", format!("{side} model: {form}"));
        }
        None => {}
    }
    for (side, checkpoint) in [("left", pair.left), ("right", pair.right)] {
        if let Some(adapter) = checkpoint.adapter.as_ref().filter(|adapter| !adapter.is_delta) {
            add("lora", format!("{side} model: {}", adapter.describe()));
        }
    }
    let continued: Vec<&BlockMatch> =
        probed.matches.iter().filter(|found| agrees(&found.agreement)).collect();
    if let Some(detail) = layers_found(&continued).or_else(|| layers_moved(pair, alignment)) {
        add("layers-selected", detail);
    }
    for detail in experts_found(&continued) {
        add("up-cycled", detail);
    }
    if let Some(tokens) = &alignment.tokens {
        let (l, r) = vocabulary_sizes(pair);
        let shared = tokens.left.len() as u64;
        if l != r && shared > 0 && shared == l.min(r) {
            let kind = if l < r { "vocabulary-extended" } else { "vocabulary-cut" };
            add(kind, format!("{l} tokens on the left, {r} on the right, {shared} shared"));
        }
    }
    if let Some(detail) = permuted(facts) {
        add("units-permuted", detail);
    }
    let rotated = rotated(facts);
    let same_basis = rotated.is_none();
    if let Some(detail) = rotated {
        add("residual-basis-changed", detail);
    }
    if same_basis
        && matches!(decision.verdict, Derived | PartlyDerived)
        && let Some(drift) = drift(alignment, decision, plain)
    {
        let detail = format!("median change of a matrix {:.1} % of its norm", 100.0 * drift);
        add("modified-weights", detail);
    }
    found
}

/// Element types of the first pair in which they differ.
fn dtypes(pair: &Pair<'_>, alignment: &Alignment) -> String {
    let types = alignment.pairs.iter().map(|paired| {
        [(Side::Left, paired.left), (Side::Right, paired.right)]
            .map(|(side, part)| pair.part(side, part).stored.dtype.name())
    });
    let first = types.clone().find(|[left, right]| left != right).or_else(|| types.clone().next());
    first.map_or_else(|| "nothing".to_owned(), |[left, right]| format!("{left} to {right}"))
}

/// Dense MLPs, some of which the search found in another layer than the numbering says.
fn layers_found(continued: &[&BlockMatch]) -> Option<String> {
    let is_dense =
        |found: &&BlockMatch| found.left.expert == Expert::None && found.right.expert == Expert::None;
    let dense: Vec<&BlockMatch> = continued.iter().copied().filter(is_dense).collect();
    dense.iter().any(|found| found.is_found).then(|| {
        let right = list(dense.iter().map(|found| found.right.layer));
        let left = list(dense.iter().map(|found| found.left.layer));
        format!("right layers [{right}] continue left layers [{left}], by their answers to tokens")
    })
}

/// A dense MLP of one model in the experts of the other: a sentence per choice of experts.
fn experts_found(continued: &[&BlockMatch]) -> Vec<String> {
    let number = |expert: Expert| match expert {
        Expert::Routed(expert) | Expert::Shared(expert) => Some(expert),
        Expert::None => None,
    };
    // per pair of layers the experts of the left and of the right; then the layers that share a choice
    let mut of_layers: BTreeMap<(u32, u32), [Vec<u32>; 2]> = BTreeMap::new();
    for found in continued {
        let (left, right) = (number(found.left.expert), number(found.right.expert));
        if left.is_some() != right.is_some() {
            let experts = of_layers.entry((found.right.layer, found.left.layer)).or_default();
            experts[0].extend(left);
            experts[1].extend(right);
        }
    }
    let mut of_choice: BTreeMap<[Vec<u32>; 2], Vec<(u32, u32)>> = BTreeMap::new();
    for (layers, experts) in of_layers {
        of_choice.entry(experts).or_default().push(layers);
    }
    of_choice
        .into_iter()
        .map(|([of_left, of_right], layers)| {
            let right = list(layers.iter().map(|layers| layers.0));
            let left = list(layers.iter().map(|layers| layers.1));
            if of_left.is_empty() {
                let experts = list(of_right.into_iter());
                format!(
                    "experts {experts} of right layers [{right}] continue the MLPs of left layers [{left}]"
                )
            } else {
                let experts = list(of_left.into_iter());
                format!(
                    "the MLPs of right layers [{right}] continue expert {experts} of left layers [{left}]"
                )
            }
        })
        .collect()
}

fn list(numbers: impl Iterator<Item = u32>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

/// A layer map that is not layer i with layer i.
fn layers_moved(pair: &Pair<'_>, alignment: &Alignment) -> Option<String> {
    let component = main_component(pair)?;
    let (left, right) = (pair.canonical.0.layers(component), pair.canonical.1.layers(component));
    let map: Vec<Option<u32>> =
        right.iter().map(|layer| alignment.layer_map.left(component, *layer)).collect();
    let in_place = left == right && map.iter().zip(&right).all(|(from, to)| *from == Some(*to));
    if in_place || left.len() == right.len() && map.iter().all(Option::is_none) {
        return None;
    }
    let shown: Vec<String> =
        map.iter().map(|from| from.map_or("none".to_owned(), |layer| layer.to_string())).collect();
    Some(format!("right layers continue left layers [{}]", shown.join(", ")))
}

/// The component with most layers on the right.
pub(super) fn main_component(pair: &Pair<'_>) -> Option<Component> {
    let mut components: Vec<Component> =
        pair.canonical.1.parts.iter().filter_map(|part| part.role).map(|role| role.component).collect();
    components.sort_unstable();
    components.dedup();
    components.into_iter().max_by_key(|component| pair.canonical.1.layers(*component).len())
}

fn vocabulary_sizes(pair: &Pair<'_>) -> (u64, u64) {
    let size = |checkpoint: &crate::checkpoint::Checkpoint| {
        checkpoint.vocabulary.as_ref().map_or(0, |vocabulary| vocabulary.tokens.len() as u64)
    };
    (size(pair.left), size(pair.right))
}

/// Units that find each other, but in another place.
fn permuted(facts: &Facts<'_>) -> Option<String> {
    let moved: Vec<u32> = facts
        .agreements
        .iter()
        .filter(|(_, _, agreement)| agrees(agreement) && agreement.n_in_place * 4 < agreement.n_agreeing)
        .map(|(_, right, _)| *right)
        .collect();
    let silent = facts.families.iter().any(|f| f.kind == Kind::MlpUnits && f.trace.ln_p > -7.0);
    (!moved.is_empty() && (silent || facts.families.iter().all(|f| f.kind != Kind::MlpUnits)))
        .then(|| format!("MLP units of {} layers found in another order", moved.len()))
}

/// Units that answer tokens alike although nothing looks alike in place: the residual stream was permuted or rotated.
fn rotated(facts: &Facts<'_>) -> Option<String> {
    if facts.trace.rejects() {
        return None;
    }
    let by_answers = facts.probes.iter().filter(|(_, _, agreement)| agrees(agreement)).count();
    let by_weights = facts.agreements.iter().any(|(_, _, agreement)| agrees(agreement));
    (by_answers >= 2 && !by_weights).then(|| {
        format!("units found by their answers to tokens in {by_answers} of {} layers", facts.probes.len())
    })
}

/// Median relative L2 distance of the matrices of explained groups.
fn drift(alignment: &Alignment, decision: &Decision, plain: &PlainStage) -> Option<f64> {
    let distances: Vec<f64> = alignment
        .pairs
        .iter()
        .enumerate()
        .filter(|(_, paired)| paired.group != Group::Norms && decision.explained.contains(&paired.group))
        .filter_map(|(idx, _)| plain.picture(idx)?.relative_l2)
        .collect();
    median(&distances)
}
