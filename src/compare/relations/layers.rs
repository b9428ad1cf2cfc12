//! Which layers continue which: depth pruned, up-scaled, reordered.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Parameter, Relation, main_component};
use crate::roles::Expert;

/// For each layer of one model the layer of the other that it continues.
type Path = BTreeMap<u32, Option<u32>>;

/// The layer map of the main stack, where it is not layer i with layer i.
pub(super) fn relation(found: &Found<'_>) -> Option<Relation> {
    let component = main_component(found.pair)?;
    let (left, right) = (found.pair.canonical.0.layers(component), found.pair.canonical.1.layers(component));
    let (of_right, of_left) = by_answers(found, &left, &right).or_else(|| in_place(found, &left, &right))?;
    let in_order = of_right.iter().all(|(layer, from)| *from == Some(*layer)) && left.len() == right.len();
    if in_order || of_right.values().all(Option::is_none) {
        return None;
    }
    let (right_repeats, left_repeats) = (repeats(&of_right), repeats(&of_left));
    let is_one_to_one = !right_repeats && !left_repeats;
    let relation = |kind: &str, side: &str, other: &str, path: &Path, of: usize| {
        let shown: Vec<String> =
            path.values().map(|from| from.map_or("none".to_owned(), |layer| layer.to_string())).collect();
        let mut shown = shown.join(", ");
        if path.len() < if side == "right" { right.len() } else { left.len() } {
            shown = format!("{shown}], looked at [{}", super::list(path.keys().copied()));
        }
        let says = match kind {
            "depth-pruned" => format!("{side} layers continue {other} layers [{shown}] of {of}"),
            _ => format!("{side} layers continue {other} layers [{shown}]"),
        };
        let map =
            path.values().map(|from| from.map_or(Parameter::None, |layer| Parameter::Count(layer.into())));
        Relation::new(kind, says)
            .with("of", Parameter::Text(side.to_owned()))
            .with("layers", Parameter::counts(path.keys().map(|layer| u64::from(*layer))))
            .with("layer_map", Parameter::List(map.collect()))
    };
    Some(if right_repeats && (!left_repeats || right.len() > left.len()) {
        relation("up-scaled", "right", "left", &of_right, left.len())
    } else if left_repeats {
        relation("up-scaled", "left", "right", &of_left, right.len())
    } else if is_one_to_one && right.len() < left.len() {
        relation("depth-pruned", "right", "left", &of_right, left.len())
    } else if is_one_to_one && right.len() > left.len() {
        relation("depth-pruned", "left", "right", &of_left, right.len())
    } else {
        relation("layers-reordered", "right", "left", &of_right, left.len())
    })
}

/// By sketches of units in place.
fn in_place(found: &Found<'_>, left: &[u32], right: &[u32]) -> Option<(Path, Path)> {
    let component = main_component(found.pair)?;
    let mapping = found.mappings.iter().find(|mapping| mapping.component == component)?;
    if !mapping.from_data {
        return None;
    }
    let path = |from: &[u32], to: &[u32], best: &[Option<usize>]| -> Path {
        from.iter().zip(best).map(|(layer, at)| (*layer, at.map(|at| to[at]))).collect()
    };
    Some((path(right, left, &mapping.left_of), path(left, right, &mapping.right_of)))
}

/// By answers to tokens: dense MLPs of the layers that were asked.
fn by_answers(found: &Found<'_>, left: &[u32], right: &[u32]) -> Option<(Path, Path)> {
    let is_dense = |placed: &&super::super::stages::Placed| {
        placed.by_answers && placed.left.expert == Expert::None && placed.right.expert == Expert::None
    };
    let dense: Vec<_> = found.units.placed.iter().filter(is_dense).collect();
    if dense.is_empty() {
        return None;
    }
    let is_asked = |layer: &&u32| found.units.asked_layers.contains(layer);
    let mut of_right: Path = right.iter().filter(is_asked).map(|layer| (*layer, None)).collect();
    let mut of_left: Path = left.iter().map(|layer| (*layer, None)).collect();
    for placed in dense {
        of_right.insert(placed.right.layer, Some(placed.left.layer));
        of_left.entry(placed.left.layer).or_default().get_or_insert(placed.right.layer);
    }
    for (left, right) in &found.units.also_continued {
        of_left.entry(*left).or_default().get_or_insert(*right);
    }
    Some((of_right, of_left))
}

fn repeats(path: &Path) -> bool {
    let from: Vec<u32> = path.values().flatten().copied().collect();
    from.iter().collect::<BTreeSet<_>>().len() < from.len()
}
