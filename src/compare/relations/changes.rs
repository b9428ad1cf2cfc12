//! What training, adapters, noise or a merge did to matrices that kept their place.

use std::collections::{BTreeMap, BTreeSet};

use super::{Attribution, Found, Parameter, Relation, Side, cast, side, types};
use crate::canonical::{CanonicalPart, Group};
use crate::compare::Direction;
use crate::compare::stages::is_in_place;
use crate::evidence::HeadEvidence;
use crate::measure::delta::{Form, LOW_RANK};
use crate::measure::plain::Plain;
use crate::numerics::median;
use crate::roles::{Component, Part};
use crate::tensor::escape;
use crate::verdict::weights::WeightsVerdict;
use crate::wording::counted;

/// Share of the changed matrices that must have one form.
const NEARLY_ALL: f64 = 0.9;
/// Centred cosine below which a matrix is no longer the other's: three standard deviations of independent ones of 1,000 elements.
const REPLACED: f64 = 0.1;
/// Median change of a matrix, in its norms, from which on training was as long as a pre-training: fine-tunes of the development zoo
/// .003 to .14, a training half or twice as long as the original .34 to 1.2. A word, not evidence.
const CONTINUED: f64 = 0.25;
/// |cosine| of the directions in which two matrices were changed, from which on they are one: random ones of 256 rows reach .06.
const ONE_DIRECTION: f64 = 0.9;
/// r = −⟨Δ, A⟩ / ⟨Δ, Δ⟩ is 0 where Δ was added to A and knows nothing of it, 1 where it was added to B: the nearer quarter decides.
const ADDED_TO: f64 = 0.25;
/// The same for noise, which is independent of the matrix to within 1/√(its elements), while noises on both sides mix.
const NOISE_ADDED_TO: f64 = 0.05;
/// A merge shrinks every matrix by one factor and adds a share of another model: distance of the quartiles of the factors, and of
/// ‖rest‖ / ((1 − factor) ‖A‖), where measured .008 and .06; training spreads them by .05 and more.
const MERGE_SPREADS: (f64, f64) = (0.03, 0.15);

/// Most names of tensors in a sentence.
const LISTED_TENSORS: usize = 4;

/// One matrix in place.
struct Matrix {
    pair: usize,
    picture: Plain,
    form: Option<Form>,
}

/// Adds the relation of the matrices in place, and the direction where their change shows it.
pub(super) fn add(found: &Found<'_>, of_pair: &mut Attribution) {
    let matrices = matrices(found);
    if found.decision.explained == [Group::Embeddings] {
        of_pair.relations.push(grafted(&matrices));
        return;
    }
    let (rescaled, matrices) = apart_from_rescaled(found, matrices);
    if !rescaled.is_empty() && of_pair.relations.iter().all(|known| known.kind != "units-rescaled") {
        let rescaled: Vec<&Matrix> = rescaled.iter().collect();
        let (says, layers) = places(found, &rescaled);
        let says = format!(
            "units stand in place and have other lengths or signs, each by a factor of its own: {says}"
        );
        of_pair.relations.push(Relation::new("units-rescaled", says).with("layers", layers));
    }
    let holds_a_share = found.decision.decided_by.contains(&"common-slope");
    let is_replaced = |matrix: &Matrix| {
        !holds_a_share && matrix.picture.centred_cosine.is_some_and(|cosine| cosine < REPLACED)
    };
    let (replaced, matrices): (Vec<Matrix>, Vec<Matrix>) = matrices.into_iter().partition(is_replaced);
    let is_replaced_in_part = !replaced.is_empty();
    if is_replaced_in_part {
        let replaced: Vec<&Matrix> = replaced.iter().collect();
        let (says, _) = places(found, &replaced);
        let have = counted(replaced.len(), "matrix has", "matrices have");
        of_pair.relations.push(
            Relation::new("replaced", format!("{have} nothing in common: {says}"))
                .with("matrices", Parameter::Count(replaced.len() as u64)),
        );
    }
    let changed: Vec<&Matrix> = matrices.iter().filter(|matrix| matrix.picture.equal_share < 1.0).collect();
    if changed.is_empty() {
        if rescaled.is_empty() {
            elsewhere(found, &matrices, is_replaced_in_part, of_pair);
        }
        return;
    }
    let of_form = |is: &dyn Fn(Form) -> bool| {
        let forms: Vec<Form> = changed.iter().filter_map(|matrix| matrix.form).collect();
        let n = forms.iter().filter(|form| is(**form)).count();
        !forms.is_empty() && n as f64 >= NEARLY_ALL * forms.len() as f64
    };
    if of_form(&|form| form == Form::Rounding) {
        rounded(found, &changed, of_pair);
        return;
    }
    let relation = if is_of_low_rank(found, &changed) {
        low_rank(found, &changed, of_pair)
    } else if of_form(&|form| form == Form::White) {
        white(found, &changed, of_pair)
    } else if let Some(merge) = merge(&changed).or_else(|| small_share(found)) {
        merge
    } else {
        trained(found, &matrices, &changed)
    };
    // a grid is white noise too, and is named already
    if relation.kind == "noise-added" && of_pair.relations.iter().any(|known| known.kind == "quantised-copy")
    {
        return;
    }
    of_pair.relations.push(relation);
}

/// Nearly all changed matrices have a low rank, but for those too narrow to show one: of few rows (keys and values of one head) the rank that the
/// others have is more than a low one.
fn is_of_low_rank(found: &Found<'_>, changed: &[&Matrix]) -> bool {
    let largest = changed.iter().filter_map(|matrix| match matrix.form {
        Some(Form::LowRank { rank }) => Some(rank),
        _ => None,
    });
    let Some(largest) = largest.max() else { return false };
    let is_wide = |matrix: &&&Matrix| {
        let view = &found.pair.part(Side::Right, found.alignment.pairs[matrix.pair].right).stored.view;
        LOW_RANK * view.n_rows.min(view.n_cols) as f64 >= largest as f64
    };
    let low = |form: &Form| matches!(form, Form::LowRank { .. });
    let forms: Vec<Form> = changed.iter().filter(is_wide).filter_map(|matrix| matrix.form).collect();
    forms.iter().filter(|form| low(form)).count() as f64 >= NEARLY_ALL * forms.len().max(1) as f64
}

/// Matrices of parts whose units were rescaled wherever their change was looked at, and the others.
fn apart_from_rescaled(found: &Found<'_>, matrices: Vec<Matrix>) -> (Vec<Matrix>, Vec<Matrix>) {
    let part = |matrix: &Matrix| {
        let role = found.pair.part(Side::Right, found.alignment.pairs[matrix.pair].right).role;
        role.map(|role| (role.component, role.part))
    };
    let mut looked_at: BTreeMap<(Component, Part), (usize, usize)> = BTreeMap::new();
    for (part, form) in matrices.iter().filter_map(|matrix| Some((part(matrix)?, matrix.form?))) {
        let (n_rescaled, n) = looked_at.entry(part).or_default();
        *n_rescaled += usize::from(form == Form::Rescaled);
        *n += 1;
    }
    matrices.into_iter().partition(|matrix| {
        let of_part = part(matrix).and_then(|part| looked_at.get(&part));
        matrix.picture.equal_share < 1.0
            && of_part.is_some_and(|(n_rescaled, n)| {
                *n_rescaled > 0 && *n_rescaled as f64 >= NEARLY_ALL * *n as f64
            })
    })
}

/// Both sides are rounded: to two types that is a cast. To one type it is nothing that happened to a model: the same values, formed by
/// two programs, as an adapter over its base and the merged file.
fn rounded(found: &Found<'_>, changed: &[&Matrix], of_pair: &mut Attribution) {
    let cast = cast(found, changed.iter().map(|matrix| matrix.pair), "both rounded from finer values");
    if cast.is_none() {
        let dtype = changed.first().map_or("their type", |matrix| types(found, matrix.pair)[1]);
        of_pair.clues.push(format!(
            "the matrices that changed differ by no more than the rounding of {dtype}: the same values, formed in two ways"
        ));
    }
    of_pair.relations.extend(cast);
}

/// Matrices of groups whose units kept their order, token tables included.
fn matrices(found: &Found<'_>) -> Vec<Matrix> {
    if found.facts.token_basis.is_some() {
        return Vec::new();
    }
    let pairs = found.alignment.pairs.iter().enumerate();
    let heads_moved = found.facts.heads.is_some_and(HeadEvidence::is_elsewhere);
    pairs
        .filter(|(_, paired)| !(heads_moved && paired.group == Group::Attention))
        .filter(|(_, paired)| {
            let part = found.pair.part(Side::Right, paired.right);
            found.decision.explained.contains(&paired.group)
                && is_in_place(found.facts.trace, paired.group)
                && part.n_dimensions > 1
                && part.stored.view.n_rows.min(part.stored.view.n_cols) > 1
        })
        .filter_map(|(pair, _)| {
            let picture = found.plain.picture(pair)?;
            let change = found.deltas.iter().find(|change| change.pair == pair);
            Some(Matrix { pair, picture, form: change.map(|change| change.delta.form) })
        })
        .collect()
}

/// Only the token tables were taken over.
fn grafted(tables: &[Matrix]) -> Relation {
    let distances: Vec<f64> = tables.iter().filter_map(|table| table.picture.relative_l2).collect();
    let drift = median(&distances).unwrap_or(0.0);
    let says = format!("token tables alone; median change of a table, in its norms, {:.1} %", 100.0 * drift);
    Relation::new("grafted", says)
        .with("components", Parameter::texts([Group::Embeddings.name().to_owned()]))
        .with("median_change", Parameter::Number(drift))
}

/// Nothing changed in place: what happened to units that stand elsewhere, else to gains and biases.
fn elsewhere(found: &Found<'_>, in_place: &[Matrix], is_replaced_in_part: bool, of_pair: &mut Attribution) {
    let cosines: Vec<f64> =
        found.units.placed.iter().filter_map(|placed| Some(placed.units.as_ref()?.median_cosine)).collect();
    if let Some(cosine) = median(&cosines) {
        // unit vectors at this angle are so far apart
        let drift = (2.0 * (1.0 - cosine)).max(0.0).sqrt();
        if drift > FOUND_ALIKE {
            of_pair.relations.push(by_drift(found, drift, "of what units answer or read"));
        }
        return;
    }
    // of another network in part, they are its own
    if is_replaced_in_part || found.decision.verdict == WeightsVerdict::PartlyDerived {
        return;
    }
    let vectors_changed = found.alignment.pairs.iter().enumerate().any(|(pair, paired)| {
        paired.group == Group::Norms
            && found.plain.picture(pair).is_some_and(|picture| picture.equal_share < 1.0)
    });
    if vectors_changed && !in_place.is_empty() {
        let says = "gains and biases alone; every matrix in place is equal".to_owned();
        of_pair.relations.push(Relation::new("fine-tune", says));
    }
}

/// Distance of partners below which rounding explains it: two roundings to bf16 are up to 2 · 2⁻⁸ apart, answers add a few.
const FOUND_ALIKE: f64 = 0.02;

fn by_drift(found: &Found<'_>, drift: f64, of_what: &str) -> Relation {
    // nets that are no language models are not pre-trained again, and fine-tunes move them as far (published detectors .08 to .45)
    let kind = if drift >= CONTINUED && !found.facts.is_unknown_graph {
        "continued-pre-training"
    } else {
        "fine-tune"
    };
    Relation::new(kind, format!("median change {of_what} {:.1} %", 100.0 * drift))
        .with("median_change", Parameter::Number(drift))
}

fn trained(found: &Found<'_>, all: &[Matrix], changed: &[&Matrix]) -> Relation {
    let distances: Vec<f64> = all.iter().filter_map(|matrix| matrix.picture.relative_l2).collect();
    let drift = median(&distances).unwrap_or(0.0);
    let (where_changed, layers) = places(found, changed);
    let mut relation = by_drift(found, drift, "of a matrix, in its norms,");
    if changed.len() < all.len() {
        relation.detail = format!("{}; changed: {where_changed}", relation.detail);
    }
    relation.with("layers", layers)
}

fn low_rank(found: &Found<'_>, changed: &[&Matrix], of_pair: &mut Attribution) -> Relation {
    let mut ranks: Vec<usize> = changed
        .iter()
        .filter_map(|matrix| match matrix.form {
            Some(Form::LowRank { rank }) => Some(rank),
            _ => None,
        })
        .collect();
    ranks.sort_unstable();
    // the most frequent, the larger of equals: a direction of an adapter may have learned nothing
    let n_of = |rank: usize| ranks.iter().filter(|other| **other == rank).count();
    let rank = ranks.iter().copied().max_by_key(|rank| (n_of(*rank), *rank)).unwrap_or(0);
    let (where_changed, layers) = places(found, changed);
    let added_to = added_to(found, ADDED_TO).filter(|_| nothing_else_changed(found));
    let one_direction = rank == 1 && ranks.last() == Some(&1) && is_one_direction(found);
    let n = changed.len();
    let (kind, says) = if one_direction {
        (
            "abliterated",
            format!(
                "one direction of the residual stream removed from {}: {where_changed}",
                counted(n, "matrix", "matrices")
            ),
        )
    } else {
        let range = match (ranks.first(), ranks.last()) {
            (Some(first), Some(last)) if first != last => format!(" ({first} to {last})"),
            _ => String::new(),
        };
        let n_changed = counted(n, "changed matrix", "changed matrices");
        let unshown = match n - ranks.len() {
            0 => String::new(),
            n => format!(", {n} of them too narrow to show it or changed otherwise"),
        };
        ("lora", format!("rank {rank}{range} in {n_changed}{unshown}: {where_changed}"))
    };
    // an adapter is added to the parent; a removed direction is what the child lacks
    let parent = match added_to {
        Some(Side::Left) if one_direction => Some(Side::Right),
        Some(Side::Right) if one_direction => Some(Side::Left),
        other => other,
    };
    direct(parent, "the low-rank change", of_pair);
    let mut relation = Relation::new(kind, says)
        .with("rank", Parameter::Count(rank as u64))
        .with("matrices", Parameter::Count(n as u64))
        .with("layers", layers);
    if let Some(parent) = parent {
        relation = relation.with("parent", side(parent));
    }
    relation
}

fn white(found: &Found<'_>, changed: &[&Matrix], of_pair: &mut Attribution) -> Relation {
    let distances: Vec<f64> = changed.iter().filter_map(|matrix| matrix.picture.relative_l2).collect();
    let size = median(&distances).unwrap_or(0.0);
    direct(added_to(found, NOISE_ADDED_TO).filter(|_| nothing_else_changed(found)), "white noise", of_pair);
    let n_matrices = counted(changed.len(), "matrix", "matrices");
    let says = format!("white noise of {size:.2} of a matrix's norm in {n_matrices}");
    Relation::new("noise-added", says).with("relative_size", Parameter::Number(size))
}

/// The side that a change was added to, if the changes say so together.
fn added_to(found: &Found<'_>, tolerance: f64) -> Option<Side> {
    let changes = found.deltas.iter().map(|change| &change.delta).filter(|delta| delta.sum_squares > 0.0);
    let along: Vec<f64> = changes.map(|delta| -delta.along_left / delta.sum_squares).collect();
    match median(&along)? {
        r if r.abs() <= tolerance => Some(Side::Left),
        r if (r - 1.0).abs() <= tolerance => Some(Side::Right),
        _ => None,
    }
}

/// Everything has a partner in place, and what is neither low-rank nor noise is equal: a sibling that was trained, cast or pruned for
/// itself would show elsewhere too.
fn nothing_else_changed(found: &Found<'_>) -> bool {
    let changed_in_form = |pair: usize| {
        found.deltas.iter().any(|change| change.pair == pair && change.delta.form != Form::Broad)
    };
    found.alignment.unpaired.is_empty()
        && found.alignment.pairs.iter().enumerate().all(|(pair, _)| {
            found.plain.picture(pair).is_some_and(|picture| picture.equal_share >= 1.0)
                || changed_in_form(pair)
        })
}

fn direct(parent: Option<Side>, what: &str, of_pair: &mut Attribution) {
    let (direction, side) = match parent {
        Some(Side::Left) => (Direction::LeftToRight, "left"),
        Some(Side::Right) => (Direction::RightToLeft, "right"),
        None => return,
    };
    if of_pair.direction == Direction::Undetermined {
        of_pair.direction = direction;
        of_pair
            .clues
            .push(format!("direction: {what} was added to the {side} model and knows nothing of it"));
    }
}

/// Matrices that write into the residual stream were all changed in one direction of it.
fn is_one_direction(found: &Found<'_>) -> bool {
    let directions: Vec<&Vec<f64>> = found
        .deltas
        .iter()
        .filter(|change| {
            let paired = &found.alignment.pairs[change.pair];
            let role = found.pair.part(Side::Right, paired.right).role;
            role.is_some_and(|role| matches!(role.part, Part::O | Part::Down | Part::CrossO))
        })
        .map(|change| &change.delta.strongest)
        .filter(|direction| !direction.is_empty())
        .collect();
    let cosines: Vec<f64> = directions
        .windows(2)
        .filter(|pair| pair[0].len() == pair[1].len())
        .map(|pair| pair[0].iter().zip(pair[1]).map(|(a, b)| a * b).sum::<f64>().abs())
        .collect();
    median(&cosines).is_some_and(|cosine| cosine >= ONE_DIRECTION)
}

/// One model is a share of the other and a share of something that knows nothing of it: what two models alone show of a merge.
fn merge(changed: &[&Matrix]) -> Option<Relation> {
    shares(changed, |picture| Some((picture.slope?, picture.relative_l2?)))
        .map(|(share, error)| (Side::Right, share, error))
        .or_else(|| {
            // the same with the roles changed: everything in units of the right matrix
            let swapped = |picture: &Plain| {
                let (slope, distance) = (picture.slope?, picture.relative_l2?);
                let right_squared = distance * distance + 2.0 * slope - 1.0;
                (right_squared > 0.0).then(|| (slope / right_squared, distance / right_squared.sqrt()))
            };
            shares(changed, swapped).map(|(share, error)| (Side::Left, share, error))
        })
        .map(|(merged, share, error)| {
            let (child, parent) =
                if merged == Side::Right { ("right", "left") } else { ("left", "right") };
            let says = format!(
                "the {child} model is {share:.3} ± {error:.3} of the {parent} one, or of a near relative of it, and {:.3} of another",
                1.0 - share
            );
            Relation::new("merge", says)
                .with("merged", side(merged))
                .with("coefficient", Parameter::Number(share))
                .with("standard_error", Parameter::Number(error))
        })
}

/// The share that all matrices hold, where the verdict rests on it.
fn small_share(found: &Found<'_>) -> Option<Relation> {
    let slope = found.facts.common_slope.filter(|_| found.decision.decided_by.contains(&"common-slope"))?;
    let (merged, child, parent) = match slope.parent {
        Side::Left => (Side::Right, "right", "left"),
        Side::Right => (Side::Left, "left", "right"),
    };
    let says = format!(
        "the {child} model holds {:.3} ± {:.3} of the {parent} one, or of a near relative of it",
        slope.share, slope.standard_error
    );
    Some(
        Relation::new("merge", says)
            .with("merged", side(merged))
            .with("coefficient", Parameter::Number(slope.share))
            .with("standard_error", Parameter::Number(slope.standard_error)),
    )
}

/// Median factor of all matrices and its standard error, where one factor and one size of the rest fit all.
fn shares(changed: &[&Matrix], read: impl Fn(&Plain) -> Option<(f64, f64)>) -> Option<(f64, f64)> {
    let of_all: Vec<(f64, f64)> = changed.iter().filter_map(|matrix| read(&matrix.picture)).collect();
    let mut factors: Vec<f64> = of_all.iter().map(|(factor, _)| *factor).collect();
    let share = median(&factors)?;
    // Δ = (factor − 1) A + rest
    let mut rests: Vec<f64> = of_all
        .iter()
        .map(|(factor, distance)| {
            (distance * distance - (1.0 - factor).powi(2)).max(0.0).sqrt() / (1.0 - factor)
        })
        .collect();
    let rest = median(&rests)?;
    let spread = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() - 1 - values.len() / 4] - values[values.len() / 4]
    };
    let (of_factors, of_rests) = (spread(&mut factors), spread(&mut rests));
    let fits = of_all.len() >= 8
        && (0.05..=0.95).contains(&share)
        && (0.5..=1.5).contains(&rest)
        && of_factors <= MERGE_SPREADS.0
        && of_rests <= MERGE_SPREADS.1;
    // quartiles of a normal are .67 standard deviations from the median, whose error is 1.25 times the mean's
    fits.then(|| (share, 1.25 * of_factors / 1.35 / (of_all.len() as f64).sqrt()))
}

/// Which matrices of which layers: parts of the block, and names of tensors whose job is not known.
fn places(found: &Found<'_>, changed: &[&Matrix]) -> (String, Parameter) {
    let parts_of = || {
        changed.iter().map(|matrix| found.pair.part(Side::Right, found.alignment.pairs[matrix.pair].right))
    };
    let roles = || parts_of().filter_map(|part| part.role).filter(|role| role.part != Part::Other);
    let layers: BTreeSet<u32> = roles().filter_map(|role| role.layer).collect();
    let parts: BTreeSet<Part> = roles().map(|role| role.part).collect();
    let is_nameless = |part: &&CanonicalPart| part.role.is_none_or(|role| role.part == Part::Other);
    let tensors: BTreeSet<&str> =
        parts_of().filter(is_nameless).map(|part| found.pair.name(Side::Right, part)).collect();
    let mut names: Vec<String> = parts.iter().map(|part| format!("{part:?}").to_lowercase()).collect();
    names.extend(tensors.iter().take(LISTED_TENSORS).map(|name| escape(name)));
    if tensors.len() > LISTED_TENSORS {
        names.push(format!("and {} more", tensors.len() - LISTED_TENSORS));
    }
    let of_layers = match (layers.first(), layers.last()) {
        (Some(first), Some(last)) if first == last => format!("; layer {first}"),
        (Some(first), Some(last)) if (last - first) as usize + 1 == layers.len() => {
            format!("; layers {first} to {last}")
        }
        (Some(_), _) => format!("; layers {}", super::list(layers.iter().copied())),
        _ => String::new(),
    };
    let layers = Parameter::counts(layers.into_iter().map(u64::from));
    (format!("{}{of_layers}", names.join(", ")), layers)
}
