//! What happened between two models that share weights; several relations may hold.

mod basis;
mod changes;
mod experts;
mod heads;
mod layers;
mod units;

use super::stages::{Change, PlainStage, UnitStage};
use super::{Direction, Pair, Parameter, Relation, Side};
use crate::align::{Alignment, is_token_table};
use crate::canonical::CanonicalPart;
use crate::checkpoint::Checkpoint;
use crate::measure::layers::Mapping;
use crate::roles::{Component, Part};
use crate::verdict::weights::{Decision, Facts, Requantised, WeightsVerdict};

/// All that relations are read off.
pub(super) struct Found<'a> {
    pub(super) pair: &'a Pair<'a>,
    pub(super) alignment: &'a Alignment,
    /// Layer maps by weights in place.
    pub(super) mappings: &'a [Mapping],
    pub(super) facts: &'a Facts<'a>,
    pub(super) decision: &'a Decision,
    pub(super) plain: &'a PlainStage,
    pub(super) units: &'a UnitStage,
    pub(super) deltas: &'a [Change],
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attribution {
    pub(super) relations: Vec<Relation>,
    pub(super) direction: Direction,
    /// Why this direction, and what speaks for one without settling it.
    pub(super) clues: Vec<String>,
}

/// Relations in a fixed order; none where no weights are shared.
pub(super) fn attribution(found: &Found<'_>) -> Attribution {
    use WeightsVerdict::{
        CommonOrigin, Derived, Identical, PartlyDerived, Requantised as RequantisedVerdict,
    };
    let mut of_pair =
        Attribution { relations: Vec::new(), direction: found.decision.direction, clues: Vec::new() };
    let verdict = found.decision.verdict;
    match verdict {
        Identical if found.facts.equality.dtypes_differ => {
            of_pair.relations.extend(cast(found, all_pairs(found), "lossless"));
        }
        Derived | PartlyDerived | RequantisedVerdict | CommonOrigin => {}
        _ => return of_pair,
    }
    match &found.facts.requantised {
        Some(Requantised::Rounded { copy }) => {
            let cast = cast(found, all_pairs(found), "lossy");
            of_pair.relations.extend(cast.map(|cast| cast.with("copy", side(*copy))));
        }
        Some(Requantised::Grid { copy, grid, fit }) => {
            of_pair.relations.push(quantised_copy(*copy, grid, Some(fit.is_over_a())));
        }
        Some(Requantised::Codebook { copy, form }) => {
            of_pair.relations.push(quantised_copy(*copy, form, None));
        }
        None => {}
    }
    of_pair.relations.extend(layers::relation(found));
    of_pair.relations.extend(experts::relations(found));
    of_pair.relations.extend(units::relations(found));
    for relation in heads::relations(found) {
        if of_pair.relations.iter().all(|known| known.kind != relation.kind) {
            of_pair.relations.push(relation);
        }
    }
    of_pair.relations.extend(vocabulary(found));
    of_pair.relations.extend(basis::relation(found));
    if matches!(verdict, Derived | PartlyDerived) {
        changes::add(found, &mut of_pair);
    }
    add_adapters(found, &mut of_pair.relations);
    of_pair
}

/// What a model's own files say of an adapter: beside the rank that was measured, or instead of one.
fn add_adapters(found: &Found<'_>, relations: &mut Vec<Relation>) {
    for (side, checkpoint) in [(Side::Left, found.pair.left), (Side::Right, found.pair.right)] {
        let Some(adapter) = checkpoint.adapter.as_ref().filter(|adapter| !adapter.is_delta) else { continue };
        let says = format!("{} model: {}", side_word(side), adapter.describe());
        match relations.iter_mut().find(|relation| relation.kind == "lora") {
            Some(measured) => measured.detail = format!("{}; {says}", measured.detail),
            None => relations.push(Relation::new("lora", says)),
        }
    }
}

/// A copy on a grid, "int4, groups of 32" or a stored form; of a codebook nobody can say whether it was laid over the other.
fn quantised_copy(copy: Side, grid: &str, is_over_the_other: Option<bool>) -> Relation {
    let mut relation = Relation::new("quantised-copy", format!("{} model: {grid}", side_word(copy)))
        .with("copy", side(copy))
        .with("grid", Parameter::Text(grid.to_owned()));
    if let Some(is_over_the_other) = is_over_the_other {
        relation = relation.with("over_the_other", Parameter::Text(is_over_the_other.to_string()));
    }
    for (name, before) in [("bits", "int"), ("group", "groups of ")] {
        let digits = grid.split_once(before).map_or("", |(_, rest)| rest);
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        if let Ok(count) = digits.parse() {
            relation = relation.with(name, Parameter::Count(count));
        }
    }
    relation
}

fn side_word(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

fn side(side: Side) -> Parameter {
    Parameter::Text(side_word(side).to_owned())
}

fn all_pairs(found: &Found<'_>) -> std::ops::Range<usize> {
    0..found.alignment.pairs.len()
}

/// Element types of a pair of the alignment, as both sides are read.
fn types(found: &Found<'_>, pair: usize) -> [&'static str; 2] {
    let paired = &found.alignment.pairs[pair];
    [(Side::Left, paired.left), (Side::Right, paired.right)]
        .map(|(side, part)| found.pair.part(side, part).stored.dtype.name())
}

/// The element types of the first of these pairs in which they differ; a cast to the same type is none.
fn cast(found: &Found<'_>, pairs: impl IntoIterator<Item = usize>, how: &str) -> Option<Relation> {
    let mut types = pairs.into_iter().map(|pair| types(found, pair));
    let [from, to] = types.find(|[left, right]| left != right)?;
    Some(
        Relation::new("cast", format!("{from} to {to}, {how}"))
            .with("left_type", Parameter::Text(from.to_owned()))
            .with("right_type", Parameter::Text(to.to_owned())),
    )
}

/// Every token of the smaller vocabulary is in the larger one; without tokenizers that differ the heights of the token tables count.
fn vocabulary(found: &Found<'_>) -> Option<Relation> {
    let table_rows = |side: Side| {
        let model = match side {
            Side::Left => &found.pair.canonical.0,
            Side::Right => &found.pair.canonical.1,
        };
        let is_table = |part: &&CanonicalPart| {
            part.role.is_some_and(|role| role.part == Part::Embed && is_token_table(&role))
        };
        model.parts.iter().find(is_table).map_or(0, |table| table.stored.view.n_rows)
    };
    let size = |checkpoint: &Checkpoint, side: Side| {
        checkpoint
            .vocabulary
            .as_ref()
            .map_or_else(|| table_rows(side), |vocabulary| vocabulary.tokens.len() as u64)
    };
    let (mut l, mut r) = (size(found.pair.left, Side::Left), size(found.pair.right, Side::Right));
    let mut shared = found.alignment.tokens.as_ref().map_or(l.min(r), |tokens| tokens.left.len() as u64);
    let mut unit = "tokens";
    if l == r {
        (l, r, unit) = (table_rows(Side::Left), table_rows(Side::Right), "rows of the token table");
        shared = l.min(r);
    }
    (l != r && shared > 0 && shared == l.min(r)).then(|| {
        let kind = if l < r { "vocabulary-extended" } else { "vocabulary-cut" };
        Relation::new(kind, format!("{l} {unit} on the left, {r} on the right, {shared} shared"))
            .with("left_tokens", Parameter::Count(l))
            .with("right_tokens", Parameter::Count(r))
            .with("shared_tokens", Parameter::Count(shared))
    })
}

/// The component with most layers on the right.
fn main_component(pair: &Pair<'_>) -> Option<Component> {
    pair.canonical
        .1
        .components()
        .into_iter()
        .max_by_key(|component| pair.canonical.1.layers(*component).len())
}

/// "0, 1, 3".
fn list(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}
