//! Experts that continue a dense MLP, and the other way round.

use std::collections::BTreeMap;

use super::super::stages::Placed;
use super::{Found, Parameter, Relation, list};
use crate::roles::Expert;
use crate::wording::agreeing;

/// A relation per choice of experts, with the layers that share it.
pub(super) fn relations(found: &Found<'_>) -> Vec<Relation> {
    // per pair of layers the experts of the left and of the right; then the layers that share a choice
    let mut of_layers: BTreeMap<(u32, u32), [Vec<u32>; 2]> = BTreeMap::new();
    let mut splits = false;
    for placed in &found.units.placed {
        let (left, right) = (number(placed.left.expert), number(placed.right.expert));
        if left.is_some() != right.is_some() {
            let experts = of_layers.entry((placed.right.layer, placed.left.layer)).or_default();
            experts[0].extend(left);
            experts[1].extend(right);
            splits |= holds_a_part(placed);
        }
    }
    let mut of_choice: BTreeMap<[Vec<u32>; 2], Vec<(u32, u32)>> = BTreeMap::new();
    for (layers, experts) in of_layers {
        of_choice.entry(experts).or_default().push(layers);
    }
    of_choice
        .into_iter()
        .map(|([of_left, of_right], layers)| {
            let right: Vec<u32> = layers.iter().map(|layers| layers.0).collect();
            let left: Vec<u32> = layers.iter().map(|layers| layers.1).collect();
            let (right_text, left_text) = (list(right.iter().copied()), list(left.iter().copied()));
            let (kind, experts, says) = if of_left.is_empty() {
                let kind = if splits { "split-into-experts" } else { "up-cycled" };
                let experts = list(of_right.iter().copied());
                let says = format!(
                    "{} {experts} of right {} [{right_text}] {} the {} of left {} [{left_text}]",
                    agreeing(of_right.len(), "expert", "experts"),
                    agreeing(right.len(), "layer", "layers"),
                    agreeing(of_right.len(), "continues", "continue"),
                    agreeing(left.len(), "MLP", "MLPs"),
                    agreeing(left.len(), "layer", "layers")
                );
                (kind, of_right, says)
            } else {
                let kind = if splits { "merged-from-experts" } else { "expert-extracted" };
                let experts = list(of_left.iter().copied());
                let says = format!(
                    "the {} of right {} [{right_text}] {} {} {experts} of left {} [{left_text}]",
                    agreeing(right.len(), "MLP", "MLPs"),
                    agreeing(right.len(), "layer", "layers"),
                    agreeing(right.len(), "continues", "continue"),
                    agreeing(of_left.len(), "expert", "experts"),
                    agreeing(left.len(), "layer", "layers")
                );
                (kind, of_left, says)
            };
            Relation::new(kind, says)
                .with("experts", Parameter::counts(experts.into_iter().map(u64::from)))
                .with("right_layers", Parameter::counts(right.into_iter().map(u64::from)))
                .with("left_layers", Parameter::counts(left.into_iter().map(u64::from)))
        })
        .collect()
}

fn number(expert: Expert) -> Option<u32> {
    match expert {
        Expert::Routed(expert) | Expert::Shared(expert) => Some(expert),
        Expert::None => None,
    }
}

/// An expert has fewer units than the dense MLP.
fn holds_a_part(placed: &Placed) -> bool {
    placed.units.as_ref().is_some_and(|units| units.n_left != units.left_of.len())
}
