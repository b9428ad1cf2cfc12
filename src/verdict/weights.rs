//! The weights axis: one decision rule, read from top to bottom (docs/methods.md#decision-rule). Pure.

use std::ops::Range;

use super::parts;
use crate::align::Side;
use crate::canonical::Group;
use crate::evidence::{
    AGREEING_UNITS, ALPHA, ChainEvidence, FamilyResult, GroupResult, HeadEvidence, PartTrace, SPREAD_ALPHA,
    TraceEvidence, agrees,
};
use crate::measure::agreement::Agreement;
use crate::measure::common_slope::CommonSlope;
use crate::measure::constants::TrainedConstants;
use crate::measure::lattice::GridFit;
use crate::measure::token_basis::TokenBasis;
use crate::roles::Component;
use crate::wording::{agreeing, counted, listed};

/// Verdict of the weights axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "words of docs/methods.md#decision-rule, in kebab case in reports")]
pub enum WeightsVerdict {
    Identical,
    Requantised,
    Derived,
    PartlyDerived,
    CommonOrigin,
    NoEvidence,
    Inconclusive,
}

/// Who descends from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "words of the report")]
pub enum Direction {
    LeftToRight,
    RightToLeft,
    Undetermined,
}

/// A copy of one side laid on a coarser set of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Requantised {
    /// Every sampled value of the coarser side is the other's value rounded to its element type.
    Rounded {
        /// The coarser side.
        copy: Side,
    },
    /// On a grid.
    Grid {
        /// The side on the grid.
        copy: Side,
        /// The grid in words: "int4, groups of 32", or the stored form.
        grid: String,
        /// Whether it was laid over the other side itself.
        fit: GridFit,
    },
    /// In a stored form whose codes cannot be held against an original: which of them was nearest, the quantiser alone knew.
    Codebook {
        /// The side so stored.
        copy: Side,
        /// `IQ2_XXS`.
        form: String,
    },
}

/// What was seen of equality.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Equality {
    /// Elements compared one by one.
    pub n_compared: u64,
    /// Of these, of equal value.
    pub n_equal: u64,
    /// Every weight of both models was compared one by one.
    pub is_complete: bool,
    /// Element types differ somewhere.
    pub dtypes_differ: bool,
}

impl Equality {
    /// Every weight of both models has the same value.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.n_compared > 0 && self.n_equal == self.n_compared && self.is_complete
    }
}

impl Requantised {
    /// One side is the other itself, rounded: not just something on a grid or in a coarse form.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        match self {
            Requantised::Rounded { .. } => true,
            Requantised::Grid { fit, .. } => fit.is_over_a(),
            Requantised::Codebook { .. } => false,
        }
    }
}

/// Everything the rule looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Bit equality.
    pub equality: Equality,
    /// Coarser copies.
    pub requantised: Option<Requantised>,
    /// Families tested.
    pub families: &'a [FamilyResult],
    /// All trace tests together.
    pub trace: &'a TraceEvidence,
    /// Order of units tested by their answers to tokens, in any residual basis.
    pub orders: &'a [FamilyResult],
    /// These tests together.
    pub by_answers: &'a TraceEvidence,
    /// The tests in place by tower and group.
    pub parts: &'a [PartTrace],
    /// Likelihood at the prior.
    pub likelihood: f64,
    /// Agreement of partners per layer pair outside the trace sample.
    pub agreements: &'a [(u32, u32, Agreement)],
    /// Agreement of answers to shared tokens per layer pair.
    pub probes: &'a [(u32, u32, Agreement)],
    /// How near the spans of the token tables are, 0 like random ones, 1 the same.
    pub token_span: Option<f64>,
    /// Attention heads, in whatever order or basis.
    pub heads: Option<&'a HeadEvidence>,
    /// How the residual basis was changed, where units answer alike and nothing stands in place.
    pub token_basis: Option<&'a TokenBasis>,
    /// Units in another order, followed through the net.
    pub unit_chain: Option<&'a ChainEvidence>,
    /// Groups of the tensors in which they were found.
    pub chained_groups: Vec<Group>,
    /// Matrices that are equal to the last element, and no masks or formulas; up to [`EQUAL_MATRICES`].
    pub n_equal_matrices: usize,
    /// Gains and biases.
    pub constants: Option<TrainedConstants>,
    /// Slopes of matrices in place, gains and biases.
    pub common_slope: Option<CommonSlope>,
    /// Median cosine of paired matrices outside the token tables.
    pub median_cosine: Option<f64>,
    /// Towers, a quarter of their model and more, of which the other model has none.
    pub lone_towers: Vec<(Side, Component)>,
    /// Names say which tensors belong together, and what could not be found in place was looked for elsewhere.
    pub is_searched: bool,
    /// Rows of the token tables were matched by the strings of their tokens.
    pub has_token_strings: bool,
    /// The graph is unknown: there are no layers and no token probes.
    pub is_unknown_graph: bool,
    /// Both sides are adapters without a base: what is compared are changes of weights.
    pub is_delta_pair: bool,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The word.
    pub verdict: WeightsVerdict,
    /// Statistics that decided.
    pub decided_by: Vec<&'static str>,
    /// Sentences.
    pub reasons: Vec<String>,
    /// Groups whose weights the other model explains.
    pub explained: Vec<Group>,
    /// Direction, where something tells.
    pub direction: Direction,
}

/// Mean share of units that answer alike from which on training is shared: a shared initialisation .1 to 60 % (the most
/// against a third of a training run), shared training 61 % and more (the least against an early checkpoint; docs/methods.md#probes).
pub const SHARED_ANSWERS: f64 = 0.6;

/// Median matrix cosine above which two models are near each other whatever else holds; a shared initialisation alone
/// reaches .81 where measured.
pub const NEAR: f64 = 0.9;

/// Median centred cosines of matrices in place at which neither answers nor gains tell training in common from learning the same since one
/// initialisation: such pairs reach .96 of the answers and gains of .68 at cosines up to .49, models trained on for long stay above .55.
/// Matrices in another basis lie below.
pub const FAR: Range<f64> = 0.1..0.5;

/// Equal matrices from which on training is shared: one table may be frozen since an initialisation.
pub const EQUAL_MATRICES: usize = 3;

/// Nearness of spans from which on token tables may be shared in another basis: of 3,582 independent pairs four lie above .34
/// (up to .48, models with one table for both ends); tables of one initialisation .28 to .72, tables taken over .59 and more (docs/methods.md#span).
pub const SHARED_SPAN: f64 = 0.45;

/// Fewest tests of a graph that is not known which can reject together.
const FEWEST_UNKNOWN: usize = 2;

/// Smallest detectable share above which silence says nothing.
const POWER_FLOOR: f64 = 0.25;

/// Decides.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Decision {
    if facts.equality.is_identity() {
        let how = if facts.equality.dtypes_differ { ", after a lossless cast" } else { "" };
        return Decision {
            verdict: WeightsVerdict::Identical,
            decided_by: vec!["equality"],
            reasons: vec![format!("every weight of both models has the same value{how}")],
            explained: Group::ALL.to_vec(),
            direction: Direction::Undetermined,
        };
    }
    if facts.is_delta_pair {
        return changes_alone(facts);
    }
    let explained = explained_groups(facts);
    let blocks: Vec<Group> = explained
        .iter()
        .copied()
        .filter(|group| *group != Group::Embeddings && *group != Group::Norms)
        .collect();
    if let Some(requantised) = facts.requantised.as_ref()
        && let Some(decision) = requantised_copy(requantised)
    {
        return decision;
    }
    if blocks.is_empty() && explained.contains(&Group::Embeddings) {
        return grafted(facts);
    }
    if blocks.is_empty() && facts.n_equal_matrices >= EQUAL_MATRICES {
        return partly_equal(facts);
    }
    if blocks.is_empty() {
        return silent(facts);
    }
    shared(facts, explained)
}

/// Groups in which the tests of one group alone reject, or units find their partners.
fn explained_groups(facts: &Facts<'_>) -> Vec<Group> {
    let mut groups = rejecting_groups(facts, (facts.trace, facts.families));
    for group in rejecting_groups(facts, (facts.by_answers, facts.orders)) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let found = agreeing_layers(facts.agreements) >= 2 || agreeing_layers(facts.probes) >= 2;
    if found && !groups.contains(&Group::Mlp) {
        groups.push(Group::Mlp);
    }
    let is_mapped = |basis: &TokenBasis| !matches!(basis, TokenBasis::Other { .. });
    if facts.token_basis.is_some_and(is_mapped) && found && !groups.contains(&Group::Embeddings) {
        groups.push(Group::Embeddings);
    }
    if facts.heads.is_some_and(HeadEvidence::is_shared) && !groups.contains(&Group::Attention) {
        groups.push(Group::Attention);
    }
    if facts.unit_chain.is_some_and(ChainEvidence::is_shared) {
        for group in &facts.chained_groups {
            if !groups.contains(group) {
                groups.push(*group);
            }
        }
    }
    if groups.iter().any(|group| *group != Group::Embeddings) {
        groups.push(Group::Norms);
    }
    // as reports list them
    Group::ALL.into_iter().filter(|group| groups.contains(group)).collect()
}

/// Groups in which the tests of one group alone reject.
fn rejecting_groups(facts: &Facts<'_>, tested: (&TraceEvidence, &[FamilyResult])) -> Vec<Group> {
    let (trace, _) = tested;
    let rejects = |ln_p: f64| ln_p + (trace.groups.len() as f64).ln() <= ALPHA.ln();
    let spread = trace.rejects() || trace.groups.len() == 1;
    let holds = |result: &&GroupResult| match result.group {
        Group::Embeddings => rejects(result.ln_p) && both_halves_reject(facts),
        _ => rejects(result.ln_p) && (spread || result.n_tests > 2),
    };
    let groups = trace.groups.iter().filter(holds).map(|result| result.group);
    groups.filter(|group| trace_stands(facts, tested, *group)).collect()
}

/// One group's rejection does not hang on its strongest test.
fn trace_stands(
    facts: &Facts<'_>,
    (trace, families): (&TraceEvidence, &[FamilyResult]),
    group: Group,
) -> bool {
    if group == Group::Embeddings || facts.is_unknown_graph {
        return true;
    }
    let ln_ps: Vec<f64> =
        families.iter().filter(|family| family.group == group).map(|family| family.trace.ln_p).collect();
    crate::numerics::spread_ln_p(&ln_ps) <= SPREAD_ALPHA.ln() || trace.rejects()
}

fn both_halves_reject(facts: &Facts<'_>) -> bool {
    facts
        .families
        .iter()
        .filter_map(|family| family.halves)
        .any(|halves| halves.iter().all(|half| half.ln_p <= SPREAD_ALPHA.ln()))
}

/// Layers other than 0 in which units find each other; a model of one or two layers counts all of them.
fn agreeing_layers(agreements: &[(u32, u32, Agreement)]) -> usize {
    let found = agreements.iter().filter(|(_, _, agreement)| agrees(agreement));
    let deep = agreements.iter().any(|(_, right, _)| *right >= 2);
    found.filter(|(_, right, _)| !deep || *right != 0).count()
}

/// Some pair of layers agrees.
fn finds_partners(facts: &Facts<'_>) -> bool {
    facts.agreements.iter().chain(facts.probes).any(|(_, _, agreement)| agrees(agreement))
}

/// Changes that two adapters make, without the weights under them: how like each other they are when learned apart is not known.
fn changes_alone(facts: &Facts<'_>) -> Decision {
    let alike = facts.median_cosine.map_or("of matrices that were not read".to_owned(), |cosine| {
        format!("with a median cosine of {cosine:.4} (1: the same up to a factor)")
    });
    let reason = format!(
        "two adapters without their base: changes {alike}. Changes learned apart on one base resemble each other too, and \
         how much is not known; compare the adapted models with --base"
    );
    Decision {
        verdict: WeightsVerdict::Inconclusive,
        decided_by: Vec::new(),
        reasons: vec![reason],
        explained: Vec::new(),
        direction: Direction::Undetermined,
    }
}

fn requantised_copy(requantised: &Requantised) -> Option<Decision> {
    let (copy, reason) = match requantised {
        Requantised::Rounded { copy } => (*copy, "is the other rounded to its element type".to_owned()),
        Requantised::Grid { copy, grid, fit } if fit.is_over_a() => {
            (*copy, format!("lies on a grid laid over the other itself ({grid})"))
        }
        Requantised::Grid { .. } | Requantised::Codebook { .. } => return None,
    };
    let (side, direction) = match copy {
        Side::Left => ("left", Direction::RightToLeft),
        Side::Right => ("right", Direction::LeftToRight),
    };
    Some(Decision {
        verdict: WeightsVerdict::Requantised,
        decided_by: vec!["lattice", "trace"],
        reasons: vec![format!("the {side} model {reason}")],
        explained: Group::ALL.to_vec(),
        direction,
    })
}

fn grafted(facts: &Facts<'_>) -> Decision {
    let tested: Vec<&str> = facts
        .trace
        .groups
        .iter()
        .filter(|result| result.group != Group::Embeddings)
        .map(|result| result.group.name())
        .collect();
    let (verdict, reason) = if tested.is_empty() {
        (
            WeightsVerdict::Inconclusive,
            "token tables share weights beyond what independent training explains; nothing else could be tested".into(),
        )
    } else {
        (
            WeightsVerdict::PartlyDerived,
            format!(
                "only the token tables share weights beyond what independent training explains, on two disjoint halves of the \
                 tokens; {} do not",
                tested.join(" and ")
            ),
        )
    };
    Decision {
        verdict,
        decided_by: vec!["trace"],
        reasons: vec![reason],
        explained: vec![Group::Embeddings],
        direction: Direction::Undetermined,
    }
}

/// Some matrices are the same numbers, where no test of units speaks: a trunk under other layers, in a network without units.
fn partly_equal(facts: &Facts<'_>) -> Decision {
    let share = 100.0 * facts.equality.n_equal as f64 / facts.equality.n_compared.max(1) as f64;
    Decision {
        verdict: WeightsVerdict::PartlyDerived,
        decided_by: vec!["equality"],
        reasons: vec![format!(
            "{EQUAL_MATRICES} matrices or more, {share:.1} % of the values read, are equal to the last element; no test of units speaks for the rest"
        )],
        explained: vec![Group::Other],
        direction: Direction::Undetermined,
    }
}

fn silent(facts: &Facts<'_>) -> Decision {
    let share = facts.trace.smallest_share;
    let (verdict, reason) = if facts.trace.ln_p <= ALPHA.ln() {
        let why = "the combined test rejects, but it hangs on a few tests";
        (WeightsVerdict::Inconclusive, why.to_owned())
    } else if finds_partners(facts) {
        let why = "units of one layer find partners, of the others not: too little to decide";
        (WeightsVerdict::Inconclusive, why.to_owned())
    } else if let Some(chain) = facts.unit_chain.filter(|chain| chain.n_found > 0) {
        let why = format!(
            "of {} that another order of units reached, the units of {} were found: too little to decide",
            counted(chain.n_reached, "tensor", "tensors"),
            chain.n_found
        );
        (WeightsVerdict::Inconclusive, why)
    } else if let Some(nearness) = facts.token_span.filter(|nearness| *nearness >= SHARED_SPAN) {
        let why = format!(
            "the token tables span nearer spaces than independent training left them ({nearness:.2} on the way from \
             random to equal; independent models up to .48, four of 3,582 above .34): they, or an initialisation, may be shared in another basis, of which there is no exact test"
        );
        (WeightsVerdict::Inconclusive, why)
    } else if facts.trace.n_tests == 0 && answers_would_show(facts.probes) {
        let n_units: usize = facts.probes.iter().map(|(_, _, found)| found.n_units).sum();
        let why = format!(
            "no units could be tested in place, as of models of different widths; of {} in {}, no more answer \
             the shared tokens alike than of independent models",
            counted(n_units, "MLP unit", "MLP units"),
            counted(facts.probes.len(), "layer", "layers")
        );
        (WeightsVerdict::NoEvidence, why)
    } else if facts.trace.n_tests == 0 {
        (WeightsVerdict::Inconclusive, "no units that the exact test could use were found".to_owned())
    } else if facts.is_unknown_graph && facts.trace.n_tests < FEWEST_UNKNOWN {
        let why =
            "only one tensor could be tested, and in a graph that is not known one alone decides nothing";
        (WeightsVerdict::Inconclusive, why.to_owned())
    } else if share.is_none_or(|share| share > POWER_FLOOR) {
        let why = "the tests are too small: they would miss a quarter of inherited weights";
        (WeightsVerdict::Inconclusive, why.to_owned())
    } else if let Some(why) = some_reject(facts) {
        (WeightsVerdict::Inconclusive, why)
    } else {
        let why = "unit by unit, the two models are no more alike than independent training explains";
        (WeightsVerdict::NoEvidence, why.to_owned())
    };
    Decision {
        verdict,
        decided_by: vec![if facts.trace.n_tests == 0 && !facts.probes.is_empty() {
            "probes"
        } else {
            "trace"
        }],
        reasons: vec![reason],
        explained: Vec::new(),
        direction: Direction::Undetermined,
    }
}

/// Tests that reject by themselves where all of them together do not.
fn some_reject(facts: &Facts<'_>) -> Option<String> {
    let level = ALPHA.ln() - (facts.trace.n_tests.max(1) as f64).ln();
    let n_rejecting = facts.families.iter().filter(|family| family.trace.ln_p <= level).count();
    (n_rejecting > 0).then(|| {
        format!(
            "of {} {} units that resemble each other, the others do not: parts may be shared, or the rows of a tensor \
             have a meaning of their own, and less than a quarter of a graph that is not known decides nothing",
            counted(facts.trace.n_tests, "test", "tests"),
            counted(n_rejecting, "finds", "find")
        )
    })
}

/// Whether a quarter of inherited units would have been found by their answers in each of two layers and more.
fn answers_would_show(probes: &[(u32, u32, Agreement)]) -> bool {
    let is_large = |found: &Agreement| AGREEING_UNITS as f64 <= POWER_FLOOR * found.n_units as f64;
    probes.len() >= 2 && probes.iter().all(|(_, _, found)| is_large(found))
}

fn shared(facts: &Facts<'_>, explained: Vec<Group>) -> Decision {
    let speaks = |trace: &TraceEvidence| {
        explained
            .iter()
            .filter(|group| **group != Group::Embeddings)
            .any(|group| trace.group(*group).is_some_and(|result| result.ln_p <= ALPHA.ln()))
    };
    let mut decided_by: Vec<&'static str> = [
        ("trace", speaks(facts.trace)),
        ("answer-trace", speaks(facts.by_answers)),
        ("agreement", agreeing_layers(facts.agreements) >= 2),
        ("probes", agreeing_layers(facts.probes) >= 2),
        ("heads", facts.heads.is_some_and(HeadEvidence::is_shared)),
        ("unit-chain", facts.unit_chain.is_some_and(ChainEvidence::is_shared)),
    ]
    .into_iter()
    .filter_map(|(name, speaks)| speaks.then_some(name))
    .collect();
    let groups = explained.iter().filter(|group| **group != Group::Norms);
    let mut names: Vec<String> = groups.map(|group| group.name().to_owned()).collect();
    let shared: Vec<&PartTrace> = facts.parts.iter().filter(|part| part.is_shared()).collect();
    if facts.parts.iter().any(|part| part.component != facts.parts[0].component) && !shared.is_empty() {
        names = parts::in_words(&shared, facts.parts);
    }
    let mut reasons = vec![format!(
        "{} {} weights beyond what independent training explains",
        names.join(", "),
        agreeing(names.len() as u64, "shares", "share"),
    )];
    let is_exact = |name: &&str| ["trace", "answer-trace"].contains(name);
    if !decided_by.is_empty() && decided_by.iter().all(is_exact) && facts.likelihood < 0.5 {
        return Decision {
            verdict: WeightsVerdict::Inconclusive,
            decided_by,
            reasons: vec![
                "the exact test rejects, but the likelihood at the stated prior is below one half".into(),
            ],
            explained: Vec::new(),
            direction: Direction::Undetermined,
        };
    }
    let (is_shared_training, sentence, sign) = shared_training(facts);
    reasons.push(sentence);
    if let Some(sign) = sign.filter(|sign| !decided_by.contains(sign)) {
        decided_by.push(sign);
    }
    let own = if is_shared_training { parts::own(facts) } else { Vec::new() };
    let lone: Vec<String> =
        facts.lone_towers.iter().filter(|_| is_shared_training).map(parts::of_side).collect();
    if !lone.is_empty() {
        reasons.push(format!(
            "{} {} no counterpart",
            listed(&lone),
            agreeing(lone.len() as u64, "has", "have")
        ));
    }
    if !own.is_empty() {
        reasons.push(format!(
            "unit by unit, nothing is shared in {}, where a quarter of what the other parts share would have shown",
            listed(&own)
        ));
    }
    let verdict = match (is_shared_training, own.is_empty() && lone.is_empty()) {
        (true, true) => WeightsVerdict::Derived,
        (true, false) => WeightsVerdict::PartlyDerived,
        (false, _) => WeightsVerdict::CommonOrigin,
    };
    Decision { verdict, decided_by, reasons, explained, direction: Direction::Undetermined }
}

/// Whether training is shared or only an initialisation, why, and by which statistic where one tells.
///
/// A shared initialisation leaves the same trace in S2 as descent. Units that answer tokens alike, gains and biases that moved
/// alike, and near-equal matrices are signs of shared training.
fn shared_training(facts: &Facts<'_>) -> (bool, String, Option<&'static str>) {
    if facts.n_equal_matrices >= EQUAL_MATRICES {
        let says = format!(
            "{EQUAL_MATRICES} matrices or more are equal to the last element, which training from one start does not leave: training is shared"
        );
        return (true, says, Some("equality"));
    }
    // of units that were found elsewhere, not of what stands in their place; where units were rescaled gains and biases were too
    let (constants, median_cosine) = match facts.unit_chain {
        Some(chain) if chain.is_shared() => {
            (chain.constants.filter(|_| !chain.is_rescaled), Some(chain.median_cosine))
        }
        Some(chain) if chain.rescaled_in_place.is_some() => (None, chain.rescaled_in_place),
        _ => (facts.constants, facts.median_cosine),
    };
    let fall_behind = constants.is_some_and(|constants| !constants.keep_up());
    if let Some(cosine) = median_cosine.filter(|cosine| *cosine >= NEAR && !fall_behind) {
        let says = format!(
            "matrices are near each other (median cosine {cosine:.2}), as after a fine-tune; of one start only models hardly trained are"
        );
        return (true, says, None);
    }
    let of_matrices = constants.and_then(|constants| constants.of_matrices);
    let far = of_matrices.filter(|cosine| FAR.contains(cosine));
    let answers = mean_share(facts.probes);
    if let Some(share) = answers.filter(|share| *share >= SHARED_ANSWERS && far.is_none()) {
        let says = format!(
            "{:.0} % of the MLP units answer the shared tokens alike: training is shared",
            100.0 * share
        );
        return (true, says, Some("probes"));
    }
    if let Some(slope) = facts.common_slope.filter(CommonSlope::is_one) {
        let side = match slope.parent {
            Side::Left => "left",
            Side::Right => "right",
        };
        let says = format!(
            "all {} matrices in place hold one share of the {side} model, {:.3} ± {:.3}{}: training is shared, as in a merge",
            slope.n_matrices,
            slope.share,
            slope.standard_error,
            if slope.constants.is_some() { ", gains and biases too" } else { "" }
        );
        return (true, says, Some("common-slope"));
    }
    let are_alike = |constants: &TrainedConstants| constants.are_alike(facts.is_unknown_graph);
    if let Some(constants) = constants.filter(|constants| far.is_none() && are_alike(constants)) {
        let says = format!(
            "gains and biases, which start as constants, moved alike (median centred cosine {:.2} over {}): training is \
             shared, not only an initialisation",
            constants.median_cosine,
            counted(constants.n_vectors, "vector", "vectors")
        );
        return (true, says, Some("trained-constants"));
    }
    let or_a_merge = if facts.common_slope.is_some_and(|slope| slope.may_be_one()) {
        ", or a small share in a merge, which tensors of this size cannot tell apart,"
    } else {
        ""
    };
    if let Some(cosine) = far.filter(|_| {
        answers.is_some_and(|share| share >= SHARED_ANSWERS)
            || constants.is_some_and(|found| are_alike(&found))
    }) {
        let says = format!(
            "units answer, or gains moved, alike, but matrices in place have a median cosine of {cosine:.2} only: learning the same \
             since one initialisation{or_a_merge} leaves that too; descent not excluded"
        );
        return (false, says, None);
    }
    match (answers, constants) {
        (Some(share), _) => {
            let says = format!(
                "only {:.1} % of the MLP units answer the shared tokens alike: a shared initialisation{or_a_merge} explains what \
                 the matrices have in common; descent not excluded",
                100.0 * share
            );
            (false, says, Some("probes"))
        }
        (None, Some(constants)) => {
            let says = format!(
                "gains and biases, which start as constants, are not as alike as the matrices (median centred cosine {:.2} over {}): \
                 a shared initialisation{or_a_merge} explains the matrices; descent not excluded",
                constants.median_cosine,
                counted(constants.n_vectors, "vector", "vectors")
            );
            (false, says, Some("trained-constants"))
        }
        (None, None) if facts.is_unknown_graph => {
            let says =
                "nothing tells a shared initialisation from shared training here; descent not excluded";
            (false, says.into(), None)
        }
        _ => {
            let says = "shared training and a shared initialisation were not told apart at this effort";
            (true, says.into(), None)
        }
    }
}

/// Mean share over the layer pairs that agree, where at least two do (the other model may lack the rest), else over all;
/// None of none.
fn mean_share(agreements: &[(u32, u32, Agreement)]) -> Option<f64> {
    let agreeing: Vec<f64> = agreements
        .iter()
        .map(|(_, _, found)| found)
        .filter(|found| agrees(found))
        .map(Agreement::share)
        .collect();
    let all: Vec<f64> = agreements.iter().map(|(_, _, agreement)| agreement.share()).collect();
    let shares = if agreeing.len() >= 2 { agreeing } else { all };
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::combine;

    const SILENT: Agreement = Agreement { n_agreeing: 0, n_in_place: 0, n_units: 176 };

    fn facts<'a>(trace: &'a TraceEvidence, probes: &'a [(u32, u32, Agreement)]) -> Facts<'a> {
        Facts {
            equality: Equality::default(),
            requantised: None,
            families: &[],
            trace,
            orders: &[],
            by_answers: trace,
            parts: &[],
            likelihood: 0.01,
            agreements: &[],
            probes,
            token_span: None,
            heads: None,
            token_basis: None,
            unit_chain: None,
            chained_groups: Vec::new(),
            n_equal_matrices: 0,
            constants: None,
            common_slope: None,
            median_cosine: None,
            lone_towers: Vec::new(),
            is_searched: true,
            has_token_strings: true,
            is_unknown_graph: false,
            is_delta_pair: false,
        }
    }

    #[test]
    fn silence_says_something_only_where_inherited_units_would_have_answered() {
        let trace = combine(&[], 0.0);
        let small = Agreement { n_units: 31, ..SILENT };
        for (probes, verdict) in [
            (&[(0, 0, SILENT), (2, 3, SILENT)][..], WeightsVerdict::NoEvidence),
            (&[(0, 0, SILENT)], WeightsVerdict::Inconclusive),
            (&[(0, 0, SILENT), (2, 3, small)], WeightsVerdict::Inconclusive),
            (&[], WeightsVerdict::Inconclusive),
        ] {
            assert_eq!(decide(&facts(&trace, probes)).verdict, verdict, "{probes:?}");
        }
    }

    #[test]
    fn equal_matrices_speak_where_no_units_do() {
        let trace = combine(&[], 0.0);
        let decided = |n_equal_matrices| decide(&Facts { n_equal_matrices, ..facts(&trace, &[]) });
        assert_eq!(decided(EQUAL_MATRICES - 1).verdict, WeightsVerdict::Inconclusive);
        let decision = decided(EQUAL_MATRICES);
        assert_eq!(
            (decision.verdict, decision.decided_by),
            (WeightsVerdict::PartlyDerived, vec!["equality"])
        );
    }

    #[test]
    fn a_small_share_of_everything_is_shared_training_and_a_share_that_varies_is_not() {
        let trace = combine(&[], 0.0);
        let partners = Agreement { n_agreeing: 40, ..SILENT };
        let agreements = [(0, 0, partners), (1, 1, partners), (2, 2, partners)];
        let probes = [(1, 1, SILENT), (2, 2, SILENT)];
        let of_merge = CommonSlope {
            parent: Side::Left,
            share: 0.2,
            standard_error: 0.002,
            n_matrices: 21,
            p_spread: 1e-4,
            p_one: 0.4,
            constants: Some((0.19, 0.03)),
        };
        let decided = |common_slope: CommonSlope| {
            let facts =
                Facts { agreements: &agreements, common_slope: Some(common_slope), ..facts(&trace, &probes) };
            decide(&facts)
        };
        let decision = decided(of_merge);
        assert_eq!(decision.verdict, WeightsVerdict::Derived);
        assert!(decision.decided_by.contains(&"common-slope"), "{:?}", decision.decided_by);
        for (slope, names_a_merge) in [
            // too little to tell, excluded, and gains of their own
            (CommonSlope { p_spread: 0.3, ..of_merge }, true),
            (CommonSlope { p_spread: 1.0, p_one: 0.0, ..of_merge }, false),
            (CommonSlope { constants: Some((0.02, 0.03)), ..of_merge }, false),
        ] {
            let decision = decided(slope);
            assert_eq!(decision.verdict, WeightsVerdict::CommonOrigin, "{slope:?}");
            let says = decision.reasons.join(" ");
            assert_eq!(says.contains("small share in a merge"), names_a_merge, "{says}");
        }
    }
}
