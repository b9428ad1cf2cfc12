//! S4 on a few right-hand MLPs: against the left one that the numbering names, else against the one that a search proposes.

use std::collections::{BTreeMap, BTreeSet};

use super::PlainStage;
use super::block_search::{BlockMatch, BlockSearch};
use crate::align::Alignment;
use crate::canonical::Group;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair};
use crate::evidence::FamilyResult;
use crate::kernels::Backend;
use crate::measure::agreement::Agreement;
use crate::measure::blocks::Block;
use crate::measure::families::Kind;
use crate::stream::ReadMeter;
use crate::verdict::weights::NEAR;

/// Layers probed short of `full`.
const PROBE_LAYERS: usize = 4;
/// Experts of a layer probed short of `full`.
const PROBE_EXPERTS: usize = 4;

/// What the probes found.
#[derive(Default)]
pub(in crate::compare) struct ProbeStage<'a> {
    pub(in crate::compare) matches: Vec<BlockMatch>,
    /// ln of the number of left MLPs that were tried for the right ones.
    pub(in crate::compare) ln_tried: f64,
    /// To ask more; None where nothing could be asked or nothing was.
    pub(in crate::compare) search: Option<BlockSearch<'a>>,
}

impl ProbeStage<'_> {
    /// (left layer, right layer, agreement) of the best match of every right layer probed.
    pub(in crate::compare) fn by_layer(&self) -> Vec<(u32, u32, Agreement)> {
        let mut best = BTreeMap::new();
        for found in &self.matches {
            let entry = best.entry((found.right.component, found.right.layer)).or_insert(found);
            if found.agreement.share() > entry.agreement.share() {
                *entry = found;
            }
        }
        best.into_values().map(|found| (found.left.layer, found.right.layer, found.agreement)).collect()
    }
}

/// S4 on a few layers, and S5b on their MLPs where `asks_order`: where S2 is silent, and where it rejects without the matrices being near each other. Where they are
/// near, only on MLPs that the numbering gives no counterpart: layers beyond the other's depth, experts against a dense MLP.
pub(in crate::compare) fn probes<'a>(
    backend: &'a Backend,
    pair: &'a Pair<'_>,
    alignment: &'a Alignment,
    (plain, asks_order): (&PlainStage, bool),
    options: &Options,
    meter: &'a ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<ProbeStage<'a>, Error> {
    if options.effort == Effort::Quick || options.only.is_some() {
        return Ok(ProbeStage::default());
    }
    let Some(mut search) = BlockSearch::new(backend, pair, alignment, asks_order, options, meter)? else {
        return Ok(ProbeStage::default());
    };
    let near = plain.median_cosine(pair, alignment).is_some_and(|cosine| cosine >= NEAR);
    let open: Vec<&Block> =
        search.blocks_r.iter().filter(|right| !near || search.numbered(right).is_none()).collect();
    let chosen: Vec<Block> = chosen(&open, options.effort).into_iter().cloned().collect();
    if chosen.is_empty() {
        return Ok(ProbeStage { search: Some(search), ..ProbeStage::default() });
    }
    let mut matches = Vec::new();
    for right in &chosen {
        matches.extend(search.best(right)?);
    }
    clock.cells_examined += std::mem::take(&mut search.n_held);
    clock.stage("probes", std::mem::take(&mut search.flop));
    // MLPs that are asked later only say what happened
    search.asks_order = false;
    Ok(ProbeStage { matches, ln_tried: search.ln_tried, search: Some(search) })
}

impl ProbeStage<'_> {
    /// S5b of the MLPs that the numbering names, one a layer: experts that are copies of one MLP would be one test several times.
    pub(in crate::compare) fn orders(&self) -> impl Iterator<Item = FamilyResult> {
        let mut layers = BTreeSet::new();
        let is_first = move |found: &&BlockMatch| {
            found.order.is_some() && layers.insert((found.right.component, found.right.layer))
        };
        self.matches.iter().filter(is_first).filter_map(|found| {
            let (left_layer, trace) = found.order?;
            Some(FamilyResult {
                kind: Kind::MlpUnits,
                group: Group::Mlp,
                component: found.right.component,
                layers: Some((left_layer, found.right.layer)),
                expert: found.right.expert,
                trace,
                halves: None,
                agreement: None,
            })
        })
    }
}

/// A few layers and a few experts of each, evenly; all of them at `full`. Of more than two layers never layer 0: it agrees
/// between independent models too.
fn chosen<'a>(blocks: &[&'a Block], effort: Effort) -> Vec<&'a Block> {
    let mut layers: BTreeSet<u32> = blocks.iter().map(|block| block.layer).collect();
    if layers.len() > 2 {
        layers.remove(&0);
    }
    let every = |n: usize, most: usize| if effort == Effort::Full { 1 } else { n.div_ceil(most).max(1) };
    let mut chosen = Vec::new();
    for layer in layers.iter().step_by(every(layers.len(), PROBE_LAYERS)) {
        let experts: Vec<&Block> = blocks.iter().copied().filter(|block| block.layer == *layer).collect();
        chosen.extend(experts.iter().copied().step_by(every(experts.len(), PROBE_EXPERTS)));
    }
    chosen
}
