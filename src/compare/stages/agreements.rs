//! S3 per layer pair: read off the trace products, else a bounded deep stage.

use super::TraceStage;
use crate::align::Alignment;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side, Statistic};
use crate::kernels::Backend;
use crate::measure::agreement::{self, Agreement};
use crate::measure::families::Kind;
use crate::roles::Part;
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
    for (left, right, gate, up) in layers.into_iter().rev().step_by(step) {
        let views = (
            (pair.part(Side::Left, gate.0), pair.part(Side::Right, gate.1)),
            (pair.part(Side::Left, up.0), pair.part(Side::Right, up.1)),
        );
        let labels = [options.seed, 0x6167_7265, u64::from(right)];
        let (outcome, spent) =
            agreement::sampled(backend, views.0, views.1, AGREEMENT_UNITS, &labels, meter)?;
        flop += spent;
        found.push((left, right, outcome));
    }
    clock.stage("agreement", flop);
    Ok(found)
}

type MlpLayers = (u32, u32, (usize, usize), (usize, usize));

/// (left layer, right layer, first matrix, second matrix) of gated MLPs of equal input width, whatever their unit counts.
fn mlp_layers(pair: &Pair<'_>, alignment: &Alignment) -> Vec<MlpLayers> {
    let (left, right) = (&pair.canonical.0, &pair.canonical.1);
    let mut found = Vec::new();
    for (gate_r, part) in right.parts.iter().enumerate() {
        let Some(role) = part.role.filter(|role| role.part == Part::Gate && !role.is_bias) else { continue };
        let Some(layer_r) = role.layer else { continue };
        let Some(layer_l) = alignment.layer_map.left(role.component, layer_r) else { continue };
        let in_left = |part| left.find(&crate::roles::Role { layer: Some(layer_l), part, ..role });
        let up_r = right.find(&crate::roles::Role { part: Part::Up, ..role });
        let (Some(gate_l), Some(up_l), Some(up_r)) = (in_left(Part::Gate), in_left(Part::Up), up_r) else {
            continue;
        };
        let width =
            |model: &crate::canonical::CanonicalModel, idx: usize| model.parts[idx].stored.view.n_cols;
        if width(left, gate_l) == width(right, gate_r) && width(left, up_l) == width(right, up_r) {
            found.push((layer_l, layer_r, (gate_l, gate_r), (up_l, up_r)));
        }
    }
    found
}
