//! S7 for attention: which heads continue which, where matrices in place do not tell.

use std::collections::BTreeMap;

use super::{PlainStage, ProbeStage};
use crate::align::Alignment;
use crate::canonical::Group;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::evidence::{FamilyResult, HeadEvidence, agrees, weigh_heads};
use crate::kernels::Backend;
use crate::measure::families::Kind;
use crate::measure::head_map::{Attention, CIRCUIT_TOKENS, HeadMap, head_map};
use crate::measure::probes::Asked;
use crate::numerics::median;
use crate::roles::{Component, Expert, Part};
use crate::stream::ReadMeter;
use crate::verdict::weights::NEAR;

/// Layers of a tower whose heads are mapped short of `full`, evenly.
const MAPPED_LAYERS: usize = 4;
/// Where these show nothing, the others are not asked: heads of two layers must be found.
const FIRST_LAYERS: usize = 2;
/// Operations spent on it short of `full`: seconds on two cores.
const MAP_FLOP: u64 = 400_000_000_000;

/// What heads found.
#[derive(Default)]
pub(in crate::compare) struct HeadStage {
    /// The maps, weighed; None where attention is near in place or no layer can be asked.
    pub(in crate::compare) evidence: Option<HeadEvidence>,
    /// S5b of the value channels of layers that the numbering names.
    pub(in crate::compare) orders: Vec<FamilyResult>,
}

/// Attention of a left and of a right layer.
type Layers<'a> = (Attention<'a>, Attention<'a>);

/// Maps of a few layers, by tokens, else by random directions.
pub(in crate::compare) fn heads(
    backend: &Backend,
    (pair, alignment): (&Pair<'_>, &Alignment),
    (plain, probed, asks_order): (&PlainStage, &ProbeStage<'_>, bool),
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<HeadStage, Error> {
    if options.effort == Effort::Quick || options.only.is_some() || is_near(pair, alignment, plain) {
        return Ok(HeadStage::default());
    }
    let mut budget = if options.effort == Effort::Full { u64::MAX } else { MAP_FLOP };
    let mut flop = 0;
    let (mut best, mut orders) = (None, Vec::new());
    if let Some(search) = &probed.search {
        let asked = search.asked();
        let has_alibi = pair.roles.0.graph.alibi || pair.roles.1.graph.alibi;
        let layers = layers(pair, alignment, probed, Component::Text);
        let maps = maps(
            backend,
            asked,
            spaced(layers, options.effort),
            // under ALiBi heads have places of their own, which answers would show
            (asks_order && !has_alibi).then_some(options.seed),
            (FIRST_LAYERS, &mut budget),
            meter,
            &mut flop,
        )?;
        clock.cells_examined += maps.len() as u64;
        orders.extend(maps.iter().filter_map(|map| order(alignment, map)));
        best = (!maps.is_empty()).then(|| weigh_heads(Component::Text, &maps, 1));
    }
    if !best.as_ref().is_some_and(HeadEvidence::is_shared) {
        // heads of every tower, read by random directions of a residual basis that both models have
        let components = pair.canonical.1.components();
        let n_ways = components.len() + usize::from(best.is_some());
        // one layer first after tokens that found nothing: hardly any model has its heads under other tokens
        let n_first = if best.is_some() { 1 } else { FIRST_LAYERS };
        let models = pair.models();
        for component in components {
            let layers = layers(pair, alignment, probed, component);
            let Some(n_hidden) = layers.first().map(|(left, _)| left.n_hidden()) else { continue };
            let ask = |model| Asked::by_directions(model, n_hidden, CIRCUIT_TOKENS, options.seed);
            let asked = (&ask(models.0), &ask(models.1));
            let layers = spaced(layers, options.effort);
            let maps = maps(backend, asked, layers, None, (n_first, &mut budget), meter, &mut flop)?;
            clock.cells_examined += maps.len() as u64;
            let found = (!maps.is_empty()).then(|| weigh_heads(component, &maps, n_ways));
            let weight =
                |evidence: &HeadEvidence| if evidence.is_shared() { evidence.ln_weight } else { 0.0 };
            best = match (best, found) {
                (Some(best), Some(found)) if weight(&found) < weight(&best) => Some(found),
                (None, found) => found,
                (best, _) => best,
            };
        }
    }
    clock.stage("head maps", flop);
    Ok(HeadStage { evidence: best, orders })
}

/// S5b of a layer that the numbering names.
fn order(alignment: &Alignment, map: &HeadMap) -> Option<FamilyResult> {
    let (left, right) = map.layers;
    let is_numbered = alignment.layer_map.left(Component::Text, right) == Some(left);
    map.order_of_values.filter(|_| is_numbered).map(|trace| FamilyResult {
        kind: Kind::ValueChannels,
        group: Group::Attention,
        component: Component::Text,
        layers: Some(map.layers),
        expert: Expert::None,
        trace,
        halves: None,
        agreement: None,
    })
}

/// Layers of one tower: the left one that the probes found, else the one that the layer map names.
fn layers<'a>(
    pair: &'a Pair<'_>,
    alignment: &Alignment,
    probed: &ProbeStage<'_>,
    component: Component,
) -> Vec<Layers<'a>> {
    let models = pair.models();
    let found = |right: u32| {
        let found = probed.matches.iter().find(|found| {
            (found.right.component, found.right.layer) == (component, right) && agrees(&found.agreement)
        });
        found.map(|found| found.left.layer)
    };
    let of_layer = |right: u32| {
        let left = found(right).or_else(|| alignment.layer_map.left(component, right))?;
        let of_left = Attention::of(models.0.canonical, models.0.graph, component, left)?;
        Some((of_left, Attention::of(models.1.canonical, models.1.graph, component, right)?))
    };
    pair.canonical.1.layers(component).into_iter().filter_map(of_layer).collect()
}

/// A few layers, evenly; all at `full`.
fn spaced(layers: Vec<Layers<'_>>, effort: Effort) -> Vec<Layers<'_>> {
    let step = if effort == Effort::Full { 1 } else { layers.len().div_ceil(MAPPED_LAYERS).max(1) };
    layers.into_iter().step_by(step).collect()
}

/// Maps of the layers that read a stream of the width that is asked.
fn maps(
    backend: &Backend,
    (asked_l, asked_r): (&Asked<'_>, &Asked<'_>),
    mut layers: Vec<Layers<'_>>,
    seed_of_order: Option<u64>,
    (n_first, budget): (usize, &mut u64),
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Vec<HeadMap>, Error> {
    let (width_l, width_r) = (asked_l.tokens().n_cols, asked_r.tokens().n_cols);
    layers.retain(|(left, right)| (left.n_hidden(), right.n_hidden()) == (width_l, width_r));
    let mut found = Vec::new();
    for (left, right) in layers {
        let shows_some = |map: &HeadMap| 2 * map.n_found() >= map.left_of.len();
        if found.len() == n_first && !found.iter().any(shows_some) {
            break;
        }
        let Some(rest) = budget.checked_sub(left.cost_flop() + right.cost_flop()) else { break };
        *budget = rest;
        let labels = seed_of_order.map(|seed| [seed, 0x6865_6164, u64::from(right.layer)]);
        let labels = labels.as_ref().map(<[u64; 3]>::as_slice);
        found.push(head_map(backend, (asked_l, left), (asked_r, right), labels, meter, flop)?);
    }
    Ok(found)
}

/// Attention matrices in place are near each other, those of every kind: in multi-query attention keys and values stay where query heads
/// were moved.
fn is_near(pair: &Pair<'_>, alignment: &Alignment, plain: &PlainStage) -> bool {
    let mut cosines: BTreeMap<Option<Part>, Vec<f64>> = BTreeMap::new();
    for (idx, paired) in alignment.pairs.iter().enumerate() {
        let part = pair.part(Side::Right, paired.right);
        if paired.group == Group::Attention && part.n_dimensions > 1 {
            let cosine = plain.picture(idx).and_then(|picture| picture.centred_cosine);
            cosines.entry(part.role.map(|role| role.part)).or_default().extend(cosine);
        }
    }
    let of_part = |cosines: &Vec<f64>| median(cosines).is_some_and(|cosine| cosine >= NEAR);
    !cosines.is_empty() && cosines.values().all(of_part)
}
