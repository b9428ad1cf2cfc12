//! Which share of each model's parameters the other explains: "100 % of the architecture, 0 % of the weights".

use std::collections::{BTreeMap, BTreeSet};

use super::stages::{BlockMatch, ChainStage, PlainStage, ProbeStage, UnitStage};
use super::{ByComponent, Pair, Side};
use crate::align::Alignment;
use crate::canonical::Group;
use crate::evidence::{HeadEvidence, agrees, own_towers};
use crate::measure::agreement::{Agreement, n_found};
use crate::measure::blocks::blocks;
use crate::measure::token_basis::TokenBasis;
use crate::verdict::weights::{Decision, Facts};

/// What the shares are read off.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) pair: &'a Pair<'a>,
    pub(super) alignment: &'a Alignment,
    pub(super) plain: &'a PlainStage,
    pub(super) facts: &'a Facts<'a>,
    pub(super) decision: &'a Decision,
    pub(super) probed: &'a ProbeStage<'a>,
    pub(super) followed: Option<&'a ChainStage>,
    pub(super) units: &'a UnitStage,
}

/// Explained shares.
pub(super) struct Inherited {
    pub(super) left_share: f64,
    pub(super) right_share: f64,
    pub(super) by_component: ByComponent,
}

/// Explained parameters: R² (squared centred cosine; plain where a side is constant) of each pair of an explained group,
/// weighted by elements. Units that were found in another place count by their agreeing share, MLPs that were found in another
/// layer or expert by the share of the probed ones that were.
pub(super) fn inherited(seen: &Seen<'_>) -> Inherited {
    let Seen { pair, alignment, plain, facts, decision, probed, followed, units } = *seen;
    let own = own_towers(facts.parts);
    // a circuit is the product of two matrices: its cosine is a square already
    let circuits = |heads: &HeadEvidence| 0.5 * (heads.circuits[0].cosine + heads.circuits[1].cosine);
    let heads = facts.heads.filter(|heads| heads.is_shared());
    let of_heads = heads.map_or(0.0, |heads| heads.all.share() * circuits(heads).max(0.0));
    let of_tokens = match facts.token_basis {
        Some(TokenBasis::Permuted { left_of, .. }) => n_found(left_of) as f64 / left_of.len().max(1) as f64,
        Some(TokenBasis::Rotated { likeness }) => likeness * likeness,
        _ => 0.0,
    };
    let followed = || followed.into_iter().flat_map(|stage| &stage.found);
    let chained: BTreeMap<usize, f64> =
        followed().filter_map(|(tensor, share)| Some((tensor.pair?, *share))).collect();
    let mut explained: BTreeMap<Group, f64> = BTreeMap::new();
    for (idx, paired) in alignment.pairs.iter().enumerate() {
        if !decision.explained.contains(&paired.group) {
            continue;
        }
        let Some(picture) = plain.picture(idx) else { continue };
        let cosine = picture.centred_cosine.or(picture.cosine).unwrap_or(0.0);
        let all_equal = picture.equal_share >= 1.0;
        let by_place = if all_equal { 1.0 } else { cosine.max(0.0).powi(2) };
        let by_place = by_place.max(chained.get(&idx).copied().unwrap_or(0.0));
        let role = |side, idx| pair.part(side, idx).role;
        let (left, right) = (role(Side::Left, paired.left), role(Side::Right, paired.right));
        let component = right.map(|role| role.component);
        let elsewhere = match paired.group {
            _ if component.is_some_and(|component| own.contains(&component)) => 0.0,
            Group::Mlp => {
                let layers = (left.and_then(|role| role.layer), right.and_then(|role| role.layer));
                let mapped = match (component, layers) {
                    (Some(component), (Some(left), Some(right))) => {
                        units.share_found(component, (left, right))
                    }
                    _ => None,
                };
                mapped.unwrap_or(0.0).max(agreement(facts, layers))
            }
            Group::Attention if heads.map(|heads| heads.component) == component => of_heads,
            Group::Embeddings => of_tokens,
            _ => 0.0,
        };
        let share = by_place.max(elsewhere);
        *explained.entry(paired.group).or_default() += share * pair.n_compared(paired) as f64;
    }
    for (tensor, share) in followed().filter(|(tensor, _)| tensor.pair.is_none()) {
        let of = |side, idx| pair.part(side, idx).stored.view.n_elements();
        let n_common = of(Side::Left, tensor.left).min(of(Side::Right, tensor.right));
        let group = tensor.group(pair);
        if decision.explained.contains(&group) {
            *explained.entry(group).or_default() += share * n_common as f64;
        }
    }
    let total = |side: Side, group: Option<Group>| -> f64 {
        let model = match side {
            Side::Left => &pair.canonical.0,
            Side::Right => &pair.canonical.1,
        };
        model
            .parts
            .iter()
            .filter(|part| group.is_none_or(|group| Group::of(part.role.as_ref()) == group))
            .map(|part| part.stored.view.n_elements() as f64)
            .sum()
    };
    // elements of one side in one group that the other explains
    let of_group = |side: Side, group: Group| -> f64 {
        let by_pairs = explained.get(&group).copied().unwrap_or(0.0);
        let total = total(side, Some(group));
        if group != Group::Mlp || !decision.explained.contains(&group) {
            return by_pairs.min(total);
        }
        let n_blocks = (blocks(&pair.canonical.0).len(), blocks(&pair.canonical.1).len());
        let paired: BTreeSet<usize> = alignment.pairs.iter().map(|paired| paired.of(side)).collect();
        let n_elements = |part: usize| {
            let of_part = pair.part(side, part);
            let is_own = of_part.role.is_some_and(|role| own.contains(&role.component));
            if is_own || paired.contains(&part) { 0 } else { of_part.stored.view.n_elements() }
        };
        let unpaired = units.inherited_elements(side, n_blocks, &n_elements);
        (by_pairs + unpaired).max(found_share(probed, pair, side) * total).min(total)
    };
    let share = |sum: f64, total: f64| if total > 0.0 { (sum / total).min(1.0) } else { 0.0 };
    let of_all = |side: Side| {
        let sum: f64 = Group::ALL.into_iter().map(|group| of_group(side, group)).sum();
        share(sum, total(side, None))
    };
    Inherited {
        left_share: of_all(Side::Left),
        right_share: of_all(Side::Right),
        by_component: Group::ALL
            .into_iter()
            .filter(|group| total(Side::Right, Some(*group)) > 0.0)
            .map(|group| {
                let total = total(Side::Right, Some(group));
                (group.name().to_owned(), share(of_group(Side::Right, group), total))
            })
            .collect(),
    }
}

/// Share of the MLPs of one side that were found in the other, an estimate from those probed; 0 where none was found out of
/// the numbering, for then the pairs tell.
fn found_share(probed: &ProbeStage, pair: &Pair<'_>, side: Side) -> f64 {
    let agreeing: Vec<&BlockMatch> = probed.matches.iter().filter(|found| agrees(&found.agreement)).collect();
    if agreeing.iter().all(|found| !found.is_found) {
        return 0.0;
    }
    let share: f64 = agreeing.iter().map(|found| found.agreement.share()).sum();
    match side {
        Side::Right => share / probed.matches.len().max(1) as f64,
        Side::Left => {
            let distinct: BTreeSet<usize> = agreeing.iter().map(|found| found.left.up).collect();
            let n_reachable = blocks(&pair.canonical.0).len().min(probed.matches.len());
            share / agreeing.len() as f64 * distinct.len() as f64 / n_reachable.max(1) as f64
        }
    }
}

/// Agreeing share of a pair of layers, in the stored or in the token basis; of layers that were not looked at the mean of those that were.
fn agreement(facts: &Facts<'_>, layers: (Option<u32>, Option<u32>)) -> f64 {
    let of = |(_, _, found): &(u32, u32, Agreement)| if agrees(found) { found.share() } else { 0.0 };
    let is_here = |(left, right, _): &&(u32, u32, Agreement)| (Some(*left), Some(*right)) == layers;
    let here = facts.agreements.iter().chain(facts.probes).filter(is_here).map(of).reduce(f64::max);
    let mean =
        |found: &[(u32, u32, Agreement)]| found.iter().map(of).sum::<f64>() / found.len().max(1) as f64;
    here.unwrap_or_else(|| mean(facts.agreements).max(mean(facts.probes)))
}
