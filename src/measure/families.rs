//! Which units a pair of models offers to the exact trace test, each matrix in exactly one family (docs/methods.md#trace).

use std::collections::{BTreeMap, BTreeSet};

use super::trace::Exchange;
use super::units::Axis;
use crate::align::{Alignment, PairedPart, is_token_table};
use crate::canonical::{CanonicalModel, CanonicalPart, Group};
use crate::roles::{Component, Expert, Graph, Part};

/// What the units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Hidden units of an MLP: rows of gate and up, columns of down.
    MlpUnits,
    /// Channels inside the value heads: rows of v, columns of o.
    ValueChannels,
    /// Channels of a selective state space (Mamba): columns of its two projections, rows of the step's projection.
    StateChannels,
    /// Dimensions of the residual stream: columns of the token tables, once for a model.
    ResidualDimensions,
    /// Outputs of a tensor of an unknown graph.
    TensorRows,
}

impl Kind {
    /// The word of the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::MlpUnits => "MLP units",
            Kind::ValueChannels => "value channels",
            Kind::StateChannels => "state channels",
            Kind::ResidualDimensions => "residual dimensions",
            Kind::TensorRows => "tensor outputs",
        }
    }
}

/// One matrix of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index into [`Alignment::pairs`].
    pub pair: usize,
    /// Where its units lie.
    pub axis: Axis,
    /// Consecutive blocks of the axis that belong to one group of units: query heads per KV head in `o`, else 1.
    pub blocks_per_group: u64,
}

/// Units that one trace test is about.
#[derive(Clone, Debug)]
pub struct Family {
    /// What the units are.
    pub kind: Kind,
    /// Report group.
    pub group: Group,
    /// Tower.
    pub component: Component,
    /// Layers, where the units lie in one.
    pub layers: Option<(u32, u32)>,
    /// Expert of a mixture (of the right model).
    pub expert: Expert,
    /// Units.
    pub n_units: u64,
    /// Which orders are equally likely.
    pub exchange: Exchange,
    /// The matrices; the first is the one by which partners are found.
    pub members: Vec<Member>,
}

/// Fewest units worth a test: 8! orders resolve 2·10⁻⁵.
pub const MIN_UNITS: u64 = 8;

/// Lists the families of an alignment, in the right model's order.
#[must_use]
pub fn families(
    left: &CanonicalModel,
    right: &CanonicalModel,
    alignment: &Alignment,
    graphs: (&Graph, &Graph),
) -> Vec<Family> {
    let mut by_place: BTreeMap<(Component, Option<u32>, Expert), BTreeMap<Part, usize>> = BTreeMap::new();
    for (pair_idx, pair) in alignment.pairs.iter().enumerate() {
        if let Some(role) = right.parts[pair.right].role.filter(|role| !role.is_bias) {
            by_place
                .entry((role.component, role.layer, role.expert))
                .or_default()
                .insert(role.part, pair_idx);
        }
    }
    let mut found = Vec::new();
    for ((component, _, expert), parts) in &by_place {
        let place = Place { component: *component, expert: *expert, left, right, alignment, parts };
        found.extend(place.mlp_units());
        found.extend(place.state_channels());
        found.extend(place.value_channels(graphs, Part::V, Part::O));
        found.extend(place.value_channels(graphs, Part::CrossV, Part::CrossO));
        if !graphs.0.sinusoidal_positions && !graphs.1.sinusoidal_positions {
            found.extend(place.residual_dimensions());
        }
    }
    let has_graph = found.iter().any(|family| family.kind != Kind::ResidualDimensions);
    if !has_graph {
        found.retain(|family| family.kind != Kind::ResidualDimensions);
        found.extend(tensor_rows(left, right, alignment));
    }
    found.retain(|family| family.n_units >= MIN_UNITS);
    found
}

/// The pairs of one layer (and expert) by part.
struct Place<'a> {
    component: Component,
    expert: Expert,
    left: &'a CanonicalModel,
    right: &'a CanonicalModel,
    alignment: &'a Alignment,
    parts: &'a BTreeMap<Part, usize>,
}

impl Place<'_> {
    fn pair(&self, pair_idx: usize) -> (&PairedPart, &CanonicalPart, &CanonicalPart) {
        let pair = &self.alignment.pairs[pair_idx];
        (pair, &self.left.parts[pair.left], &self.right.parts[pair.right])
    }

    fn family(
        &self,
        kind: Kind,
        group: Group,
        n_units: u64,
        exchange: Exchange,
        members: Vec<Member>,
    ) -> Family {
        let layers = members.first().and_then(|member| {
            let (_, left, right) = self.pair(member.pair);
            Some((left.role?.layer?, right.role?.layer?))
        });
        Family {
            kind,
            group,
            component: self.component,
            layers,
            expert: self.expert,
            n_units,
            exchange,
            members,
        }
    }

    fn mlp_units(&self) -> Option<Family> {
        let mut members = Vec::new();
        let mut n_units = None;
        for (part, axis) in [(Part::Gate, Axis::Rows), (Part::Up, Axis::Rows), (Part::Down, Axis::Columns)] {
            let Some(&pair) = self.parts.get(&part) else { continue };
            let view = &self.pair(pair).2.stored.view;
            let units = if axis == Axis::Rows { view.n_rows } else { view.n_cols };
            if *n_units.get_or_insert(units) == units {
                members.push(Member { pair, axis, blocks_per_group: 1 });
            }
        }
        Some(self.family(Kind::MlpUnits, Group::Mlp, n_units?, Exchange::Free, members))
    }

    /// Channels that carry a state each (Gu & Dao, Mamba, arXiv 2312.00752, section 3.4): any order is the same function. Where heads of
    /// channels share a state (Mamba-2) there is no projection of the steps, and no family.
    fn state_channels(&self) -> Option<Family> {
        let n_channels = self.pair(*self.parts.get(&Part::XProj)?).2.stored.view.n_cols;
        let places =
            [(Part::OutProj, Axis::Columns), (Part::XProj, Axis::Columns), (Part::DtProj, Axis::Rows)];
        let members = places.into_iter().filter_map(|(part, axis)| {
            let &pair = self.parts.get(&part)?;
            let view = &self.pair(pair).2.stored.view;
            let units = if axis == Axis::Rows { view.n_rows } else { view.n_cols };
            (units == n_channels).then_some(Member { pair, axis, blocks_per_group: 1 })
        });
        let members: Vec<Member> = members.collect();
        let group = Group::of(self.pair(members.first()?.pair).2.role.as_ref());
        Some(self.family(Kind::StateChannels, group, n_channels, Exchange::Free, members))
    }

    /// v rows, and o columns where the heads of both are known.
    fn value_channels(&self, graphs: (&Graph, &Graph), v: Part, o: Part) -> Option<Family> {
        let head_dim = |graph: &Graph| graph.head_dim_of(self.component);
        let head_rows = head_dim(graphs.1).filter(|rows| *rows > 1 && head_dim(graphs.0) == Some(*rows))?;
        let v_pair = *self.parts.get(&v)?;
        let n_channels = self.pair(v_pair).2.stored.view.n_rows;
        if !n_channels.is_multiple_of(head_rows) {
            return None;
        }
        let mut members = vec![Member { pair: v_pair, axis: Axis::Rows, blocks_per_group: 1 }];
        if let Some(&o_pair) = self.parts.get(&o) {
            let n_inputs = self.pair(o_pair).2.stored.view.n_cols;
            if n_inputs.is_multiple_of(n_channels) && n_inputs > 0 {
                members.push(Member {
                    pair: o_pair,
                    axis: Axis::Columns,
                    blocks_per_group: n_inputs / n_channels,
                });
            }
        }
        let group_size = usize::try_from(head_rows).ok()?;
        let exchange = if graphs.0.alibi || graphs.1.alibi {
            Exchange::Blocks { group_size }
        } else {
            Exchange::Wreath { group_size }
        };
        Some(self.family(Kind::ValueChannels, Group::Attention, n_channels, exchange, members))
    }

    /// Columns of token tables. Those of what embeds patches are pixels, which resemble their neighbours in any two models.
    fn residual_dimensions(&self) -> Option<Family> {
        let members: Vec<Member> = [Part::Embed, Part::Head]
            .iter()
            .filter_map(|part| self.parts.get(part))
            .filter(|&&pair| self.pair(pair).2.role.is_some_and(|role| is_token_table(&role)))
            .map(|&pair| Member { pair, axis: Axis::Columns, blocks_per_group: 1 })
            .collect();
        let n_units = self.pair(members.first()?.pair).2.stored.view.n_cols;
        let same_width = members.iter().all(|member| self.pair(member.pair).2.stored.view.n_cols == n_units);
        same_width.then(|| {
            self.family(Kind::ResidualDimensions, Group::Embeddings, n_units, Exchange::Free, members)
        })
    }
}

/// Tensors of an unknown graph: units are outputs that another tensor of the same model reads.
///
/// Left out: outputs that nothing reads by shape (classes, boxes), outputs of a width that no tensor enters from another one or leaves for
/// another one (what goes in and out of the model: pixels, sensors, nodes), depthwise and grouped filters, and packed projections, whose rows
/// have a fixed meaning. Rows of recurrent gates are hidden units by design.
fn tensor_rows(left: &CanonicalModel, right: &CanonicalModel, alignment: &Alignment) -> Vec<Family> {
    let is_matrix = |part: &CanonicalPart| {
        part.role.is_none_or(|role| role.part == Part::Other) && part.n_dimensions >= 2
    };
    let readers_in = |model: &CanonicalModel| readers(model.parts.iter().filter(|part| is_matrix(part)));
    let readers = (readers_in(left), readers_in(right));
    let read_by_another = |readers: &BTreeMap<u64, usize>, part: &CanonicalPart| {
        let view = &part.stored.view;
        let own = |width: u64| usize::from(width == view.n_cols && is_matrix(part));
        readers.iter().any(|(width, n_readers)| width % view.n_rows == 0 && *n_readers > own(*width))
    };
    let hidden_of = |model: &CanonicalModel| hidden_widths(model.parts.iter().filter(|part| is_matrix(part)));
    let hidden = (hidden_of(left), hidden_of(right));
    alignment
        .pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| {
            let (of_left, part) = (&left.parts[pair.left], &right.parts[pair.right]);
            let is_inside = || {
                read_by_another(&readers.0, of_left)
                    && read_by_another(&readers.1, part)
                    && hidden.0.contains(&of_left.stored.view.n_rows)
                    && hidden.1.contains(&part.stored.view.n_rows)
            };
            is_matrix(part)
                && part.stored.view.n_cols >= 4
                && part.stored.view.n_rows >= MIN_UNITS
                && (of_left.is_gate && part.is_gate || is_inside())
        })
        .map(|(pair_idx, pair)| Family {
            kind: Kind::TensorRows,
            group: Group::Other,
            component: Component::Text,
            layers: None,
            expert: Expert::None,
            n_units: right.parts[pair.right].stored.view.n_rows,
            exchange: Exchange::Free,
            members: vec![Member { pair: pair_idx, axis: Axis::Rows, blocks_per_group: 1 }],
        })
        .collect()
}

/// How many of these matrices read each width: a model has few widths, whatever the number of its tensors.
fn readers<'a>(matrices: impl Iterator<Item = &'a CanonicalPart>) -> BTreeMap<u64, usize> {
    let mut readers = BTreeMap::new();
    for part in matrices {
        *readers.entry(part.stored.view.n_cols).or_default() += 1;
    }
    readers
}

/// Widths inside a model, given its matrices: some tensor makes them of another width, and some tensor makes another width of them. What
/// goes into a model and comes out of it (pixels, sensors, nodes) may have an order of its own.
#[must_use]
pub fn hidden_widths<'a>(matrices: impl Iterator<Item = &'a CanonicalPart>) -> BTreeSet<u64> {
    let shapes: BTreeSet<(u64, u64, bool)> = matrices
        .map(|part| (part.stored.view.n_rows, part.stored.view.n_cols, part.n_dimensions > 2))
        .collect();
    // a filter reads its inputs once a tap
    let keeps_width = |&(n_rows, n_cols, is_filter): &(u64, u64, bool)| {
        n_cols == n_rows || is_filter && is_taps(n_cols, n_rows)
    };
    let made: BTreeSet<u64> =
        shapes.iter().filter(|shape| !keeps_width(shape)).map(|shape| shape.0).collect();
    let is_read = |width: &u64| shapes.iter().any(|shape| shape.0 != *width && shape.1 % width == 0);
    made.into_iter().filter(is_read).collect()
}

/// Whether a row of n_cols numbers may be a filter over n_inputs: as many taps as usual ones have.
pub(super) fn is_taps(n_cols: u64, n_inputs: u64) -> bool {
    const TAPS: [u64; 12] = [1, 2, 3, 4, 5, 7, 9, 11, 16, 25, 27, 49];
    n_inputs > 0 && n_cols.is_multiple_of(n_inputs) && TAPS.contains(&(n_cols / n_inputs))
}
