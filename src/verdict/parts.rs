//! Which parts are a model's own, in words.

use std::collections::BTreeSet;

use super::weights::Facts;
use crate::align::Side;
use crate::canonical::Group;
use crate::evidence::{Part, agrees, own_parts};
use crate::measure::agreement::Agreement;
use crate::roles::Component;

/// Parts of a known graph that were looked for, in place and out of it, and are the model's own, in words.
pub(super) fn own(facts: &Facts<'_>) -> Vec<String> {
    if facts.is_unknown_graph || !facts.is_searched {
        return Vec::new();
    }
    let stands_elsewhere = |part: &Part| match part.group {
        Group::Embeddings => !facts.has_token_strings || facts.token_basis.is_some(),
        Group::Attention => {
            facts.heads.is_none_or(|heads| heads.component == part.component && heads.is_elsewhere())
        }
        _ => {
            let looked_at = || facts.agreements.iter().chain(facts.probes);
            let is_moved = |found: &Agreement| agrees(found) && 2 * found.n_in_place < found.n_agreeing;
            looked_at().next().is_none() || looked_at().any(|(_, _, found)| is_moved(found))
        }
    };
    let own: Vec<&Part> = own_parts(facts.parts).into_iter().filter(|part| !stands_elsewhere(part)).collect();
    in_words(&own, facts.parts)
}

pub(super) fn of_side((side, component): &(Side, Component)) -> String {
    let side = match side {
        Side::Left => "left",
        Side::Right => "right",
    };
    format!("the {} tower of the {side} model", format!("{component:?}").to_lowercase())
}

/// "attention", or with several towers "the text tower" and "attention of the vision tower".
pub(super) fn in_words(chosen: &[&Part], all: &[Part]) -> Vec<String> {
    let n_of = |parts: &mut dyn Iterator<Item = Component>, component| {
        parts.filter(|other| *other == component).count()
    };
    let components: BTreeSet<Component> = chosen.iter().map(|part| part.component).collect();
    let is_one_tower = all.iter().all(|part| part.component == all[0].component);
    let mut words = Vec::new();
    for component in components {
        let tower = format!("the {} tower", format!("{component:?}").to_lowercase());
        let groups: Vec<&str> =
            chosen.iter().filter(|part| part.component == component).map(|part| part.group.name()).collect();
        let n_all = n_of(&mut all.iter().map(|part| part.component), component);
        if is_one_tower {
            words.extend(groups.into_iter().map(str::to_owned));
        } else if groups.len() == n_all {
            words.push(tower);
        } else {
            words.push(format!("{} of {tower}", groups.join(" and ")));
        }
    }
    words
}
