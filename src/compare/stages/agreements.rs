//! S3 per layer pair: read off the trace products, else a bounded deep stage.

use super::TraceStage;
use crate::align::Alignment;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Statistic};
use crate::kernels::Backend;
use crate::measure::agreement::{self, Agreement};
use crate::measure::blocks::{Block, blocks};
use crate::measure::families::Kind;
use crate::measure::probes::Views;
use crate::measure::units::{Axis, UnitMatrix};
use crate::stream::ReadMeter;

/// Units of one side that look for a partner among all of the other where the trace sample does not hold all units.
const AGREEMENT_UNITS: usize = 256;
/// Layers of the deep stage.
const AGREEMENT_LAYERS: usize = 4;

/// S3 per layer pair: from the trace products where they hold every unit, else a bounded deep stage when S2 is silent.
pub(in crate::compare) fn agreements(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    traced: &TraceStage,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Vec<(u32, u32, Agreement)>, Error> {
    let mut found: Vec<(u32, u32, Agreement)> = traced
        .families
        .iter()
        .filter(|family| family.kind == Kind::MlpUnits)
        .filter_map(|family| {
            let (left, right) = family.layers?;
            Some((left, right, family.agreement?))
        })
        .collect();
    let silent = traced
        .families
        .iter()
        .filter(|family| family.kind == Kind::MlpUnits)
        .all(|family| family.trace.ln_p > crate::evidence::SPREAD_ALPHA.ln());
    let deep = options.effort != Effort::Quick && options.wants(Statistic::Agreement) && silent;
    if !found.is_empty() || !deep {
        return Ok(found);
    }
    let layers = mlp_layers(pair, alignment);
    let step = layers.len().div_ceil(AGREEMENT_LAYERS).max(1);
    let mut flop = 0;
    // the last layers first: layer 0 counts least
    for MlpLayers { layers: (left, right), views: [first, second] } in layers.into_iter().rev().step_by(step)
    {
        let labels = [options.seed, 0x6167_7265, u64::from(right)];
        let (outcome, spent) = agreement::sampled(backend, first, second, AGREEMENT_UNITS, &labels, meter)?;
        flop += spent;
        found.push((left, right, outcome));
    }
    clock.stage("agreement", flop);
    Ok(found)
}

/// MLPs that are held against each other.
struct MlpLayers<'a> {
    /// Left and right.
    layers: (u32, u32),
    /// Gate and up, or up and down, of the left and of the right MLP.
    views: [(UnitMatrix<'a>, UnitMatrix<'a>); 2],
}

/// MLPs of layers that are held against each other, with equally many features, whatever their unit counts.
fn mlp_layers<'a>(pair: &'a Pair<'_>, alignment: &Alignment) -> Vec<MlpLayers<'a>> {
    let (left, right) = (&pair.canonical.0, &pair.canonical.1);
    let blocks_l = blocks(left);
    let mut found = Vec::new();
    for block_r in blocks(right) {
        let Some(layer) = alignment.layer_map.left(block_r.component, block_r.layer) else { continue };
        let place = (block_r.component, layer, block_r.expert);
        let is_there = |block: &&Block| (block.component, block.layer, block.expert) == place;
        let Some(block_l) = blocks_l.iter().find(is_there) else { continue };
        let with_gate = block_l.gate.is_some() && block_r.gate.is_some();
        let views = (block_l.views(left, with_gate), block_r.views(right, with_gate));
        let (Some(Views::Matrices([a, c])), Some(Views::Matrices([b, d]))) = views else { continue };
        let n_features = |(part, axis): UnitMatrix<'_>| match axis {
            Axis::Rows => part.stored.view.n_cols,
            Axis::Columns => part.stored.view.n_rows,
        };
        if n_features(a) == n_features(b) && n_features(c) == n_features(d) {
            found.push(MlpLayers { layers: (layer, block_r.layer), views: [(a, b), (c, d)] });
        }
    }
    found
}
