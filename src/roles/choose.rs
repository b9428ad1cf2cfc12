//! Chooses the family of a tower by its names, the shapes behind them, and the config where both leave a choice.

use std::borrow::Cow;
use std::collections::HashSet;

use super::family::{Cut, Family, Gate};
use super::tables::FAMILIES;
use super::{Component, Header, Part, pattern};
use crate::checkpoint::Config;

/// Families are told apart by this many different names at most; a real model has under a hundred per tower.
const MAX_NAMES_FOR_DETECTION: usize = 1024;

/// A tensor of a tower, by its index in the file and its name inside the tower.
pub(super) struct Member<'a> {
    pub(super) idx: usize,
    pub(super) name: Cow<'a, str>,
}

/// A line of a table, applied to a name.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub(super) cut: Cut,
    pub(super) component: Component,
    pub(super) layer: Option<u32>,
    pub(super) expert: Option<u32>,
    pub(super) is_bias: bool,
}

/// The family that knows most of a tower's names; the config's `model_type`, then the table with the fewest lines
/// left over, decide between equals. None where no family knows at least half of them, or no layer's mixer.
pub(super) fn family_of(
    members: &[Member<'_>],
    headers: &[Header<'_>],
    config: Option<&Config>,
) -> Option<&'static Family> {
    let mut seen = HashSet::new();
    let kinds: Vec<&Member<'_>> = members
        .iter()
        .filter(|member| seen.insert(pattern::generalised(&member.name)))
        .take(MAX_NAMES_FOR_DETECTION)
        .collect();
    let model_type = config.and_then(|config| config.model_type.as_deref()).unwrap_or_default();
    let mut best: Option<(&Family, (usize, bool, usize))> = None;
    for family in FAMILIES.iter().copied().flatten() {
        let hits: Vec<(&Member<'_>, Hit)> =
            kinds.iter().filter_map(|member| Some((*member, hit(family, &member.name)?))).collect();
        let has = |is: fn(Cut) -> bool| hits.iter().any(|(_, hit)| hit.layer.is_some() && is(hit.cut));
        let mixes = has(is_mixer) || has(is_attention_output) && has(is_mlp_input);
        let is_named = family.model_types.contains(&model_type);
        // a family that the config names is not refused for matrices that lie the other way round
        let fits = is_named || passes(family.gate, &hits, headers);
        if !mixes || hits.len() * 2 < kinds.len() || !fits {
            continue;
        }
        let n_lines: usize =
            family.stacks.iter().flat_map(|stack| stack.rules).map(|rules| rules.len()).sum();
        let lines: HashSet<&str> = hits.iter().filter_map(|(member, _)| line(family, &member.name)).collect();
        let score = (hits.len(), is_named, usize::MAX - (n_lines - lines.len().min(n_lines)));
        if best.is_none_or(|(_, best)| score > best) {
            best = Some((family, score));
        }
    }
    best.map(|(family, _)| family)
}

/// Whether a cut is of what stands behind the mixing of positions: known together with the MLP it tells a family whose
/// queries, keys and values are stored under other names.
fn is_attention_output(cut: Cut) -> bool {
    matches!(cut, Cut::Is(Part::O) | Cut::Conv1d(Part::O))
}

fn is_mlp_input(cut: Cut) -> bool {
    matches!(cut, Cut::Is(Part::Up) | Cut::Conv1d(Part::Up) | Cut::GateUp | Cut::UpGate)
}

/// Whether a cut is of a matrix that mixes positions: without one, a resemblance of names is chance.
fn is_mixer(cut: Cut) -> bool {
    match cut {
        Cut::Is(part) | Cut::Conv1d(part) => matches!(part, Part::Q | Part::KvA | Part::InProj | Part::XProj),
        Cut::QkvBlocks | Cut::QkvColumns | Cut::QkvGroups | Cut::QkvBlocksIfOneKv | Cut::QkvFour => true,
        _ => false,
    }
}

/// Tests the orientation of the first MLP matrix against the width of the embedding. Undecided shapes pass.
fn passes(gate: Gate, hits: &[(&Member<'_>, Hit)], headers: &[Header<'_>]) -> bool {
    if gate == Gate::Names {
        return true;
    }
    let shape_of = |part| {
        let hit = hits.iter().find(|(_, hit)| hit.cut == part && !hit.is_bias)?;
        headers.get(hit.0.idx).map(|header| header.shape)
    };
    let up = shape_of(Cut::Is(Part::Up)).or_else(|| shape_of(Cut::Conv1d(Part::Up)));
    let (Some([.., hidden]), Some([rows, cols])) = (shape_of(Cut::Is(Part::Embed)), up) else { return true };
    match gate {
        Gate::MlpInOut => rows == hidden,
        Gate::MlpOutIn => cols == hidden,
        Gate::Names => true,
    }
}

/// The same for a name in a tower, whose family may be one that also stands alone: BERT's names inside a vision tower.
pub(super) fn hit_in_tower(family: &Family, name: &str, tower: Component) -> Option<Hit> {
    let mut hit = hit(family, name)?;
    let is_own = tower != Component::Text;
    if is_own && matches!(hit.component, Component::Text | Component::Encoder) {
        hit.component = tower;
    }
    Some(hit)
}

/// The first line of the family that fits the name.
fn hit(family: &Family, name: &str) -> Option<Hit> {
    find(family, name).map(|(_, hit)| hit)
}

/// The pattern of that line.
fn line(family: &Family, name: &str) -> Option<&'static str> {
    find(family, name).map(|(pattern, _)| pattern)
}

fn find(family: &Family, name: &str) -> Option<(&'static str, Hit)> {
    for (stem, is_bias) in pattern::stems(name) {
        for stack in family.stacks {
            for inner in stack.prefixes.iter().filter_map(|prefix| stem.strip_prefix(prefix)) {
                for (wanted, cut) in stack.rules.iter().copied().flatten() {
                    if let Some(indices) = pattern::matches(wanted, inner) {
                        let hit = Hit {
                            cut: *cut,
                            component: stack.component,
                            layer: indices.layer,
                            expert: indices.expert,
                            is_bias,
                        };
                        return Some((wanted, hit));
                    }
                }
            }
        }
    }
    None
}
