//! Finds the family of each tower and gives every tensor its role.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::cut::{self, Facts};
use super::family::{Cut, Family, Gate, Rope};
use super::tables::{FAMILIES, PROJECTOR};
use super::{Assignment, Component, Expert, Graph, Header, How, Part, Role, RoleMap, fixed, pattern, tower};
use crate::checkpoint::Config;

/// Families are told apart by this many different names at most; a real model has under a hundred per tower.
const MAX_NAMES_FOR_DETECTION: usize = 4096;

/// A tensor of a tower, by its index in the file and its name inside the tower.
struct Member<'a> {
    idx: usize,
    name: Cow<'a, str>,
}

/// A line of a table, applied to a name.
#[derive(Clone, Copy)]
struct Hit {
    cut: Cut,
    component: Component,
    layer: Option<u32>,
    expert: Option<u32>,
    is_bias: bool,
}

/// Roles of all tensors.
pub(super) fn roles(headers: &[Header<'_>], config: Option<&Config>) -> RoleMap {
    let scaled = scaled_weights(headers);
    let mut assignments: Vec<Option<(Assignment, How)>> = Vec::with_capacity(headers.len());
    let mut towers: [Vec<Member<'_>>; tower::TOWERS.len()] = Default::default();
    for (idx, header) in headers.iter().enumerate() {
        let known = fixed::assignment(header).or_else(|| {
            scaled
                .contains(header.name)
                .then_some(Assignment::UnknownLayout("quantised weight whose scale is stored apart"))
        });
        if known.is_none() {
            let (tower, name) = tower::of(header.name);
            let slot = tower::TOWERS.iter().position(|component| *component == tower);
            if let Some(members) = slot.and_then(|slot| towers.get_mut(slot)) {
                members.push(Member { idx, name });
            }
        }
        assignments.push(known.map(|assignment| (assignment, How::Table)));
    }

    let mut family_label = None;
    let mut graph = Graph::default();
    let mut taken = HashSet::new();
    let main = towers.iter().position(|members| !members.is_empty());
    for (slot, (members, tower)) in towers.iter().zip(tower::TOWERS).enumerate() {
        let is_main = main == Some(slot);
        let tower_config = config.filter(|_| is_main);
        let family = match tower {
            Component::Projector => Some(&PROJECTOR),
            _ => family_of(members, headers, tower_config),
        };
        let Some(family) = family else { continue };
        if is_main && tower != Component::Projector {
            family_label = Some(family.label);
        }
        let mut plan = Plan::new(family, members, headers, tower_config, tower);
        if is_main {
            graph = plan.graph(config);
        }
        plan.assign(members, headers, &mut assignments, &mut taken);
    }
    graph.has_glu = taken.iter().any(|role: &Role| role.part == Part::Gate);
    let has = |part| taken.iter().any(|role| role.part == part && role.component != Component::Vision);
    graph.tied_embeddings = has(Part::Embed) && !has(Part::Head);
    let leftover = |(header, assignment): (&Header<'_>, Option<_>)| {
        assignment.unwrap_or_else(|| (without_role(header), How::Unknown))
    };
    RoleMap {
        family: family_label.unwrap_or("unknown").to_owned(),
        assignments: headers.iter().zip(assignments).map(leftover).collect(),
        graph,
    }
}

/// What a tensor is that no table line claims.
fn without_role(header: &Header<'_>) -> Assignment {
    if fixed::is_buffer(header) {
        return Assignment::Buffer("whole numbers or truth values");
    }
    match header.shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim)) {
        Some(_) => Assignment::Unknown(cut::whole(header.shape)),
        None => Assignment::UnknownLayout("more elements than can be counted"),
    }
}

/// Names of weights that mean nothing without the scale stored next to them.
fn scaled_weights<'a>(headers: &[Header<'a>]) -> HashSet<&'a str> {
    let stem = |header: &Header<'a>| {
        let stem = header.name.strip_suffix("_scale_inv").or_else(|| header.name.strip_suffix("_scale"))?;
        stem.ends_with(".weight").then_some(stem)
    };
    headers.iter().filter_map(stem).collect()
}

/// The family that knows most of a tower's names; the config's `model_type`, then the table with the fewest lines
/// left over, decide between equals. None where no family knows at least half of them, or no layer's mixer.
fn family_of(
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
        let mixes = hits.iter().any(|(_, hit)| hit.layer.is_some() && is_mixer(hit.cut));
        if !mixes || hits.len() * 2 < kinds.len() || !passes(family.gate, &hits, headers) {
            continue;
        }
        let n_lines: usize =
            family.stacks.iter().flat_map(|stack| stack.rules).map(|rules| rules.len()).sum();
        let lines: HashSet<&str> = hits.iter().filter_map(|(member, _)| line(family, &member.name)).collect();
        let is_named = family.model_types.contains(&model_type);
        let score = (hits.len(), is_named, usize::MAX - (n_lines - lines.len().min(n_lines)));
        if best.is_none_or(|(_, best)| score > best) {
            best = Some((family, score));
        }
    }
    best.map(|(family, _)| family)
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

/// Where a layer's facts are kept.
type Place = (Component, Option<u32>);

/// All that is known about a tower before its tensors are cut.
struct Plan {
    rope: Rope,
    family: &'static Family,
    hits: Vec<Option<Hit>>,
    model: Facts,
    layers: HashMap<Place, Facts>,
}

impl Plan {
    fn new(
        family: &'static Family,
        members: &[Member<'_>],
        headers: &[Header<'_>],
        config: Option<&Config>,
        tower: Component,
    ) -> Plan {
        let mut hits: Vec<Option<Hit>> = members.iter().map(|member| hit(family, &member.name)).collect();
        let is_own = tower != Component::Text;
        for hit in hits.iter_mut().flatten() {
            // a tower's family may be one that also stands alone: BERT's names inside a vision tower
            if is_own && matches!(hit.component, Component::Text | Component::Encoder) {
                hit.component = tower;
            }
        }
        let mut plan =
            Plan { rope: family.rope, family, hits, model: Facts::default(), layers: HashMap::new() };
        plan.mark_prediction_layers(members);
        plan.gather(members, headers, config);
        plan
    }

    /// A layer that joins a hidden state with an embedding predicts further tokens: it stands outside the stack.
    fn mark_prediction_layers(&mut self, members: &[Member<'_>]) {
        let layer_of = |(member, hit): (&Member<'_>, &Option<Hit>)| {
            hit.filter(|_| member.name.ends_with(".eh_proj.weight"))?.layer
        };
        let mtp: HashSet<u32> = members.iter().zip(&self.hits).filter_map(layer_of).collect();
        for hit in self.hits.iter_mut().flatten() {
            if hit.component == Component::Text && hit.layer.is_some_and(|layer| mtp.contains(&layer)) {
                hit.component = Component::Mtp;
            }
        }
    }

    fn gather(&mut self, members: &[Member<'_>], headers: &[Header<'_>], config: Option<&Config>) {
        let config = config.cloned().unwrap_or_default();
        self.model.hidden = config.hidden_size;
        self.model.n_heads = config.n_heads;
        self.model.head_dim = config.head_dim;
        self.model.rotary_rows = config.rotary_dim;
        let mut latent: HashMap<Place, [Option<u64>; 4]> = HashMap::new();
        for (member, hit) in members.iter().zip(&self.hits) {
            let (Some(hit), Some(header)) = (hit, headers.get(member.idx)) else { continue };
            let place = (hit.component, hit.layer);
            let mut note = |slot: usize, value| {
                if let Some(slot) = latent.entry(place).or_default().get_mut(slot) {
                    *slot = Some(value);
                }
            };
            match (hit.cut, header.shape, hit.is_bias) {
                (Cut::Is(Part::Embed), [_, hidden], false) => {
                    self.model.hidden = self.model.hidden.or(Some(*hidden));
                }
                (Cut::Is(Part::O), [_, width], false) | (Cut::Conv1d(Part::O), [width, _], false) => {
                    self.layers.entry(place).or_default().attention_width = Some(*width);
                }
                (Cut::Is(Part::Q), [rows, _], false) => note(0, *rows),
                (Cut::Is(Part::QB), [rows, _], false) => note(1, *rows),
                (Cut::Is(Part::KvA), [rows, _], false) => note(2, *rows),
                (Cut::Is(Part::KvANorm), [rows], false) => note(3, *rows),
                _ => {}
            }
        }
        for (place, [q, q_b, kv_a, kv_a_norm]) in latent {
            let facts = self.layers.entry(place).or_default();
            facts.latent_q_rows = q_b.or(q);
            facts.latent_rotary_rows = kv_a.zip(kv_a_norm).and_then(|(rows, norm)| rows.checked_sub(norm));
        }
    }

    /// Facts of the graph that follow from config and family.
    fn graph(&self, config: Option<&Config>) -> Graph {
        let config = config.cloned().unwrap_or_default();
        let width = self.layers.values().find_map(|facts| facts.attention_width);
        let from_width = || width?.checked_div(config.n_heads?);
        Graph {
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads.or(config.n_heads),
            head_dim: config.head_dim.or_else(from_width),
            norm_adds_one: self.family.norm_adds_one,
            alibi: self.family.alibi || config.alibi,
            sinusoidal_positions: self.family.sinusoidal_positions,
            has_glu: false,
            tied_embeddings: false,
        }
    }

    fn assign(
        &mut self,
        members: &[Member<'_>],
        headers: &[Header<'_>],
        assignments: &mut [Option<(Assignment, How)>],
        taken: &mut HashSet<Role>,
    ) {
        for (member, hit) in members.iter().zip(&self.hits) {
            let (Some(hit), Some(header)) = (hit, headers.get(member.idx)) else { continue };
            let Some(assignment) = self.assignment(*hit, header, taken) else { continue };
            if let Some(slot) = assignments.get_mut(member.idx) {
                *slot = Some((assignment, How::Table));
            }
        }
    }

    /// None where another tensor has the role already: two tensors in one role cannot both be paired by it.
    fn assignment(&self, hit: Hit, header: &Header<'_>, taken: &mut HashSet<Role>) -> Option<Assignment> {
        if let Cut::Fixed(reason) = hit.cut {
            return Some(Assignment::FixedByArchitecture(reason));
        }
        let layer = self.layers.get(&(hit.component, hit.layer)).copied().unwrap_or_default();
        let facts = Facts {
            attention_width: layer.attention_width,
            latent_rotary_rows: layer.latent_rotary_rows,
            latent_q_rows: layer.latent_q_rows,
            ..self.model
        };
        let pieces = match cut::cut(hit.cut, header.shape, hit.is_bias, self.rope, &facts) {
            Ok(pieces) => pieces,
            Err(reason) => return Some(Assignment::UnknownLayout(reason)),
        };
        let role = |(part, expert, view)| {
            let expert = hit.expert.map_or(expert, Expert::Routed);
            (Role { component: hit.component, layer: hit.layer, expert, part, is_bias: hit.is_bias }, view)
        };
        let views: Vec<_> = pieces.into_iter().map(role).collect();
        if views.iter().any(|(role, _)| taken.contains(role)) {
            return None;
        }
        taken.extend(views.iter().map(|(role, _)| *role));
        Some(Assignment::Views(views))
    }
}
