//! S6 and S7 after a verdict: the MLP that every right-hand one continues, and unit by unit where units did not keep their place.

use std::collections::{BTreeMap, BTreeSet};

use super::block_search::BlockMatch;
use super::{ProbeStage, is_in_place};
use crate::align::Alignment;
use crate::canonical::Group;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::evidence::agrees;
use crate::kernels::Backend;
use crate::measure::blocks::{Block, blocks};
use crate::measure::probes::Views;
use crate::measure::unit_map::{UnitMap, by_answers, by_weights};
use crate::roles::{Component, Expert};
use crate::stream::ReadMeter;
use crate::verdict::weights::{Decision, Facts};

/// MLPs that are placed short of `full`.
const PLACED_BLOCKS: usize = 64;
/// Operations spent on placing MLPs by answers, and on unit maps, short of `full`: tens of seconds on two cores, and seconds.
const PLACE_FLOP: u64 = 2_000_000_000_000;
const MAP_FLOP: u64 = 400_000_000_000;

/// A right-hand MLP with its place in the left model.
#[derive(Clone, Debug)]
pub(in crate::compare) struct Placed {
    pub(in crate::compare) left: Block,
    pub(in crate::compare) right: Block,
    /// Which units it continues; None where that would cost too much.
    pub(in crate::compare) units: Option<UnitMap>,
    /// Found by answers to tokens, not by weights in place.
    pub(in crate::compare) by_answers: bool,
}

/// Where MLPs went.
#[derive(Clone, Debug, Default)]
pub(in crate::compare) struct UnitStage {
    pub(in crate::compare) placed: Vec<Placed>,
    /// Right MLPs that were asked, whether or not they were placed.
    pub(in crate::compare) n_asked: usize,
    /// Right layers whose dense MLP was asked by answers, whether or not it was placed.
    pub(in crate::compare) asked_layers: BTreeSet<u32>,
    /// (left layer, right layer) of dense MLPs that a sketch shows to be continued, the placed ones among them. Only where the
    /// models differ in depth.
    pub(in crate::compare) also_continued: Vec<(u32, u32)>,
}

impl UnitStage {
    /// Share of the units of a right layer's dense MLP that were found in the left layer's.
    pub(in crate::compare) fn share_found(&self, component: Component, layers: (u32, u32)) -> Option<f64> {
        let placed = self.placed.iter().find(|placed| {
            let Placed { left, right, .. } = placed;
            (right.component, left.layer, right.layer) == (component, layers.0, layers.1)
                && (left.component, left.expert, right.expert) == (component, Expert::None, Expert::None)
        })?;
        placed.units.as_ref().map(UnitMap::share_found)
    }

    /// Elements of one side's MLPs that stand in no pair and that the other side continues, unit by unit; an estimate where only some MLPs
    /// were asked. `n_blocks`: MLPs of the (left, right) model; `n_elements` of an unpaired part, 0 of a paired one.
    pub(in crate::compare) fn inherited_elements(
        &self,
        side: Side,
        n_blocks: (usize, usize),
        n_elements: &dyn Fn(usize) -> u64,
    ) -> f64 {
        let mut maps: BTreeMap<usize, (&Block, Vec<&UnitMap>)> = BTreeMap::new();
        for placed in &self.placed {
            let block = if side == Side::Left { &placed.left } else { &placed.right };
            maps.entry(block.up).or_insert_with(|| (block, Vec::new())).1.extend(&placed.units);
        }
        let share = |maps: &[&UnitMap]| match side {
            Side::Right => maps.iter().map(|map| map.share_found()).fold(0.0, f64::max),
            Side::Left => {
                let kept: BTreeSet<u32> = maps.iter().flat_map(|map| map.kept()).collect();
                kept.len() as f64 / maps.first().map_or(1, |map| map.n_left.max(1)) as f64
            }
        };
        let of_block = |(block, maps): &(&Block, Vec<&UnitMap>)| {
            let parts = [Some(block.up), block.gate, block.down].into_iter().flatten();
            share(maps) * parts.map(n_elements).sum::<u64>() as f64
        };
        // of right MLPs that were not asked nothing is known
        let scale = n_blocks.1 as f64 / self.n_asked.max(1) as f64;
        maps.values().map(of_block).sum::<f64>() * scale.max(1.0)
    }

    /// Parts of one side whose units were all held against the other side's, in whatever place.
    pub(in crate::compare) fn parts(&self, side: Side) -> BTreeSet<usize> {
        let mut parts = BTreeSet::new();
        let held = self.placed.iter().filter(|placed| placed.units.is_some() || placed.by_answers);
        for Placed { left, right, .. } in held {
            let with_gate = left.gate.is_some() && right.gate.is_some();
            let block = if side == Side::Left { left } else { right };
            parts.insert(block.up);
            parts.extend(if with_gate { block.gate } else { block.down });
        }
        parts
    }
}

/// Where MLPs went; empty where units kept their place and layers were mapped in place.
pub(in crate::compare) fn units(
    backend: &Backend,
    (pair, alignment): (&Pair<'_>, &Alignment),
    (facts, decision): (&Facts<'_>, &Decision),
    probed: &mut ProbeStage<'_>,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<UnitStage, Error> {
    if options.effort == Effort::Quick || options.only.is_some() || !decision.explained.contains(&Group::Mlp)
    {
        return Ok(UnitStage::default());
    }
    let mut budget = if options.effort == Effort::Full { u64::MAX } else { MAP_FLOP };
    let in_place = is_in_place(facts.trace, Group::Mlp);
    let by_weights_agree = facts.agreements.iter().any(|(_, _, agreement)| agrees(agreement));
    let found_elsewhere = probed.matches.iter().any(|found| found.is_found && agrees(&found.agreement));
    let mut flop = 0;
    let stage = if by_weights_agree && !in_place {
        placed_by_weights(backend, pair, alignment, &mut budget, meter, &mut flop)?
    } else if found_elsewhere || (!in_place && probed.matches.iter().any(|found| agrees(&found.agreement))) {
        placed_by_answers(backend, pair, probed, options, &mut budget, meter, &mut flop)?
    } else {
        return Ok(UnitStage::default());
    };
    let n_held = probed.search.as_mut().map_or(0, |search| std::mem::take(&mut search.n_held));
    clock.cells_examined += n_held;
    clock.stage("unit maps", flop);
    Ok(stage)
}

/// One residual basis: MLPs of layers that are held against each other.
fn placed_by_weights(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    budget: &mut u64,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<UnitStage, Error> {
    let models = pair.models();
    let (blocks_l, blocks_r) = (blocks(&pair.canonical.0), blocks(&pair.canonical.1));
    let (mut placed, n_asked) = (Vec::new(), blocks_r.len());
    for right in blocks_r {
        let Some(layer) = alignment.layer_map.left(right.component, right.layer) else { continue };
        let Some(left) = blocks_l
            .iter()
            .find(|left| (left.component, left.layer, left.expert) == (right.component, layer, right.expert))
        else {
            continue;
        };
        let with_gate = left.gate.is_some() && right.gate.is_some();
        let views = (left.views(models.0.canonical, with_gate), right.views(models.1.canonical, with_gate));
        let (Some(Views::Matrices(of_left)), Some(Views::Matrices(of_right))) = views else { continue };
        // the first matrix of an MLP has its units as rows
        let (view_l, view_r) = (&of_left[0].0.stored.view, &of_right[0].0.stored.view);
        let cost = 4 * view_l.n_rows.saturating_mul(view_r.n_rows).saturating_mul(view_l.n_cols);
        let units = if view_l.n_cols == view_r.n_cols && cost <= *budget {
            *budget -= cost;
            Some(by_weights(backend, (models.0, of_left), (models.1, of_right), meter, flop)?)
        } else {
            None
        };
        placed.push(Placed { left: left.clone(), right, units, by_answers: false });
    }
    Ok(UnitStage { placed, n_asked, ..UnitStage::default() })
}

/// Any basis: MLPs found by their answers to tokens.
fn placed_by_answers(
    backend: &Backend,
    pair: &Pair<'_>,
    probed: &mut ProbeStage<'_>,
    options: &Options,
    budget: &mut u64,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<UnitStage, Error> {
    let Some(search) = &mut probed.search else { return Ok(UnitStage::default()) };
    let models = pair.models();
    let all = search.blocks_r.clone();
    let n_most = usize::try_from(PLACE_FLOP / search.cost_of_one().max(1)).unwrap_or(usize::MAX);
    let n_most = n_most.clamp(1, PLACED_BLOCKS);
    let step = if options.effort == Effort::Full { 1 } else { all.len().div_ceil(n_most).max(1) };
    let depths_differ = search.depths_differ();
    let (mut placed, mut also_continued) = (Vec::new(), Vec::new());
    let mut asked_layers = BTreeSet::new();
    let mut n_asked = 0;
    for right in all.iter().step_by(step) {
        n_asked += 1;
        if right.expert == Expert::None {
            asked_layers.insert(right.layer);
        }
        let known = probed.matches.iter().find(|found| found.right == *right).cloned();
        let found: Option<BlockMatch> = match known {
            Some(found) => Some(found),
            None => search.best(right)?,
        };
        let Some(found) = found.filter(|found| agrees(&found.agreement)) else { continue };
        let with_gate = found.left.gate.is_some() && found.right.gate.is_some();
        let views = (
            found.left.views(models.0.canonical, with_gate),
            found.right.views(models.1.canonical, with_gate),
        );
        let mut units = None;
        let cost = search.cost_of_map(&found);
        if let (Some(Views::Matrices(of_left)), Some(Views::Matrices(of_right))) = views
            && cost <= *budget
            && let Some((answers_l, answers_r)) = search.answers_of(&found)?
        {
            *budget -= cost;
            let answers = (&answers_l, &answers_r);
            units =
                Some(by_answers(backend, answers, (models.0, of_left), (models.1, of_right), meter, flop)?);
        }
        if depths_differ {
            also_continued.extend(search.continued_by(&found.right)?);
        }
        placed.push(Placed { left: found.left, right: found.right, units, by_answers: true });
    }
    *flop += std::mem::take(&mut search.flop);
    Ok(UnitStage { placed, n_asked, asked_layers, also_continued })
}
