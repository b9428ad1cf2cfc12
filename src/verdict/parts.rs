//! Which parts are a model's own, in words.

use std::collections::BTreeSet;

use super::weights::Facts;
use crate::align::Side;
use crate::canonical::Group;
use crate::evidence::{PartTrace, agrees, own_parts, parts as part_traces};
use crate::measure::agreement::Agreement;
use crate::roles::Component;

/// Parts of a known graph that were looked for, in place and out of it, and are the model's own, in words.
pub(super) fn own(facts: &Facts<'_>) -> Vec<String> {
    if facts.is_unknown_graph || !facts.is_searched {
        return Vec::new();
    }
    let by_answers = part_traces(facts.orders);
    let answers_show = |part: &PartTrace| {
        let of_part = |other: &&PartTrace| (other.component, other.group) == (part.component, part.group);
        by_answers.iter().filter(of_part).any(PartTrace::is_shared)
    };
    let stands_elsewhere = |part: &PartTrace| match part.group {
        Group::Embeddings => !facts.has_token_strings || facts.token_basis.is_some(),
        _ if answers_show(part) => true,
        Group::Attention => {
            facts.heads.is_none_or(|heads| heads.component == part.component && heads.is_elsewhere())
        }
        _ => {
            let looked_at = || facts.agreements.iter().chain(facts.probes);
            let is_moved = |found: &Agreement| agrees(found) && 2 * found.n_in_place < found.n_agreeing;
            looked_at().next().is_none() || looked_at().any(|(_, _, found)| is_moved(found))
        }
    };
    let own: Vec<&PartTrace> =
        own_parts(facts.parts).into_iter().filter(|part| !stands_elsewhere(part)).collect();
    in_words(&own, facts.parts)
}

pub(super) fn of_side((side, component): &(Side, Component)) -> String {
    let side = match side {
        Side::Left => "left",
        Side::Right => "right",
    };
    format!("{} of the {side} model", tower(*component))
}

fn tower(component: Component) -> String {
    format!("the {} tower", format!("{component:?}").to_lowercase())
}

/// "attention", or with several towers "the text tower" and "attention of the vision tower".
pub(super) fn in_words(chosen: &[&PartTrace], all: &[PartTrace]) -> Vec<String> {
    let is_one_tower = all.iter().all(|part| part.component == all[0].component);
    let components: BTreeSet<Component> = chosen.iter().map(|part| part.component).collect();
    let mut words = Vec::new();
    for component in components {
        let n_of_tower = all.iter().filter(|part| part.component == component).count();
        let groups: Vec<&str> =
            chosen.iter().filter(|part| part.component == component).map(|part| part.group.name()).collect();
        if is_one_tower {
            words.extend(groups.into_iter().map(str::to_owned));
        } else if groups.len() == n_of_tower {
            words.push(tower(component));
        } else {
            words.extend(groups.into_iter().map(|group| format!("{group} of {}", tower(component))));
        }
    }
    words
}
