//! More than two models: parents of a merge weighed (`--parents`), and a third model beside a pair (`--also`).

use super::{Comparison, MergeFit, Parameter, ParentShare, Relation, ThirdModel, WeightsVerdict};
use crate::canonical::{self, CanonicalModel};
use crate::checkpoint::Checkpoint;
use crate::kernels::Backend;
use crate::measure::merge::{Coefficient, Merge, merge};
use crate::measure::several::{Distances, distances};
use crate::roles;
use crate::stream::{Error, ReadMeter};
use crate::wording::counted;

/// What the left model is to the parents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeftIs {
    /// The base that parents and child were trained from: differences are taken from it.
    #[default]
    Base,
    /// The first of the parents.
    Parent,
}

/// Further models of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Relatives<'a> {
    /// Parents that the right model may be merged from; without the left one.
    pub parents: Vec<&'a Checkpoint>,
    /// What the left model is.
    pub left: LeftIs,
    /// A third model that refines relation and direction, never the verdict.
    pub also: Option<&'a Checkpoint>,
}

/// Level at which a parent is needed on held-out tensors.
const NEEDED: f64 = 1e-3;
/// Standard errors that a coefficient must be away from zero.
const FROM_ZERO: f64 = 4.0;
/// Share of the child's change that parents must explain to be all that happened.
const ALL_OF_IT: f64 = 0.9;
/// A third model lies where the ways to both others part if its own way is shorter than this share of either, and it is their parent where at
/// most the second share of what was added to it takes away from it. Of the 1,365 triples of 15 models of one family of the development zoo
/// 163 are named siblings by this, and all 163 are.
const AT_THE_FORK: (f64, f64) = (0.5, 0.25);
/// Cosine below which a third model is no relative.
const RELATIVE: f64 = 0.2;

/// Adds what further models say to a finished comparison.
///
/// # Errors
/// A read or the device failed.
pub(super) fn add(
    backend: &Backend,
    (left, right): (&Checkpoint, &Checkpoint),
    relatives: &Relatives<'_>,
    meter: &ReadMeter,
    comparison: &mut Comparison,
) -> Result<(), Error> {
    if !relatives.parents.is_empty() {
        let models: Vec<&Checkpoint> =
            [right, left].into_iter().chain(relatives.parents.iter().copied()).collect();
        let fit = fit(&measured(backend, &models, meter)?, &models, relatives.left);
        if let Some(fit) = &fit {
            merged(fit, comparison);
        }
        comparison.merge = fit;
    }
    if let Some(also) = relatives.also {
        let distances = measured(backend, &[left, right, also], meter)?;
        let third = third(&distances, &also.reference);
        if third.is_parent_of_both && shares_weights(comparison) {
            comparison.weights.relations.push(
                Relation::new("sibling", format!("both come from the third model, {}", also.reference))
                    .with("parent", Parameter::Text(also.reference.clone())),
            );
        }
        comparison.weights.reasons.push(third.says.clone());
        comparison.third = Some(third);
    }
    Ok(())
}

fn measured(backend: &Backend, models: &[&Checkpoint], meter: &ReadMeter) -> Result<Distances, Error> {
    let parts: Vec<CanonicalModel> =
        models.iter().map(|model| canonical::canonicalise(model, &roles::assign(model))).collect();
    let name_of = |model: usize, tensor: usize| models[model].tensors[tensor].name.clone();
    distances(backend, &parts.iter().collect::<Vec<_>>(), &name_of, meter)
}

fn shares_weights(comparison: &Comparison) -> bool {
    matches!(
        comparison.weights.verdict,
        Some(WeightsVerdict::Derived | WeightsVerdict::PartlyDerived | WeightsVerdict::Requantised)
    )
}

/// Models are the child, the left one, further parents.
fn fit(distances: &Distances, models: &[&Checkpoint], left: LeftIs) -> Option<MergeFit> {
    let others: Vec<usize> = (2..models.len()).collect();
    let about_left = merge(distances, 0, 1, &others)?;
    let share = |model: usize, found: &Coefficient| ParentShare {
        reference: models[model].reference.clone(),
        coefficient: found.value,
        standard_error: found.standard_error,
        f: found.f,
        log10_p: found.ln_p / std::f64::consts::LN_10,
    };
    let mut parents: Vec<ParentShare> = Vec::new();
    if left == LeftIs::Parent {
        // the same sum with the second parent as the point of reference
        let second = others.first().copied()?;
        let rest: Vec<usize> = others.iter().copied().filter(|model| *model != second).collect();
        let about_second: Merge = merge(distances, 0, second, &[&[1], &rest[..]].concat())?;
        parents.extend(about_second.coefficients.first().map(|found| share(1, found)));
    }
    parents.extend(others.iter().zip(&about_left.coefficients).map(|(model, found)| share(*model, found)));
    Some(MergeFit {
        base: (left == LeftIs::Base).then(|| models[1].reference.clone()),
        parents,
        explained: about_left.explained,
        n_tensors: about_left.n_tensors as u64,
        n_elements: about_left.n_elements,
    })
}

/// The relation of a fit that needs two parents, or one and a share of the base.
fn merged(fit: &MergeFit, comparison: &mut Comparison) {
    let needed: Vec<&ParentShare> = fit
        .parents
        .iter()
        .filter(|parent| {
            parent.log10_p <= NEEDED.log10() && parent.coefficient.abs() >= FROM_ZERO * parent.standard_error
        })
        .collect();
    if needed.len() < 2 || !shares_weights(comparison) {
        return;
    }
    if fit.explained >= ALL_OF_IT {
        let instead = ["fine-tune", "continued-pre-training", "merge"];
        comparison.weights.relations.retain(|relation| !instead.contains(&relation.kind.as_str()));
    }
    let terms: Vec<String> = needed
        .iter()
        .map(|parent| {
            format!("{:.3} ± {:.3} of {}", parent.coefficient, parent.standard_error, parent.reference)
        })
        .collect();
    let about = fit.base.as_ref().map_or(String::new(), |base| format!("; changes from {base}"));
    let says = format!(
        "{}{about}; {:.1} % of the squared distance explained, over {}",
        terms.join(", "),
        100.0 * fit.explained,
        counted(fit.n_tensors, "tensor", "tensors")
    );
    let numbers = |read: fn(&ParentShare) -> f64| {
        Parameter::List(needed.iter().map(|parent| Parameter::Number(read(parent))).collect())
    };
    comparison.weights.relations.push(
        Relation::new("merge", says)
            .with("parents", Parameter::texts(needed.iter().map(|parent| parent.reference.clone())))
            .with("coefficients", numbers(|parent| parent.coefficient))
            .with("standard_errors", numbers(|parent| parent.standard_error))
            .with("explained", Parameter::Number(fit.explained)),
    );
}

/// Models are left, right, third.
fn third(distances: &Distances, reference: &str) -> ThirdModel {
    const ZERO: usize = 3;
    let squared = |a: usize, b: usize| distances.product(a, a, b);
    let cosine = |a: usize, b: usize| {
        let lengths = (squared(a, ZERO) * squared(b, ZERO)).sqrt();
        if lengths > 0.0 { distances.product(a, b, ZERO) / lengths } else { 0.0 }
    };
    // squared lengths of the ways from the point where the three part: right if each way was random in its direction
    let ways = [distances.product(1, 2, 0), distances.product(0, 2, 1), distances.product(0, 1, 2)];
    let across = squared(0, 1);
    let shares = ways.map(|way| if across > 0.0 { way / across } else { 0.0 });
    // 0 where the change was added to the third and knows nothing of it
    let along = |model: usize| {
        let change = squared(model, 2);
        if change > 0.0 { distances.product(model, ZERO, 2) / change } else { 1.0 }
    };
    let is_relative = cosine(0, 2).min(cosine(1, 2)) >= RELATIVE;
    let at_fork = ways[2] <= AT_THE_FORK.0 * ways[0].min(ways[1]) && ways[0].min(ways[1]) > 0.0;
    let is_parent_of_both = is_relative && at_fork && along(0) <= AT_THE_FORK.1 && along(1) <= AT_THE_FORK.1;
    let says = if distances.tensors.is_empty() {
        format!("third model {reference}: no tensor of one shape in all three")
    } else if !is_relative {
        format!("third model {reference}: no relative of both in place, it tells nothing about them")
    } else if is_parent_of_both {
        format!(
            "third model {reference}: both were changed from it, each for itself; neither descends from the other"
        )
    } else {
        let [left, right, third] = shares;
        format!(
            "third model {reference}: in units of the squared distance between the two, the ways from the point where all three part are \
             {left:.2} to the left, {right:.2} to the right and {third:.2} to the third; who is the parent does not follow"
        )
    };
    ThirdModel {
        reference: reference.to_owned(),
        cosines: [cosine(0, 1), cosine(0, 2), cosine(1, 2)],
        ways: shares,
        is_parent_of_both,
        n_tensors: distances.tensors.len() as u64,
        says,
    }
}
