//! Applies a family's table to a tower: gathers what the cuts need, then cuts.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::choose::{Hit, Member, hit_in_tower};
use super::cut::{self, Facts};
use super::family::{Cut, Family, Rope};
use super::{Assignment, Component, Expert, Graph, Header, How, Part, Role};
use crate::checkpoint::Config;

/// Rows of a head from the stored rotary table, which has one frequency per pair of rows where all of them rotate.
fn head_rows_of_table(family: &Family, headers: &[Header<'_>]) -> Option<u64> {
    let rotates_fully = family.rope == Rope::Interleaved { one_in: 1 };
    let is_table = |header: &&Header<'_>| {
        header.name.ends_with("rope.freqs") || header.name.ends_with("rotary_emb.inv_freq")
    };
    let table = headers.iter().find(is_table).filter(|_| rotates_fully)?;
    match table.shape {
        [n] => n.checked_mul(2),
        _ => None,
    }
}

/// Whether the rows of a stored matrix run along the residual stream, as the table has it; None where it meets none.
fn reads_along_rows(cut: Cut) -> Option<bool> {
    match cut {
        Cut::Is(part) | Cut::Shared(part) => match part {
            Part::Q | Part::K | Part::V | Part::Gate | Part::Up => Some(true),
            Part::O | Part::Down => Some(false),
            _ => None,
        },
        Cut::Conv1d(part) => reads_along_rows(Cut::Is(part)).map(|along| !along),
        Cut::QkvBlocks
        | Cut::QkvGroups
        | Cut::QkvBlocksIfOneKv
        | Cut::QkvFour
        | Cut::GateUp
        | Cut::UpGate => Some(true),
        Cut::QkvColumns => Some(false),
        _ => None,
    }
}

/// Where a layer's facts are kept.
type Place = (Component, Option<u32>);

/// All that is known about a tower before its tensors are cut.
pub(super) struct Plan {
    rope: Rope,
    family: &'static Family,
    hits: Vec<Option<Hit>>,
    model: Facts,
    layers: BTreeMap<Place, Facts>,
}

impl Plan {
    /// Finds the table line of every tensor, and what the layers say about each other.
    pub(super) fn new(
        family: &'static Family,
        members: &[Member<'_>],
        headers: &[Header<'_>],
        config: Option<&Config>,
        tower: Component,
    ) -> Plan {
        let hits = members.iter().map(|member| hit_in_tower(family, &member.name, tower)).collect();
        let mut plan =
            Plan { rope: family.rope, family, hits, model: Facts::default(), layers: BTreeMap::new() };
        plan.mark_prediction_layers(members);
        plan.model.is_exchanged = plan.lies_exchanged(members, headers, config);
        plan.gather(members, headers, config);
        if plan.model.head_dim.is_none() && plan.model.n_heads.is_none() {
            plan.model.head_dim = head_rows_of_table(family, headers);
        }
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

    /// Whether every matrix whose shape can tell lies the other way round than the table says: the residual stream is the
    /// columns of what reads it and the rows of what writes it. Two must tell, so that one odd shape decides nothing.
    fn lies_exchanged(
        &self,
        members: &[Member<'_>],
        headers: &[Header<'_>],
        config: Option<&Config>,
    ) -> bool {
        let hits = || {
            members
                .iter()
                .zip(&self.hits)
                .filter_map(|(member, hit)| Some(((*hit)?, headers.get(member.idx)?)))
        };
        let width_of_table = || {
            hits().find_map(|(hit, header)| match (hit.cut, header.shape) {
                (Cut::Is(Part::Embed), [_, width]) => Some(*width),
                _ => None,
            })
        };
        let Some(hidden) = config.and_then(|config| config.hidden_size).or_else(width_of_table) else {
            return false;
        };
        let (mut n_as_said, mut n_exchanged) = (0, 0);
        for (hit, header) in hits().filter(|(hit, _)| hit.layer.is_some() && !hit.is_bias) {
            let [rows, cols] = *header.shape else { continue };
            let Some(is_read_along_rows) = reads_along_rows(hit.cut) else { continue };
            match (rows == hidden, cols == hidden) {
                (false, true) if is_read_along_rows => n_as_said += 1,
                (true, false) if !is_read_along_rows => n_as_said += 1,
                (true, false) | (false, true) => n_exchanged += 1,
                _ => {}
            }
        }
        n_as_said == 0 && n_exchanged >= 2
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
            let upright = match *header.shape {
                [rows, cols] if self.model.is_exchanged && hit.layer.is_some() => [cols, rows],
                [rows, cols] => [rows, cols],
                _ => [0, 0],
            };
            let shape = if header.shape.len() == 2 { &upright[..] } else { header.shape };
            match (hit.cut, shape, hit.is_bias) {
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
    pub(super) fn graph(&self, config: Option<&Config>) -> Graph {
        let config = config.cloned().unwrap_or_default();
        let width = self.layers.values().find_map(|facts| facts.attention_width);
        let from_width = || width?.checked_div(config.n_heads?);
        Graph {
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads.or(config.n_heads),
            head_dim: self.model.head_dim.or_else(from_width),
            tower_head_dims: BTreeMap::new(),
            norm_adds_one: self.family.norm_adds_one,
            alibi: self.family.alibi || config.alibi,
            sinusoidal_positions: self.family.sinusoidal_positions,
            has_glu: false,
            tied_embeddings: false,
        }
    }

    /// Cuts every tensor that a line claims. `taken` holds the roles given so far.
    pub(super) fn assign(
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
            is_exchanged: self.model.is_exchanged && hit.layer.is_some(),
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
