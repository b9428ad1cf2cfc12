//! Gives every tensor of a model its role, tower by tower.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::choose::{Member, family_of, hit_in_tower};
use super::family::{Cut, Family};
use super::plan::Plan;
use super::tables::{GGUF, PROJECTOR};
use super::{
    Assignment, Component, Expert, Graph, Header, How, Part, Role, RoleMap, fixed, guess, stored, tower,
};
use crate::checkpoint::{Config, Heads};

/// The tensors of every tower, in the order of [`tower::TOWERS`].
type Towers<'a> = [Vec<Member<'a>>; tower::TOWERS.len()];

/// What is known without a family, and the tensors of every tower that are left.
fn sorted<'a>(headers: &[Header<'a>]) -> (Vec<Option<(Assignment, How)>>, Towers<'a>) {
    let scaled = scaled_weights(headers);
    let mut assignments: Vec<Option<(Assignment, How)>> = Vec::with_capacity(headers.len());
    let mut towers: Towers<'a> = Default::default();
    for (idx, header) in headers.iter().enumerate() {
        let known = fixed::assignment(header).or_else(|| {
            scaled
                .contains(header.name)
                .then_some(Assignment::Packed("quantised weight whose scale is stored apart"))
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
    (assignments, towers)
}

/// A tower that a family's table fits, and what the config says of it.
struct Known<'a> {
    tower: Component,
    members: &'a [Member<'a>],
    family: &'static Family,
    config: Option<Config>,
    is_main: bool,
}

/// The towers that some table fits, the main one first if it is among them.
fn known_towers<'a>(
    towers: &'a Towers<'_>,
    headers: &[Header<'_>],
    config: Option<&Config>,
) -> Vec<Known<'a>> {
    let main = towers.iter().position(|members| !members.is_empty());
    let known = |(slot, (members, tower)): (usize, (&'a Vec<Member<'_>>, Component))| {
        let is_main = main == Some(slot);
        let config = config.and_then(|config| config_of(tower, is_main, config));
        let family = match tower {
            Component::Projector => Some(&PROJECTOR),
            _ => family_of(members, headers, config.as_ref()),
        }?;
        Some(Known { tower, members, family, config, is_main })
    };
    towers.iter().zip(tower::TOWERS).enumerate().filter_map(known).collect()
}

/// Tensors of a model that do the job of others which it does not have, by names of the same family: `None` where the table does not
/// know the name, or the model keeps that job inside a fused tensor.
pub(super) fn counterparts(
    names: &[&str],
    headers: &[Header<'_>],
    config: Option<&Config>,
) -> Vec<Option<usize>> {
    let map = roles(headers, config);
    let whole = headers.iter().zip(&map.assignments).enumerate().filter_map(|(idx, (header, (found, _)))| {
        let Assignment::Views(views) = found else { return None };
        let [(role, view)] = &views[..] else { return None };
        (view.n_elements() == header.shape.iter().product::<u64>()).then_some((*role, idx))
    });
    let whole: HashMap<Role, usize> = whole.collect();
    let (_, towers) = sorted(headers);
    let known = known_towers(&towers, headers, config);
    let counterpart = |name: &&str| {
        let (tower, inner) = tower::of(name);
        let known = known.iter().find(|known| known.tower == tower)?;
        let hit = hit_in_tower(known.family, &inner, tower)?;
        let (part, expert) = match hit.cut {
            Cut::Is(part) | Cut::Conv1d(part) => (part, hit.expert.map_or(Expert::None, Expert::Routed)),
            Cut::Shared(part) => (part, Expert::Shared(0)),
            _ => return None,
        };
        let role = Role { component: hit.component, layer: hit.layer, expert, part, is_bias: hit.is_bias };
        whole.get(&role).copied()
    };
    names.iter().map(counterpart).collect()
}

/// Roles of all tensors.
pub(super) fn roles(headers: &[Header<'_>], config: Option<&Config>) -> RoleMap {
    let (mut assignments, towers) = sorted(headers);
    let mut family_label = None;
    let mut graph = Graph::default();
    let mut taken = HashSet::new();
    for Known { tower, members, family, config: tower_config, is_main } in
        known_towers(&towers, headers, config)
    {
        let tower_config = tower_config.as_ref();
        if is_main && tower != Component::Projector {
            family_label = Some(family.label);
        }
        let mut plan = Plan::new(family, members, headers, tower_config, tower);
        if is_main {
            graph = plan.graph(tower_config);
        } else {
            graph.tower_head_dims.insert(tower, plan.graph(tower_config).head_dim);
        }
        plan.assign(members, headers, &mut assignments, &mut taken);
        if is_main {
            count_heads(&mut graph, &assignments);
        }
    }
    graph.has_glu = taken.iter().any(|role: &Role| role.part == Part::Gate);
    let has = |part| taken.iter().any(|role| role.part == part && role.component != Component::Vision);
    graph.tied_embeddings = has(Part::Embed) && !has(Part::Head);
    let leftover = |(header, assignment): (&Header<'_>, Option<_>)| {
        assignment.unwrap_or_else(|| (without_role(header), How::Unknown))
    };
    let mut assignments: Vec<(Assignment, How)> = headers.iter().zip(assignments).map(leftover).collect();
    if family_label.is_none() && taken.is_empty() {
        guess::assign(headers, &mut assignments, config);
    }
    let architecture = config.and_then(|config| config.model_type.as_deref());
    let family = match (family_label, architecture) {
        (Some(GGUF), Some(architecture)) => format!("{architecture} ({GGUF})"),
        (label, _) => label.unwrap_or("unknown").to_owned(),
    };
    RoleMap { family, assignments, graph }
}

/// What the config says of one tower: of the main one everything, of others their heads, since their widths go by too many names. None
/// where it says nothing.
fn config_of(tower: Component, is_main: bool, config: &Config) -> Option<Config> {
    let own = match tower {
        Component::Vision => config.vision_heads,
        Component::Audio => config.audio_heads,
        _ => Heads::default(),
    };
    let Heads { n_heads, n_kv_heads, head_dim } = own;
    let of_own = |rest: Config| Config { n_heads, n_kv_heads, head_dim, ..rest };
    match (own == Heads::default(), is_main) {
        (true, true) => Some(config.clone()),
        (true, false) => None,
        (false, true) => Some(of_own(config.clone())),
        (false, false) => Some(of_own(Config::default())),
    }
}

/// Heads as the shapes have them, where the rows of one are known: configs are copied between models, shapes are not.
fn count_heads(graph: &mut Graph, assignments: &[Option<(Assignment, How)>]) {
    let Some(head_dim) = graph.head_dim.filter(|rows| *rows > 0) else { return };
    let views = || {
        assignments.iter().flatten().filter_map(|(assignment, _)| match assignment {
            Assignment::Views(views) => Some(views),
            _ => None,
        })
    };
    let heads = |part| {
        let is = |role: &Role| role.part == part && !role.is_bias && role.layer.is_some();
        let (_, view) = views().flatten().find(|(role, _)| is(role))?;
        (view.n_rows > 0 && view.n_rows.is_multiple_of(head_dim)).then(|| view.n_rows / head_dim)
    };
    graph.n_heads = heads(Part::Q).or(graph.n_heads);
    graph.n_kv_heads = heads(Part::K).or(graph.n_kv_heads);
}

/// What a tensor is that no table line claims.
fn without_role(header: &Header<'_>) -> Assignment {
    if fixed::is_buffer(header) {
        return Assignment::Buffer("whole numbers or truth values");
    }
    if stored::is_countable(header.shape) {
        Assignment::Unknown(stored::whole(header.shape))
    } else {
        Assignment::UnknownLayout("more elements than can be counted")
    }
}

/// Names of weights that mean nothing without the scale stored next to them.
fn scaled_weights<'a>(headers: &[Header<'a>]) -> HashSet<Cow<'a, str>> {
    let stem = |header: &Header<'a>| {
        if let Some(module) = header.name.strip_suffix(".SCB") {
            return Some(Cow::from(format!("{module}.weight")));
        }
        let ends = ["_scale_inv", "_scale", ".absmax"];
        let stem = ends.iter().find_map(|end| header.name.strip_suffix(end))?;
        stem.ends_with(".weight").then_some(Cow::from(stem))
    };
    headers.iter().filter_map(stem).collect()
}
