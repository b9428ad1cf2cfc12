//! Findings become the [`Comparison`]: facts of the models, layer rows, evidence sentences, what was not tested.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::{Clock, Times};
use super::inherit::Inherited;
use super::relations::Attribution;
use super::stages::{Change, PlainStage, UnitStage};
use super::*;
use crate::align::{Alignment, is_token_table};
use crate::canonical::{Group, LeftOut};
use crate::evidence::{ALPHA, ChainEvidence, FamilyResult, HeadEvidence, Likelihood, LikelihoodMap, agrees};
use crate::measure::common_slope::least_spread;
use crate::measure::delta::Form;
use crate::measure::plain;
use crate::reductions::PairMoments;
use crate::roles::Component;
use crate::verdict::Architecture;
use crate::verdict::weights::{Decision, Facts, SHARED_ANSWERS, SHARED_SPAN};
use crate::wording::{agreeing, counted, listed};

/// z of a group from which on some of its units do resemble each other, whatever the tests say together: P = 3e-7.
const RESEMBLES_Z: f64 = 5.0;

/// All that the stages found.
pub(super) struct Findings<'a> {
    pub(super) pair: &'a Pair<'a>,
    pub(super) alignment: &'a Alignment,
    pub(super) architecture: Architecture,
    pub(super) plain: &'a PlainStage,
    pub(super) facts: &'a Facts<'a>,
    pub(super) decision: &'a Decision,
    pub(super) inherited: Inherited,
    pub(super) attribution: Attribution,
    pub(super) units: &'a UnitStage,
    pub(super) deltas: &'a [Change],
    pub(super) likelihood: Likelihood,
    pub(super) skipped: Vec<NotTested>,
    pub(super) sampled_out: Vec<usize>,
    pub(super) files: (Vec<FileFacts>, Vec<FileFacts>),
    pub(super) options: &'a Options,
    pub(super) backend: &'a Backend,
    pub(super) throughput: Times,
}

/// Assembles the waist.
pub(super) fn comparison(found: Findings<'_>) -> Comparison {
    let pair = found.pair;
    let selective = found.options.only.is_some();
    let (trace, by_answers) = (found.facts.trace, found.facts.by_answers);
    let log10 = |ln: f64| ln / std::f64::consts::LN_10;
    let tested = trace.n_tests > 0;
    // answers are weighed against their controls where no unit could be tested
    let weighed = tested
        || !found.facts.probes.is_empty()
        || found.facts.heads.is_some_and(HeadEvidence::is_shared)
        || found.facts.unit_chain.is_some_and(ChainEvidence::is_shared);
    let coverage = coverage(&found);
    let weights = Weights {
        verdict: (!selective).then_some(found.decision.verdict),
        decided_by: if selective {
            Vec::new()
        } else {
            found.decision.decided_by.iter().map(|name| (*name).to_owned()).collect()
        },
        likelihood: (!selective && weighed).then_some(match found.decision.verdict {
            // a complete equality is not a matter of the map
            WeightsVerdict::Identical | WeightsVerdict::Requantised => found.likelihood.cap,
            _ => found.likelihood.value,
        }),
        strength: (!selective && weighed).then_some(found.likelihood.strength),
        prior: found.options.prior,
        support: support(),
        log10_p: tested.then(|| log10(trace.ln_p)),
        log10_p_floor: tested.then(|| log10(trace.ln_p_floor)),
        log10_p_by_answers: (by_answers.n_tests > 0).then(|| log10(by_answers.ln_p)),
        z: tested.then_some(trace.z),
        relations: if selective { Vec::new() } else { found.attribution.relations.clone() },
        direction: (!selective).then_some(found.attribution.direction),
        power: tested.then(|| Power {
            smallest_share: trace.smallest_share,
            alpha: ALPHA,
            at: counted(trace.n_tests, "family of units", "families of units"),
        }),
        coverage_total: coverage.0,
        coverage_by_component: coverage.1,
        left_share: found.inherited.left_share,
        right_share: found.inherited.right_share,
        inherited_by_component: found.inherited.by_component.clone(),
        evidence: evidence(&found),
        reasons: reasons(&found),
    };
    Comparison {
        left: model_facts(pair.left, &pair.roles.0, &pair.canonical.0, found.files.0.clone()),
        right: model_facts(pair.right, &pair.roles.1, &pair.canonical.1, found.files.1.clone()),
        layers: layer_rows(&found),
        deltas: found.deltas.iter().map(|change| delta_row(&found, change)).collect(),
        merge: None,
        third: None,
        not_tested: not_tested(&found),
        measures: measures(&found),
        shared_tokens: found.alignment.tokens.as_ref().map(|t| (t.left.len() as u64, t.n_larger)),
        architecture: found.architecture,
        weights,
        throughput: throughput(found.throughput, found.backend),
        tool: Tool {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            method_version: METHOD_VERSION.to_owned(),
            map_version: LikelihoodMap::shipped().version.clone(),
            seed: found.options.seed,
            effort: found.options.effort.name().to_owned(),
            selective: found
                .options
                .only
                .as_ref()
                .map(|only| only.iter().map(|statistic| statistic.name().to_owned()).collect()),
        },
    }
}

/// What the likelihood rests on.
fn support() -> Support {
    let map = LikelihoodMap::shipped();
    Support {
        n_families: map.families,
        n_wrong: map.families_wrong,
        bound: map.false_positive_bound,
        is_provisional: map.is_provisional(),
    }
}

/// What the statistics measured.
fn measures(found: &Findings<'_>) -> Measures {
    let facts = found.facts;
    let trace = |kind: String, family: &FamilyResult| (kind, family.trace.ln_p / std::f64::consts::LN_10);
    let in_place = facts.families.iter().map(|family| trace(family.kind.name().to_owned(), family));
    let by_answers =
        facts.orders.iter().map(|family| trace(format!("{}, by answers", family.kind.name()), family));
    let layers = |rows: &[(u32, u32, Agreement)], statistic: &str| -> Vec<Found> {
        let n_layers = found.pair.canonical.1.parts.iter().filter_map(|part| part.role?.layer).max();
        let of = |&(_, right, agreement): &(u32, u32, Agreement)| Found {
            statistic: statistic.to_owned(),
            depth: match right {
                0 => Depth::First,
                layer if Some(layer) == n_layers => Depth::Last,
                _ => Depth::Middle,
            },
            n_agreeing: agreement.n_agreeing,
            n_units: agreement.n_units,
        };
        rows.iter().map(of).collect()
    };
    let mut layers_found = layers(facts.agreements, "agreement");
    layers_found.extend(layers(facts.probes, "probes"));
    layers_found.extend(layers(facts.heads.map_or(&[], |heads| &heads.layers), "heads"));
    Measures {
        traces: in_place.chain(by_answers).collect(),
        found: layers_found,
        token_span: facts.token_span,
    }
}

/// Why two models cannot be compared of which one holds no tensor, and what their vocabularies say.
pub(super) fn without_tensors(left: &Checkpoint, right: &Checkpoint) -> String {
    let who = match (left.tensors.is_empty(), right.tensors.is_empty()) {
        (true, true) => "neither model holds a tensor",
        (true, false) => "the left model holds no tensor",
        (false, _) => "the right model holds no tensor",
    };
    let (Some(l), Some(r)) = (&left.vocabulary, &right.vocabulary) else {
        return format!("{who}, and there are no two vocabularies either");
    };
    let tokens = match_tokens(l, r);
    let sizes = format!("{} and {}", l.tokens.len(), counted(r.tokens.len(), "token", "tokens"));
    let n_shared = tokens.left.len();
    let n_same_id = tokens.left.iter().zip(tokens.right.iter()).filter(|(l, r)| l == r).count();
    let found = if tokens.same_ids {
        "the same tokenizer".to_owned()
    } else {
        format!(
            "{} in common, {n_same_id} of them under the same id",
            counted(n_shared, "token string", "token strings")
        )
    };
    format!("{who}; of their vocabularies ({sizes}): {found}; a shared tokenizer says nothing about weights")
}

/// Size of each file, with its digest on request.
pub(super) fn files(
    pair: &Pair<'_>,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<(Vec<FileFacts>, Vec<FileFacts>), Error> {
    let of = |checkpoint: &Checkpoint| -> Result<Vec<FileFacts>, Error> {
        checkpoint
            .files
            .iter()
            .map(|file| {
                let blake3 = match options.digest {
                    true => Some(crate::stream::digest(file.as_ref(), meter)?),
                    false => None,
                };
                Ok(FileFacts { name: file.name().to_owned(), size_bytes: file.size_bytes(), blake3 })
            })
            .collect()
    };
    let found = (of(pair.left)?, of(pair.right)?);
    if options.digest {
        clock.stage("digest", 0);
    }
    Ok(found)
}

/// A model in a line.
pub(super) fn model_facts(
    checkpoint: &Checkpoint,
    roles: &RoleMap,
    canonical: &CanonicalModel,
    files: Vec<FileFacts>,
) -> ModelFacts {
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in &checkpoint.tensors {
        *bytes.entry(tensor.stored_as()).or_default() += tensor.size_bytes;
    }
    let mut dtypes: Vec<(String, u64)> = bytes.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    dtypes.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let tensors: BTreeSet<usize> = canonical.parts.iter().map(|part| part.tensor_idx).collect();
    let n_layers =
        canonical.components().into_iter().map(|component| canonical.layers(component).len()).max();
    ModelFacts {
        reference: checkpoint.reference.clone(),
        format: checkpoint.format.to_owned(),
        commit: checkpoint.commit.clone(),
        family: roles.family.clone(),
        n_parameters: tensors.iter().map(|&idx| checkpoint.tensors[idx].n_elements()).sum(),
        size_bytes: checkpoint.size_bytes(),
        dtypes,
        n_layers: n_layers.filter(|n| *n > 0).and_then(|n| u32::try_from(n).ok()),
        files,
        notes: checkpoint.notes.iter().map(|note| (note.rule.to_owned(), note.says.clone())).collect(),
    }
}

/// Tensors that a known role or more than one dimension makes comparable and that could not be read as numbers.
pub(super) fn skipped(pair: &Pair<'_>, alignment: &Alignment, plain: &PlainStage) -> Vec<NotTested> {
    let mut found = Vec::new();
    for (side, checkpoint, model) in
        [(Side::Left, pair.left, &pair.canonical.0), (Side::Right, pair.right, &pair.canonical.1)]
    {
        for (tensor_idx, reason) in &model.left_out {
            let reason = match reason {
                LeftOut::Undecodable(dtype) => format!("elements of type {} cannot be decoded", dtype.name()),
                LeftOut::Packed(reason) => format!("{reason}: not decoded"),
                _ => continue,
            };
            found.push(NotTested {
                model: side,
                tensor: checkpoint.tensors[*tensor_idx].name.clone(),
                why: Why::Skipped,
                reason,
            });
        }
    }
    for (idx, paired) in alignment.pairs.iter().enumerate() {
        let Some(moments) = &plain.moments[idx] else { continue };
        for (side, part, n_bad) in [
            (Side::Left, paired.left, moments.n_non_finite_a),
            (Side::Right, paired.right, moments.n_non_finite_b),
        ] {
            if n_bad > 0 {
                let part = pair.part(side, part);
                found.push(NotTested {
                    model: side,
                    tensor: pair.name(side, part).to_owned(),
                    why: Why::Skipped,
                    reason: format!(
                        "{n_bad} of {} {} not finite",
                        counted(moments.n_elements, "value", "values"),
                        agreeing(n_bad, "is", "are")
                    ),
                });
            }
        }
    }
    found
}

/// What the files of a model hold of it and was not read, in sentences.
pub(super) fn unread<'a>(pair: &'a Pair<'_>) -> impl Iterator<Item = (Side, &'a str)> {
    [(Side::Left, pair.left), (Side::Right, pair.right)].into_iter().flat_map(|(side, checkpoint)| {
        let notes = checkpoint.notes.iter().filter(|note| note.tells_of_unread_weights());
        notes.map(move |note| (side, note.says.as_str()))
    })
}

fn not_tested(found: &Findings<'_>) -> Vec<NotTested> {
    let pair = found.pair;
    let mut list = found.skipped.clone();
    for (side, checkpoint, model) in
        [(Side::Left, pair.left, &pair.canonical.0), (Side::Right, pair.right, &pair.canonical.1)]
    {
        for (tensor_idx, reason) in &model.left_out {
            let (why, reason) = match reason {
                LeftOut::Fixed(reason) => (Why::FixedByArchitecture, (*reason).to_owned()),
                LeftOut::UnknownLayout(reason) => (Why::Unpaired, (*reason).to_owned()),
                LeftOut::Empty => (Why::FixedByArchitecture, "holds no element".to_owned()),
                LeftOut::Undecodable(_) | LeftOut::Packed(_) => continue,
            };
            list.push(NotTested {
                model: side,
                tensor: checkpoint.tensors[*tensor_idx].name.clone(),
                why,
                reason,
            });
        }
    }
    let by_units = (found.units.parts(Side::Left), found.units.parts(Side::Right));
    for unpaired in &found.alignment.unpaired {
        let by_units = if unpaired.side == Side::Left { &by_units.0 } else { &by_units.1 };
        if by_units.contains(&unpaired.part) {
            continue;
        }
        let part = pair.part(unpaired.side, unpaired.part);
        list.push(NotTested {
            model: unpaired.side,
            tensor: pair.name(unpaired.side, part).to_owned(),
            why: Why::Unpaired,
            reason: unpaired.reason.clone(),
        });
    }
    for &idx in &found.sampled_out {
        let part = pair.part(Side::Right, found.alignment.pairs[idx].right);
        list.push(NotTested {
            model: Side::Right,
            tensor: pair.name(Side::Right, part).to_owned(),
            why: Why::SampledOut,
            reason: "not read at this effort".to_owned(),
        });
    }
    list
}

/// Share of both models' parameters that was read and tested.
fn coverage(found: &Findings<'_>) -> (f64, ByComponent) {
    let pair = found.pair;
    let total = |group: Option<Group>| -> f64 {
        [&pair.canonical.0, &pair.canonical.1]
            .iter()
            .flat_map(|model| &model.parts)
            .filter(|part| group.is_none_or(|group| Group::of(part.role.as_ref()) == group))
            .map(|part| part.stored.view.n_elements() as f64)
            .sum()
    };
    // units that were found elsewhere, or among fewer, were compared too
    let paired = |side: Side| -> BTreeSet<usize> {
        found.alignment.pairs.iter().map(|paired| paired.of(side)).collect()
    };
    let by_units: Vec<&CanonicalPart> = [Side::Left, Side::Right]
        .into_iter()
        .flat_map(|side| {
            let paired = paired(side);
            let parts = found.units.parts(side).into_iter().filter(move |part| !paired.contains(part));
            parts.map(move |part| pair.part(side, part))
        })
        .collect();
    let read = |group: Option<Group>| -> f64 {
        let by_units = by_units
            .iter()
            .filter(|part| group.is_none_or(|group| Group::of(part.role.as_ref()) == group))
            .map(|part| part.stored.view.n_elements() as f64);
        let in_place: f64 = found
            .alignment
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, paired)| group.is_none_or(|group| paired.group == group))
            .filter(|(idx, _)| found.plain.picture(*idx).is_some())
            .filter_map(|(idx, _)| found.plain.moments[idx].as_ref())
            .map(|moments| 2.0 * moments.n_elements as f64)
            .sum();
        in_place + by_units.sum::<f64>()
    };
    let share = |group| {
        let total = total(group);
        if total > 0.0 { (read(group) / total).min(1.0) } else { 0.0 }
    };
    let by_group = Group::ALL
        .into_iter()
        .filter(|group| total(Some(*group)) > 0.0)
        .map(|group| (group.name().to_owned(), share(Some(group))))
        .collect();
    (share(None), by_group)
}

fn delta_row(found: &Findings<'_>, change: &Change) -> DeltaRow {
    let paired = &found.alignment.pairs[change.pair];
    let name = |side, part| found.pair.name(side, found.pair.part(side, part)).to_owned();
    let picture = found.plain.picture(change.pair);
    let (form, rank) = match change.delta.form {
        Form::Equal => ("equal", None),
        Form::Rounding => ("rounding", None),
        Form::LowRank { rank } => ("low-rank", Some(rank as u64)),
        Form::Rescaled => ("rescaled", None),
        Form::White => ("white", None),
        Form::Broad => ("broad", None),
    };
    DeltaRow {
        left: name(Side::Left, paired.left),
        right: name(Side::Right, paired.right),
        relative_l2: picture.and_then(|picture| picture.relative_l2),
        slope: picture.and_then(|picture| picture.slope),
        form: form.to_owned(),
        rank,
    }
}

type Place = (Component, Option<u32>, Option<u32>, Group);

/// One row per layer pair and group, token tables first.
fn layer_rows(found: &Findings<'_>) -> Vec<LayerRow> {
    let pair = found.pair;
    let mut sums: BTreeMap<Place, PairMoments> = BTreeMap::new();
    for (idx, paired) in found.alignment.pairs.iter().enumerate() {
        let Some(moments) = found.plain.moments[idx].filter(|_| found.plain.picture(idx).is_some()) else {
            continue;
        };
        let role = |side, idx| pair.part(side, idx).role;
        let (left, right) = (role(Side::Left, paired.left), role(Side::Right, paired.right));
        let component = right.map_or(Component::Text, |role| role.component);
        let place =
            (component, left.and_then(|role| role.layer), right.and_then(|role| role.layer), paired.group);
        let sum = sums.entry(place).or_default();
        sum.add(&moments);
    }
    for family in found.facts.families {
        let layers = family.layers.map_or((None, None), |(l, r)| (Some(l), Some(r)));
        sums.entry((family.component, layers.0, layers.1, family.group)).or_default();
    }
    let several = sums.keys().map(|place| place.0).collect::<BTreeSet<_>>().len() > 1;
    let mut rows: Vec<(Place, LayerRow)> = sums
        .into_iter()
        .map(|(place, moments)| {
            let (component, left, right, group) = place;
            let picture = plain::plain(&moments);
            let of_place = found.facts.families.iter().filter(|family| {
                let layers = family.layers.map_or((None, None), |(l, r)| (Some(l), Some(r)));
                family.component == component && family.group == group && layers == (left, right)
            });
            let z: Vec<f64> = of_place.map(|family| family.trace.z).collect();
            let of_group = match group {
                Group::Mlp => found.facts.agreements,
                Group::Attention => {
                    let heads = found.facts.heads.filter(|heads| heads.component == component);
                    heads.map_or(&[][..], |heads| &heads.layers)
                }
                _ => &[],
            };
            let agreement = of_group
                .iter()
                .find(|(l, r, _)| (Some(*l), Some(*r)) == (left, right))
                .map(|(_, _, agreement)| agreement.share());
            let mapped = match (group, left, right) {
                (Group::Mlp, Some(left), Some(right)) => found.units.share_found(component, (left, right)),
                _ => None,
            };
            let agreement = mapped.into_iter().chain(agreement).reduce(f64::max);
            let name = group.name();
            let row = LayerRow {
                left,
                right,
                component: if several {
                    format!("{component:?} {name}").to_lowercase()
                } else {
                    name.to_owned()
                },
                cosine: picture.cosine,
                centred_cosine: picture.centred_cosine,
                relative_l2: picture.relative_l2,
                z: (!z.is_empty()).then(|| z.iter().sum::<f64>() / (z.len() as f64).sqrt()),
                agreement,
            };
            (place, row)
        })
        .collect();
    rows.sort_by_key(|((component, left, right, group), _)| {
        (*component, right.is_some(), *right, *left, *group)
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Evidence for and against, strongest first.
fn evidence(found: &Findings<'_>) -> Vec<Evidence> {
    let facts = found.facts;
    let mut list: Vec<(f64, Evidence)> = Vec::new();
    let mut add = |strength: f64, statistic: &str, component: &str, value, null, is_for, says: String| {
        let (statistic, component) = (statistic.to_owned(), component.to_owned());
        list.push((strength, Evidence { statistic, component, layer: None, value, null, says, is_for }));
    };
    let equality = facts.equality;
    if equality.n_compared > 0 && equality.n_equal * 100 >= equality.n_compared {
        let share = equality.n_equal as f64 / equality.n_compared as f64;
        let says = format!("{:.1} % of the values read are equal to the last bit", 100.0 * share);
        add(1e6 * share, "equality", "all", share, 0.0, true, says);
    }
    for group in &facts.trace.groups {
        let rejects = found.decision.explained.contains(&group.group) && group.ln_p <= ALPHA.ln();
        let tests = counted(group.n_tests, "test", "tests");
        let says = if rejects {
            format!(
                "unit i resembles unit i: z {:.1} over {tests}, p below 10^{:.0}",
                group.z,
                group.ln_p / std::f64::consts::LN_10
            )
        } else {
            let power = group.smallest_share.filter(|share| *share <= 1.0).map_or(String::new(), |share| {
                format!("; a shared part of {:.1} % would have shown", 100.0 * share)
            });
            if found.decision.explained.contains(&group.group) {
                format!(
                    "unit i does not resemble unit i, z {:.1} over {tests}: units were found elsewhere, or in another basis",
                    group.z
                )
            } else if group.z >= RESEMBLES_Z {
                format!("unit i resembles unit i in some of {tests}, too few to decide: z {:.1}", group.z)
            } else {
                format!(
                    "unit i resembles unit i no more than any other: z {:.1} over {tests}{power}",
                    group.z
                )
            }
        };
        let strength = if rejects { -group.ln_p } else { 10.0 / (1.0 + group.z.abs()) };
        add(strength, "trace", group.group.name(), group.z, 0.0, rejects, says);
    }
    for group in &facts.by_answers.groups {
        let rejects = found.decision.explained.contains(&group.group) && group.ln_p <= ALPHA.ln();
        let tests = counted(group.n_tests, "test", "tests");
        let says = if rejects {
            format!(
                "unit i answers the shared tokens as unit i does: z {:.1} over {tests}, p below 10^{:.0}",
                group.z,
                group.ln_p / std::f64::consts::LN_10
            )
        } else {
            format!(
                "unit i answers the shared tokens like unit i no more than like any other: z {:.1} over {tests}",
                group.z
            )
        };
        let strength = if rejects { -group.ln_p } else { 5.0 / (1.0 + group.z.abs()) };
        add(strength, "answer-trace", group.group.name(), group.z, 0.0, rejects, says);
    }
    let n_layers = facts.agreements.len();
    if n_layers > 0 {
        let share = facts.agreements.iter().map(|(_, _, a)| a.share()).sum::<f64>() / n_layers as f64;
        let null = facts.agreements.iter().map(|(_, _, a)| 0.25 / a.n_units.max(1) as f64).sum::<f64>()
            / n_layers as f64;
        let n_found = facts.agreements.iter().filter(|(_, _, a)| agrees(a)).count();
        let says = format!(
            "{:.1} % of the MLP units find the same partner by two matrices, in {n_found} of {}",
            100.0 * share,
            counted(n_layers, "layer", "layers")
        );
        add(1e3 * share, "agreement", "mlp", share, null, n_found > 0, says);
    }
    if !facts.probes.is_empty() {
        let n_layers = facts.probes.len();
        let share = facts.probes.iter().map(|(_, _, a)| a.share()).sum::<f64>() / n_layers as f64;
        let says = format!(
            "{:.1} % of the MLP units answer the shared tokens alike, over {}; shared training leaves {:.0} % or more",
            100.0 * share,
            counted(n_layers, "layer", "layers"),
            100.0 * SHARED_ANSWERS
        );
        let n_found = facts.probes.iter().filter(|(_, _, a)| agrees(a)).count();
        add(1e3 * share, "probes", "mlp", share, 0.0, n_found > 0, says);
    }
    if let Some(heads) = facts.heads {
        let [looks_for, copies] = heads.circuits;
        let says = format!(
            "{} of {} in {} find the same partner by what they look for and by what they copy, median cosines {:.2} and {:.2}; \
             independent models five of twelve at the most",
            heads.all.n_agreeing,
            counted(heads.all.n_units, "attention head", "attention heads"),
            counted(heads.layers.len(), "layer", "layers"),
            looks_for.cosine,
            copies.cosine
        );
        add(1e3 * heads.all.share(), "heads", "attention", heads.all.share(), 0.0, heads.is_shared(), says);
    }
    if let Some(nearness) = facts.token_span {
        let says = format!(
            "the spans of the token tables are {nearness:.2} on the way from random to equal; of independent models four of 3,582 pairs lie above .34"
        );
        add(nearness.abs(), "token-span", "embeddings", nearness, 0.0, nearness >= SHARED_SPAN, says);
    }
    if let Some(chain) = facts.unit_chain.filter(|chain| chain.n_reached > 0) {
        let says = if chain.n_found == 0 {
            format!(
                "no order of units other than in place leads from tensor to tensor: of {} that one was tried on, none has more \
                 than {:.0} % of its units found",
                counted(chain.n_reached, "tensor", "tensors"),
                100.0 * chain.largest_share
            )
        } else {
            format!(
                "an order of units other than in place, followed from tensor to tensor, finds {:.0} % of the units in {} of {}, \
                 median cosine {:.2}; independent models 22 % at the most",
                100.0 * chain.share(),
                chain.n_found,
                counted(chain.n_reached, "tensor", "tensors"),
                chain.median_cosine
            )
        };
        let left_out = match chain.n_left_out {
            0 => String::new(),
            n => format!("; {} not looked at, for their size", counted(n, "tensor was", "tensors were")),
        };
        let share = if chain.n_found == 0 { chain.largest_share } else { chain.share() };
        add(1e3 * share, "unit-chain", "all", share, 0.0, chain.n_found > 0, says + &left_out);
    }
    let constants =
        facts.unit_chain.filter(|chain| chain.is_shared()).map_or(facts.constants, |chain| chain.constants);
    if let Some(constants) = constants {
        let says = format!(
            "{}, which start as constants, have a median centred cosine of {:.2}",
            counted(constants.n_vectors, "gain and bias vector", "gain and bias vectors"),
            constants.median_cosine
        );
        let is_for = constants.are_alike(facts.is_unknown_graph);
        add(
            constants.median_cosine.abs(),
            "trained-constants",
            "norms",
            constants.median_cosine,
            0.0,
            is_for,
            says,
        );
    }
    if let Some(slope) = facts.common_slope.filter(|slope| slope.speaks() && slope.p_spread <= 0.5) {
        let is_for = slope.is_one();
        let says = format!(
            "matrices in place have slopes of {:.3} ± {:.3} on the other model's; that they vary by {:.0} % of it, as after a shared \
             initialisation, has p {:.1e}",
            slope.share,
            slope.standard_error,
            100.0 * least_spread(slope.share),
            slope.p_spread
        );
        add(if is_for { 100.0 } else { 0.1 }, "common-slope", "all", slope.share, 0.0, is_for, says);
    }
    if let Some(cosine) = facts.median_cosine {
        let says = format!("median cosine of paired matrices {cosine:.3} (a size, not a test)");
        add(0.5 * cosine.abs(), "plain", "all", cosine, 0.0, cosine > 0.1, says);
    }
    list.sort_by(|a, b| b.1.is_for.cmp(&a.1.is_for).then(b.0.total_cmp(&a.0)));
    list.into_iter().map(|(_, evidence)| evidence).collect()
}

fn reasons(found: &Findings<'_>) -> Vec<String> {
    if found.options.only.is_some() {
        return vec!["selective run: chosen statistics only, no verdict".to_owned()];
    }
    let mut reasons = found.decision.reasons.clone();
    reasons.extend(found.attribution.clues.iter().cloned());
    let equality = found.facts.equality;
    if equality.n_compared > 0 && equality.n_equal == equality.n_compared {
        if found.options.effort == Effort::Quick {
            reasons.push(
                "every value sampled is equal; --effort standard reads all and can say identical".to_owned(),
            );
        }
        for (side, says) in unread(found.pair) {
            let side = match side {
                Side::Left => "left",
                Side::Right => "right",
            };
            reasons
                .push(format!("every value read is equal, and not all was read of the {side} model: {says}"));
        }
    }
    if found.alignment.ln_assignments_tried > 1.0 {
        let log10 = found.alignment.ln_assignments_tried / std::f64::consts::LN_10;
        reasons.push(format!("p is multiplied by 10^{log10:.1}, the assignments of names and layers that could have been chosen"));
    }
    let pairs_token_tables = found.alignment.pairs.iter().any(|paired| {
        found.pair.part(Side::Right, paired.right).role.is_some_and(|role| is_token_table(&role))
    });
    if found.alignment.tokens.is_none() && pairs_token_tables {
        let has_one = found.pair.left.vocabulary.is_some() || found.pair.right.vocabulary.is_some();
        let side = if has_one { "one" } else { "either" };
        reasons.push(format!("no tokenizer on {side} side: vocabulary rows were matched by id"));
    }
    let shares_nothing =
        matches!(found.decision.verdict, WeightsVerdict::NoEvidence | WeightsVerdict::Inconclusive);
    if shares_nothing {
        let was_tested = [
            ("attention heads", found.facts.heads.is_some()),
            ("token tables", found.facts.token_span.is_some()),
        ];
        let not_tested: Vec<String> =
            was_tested.iter().filter(|(_, tested)| !tested).map(|(name, _)| (*name).to_owned()).collect();
        let mut says =
            "not visible to this method: what a model learned from another's answers leaves no trace in weights".to_owned();
        if !not_tested.is_empty() {
            says += &format!("; {} in another basis were not tested", listed(&not_tested));
        }
        reasons.push(says);
    }
    reasons
}

fn throughput(times: Times, backend: &Backend) -> Throughput {
    let (backend, device, driver, tier) = match backend {
        Backend::Cpu(cpu) => {
            let device = counted(cpu.n_threads, "thread", "threads");
            ("cpu", device, String::new(), cpu.simd.to_owned())
        }
        Backend::Gpu(gpu) => {
            let facts = gpu.facts();
            ("gpu", facts.name.clone(), facts.driver.clone(), facts.tier.to_string())
        }
    };
    Throughput {
        backend: backend.to_owned(),
        device,
        driver,
        tier,
        chosen: String::new(),
        bytes_read: times.bytes_read,
        page_bytes_read: times.page_bytes_read,
        cells_examined: times.cells_examined,
        past_cache_bytes_read: times.past_cache_bytes_read,
        seconds: times.seconds,
        stages: times.stages,
    }
}
