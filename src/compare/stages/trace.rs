//! S2: which families are tested at which effort, and what came of them.

use super::PlainStage;
use crate::align::Alignment;
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Progress, Statistic};
use crate::evidence::FamilyResult;
use crate::kernels::Backend;
use crate::measure::families::{Family, Kind, families};
use crate::measure::family_test::{Budget, Draw, Model, Outcome, test_family};
use crate::measure::trace::Trace;
use crate::reductions::PairMoments;
use crate::roles::Component;
use crate::stream::ReadMeter;
use std::collections::BTreeSet;

/// Families tested, and what was read for them.
pub(in crate::compare) struct TraceStage {
    pub(in crate::compare) families: Vec<FamilyResult>,
    /// (pair, sums of the rows read).
    pub(in crate::compare) sampled: Vec<(usize, PairMoments)>,
    tested_pairs: BTreeSet<usize>,
}

impl TraceStage {
    /// Layers of the right model whose units were tested.
    pub(super) fn layers(&self) -> BTreeSet<(Component, u32)> {
        let layers = self.families.iter().filter_map(|family| Some((family.component, family.layers?.1)));
        layers.collect()
    }

    pub(in crate::compare) fn is_unknown_graph(&self) -> bool {
        self.families.iter().any(|family| family.kind == Kind::TensorRows)
    }

    /// Pairs that a quick run leaves out.
    pub(in crate::compare) fn sampled_out(
        &self,
        alignment: &Alignment,
        plain: &PlainStage,
        options: &Options,
    ) -> Vec<usize> {
        if options.effort != Effort::Quick {
            return Vec::new();
        }
        (0..alignment.pairs.len())
            .filter(|&idx| !self.tested_pairs.contains(&idx) && plain.picture(idx).is_none())
            .collect()
    }
}

/// Layers and units of each effort (docs/methods.md#trace).
fn budget(effort: Effort) -> Budget {
    match effort {
        Effort::Quick => Budget {
            max_units: 512,
            max_row_elements: QUICK_ROW_ELEMENTS,
            draw: Draw::Consecutive,
            max_feature_rows: 128,
            max_permutations: 10_000,
        },
        Effort::Standard => Budget {
            max_units: 2048,
            max_row_elements: u64::MAX,
            draw: Draw::Scattered,
            max_feature_rows: 512,
            max_permutations: 100_000,
        },
        Effort::Full => Budget {
            max_units: 4096,
            max_row_elements: u64::MAX,
            draw: Draw::Scattered,
            max_feature_rows: 2048,
            max_permutations: 1_000_000,
        },
    }
}

/// Elements that a quick run reads of a matrix by rows: 512 units of models up to 3,072 wide, fewer of wider ones, whose z stays
/// that of 512 units 3,072 wide. So what is read does not grow with the width.
const QUICK_ROW_ELEMENTS: u64 = 512 * 3072;

/// Families a quick run looks at: token tables, and units of five layers spread over the depth. A layer takes three
/// requests of each model that lies behind a network, all that is not a layer about nine: 60 for two models of 7B.
const QUICK_LAYERS: usize = 5;
/// Tensors of an unknown graph that a quick run looks at.
const QUICK_TENSORS: usize = 24;

fn chosen(mut all: Vec<Family>, effort: Effort) -> Vec<Family> {
    if effort != Effort::Quick {
        return all;
    }
    all.retain(|family| family.kind != Kind::ValueChannels);
    for (kind, most) in [(Kind::MlpUnits, QUICK_LAYERS), (Kind::TensorRows, QUICK_TENSORS)] {
        let places: Vec<usize> =
            all.iter().enumerate().filter(|(_, family)| family.kind == kind).map(|(at, _)| at).collect();
        let kept: BTreeSet<usize> = (0..most.min(places.len()))
            .map(|k| places[k * (places.len() - 1) / (most.min(places.len()) - 1).max(1)])
            .collect();
        let mut at = 0;
        all.retain(|family| {
            at += 1;
            family.kind != kind || kept.contains(&(at - 1))
        });
    }
    all
}

/// S2 on every chosen family.
pub(in crate::compare) fn trace(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<TraceStage, Error> {
    let mut stage = TraceStage { families: Vec::new(), sampled: Vec::new(), tested_pairs: BTreeSet::new() };
    let sampled_plain = options.effort == Effort::Quick && options.wants(Statistic::Plain);
    if !options.wants(Statistic::Trace) && !options.wants(Statistic::Agreement) && !sampled_plain {
        return Ok(stage);
    }
    let graphs = (&pair.roles.0.graph, &pair.roles.1.graph);
    let all = families(&pair.canonical.0, &pair.canonical.1, alignment, graphs);
    let chosen = chosen(all, options.effort);
    let models = (
        Model { canonical: &pair.canonical.0, graph: graphs.0 },
        Model { canonical: &pair.canonical.1, graph: graphs.1 },
    );
    let mut flop = 0;
    let total = chosen.len() as u64;
    for (at, family) in chosen.iter().enumerate() {
        progress(Progress { stage: "trace", done_bytes: at as u64, total_bytes: total });
        let labels = [options.seed, 0x7472_6163, at as u64];
        let outcome =
            test_family(backend, models, alignment, family, &budget(options.effort), &labels, meter)?;
        flop += outcome.flop;
        let candidates = family.members.iter().map(|member| alignment.pairs[member.pair].n_candidates);
        let ln_candidates = candidates.map(|n| (n.max(1) as f64).ln()).sum();
        stage.record(family, outcome, ln_candidates);
    }
    clock.stage("trace", flop);
    Ok(stage)
}

impl TraceStage {
    /// `ln_candidates`: ln of the number of pairs that this one was chosen from.
    fn record(&mut self, family: &Family, outcome: Outcome, ln_candidates: f64) {
        self.sampled.extend(outcome.sampled_moments);
        self.tested_pairs.extend(family.members.iter().map(|member| member.pair));
        if outcome.is_tested {
            let paid = |ln_p: f64| (ln_p + ln_candidates).min(0.0);
            let trace = outcome.trace;
            let trace = Trace { ln_p: paid(trace.ln_p), ln_p_floor: paid(trace.ln_p_floor), ..trace };
            self.families.push(FamilyResult {
                kind: family.kind,
                group: family.group,
                component: family.component,
                layers: family.layers,
                expert: family.expert,
                trace,
                halves: outcome.halves,
                agreement: outcome.agreement,
            });
        }
    }
}
