//! Two models become a [`Comparison`]: effort stages and the stopping rule.

mod clock;
mod comparison;
mod describe;
mod inherit;
mod relation;
mod relations;
mod relatives;
mod stages;

pub use crate::measure::spectral_profile::{SpectralProfile, profile_distances};
pub use comparison::*;
pub use relatives::{LeftIs, Relatives};

use std::collections::{BTreeMap, BTreeSet};

use crate::align::{self, Alignment, LayerMap, PairedPart, TokenMatch, match_tokens, pair_parts};
use crate::canonical::{self, CanonicalModel, CanonicalPart, Group};
use crate::checkpoint::{Checkpoint, TensorEntry};
use crate::evidence::HeadEvidence;
use crate::kernels::Backend;
use crate::measure::agreement::Agreement;
use crate::measure::family_test::Model;
use crate::measure::{identify, identify_by_answers, layers, spectral_profile};
use crate::roles::{self, Component, Part, RoleMap};
use crate::stream::ReadMeter;
use crate::verdict::weights::{EQUAL_MATRICES, Requantised};
use crate::{evidence, verdict};

/// Version of the statistics and of the decision rule; printed in every report.
pub const METHOD_VERSION: &str = "6";

/// ln p that equal or rounded numbers count as: 1e-300. Independent numbers round to each other once in 2⁸ and more.
const LN_P_OF_COPY: f64 = -690.0;

/// Median cosine of matrices from which on they stand in place, if the trace test rejects: a few dimensions that a random order left where
/// they were let it reject too, at 1/√d of them and less.
const IN_PLACE: f64 = 0.2;

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "words of the command line")]
pub enum Effort {
    Quick,
    Standard,
    Full,
}

impl Effort {
    /// The word of the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Standard => "standard",
            Effort::Full => "full",
        }
    }
}

/// What `--only` can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// S0 and S1.
    Plain,
    /// S2.
    Trace,
    /// S3.
    Agreement,
}

impl Statistic {
    /// The word of the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Statistic::Plain => "plain",
            Statistic::Trace => "trace",
            Statistic::Agreement => "agreement",
        }
    }
}

/// Choices of the user that change the result.
#[derive(Clone, Debug)]
pub struct Options {
    /// Depth.
    pub effort: Effort,
    /// Seed of all draws.
    pub seed: u64,
    /// Prior of "shares weights".
    pub prior: f64,
    /// Only these statistics; no verdict then.
    pub only: Option<Vec<Statistic>>,
    /// Digests of the files.
    pub digest: bool,
}

impl Options {
    fn wants(&self, statistic: Statistic) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&statistic))
    }
}

/// Failure of a comparison.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes or device.
    #[error(transparent)]
    Stream(#[from] crate::stream::Error),
    /// The models share no comparable tensor. Exit code 4.
    #[error("nothing to compare: {0}")]
    NothingComparable(String),
}

/// Progress for stderr.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Stage name.
    pub stage: &'a str,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes of the stage.
    pub total_bytes: u64,
}

/// A model in a line, without digests of its files.
#[must_use]
pub fn model_facts(checkpoint: &Checkpoint, roles: &RoleMap) -> ModelFacts {
    let files = checkpoint.files.iter();
    let files = files.map(|file| FileFacts {
        name: file.name().to_owned(),
        size_bytes: file.size_bytes(),
        blake3: None,
    });
    describe::model_facts(checkpoint, roles, &canonical::canonicalise(checkpoint, roles), files.collect())
}

/// Both models on their way through the stages.
struct Pair<'a> {
    left: &'a Checkpoint,
    right: &'a Checkpoint,
    roles: (RoleMap, RoleMap),
    canonical: (CanonicalModel, CanonicalModel),
}

impl Pair<'_> {
    fn models(&self) -> (Model<'_>, Model<'_>) {
        (
            Model { canonical: &self.canonical.0, graph: &self.roles.0.graph },
            Model { canonical: &self.canonical.1, graph: &self.roles.1.graph },
        )
    }

    fn part(&self, side: Side, idx: usize) -> &CanonicalPart {
        &self.parts(side)[idx]
    }

    fn parts(&self, side: Side) -> &[CanonicalPart] {
        match side {
            Side::Left => &self.canonical.0.parts,
            Side::Right => &self.canonical.1.parts,
        }
    }

    fn entry(&self, side: Side, part: &CanonicalPart) -> &TensorEntry {
        let checkpoint = match side {
            Side::Left => self.left,
            Side::Right => self.right,
        };
        &checkpoint.tensors[part.tensor_idx]
    }

    fn name(&self, side: Side, part: &CanonicalPart) -> &str {
        &self.entry(side, part).name
    }

    /// Stored tensors of more than one row, each once.
    fn matrices(&self, side: Side) -> impl Iterator<Item = &TensorEntry> {
        let model = match side {
            Side::Left => &self.canonical.0,
            Side::Right => &self.canonical.1,
        };
        let tensors: BTreeSet<usize> =
            model.parts.iter().filter(|part| part.n_dimensions > 1).map(|part| part.tensor_idx).collect();
        let checkpoint = if side == Side::Left { self.left } else { self.right };
        tensors.into_iter().map(|idx| &checkpoint.tensors[idx])
    }

    /// Elements of the right-hand matrix that a pair compares.
    fn n_compared(&self, pair: &PairedPart) -> u64 {
        let view = &self.part(Side::Right, pair.right).stored.view;
        match &pair.rows {
            crate::stream::RowPairing::Same => view.n_elements(),
            crate::stream::RowPairing::Listed { left, .. } => left.len() as u64 * view.n_cols,
        }
    }
}

/// The spectral profile of a checkpoint, by which near neighbours among many are looked up; no evidence.
///
/// # Errors
/// A read failed.
pub fn profile(checkpoint: &Checkpoint, seed: u64) -> Result<SpectralProfile, Error> {
    let roles = roles::assign(checkpoint);
    let canonical = canonical::canonicalise(checkpoint, &roles);
    let model = Model { canonical: &canonical, graph: &roles.graph };
    Ok(spectral_profile::spectral_profile(model, seed, &ReadMeter::default())?)
}

/// Compares two opened checkpoints.
///
/// # Errors
/// A read failed, the device failed, or there is nothing to compare.
pub fn compare(
    backend: &Backend,
    left: &Checkpoint,
    right: &Checkpoint,
    options: &Options,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Comparison, Error> {
    if left.tensors.is_empty() || right.tensors.is_empty() {
        return Err(Error::NothingComparable(describe::without_tensors(left, right)));
    }
    let is_delta = |side: &Checkpoint| side.adapter.as_ref().is_some_and(|adapter| adapter.is_delta);
    let is_delta_pair = is_delta(left) && is_delta(right);
    if is_delta(left) != is_delta(right) {
        let says = "one side is an adapter without its base, and changes of weights are no weights: name the base with --base";
        return Err(Error::NothingComparable(says.into()));
    }
    let meter = ReadMeter::default();
    let mut clock = clock::Clock::start(&meter);
    let roles = (roles::assign(left), roles::assign(right));
    let canonical = (canonical::canonicalise(left, &roles.0), canonical::canonicalise(right, &roles.1));
    let mut pair = Pair { left, right, roles, canonical };
    let headers = (roles::headers(left), roles::headers(right));
    let architecture = verdict::compare_architectures(
        &described(&headers.0, left, &pair.roles.0),
        &described(&headers.1, right, &pair.roles.1),
    );
    let are_named = identify::is_named(&pair.canonical.0) && identify::is_named(&pair.canonical.1);
    let (alignment, mappings) = align(backend, &mut pair, options, &meter, &mut clock)?;
    let traced = stages::trace(backend, &pair, &alignment, options, &meter, &mut clock, progress)?;
    let plain = stages::plain(backend, &pair, (&alignment, &traced), options, &meter, &mut clock, progress)?;
    let plain = plain.or_sampled(&traced);
    let requantised = stages::requantised(&pair, &alignment, &plain, options, &meter, &mut clock)?;
    let agreements = stages::agreements(backend, &pair, &alignment, &traced, options, &meter, &mut clock)?;
    clock.cells_examined += agreements.len() as u64;
    let combined = evidence::combine(&traced.families, alignment.ln_assignments_tried);
    // what units answer adds to what they are only where the residual basis is another one; roles that answers gave are no second opinion
    let asks_order = are_named && evidence::is_silent_in_place(&traced.families, Group::Embeddings);
    let looked_at = (&plain, asks_order);
    let mut probed = stages::probes(backend, &pair, &alignment, looked_at, options, &meter, &mut clock)?;
    let probes = probed.by_layer();
    let looked_at = (&plain, &probed, asks_order);
    let stages::HeadStage { evidence: heads, mut orders } =
        stages::heads(backend, (&pair, &alignment), looked_at, options, &meter, &mut clock)?;
    orders.extend(probed.orders());
    // a second way to the same claim: at twice its p both together err half as often again as one
    let by_answers = evidence::combine(&orders, alignment.ln_assignments_tried + std::f64::consts::LN_2);
    let median_cosine = plain.median_cosine(&pair, &alignment);
    let is_in_place = combined.rejects() && median_cosine.is_some_and(|cosine| cosine >= IN_PLACE);
    let basis = stages::token_basis(backend, is_in_place, &probed, &mut clock)?;
    // a look at what no other statistic sees, where they are silent
    let heads_shared = heads.as_ref().is_some_and(HeadEvidence::is_shared);
    let is_silent = !combined.rejects()
        && !by_answers.rejects()
        && !heads_shared
        && !probes.iter().chain(&agreements).any(|found| evidence::agrees(&found.2));
    let token_span = if is_silent {
        stages::token_span(backend, &pair, &alignment, options, &meter, &mut clock)?
    } else {
        None
    };
    // where no token can be asked, and nothing is in place or what is may not be all
    let is_near = median_cosine.is_none_or(|cosine| cosine >= verdict::weights::NEAR);
    let may_be_moved = traced.is_unknown_graph() && !(is_near && alignment.unpaired.is_empty());
    let followed = if probes.is_empty() && (is_silent || may_be_moved) {
        stages::follow_units(backend, &pair, &alignment, options, &meter, &mut clock)?
    } else {
        None
    };
    // partners found in another order or basis weigh against the controls; the trace test is silent about them
    let ln_weight = |found: &[(u32, u32, Agreement)]| -> f64 {
        found.iter().map(|(_, _, agreement)| evidence::ln_weight(agreement)).sum()
    };
    let ln_p =
        combined.strongest_ln_p().min(ln_weight(&agreements)).min(ln_weight(&probes) + probed.ln_tried);
    let ln_p = ln_p.min(by_answers.strongest_ln_p());
    let ln_p =
        heads.as_ref().filter(|heads| heads.is_shared()).map_or(ln_p, |heads| ln_p.min(heads.ln_weight));
    let ln_p = followed.as_ref().map_or(ln_p, |stage| ln_p.min(stage.evidence.ln_weight));
    let skipped = describe::skipped(&pair, &alignment, &plain);
    let is_all_read = skipped.is_empty() && describe::unread(&pair).next().is_none();
    let equality = plain.equality(&pair, &alignment, options, is_all_read);
    // equal numbers, and numbers that are others rounded, need no units
    let is_copy = equality.is_identity() || requantised.as_ref().is_some_and(Requantised::is_copy);
    let n_equal_matrices = if is_copy { 0 } else { plain.n_equal_matrices(&pair, &alignment, &meter)? };
    let has_copies = is_copy || n_equal_matrices >= EQUAL_MATRICES;
    let likelihood = evidence::likelihood(if has_copies { LN_P_OF_COPY } else { ln_p }, options.prior);
    // gains and matrices of a tower that shares nothing say nothing about the others
    let parts = evidence::parts(&traced.families);
    let of_shared = plain.without_towers(&pair, &alignment, &evidence::own_towers(&parts));
    let facts = verdict::weights::Facts {
        equality,
        requantised,
        families: &traced.families,
        trace: &combined,
        orders: &orders,
        by_answers: &by_answers,
        parts: &parts,
        likelihood: likelihood.value,
        agreements: &agreements,
        probes: &probes,
        token_span,
        heads: heads.as_ref(),
        token_basis: basis.as_ref(),
        unit_chain: followed.as_ref().map(|stage| &stage.evidence),
        chained_groups: chained_groups(&pair, followed.as_ref()),
        n_equal_matrices,
        constants: of_shared.trained_constants(&pair, &alignment, &combined),
        common_slope: of_shared.common_slope(&pair, &alignment, &combined),
        median_cosine: of_shared.median_cosine(&pair, &alignment),
        lone_towers: lone_towers(&pair),
        is_searched: options.effort != Effort::Quick && are_named,
        has_token_strings: alignment.tokens.is_some(),
        is_unknown_graph: traced.is_unknown_graph(),
        is_delta_pair,
    };
    let decision = verdict::weights::decide(&facts);
    let models = (&pair, &alignment);
    let found = (&facts, &decision);
    let units = stages::units(backend, models, found, &mut probed, options, &meter, &mut clock)?;
    let inherited = inherit::inherited(&inherit::Seen {
        pair: &pair,
        alignment: &alignment,
        plain: &plain,
        facts: &facts,
        decision: &decision,
        probed: &probed,
        followed: followed.as_ref(),
        units: &units,
    });
    let found = (&combined, &decision);
    let deltas = stages::deltas(backend, models, &plain, found, options, &meter, &mut clock)?;
    let attribution = relations::attribution(&relations::Found {
        pair: &pair,
        alignment: &alignment,
        mappings: &mappings,
        facts: &facts,
        decision: &decision,
        plain: &plain,
        units: &units,
        deltas: &deltas,
    });
    let files = describe::files(&pair, options, &meter, &mut clock)?;
    for file in left.files.iter().chain(&right.files) {
        file.verify_unchanged().map_err(crate::stream::Error::from)?;
    }
    Ok(describe::comparison(describe::Findings {
        pair: &pair,
        alignment: &alignment,
        architecture,
        plain: &plain,
        facts: &facts,
        decision: &decision,
        inherited,
        attribution,
        units: &units,
        deltas: &deltas,
        likelihood,
        skipped,
        sampled_out: traced.sampled_out(&alignment, &plain, options),
        files,
        options,
        backend,
        throughput: clock.finish(),
    }))
}

/// Compares two checkpoints with further models beside them: parents of a merge, a third model.
///
/// # Errors
/// As [`compare`].
pub fn compare_among(
    backend: &Backend,
    (left, right): (&Checkpoint, &Checkpoint),
    relatives: &Relatives<'_>,
    options: &Options,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Comparison, Error> {
    let mut comparison = compare(backend, left, right, options, progress)?;
    if relatives.parents.is_empty() && relatives.also.is_none() {
        return Ok(comparison);
    }
    let meter = ReadMeter::default();
    let mut clock = clock::Clock::start(&meter);
    relatives::add(backend, (left, right), relatives, &meter, &mut comparison)?;
    clock.stage("relatives", 0);
    let times = clock.finish();
    let throughput = &mut comparison.throughput;
    throughput.seconds += times.seconds;
    throughput.bytes_read += times.bytes_read;
    throughput.page_bytes_read += times.page_bytes_read;
    throughput.past_cache_bytes_read += times.past_cache_bytes_read;
    throughput.stages.extend(times.stages);
    Ok(comparison)
}

/// Share of a model from which on a tower that the other one lacks makes it more than a derived one.
const LONE_SHARE: f64 = 0.25;

/// Towers of one model of which the other holds no tensor.
fn lone_towers(pair: &Pair<'_>) -> Vec<(Side, Component)> {
    let sizes = |side| {
        let mut sizes: BTreeMap<Component, f64> = BTreeMap::new();
        for part in pair.parts(side) {
            if let Some(role) = part.role.filter(|role| role.part != Part::Other) {
                *sizes.entry(role.component).or_default() += part.stored.view.n_elements() as f64;
            }
        }
        sizes
    };
    let (left, right) = (sizes(Side::Left), sizes(Side::Right));
    let lone = |side, own: &BTreeMap<Component, f64>, other: &BTreeMap<Component, f64>| {
        let n_all: f64 = own.values().sum();
        let is_lone = |(component, n_elements): &(&Component, &f64)| {
            !other.contains_key(component) && **n_elements >= LONE_SHARE * n_all
        };
        own.iter().filter(is_lone).map(|(component, _)| (side, *component)).collect::<Vec<_>>()
    };
    // a model that shares no tower at all with the other is another matter
    if !left.keys().any(|component| right.contains_key(component)) {
        return Vec::new();
    }
    [lone(Side::Left, &left, &right), lone(Side::Right, &right, &left)].concat()
}

/// Groups of the tensors whose units were found in another order.
fn chained_groups(pair: &Pair<'_>, followed: Option<&stages::ChainStage>) -> Vec<Group> {
    let found = followed.into_iter().flat_map(|stage| &stage.found);
    let groups: BTreeSet<Group> = found.map(|(tensor, _)| tensor.group(pair)).collect();
    groups.into_iter().collect()
}

fn described<'a>(
    headers: &'a [roles::Header<'a>],
    checkpoint: &'a Checkpoint,
    roles: &'a RoleMap,
) -> verdict::Described<'a> {
    verdict::Described { headers, config: checkpoint.config.as_ref(), roles }
}

/// Roles by data where names say nothing, the layer map, token strings, pairs.
fn align(
    backend: &Backend,
    pair: &mut Pair<'_>,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut clock::Clock<'_>,
) -> Result<(Alignment, Vec<layers::Mapping>), Error> {
    let tokens = match (&pair.left.vocabulary, &pair.right.vocabulary) {
        (Some(left), Some(right)) => Some(match_tokens(left, right)),
        _ => None,
    };
    let (mut ln_tried, mut flop) = (0.0, 0);
    let (left, right) = (&mut pair.canonical.0, &mut pair.canonical.1);
    // a nameless model takes over what the named one knows of the graph
    match (identify::is_named(left), identify::is_named(right)) {
        (true, false) => {
            pair.roles.1.graph = pair.roles.0.graph.clone();
            let named = (&*left, &pair.roles.0.graph);
            ln_tried += name_parts(backend, named, right, tokens.as_ref(), options, meter, &mut flop)?;
        }
        (false, true) => {
            pair.roles.0.graph = pair.roles.1.graph.clone();
            let swapped = tokens.clone().map(TokenMatch::swapped);
            let named = (&*right, &pair.roles.1.graph);
            ln_tried += name_parts(backend, named, left, swapped.as_ref(), options, meter, &mut flop)?;
        }
        _ => {}
    }
    let name_in =
        |checkpoint: &'_ Checkpoint, part: &CanonicalPart| checkpoint.tensors[part.tensor_idx].name.clone();
    let (of_left, of_right) = (pair.left, pair.right);
    canonical::turn_like(right, left, &|part| name_in(of_right, part), &|part| name_in(of_left, part));
    canonical::view_tied_head(left, right);
    canonical::view_tied_head(right, left);
    clock.stage("names", flop);
    let (mut layer_map, mut mappings) = (LayerMap::default(), Vec::new());
    flop = 0;
    for component in right.components() {
        let same_layers = left.layers(component) == right.layers(component);
        // a sketch of every layer would be most of what a quick run reads
        let looks = options.effort != Effort::Quick
            && (options.wants(Statistic::Trace) || options.wants(Statistic::Agreement));
        if same_layers && !looks {
            let layers = right.layers(component);
            layer_map.left_of.extend(LayerMap::identity(component, &layers, &layers).left_of);
            continue;
        }
        let mapping = layers::map_layers(backend, left, right, component, options.seed, meter)?;
        ln_tried += mapping.ln_tried;
        flop += mapping.flop;
        clock.cells_examined += (left.layers(component).len() * right.layers(component).len()) as u64;
        layer_map.left_of.extend(mapping.map.left_of.iter().map(|(right, left)| (*right, *left)));
        mappings.push(mapping);
    }
    clock.stage("layer map", flop);
    let name_of = |side: Side, part: &CanonicalPart| pair.name(side, part).to_owned();
    let models = (&pair.canonical.0, &pair.canonical.1);
    let unnamed = align::unnamed_by_shape(models.0, models.1, &name_of);
    let found = identify::match_by_values(backend, models, &unnamed, options.seed, meter)?;
    let (pairs, unpaired) = pair_parts(models.0, models.1, &layer_map, tokens.as_ref(), &found, &name_of);
    if pairs.is_empty() {
        return Err(Error::NothingComparable(
            "no tensor of one model has a counterpart of its role and shape in the other".into(),
        ));
    }
    Ok((Alignment { pairs, unpaired, layer_map, tokens, ln_assignments_tried: ln_tried }, mappings))
}

/// Gives the parts of a nameless model roles, by their values and order, or by their answers to tokens where values in place
/// match little. Returns ln of the number of assignments that could have been chosen.
fn name_parts(
    backend: &Backend,
    named: (&CanonicalModel, &roles::Graph),
    nameless: &mut CanonicalModel,
    tokens: Option<&TokenMatch>,
    options: &Options,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<f64, Error> {
    let adopt = |mut model: CanonicalModel| {
        let adoption = identify::adopt_roles(backend, named.0, &mut model, options.seed, meter)?;
        Ok::<_, Error>((model, adoption))
    };
    // fused and transposed tensors are tried as the named model cuts them, then as they lie: two ways that are paid for
    let as_it_lies = nameless.clone();
    let (mut adoption, mut other_layout) = match canonical::laid_out_like(&as_it_lies, named.0) {
        None => {
            let (model, adoption) = adopt(as_it_lies)?;
            *nameless = model;
            (adoption, None)
        }
        Some(cut) => {
            let ((first, adoption), (second, other)) = (adopt(cut)?, adopt(as_it_lies)?);
            let (best, rest) = if adoption.n_by_data >= other.n_by_data {
                ((first, adoption), second)
            } else {
                ((second, other), first)
            };
            *nameless = best.0;
            (best.1, Some(rest))
        }
    };
    if other_layout.is_some() {
        adoption.ln_tried += std::f64::consts::LN_2;
    }
    if adoption.is_mostly_by_order() && options.effort != Effort::Quick && options.only.is_none() {
        let mut found =
            identify_by_answers::find_roles(backend, named, nameless, tokens, options.seed, meter, flop)?;
        if found.is_empty()
            && let Some(other) = other_layout.take()
        {
            found =
                identify_by_answers::find_roles(backend, named, &other, tokens, options.seed, meter, flop)?;
            if !found.is_empty() {
                // its parts have no role yet that anything but their order speaks for
                *nameless = other;
                adoption.by_order = (0..nameless.parts.len()).collect();
            }
        }
        if !found.is_empty() {
            // an order that says nothing would only stand in the way
            for &part in &adoption.by_order {
                nameless.parts[part].role = None;
                nameless.parts[part].how = roles::How::Unknown;
            }
            for identify_by_answers::FoundRole { part, role, is_turned } in found {
                let part = &mut nameless.parts[part];
                part.role = Some(role);
                part.how = roles::How::Guessed;
                if is_turned && let Some(view) = part.stored.view.transposed() {
                    part.stored.view = view;
                }
            }
        }
    }
    Ok(adoption.ln_tried)
}
