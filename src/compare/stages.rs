//! The measuring stages of a comparison, in the order in which they run.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Clock;
use super::{Effort, Error, Options, Pair, Progress, Side, Statistic};
use crate::align::Alignment;
use crate::canonical::{CanonicalPart, Group};
use crate::evidence::FamilyResult;
use crate::kernels::Backend;
use crate::measure::agreement::{self, Agreement};
use crate::measure::constants::{TrainedConstants, trained_constants};
use crate::measure::families::{Family, Kind, families};
use crate::measure::family_test::{Budget, Model, Outcome, test_family};
use crate::measure::lattice::{LatticeFit, lattice_fit, rounds_to};
use crate::measure::plain;
use crate::measure::probes::{Probed, probe};
use crate::numerics::{Rng, median};
use crate::reductions::PairMoments;
use crate::roles::Part;
use crate::stream::{ReadMeter, RowPairing, WorkItem, pair_moments, read_rows};
use crate::verdict::weights::{Equality, NEAR, Requantised};

/// Element sums per pair of the alignment; None where nothing was read.
pub(super) struct PlainStage {
    pub(super) moments: Vec<Option<PairMoments>>,
    /// Every element of every pair was read.
    is_complete: bool,
}

/// S0 and S1 on everything (quick: taken later from the rows of the trace sample).
pub(super) fn plain(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<PlainStage, Error> {
    let mut moments: Vec<Option<PairMoments>> = vec![None; alignment.pairs.len()];
    if !options.wants(Statistic::Plain) {
        return Ok(PlainStage { moments, is_complete: false });
    }
    // a quick run reads the vectors, which are a few pages, and takes matrices from the trace sample
    let is_quick = options.effort == Effort::Quick;
    let chosen: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let view = &pair.part(Side::Right, alignment.pairs[idx].right).stored.view;
            !is_quick || view.n_rows.min(view.n_cols) == 1
        })
        .collect();
    let paired = chosen.iter().map(|&idx| &alignment.pairs[idx]);
    let items: Vec<WorkItem> = paired
        .clone()
        .map(|paired| WorkItem {
            left: pair.part(Side::Left, paired.left).stored.clone(),
            right: pair.part(Side::Right, paired.right).stored.clone(),
            rows: paired.rows.clone(),
        })
        .collect();
    let total_bytes = paired
        .map(|paired| {
            let bits = |side, idx| pair.part(side, idx).stored.dtype.size_bits();
            let bits = bits(Side::Left, paired.left) + bits(Side::Right, paired.right);
            pair.n_compared(paired) * bits / 8
        })
        .sum();
    let report = |done_bytes| progress(Progress { stage: "plain", done_bytes, total_bytes });
    for (idx, sums) in chosen.iter().zip(pair_moments(backend, &items, meter, &report)?) {
        moments[*idx] = Some(sums);
    }
    clock.stage("plain", 0);
    Ok(PlainStage { moments, is_complete: !is_quick })
}

impl PlainStage {
    /// Sums of the sampled rows where the whole was not read.
    pub(super) fn or_sampled(mut self, traced: &TraceStage) -> PlainStage {
        if self.is_complete {
            return self;
        }
        for (pair_idx, moments) in &traced.sampled {
            self.moments[*pair_idx] = Some(*moments);
        }
        self
    }

    /// Picture of one pair; None where nothing was read or nothing was finite.
    pub(super) fn picture(&self, pair_idx: usize) -> Option<plain::Plain> {
        let moments = self.moments[pair_idx].as_ref()?;
        let is_finite = moments.n_non_finite_a == 0 && moments.n_non_finite_b == 0;
        is_finite.then(|| plain::plain(moments))
    }

    pub(super) fn equality(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
        options: &Options,
        nothing_skipped: bool,
    ) -> Equality {
        let read = self.moments.iter().flatten();
        let whole_rows = alignment.pairs.iter().all(|paired| match &paired.rows {
            RowPairing::Same => true,
            RowPairing::Listed { left, .. } => {
                let n_rows = |side, idx| pair.part(side, idx).stored.view.n_rows;
                n_rows(Side::Left, paired.left) == left.len() as u64
                    && n_rows(Side::Right, paired.right) == left.len() as u64
            }
        });
        Equality {
            n_compared: read.clone().map(|moments| moments.n_elements).sum(),
            n_equal: read.map(|moments| moments.n_equal).sum(),
            is_complete: self.is_complete
                && options.effort != Effort::Quick
                && whole_rows
                && nothing_skipped
                && alignment.unpaired.is_empty(),
            dtypes_differ: alignment.pairs.iter().any(|paired| {
                pair.part(Side::Left, paired.left).stored.dtype
                    != pair.part(Side::Right, paired.right).stored.dtype
            }),
        }
    }

    /// Gains and biases: vectors of the block graph, or one-dimensional weights of an unknown one.
    pub(super) fn trained_constants(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
    ) -> Option<TrainedConstants> {
        let vectors: Vec<(u64, Option<f64>)> = alignment
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, paired)| {
                let part = pair.part(Side::Right, paired.right);
                part.n_dimensions == 1 && !pair.name(Side::Right, part).contains("running_")
            })
            .filter_map(|(idx, _)| {
                let picture = self.picture(idx)?;
                Some((picture.n_elements, picture.centred_cosine))
            })
            .collect();
        trained_constants(&vectors)
    }

    /// Median cosine of matrices outside the token tables.
    pub(super) fn median_cosine(&self, pair: &Pair<'_>, alignment: &Alignment) -> Option<f64> {
        median(&self.matrix_cosines(pair, alignment))
    }

    /// Every matrix outside the token tables is near its counterpart.
    fn all_near(&self, pair: &Pair<'_>, alignment: &Alignment) -> bool {
        let cosines = self.matrix_cosines(pair, alignment);
        !cosines.is_empty() && cosines.iter().all(|cosine| *cosine >= NEAR)
    }

    fn matrix_cosines(&self, pair: &Pair<'_>, alignment: &Alignment) -> Vec<f64> {
        alignment
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, paired)| {
                let part = pair.part(Side::Right, paired.right);
                part.stored.view.n_rows > 1 && part.n_dimensions > 1 && paired.group != Group::Embeddings
            })
            .filter_map(|(idx, _)| self.picture(idx)?.cosine)
            .collect()
    }
}

/// Families tested, and what was read for them.
pub(super) struct TraceStage {
    pub(super) families: Vec<FamilyResult>,
    /// (pair, sums of the rows read).
    pub(super) sampled: Vec<(usize, PairMoments)>,
    tested_pairs: BTreeSet<usize>,
}

impl TraceStage {
    pub(super) fn is_unknown_graph(&self) -> bool {
        self.families.iter().any(|family| family.kind == Kind::TensorRows)
    }

    /// Pairs that a quick run leaves out.
    pub(super) fn sampled_out(
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
        Effort::Quick => Budget { max_units: 512, max_feature_rows: 128, max_permutations: 10_000 },
        Effort::Standard => Budget { max_units: 2048, max_feature_rows: 512, max_permutations: 100_000 },
        Effort::Full => Budget { max_units: 4096, max_feature_rows: 2048, max_permutations: 1_000_000 },
    }
}

/// Families a quick run looks at: token tables, and units of eight layers spread over the depth.
const QUICK_LAYERS: usize = 8;
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
pub(super) fn trace(
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
        stage.record(family, outcome);
    }
    clock.stage("trace", flop);
    Ok(stage)
}

impl TraceStage {
    fn record(&mut self, family: &Family, outcome: Outcome) {
        self.sampled.extend(outcome.sampled_moments);
        self.tested_pairs.extend(family.members.iter().map(|member| member.pair));
        if outcome.is_finite {
            self.families.push(FamilyResult {
                kind: family.kind,
                group: family.group,
                component: family.component,
                layers: family.layers,
                expert: family.expert,
                trace: outcome.trace,
                halves: outcome.halves,
                agreement: outcome.agreement,
            });
        }
    }
}

/// Matrix pairs looked at for a grid.
const GRID_MATRICES: usize = 6;
/// Rows of each.
const GRID_ROWS: usize = 32;

/// Whether one side is the other on a coarser set of values; asked only where every matrix is near its counterpart.
pub(super) fn requantised(
    pair: &Pair<'_>,
    alignment: &Alignment,
    plain: &PlainStage,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Option<Requantised>, Error> {
    let whole = alignment
        .unpaired
        .iter()
        .all(|unpaired| pair.part(unpaired.side, unpaired.part).stored.view.n_rows == 1);
    if options.only.is_some() || !whole || !plain.all_near(pair, alignment) {
        return Ok(None);
    }
    let candidates: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let paired = &alignment.pairs[idx];
            let view = &pair.part(Side::Right, paired.right).stored.view;
            let differs = plain.picture(idx).is_some_and(|picture| picture.equal_share < 1.0);
            differs && matches!(paired.rows, RowPairing::Same) && view.n_rows > 1 && view.n_cols >= 32
        })
        .collect();
    let step = candidates.len().div_ceil(GRID_MATRICES).max(1);
    let mut sides: BTreeMap<u8, Vec<Option<LatticeFit>>> = BTreeMap::new();
    let mut rounded = [true, true];
    let mut n_seen = 0;
    for &idx in candidates.iter().step_by(step) {
        let paired = &alignment.pairs[idx];
        let (part_l, part_r) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let view = &part_r.stored.view;
        let rows: Vec<u64> = Rng::new(&[options.seed, 0x6c61_7474, idx as u64])
            .sample(usize::try_from(view.n_rows).unwrap_or(0), GRID_ROWS)
            .into_iter()
            .map(|row| row as u64)
            .collect();
        let a = read_rows(&part_l.stored, &rows, 0..view.n_cols, meter)?;
        let b = read_rows(&part_r.stored, &rows, 0..view.n_cols, meter)?;
        sides.entry(1).or_default().push(lattice_fit(&a, &b));
        sides.entry(0).or_default().push(lattice_fit(&b, &a));
        rounded[1] &= rounds_to(&a, &b, part_r.stored.dtype);
        rounded[0] &= rounds_to(&b, &a, part_l.stored.dtype);
        n_seen += 1;
    }
    clock.stage("lattice", 0);
    if n_seen == 0 {
        return Ok(None);
    }
    for (at, copy) in [(1u8, Side::Right), (0, Side::Left)] {
        if rounded[usize::from(at)] {
            return Ok(Some(Requantised::Rounded { copy }));
        }
        let fits: Vec<LatticeFit> = sides.get(&at).into_iter().flatten().copied().flatten().collect();
        let Some(first) = fits.first() else { continue };
        let same: Vec<&LatticeFit> = fits.iter().filter(|fit| fit.lattice == first.lattice).collect();
        // one grid on most matrices; a few may be kept at full width or have groups without a full range
        if same.len() * 3 >= n_seen * 2 {
            let fit = LatticeFit {
                lattice: first.lattice,
                n_far: same.iter().map(|fit| fit.n_far).sum(),
                n_far_expected: same.iter().map(|fit| fit.n_far_expected).sum(),
            };
            return Ok(Some(Requantised::Grid { copy, fit }));
        }
    }
    Ok(None)
}

/// Units of one side that look for a partner among all of the other where the trace sample does not hold all units.
const AGREEMENT_UNITS: usize = 256;
/// Layers of the deep stage.
const AGREEMENT_LAYERS: usize = 4;

/// S3 per layer pair: from the trace products where they hold every unit, else a bounded deep stage when S2 is silent.
pub(super) fn agreements(
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

/// Shared tokens that units answer to.
const PROBE_TOKENS: usize = 512;
/// They are drawn from this many lowest ids, which are frequent in most tokenizers.
const FREQUENT_TOKENS: usize = 4096;
/// Layers probed.
const PROBE_LAYERS: usize = 4;

/// S4 on a few layers: where S2 is silent, and where it rejects without the matrices being near each other.
pub(super) fn probes(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    plain: &PlainStage,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Vec<(u32, u32, Agreement)>, Error> {
    let near = plain.median_cosine(pair, alignment).is_some_and(|cosine| cosine >= NEAR);
    if options.effort == Effort::Quick || options.only.is_some() || near {
        return Ok(Vec::new());
    }
    let Some((embed_l, embed_r)) = token_tables(pair) else { return Ok(Vec::new()) };
    let (tokens_l, tokens_r) = probe_tokens(alignment, (embed_l, embed_r), options.seed);
    if tokens_l.len() < 64 {
        return Ok(Vec::new());
    }
    let models = (
        Model { canonical: &pair.canonical.0, graph: &pair.roles.0.graph },
        Model { canonical: &pair.canonical.1, graph: &pair.roles.1.graph },
    );
    let mut layers = unit_layers(pair, alignment);
    if layers.len() > 2 {
        // layer 0 agrees between independent models too
        layers.retain(|layer| layer.1 != 0);
    }
    let step = layers.len().div_ceil(PROBE_LAYERS).max(1);
    let (mut found, mut flop) = (Vec::new(), 0);
    for (left, right, views) in layers.into_iter().step_by(step) {
        let parts = |side| -> Vec<&CanonicalPart> {
            views
                .iter()
                .map(|view| pair.part(side, if side == Side::Left { view.0 } else { view.1 }))
                .collect()
        };
        let (views_l, views_r) = (parts(Side::Left), parts(Side::Right));
        let side_l = Probed { model: models.0, embed: embed_l, tokens: &tokens_l, views: &views_l };
        let side_r = Probed { model: models.1, embed: embed_r, tokens: &tokens_r, views: &views_r };
        let (outcome, spent) = probe(backend, side_l, side_r, meter)?;
        flop += spent;
        found.push((left, right, outcome));
    }
    clock.stage("probes", flop);
    Ok(found)
}

/// The token tables of the text stack.
fn token_tables<'a>(pair: &'a Pair<'_>) -> Option<(&'a CanonicalPart, &'a CanonicalPart)> {
    let table = |model: &'a crate::canonical::CanonicalModel| {
        model
            .parts
            .iter()
            .find(|part| part.role.is_some_and(|role| role.part == Part::Embed && !role.is_bias))
    };
    Some((table(&pair.canonical.0)?, table(&pair.canonical.1)?))
}

/// The same tokens on both sides.
fn probe_tokens(
    alignment: &Alignment,
    tables: (&CanonicalPart, &CanonicalPart),
    seed: u64,
) -> (Vec<u64>, Vec<u64>) {
    let (n_left, n_right) = (tables.0.stored.view.n_rows, tables.1.stored.view.n_rows);
    let shared: Vec<(u64, u64)> = match &alignment.tokens {
        Some(tokens) => tokens
            .left
            .iter()
            .zip(tokens.right.iter())
            .map(|(left, right)| (*left, *right))
            .filter(|(left, right)| *left < n_left && *right < n_right)
            .take(FREQUENT_TOKENS)
            .collect(),
        None => (0..n_left.min(n_right).min(FREQUENT_TOKENS as u64)).map(|id| (id, id)).collect(),
    };
    Rng::new(&[seed, 0x7072_6f62]).sample(shared.len(), PROBE_TOKENS).into_iter().map(|at| shared[at]).unzip()
}

type UnitLayer = (u32, u32, Vec<(usize, usize)>);

/// (left layer, right layer, matrices whose rows are units) of every layer pair, whatever the unit counts and widths.
fn unit_layers(pair: &Pair<'_>, alignment: &Alignment) -> Vec<UnitLayer> {
    let (left, right) = (&pair.canonical.0, &pair.canonical.1);
    let mut found = Vec::new();
    for part in &right.parts {
        let Some(role) = part.role.filter(|role| role.part == Part::Up && !role.is_bias) else { continue };
        if role.expert != crate::roles::Expert::None {
            continue;
        }
        let Some(layer_r) = role.layer else { continue };
        let Some(layer_l) = alignment.layer_map.left(role.component, layer_r) else { continue };
        let views: Vec<(usize, usize)> = [Part::Gate, Part::Up]
            .into_iter()
            .filter_map(|part| {
                let of_right = crate::roles::Role { part, ..role };
                let of_left = crate::roles::Role { layer: Some(layer_l), ..of_right };
                Some((left.find(&of_left)?, right.find(&of_right)?))
            })
            .collect();
        if !views.is_empty() {
            found.push((layer_l, layer_r, views));
        }
    }
    found.sort_by_key(|layer| layer.1);
    found
}
