//! MLP units in another order, another number, or of another length.

use std::collections::BTreeMap;

use super::super::stages::Placed;
use super::{Found, Parameter, Relation};
use crate::measure::unit_map::UnitMap;
use crate::roles::Expert;
use crate::wording::counted;

/// A unit that was rescaled by a factor of its own: lengths in the second matrix spread by 2 % more than three times what they
/// spread in the first, which has no such freedom. Training alone leaves both alike.
pub(super) const RESCALED: (f64, f64) = (3.0, 0.02);
/// Longest list of units in a report.
const LISTED_UNITS: usize = 4096;

/// Width pruned, permuted, rescaled.
pub(super) fn relations(found: &Found<'_>) -> Vec<Relation> {
    let mapped: Vec<(&Placed, &UnitMap)> = found
        .units
        .placed
        .iter()
        .filter(|placed| (placed.left.expert == Expert::None) == (placed.right.expert == Expert::None))
        .filter_map(|placed| Some((placed, placed.units.as_ref()?)))
        .collect();
    [pruned(&mapped), permuted(found, &mapped), rescaled(&mapped), followed(found), rescaled_in_chain(found)]
        .into_iter()
        .flatten()
        .collect()
}

/// Units in another order, of another sign, or fewer of them, in a net without layers.
fn followed(found: &Found<'_>) -> Option<Relation> {
    let chain = found.facts.unit_chain.filter(|chain| chain.is_shared())?;
    let says = format!(
        "{:.0} % of them found in {} of the {} reached",
        100.0 * chain.share(),
        chain.n_found,
        counted(chain.n_reached, "tensor that was", "tensors that were")
    );
    let (kind, says) = if 2 * chain.n_cut >= chain.n_found {
        (
            "width-pruned",
            format!(
                "one model keeps a part of the units of {}; {says}",
                counted(chain.n_cut, "tensor", "tensors")
            ),
        )
    } else {
        ("units-permuted", format!("units stand in another order, or have another sign; {says}"))
    };
    Some(Relation::new(kind, says).with("tensors", Parameter::Count(chain.n_found as u64)))
}

/// The same net with units of other lengths, in place or not.
fn rescaled_in_chain(found: &Found<'_>) -> Option<Relation> {
    let chain = found.facts.unit_chain?;
    let is_rescaled = chain.rescaled_in_place.is_some() || chain.is_shared() && chain.is_rescaled;
    is_rescaled.then(|| {
        let says =
            "units have other lengths, each by its own factor, which the tensors that read them take back";
        Relation::new("units-rescaled", says.to_owned())
    })
}

fn pruned(mapped: &[(&Placed, &UnitMap)]) -> Option<Relation> {
    let cut: Vec<_> = mapped.iter().filter(|(_, units)| units.n_left != units.left_of.len()).collect();
    let (_, first) = cut.first()?;
    let (n_left, n_right) = (first.n_left, first.left_of.len());
    let n_layers = cut.len();
    let n_found: usize = cut.iter().map(|(_, units)| units.n_found()).sum();
    let smaller: usize = cut.iter().map(|(_, units)| units.n_left.min(units.left_of.len())).sum();
    let share = 100.0 * n_found as f64 / smaller.max(1) as f64;
    let (side, kept, of) =
        if n_right < n_left { ("right", n_right, n_left) } else { ("left", n_left, n_right) };
    let says = format!(
        "the {side} model keeps {kept} of {} in {}; {share:.0} % of them were found",
        counted(of, "MLP unit", "MLP units"),
        counted(n_layers, "layer", "layers")
    );
    let mut relation = Relation::new("width-pruned", says)
        .with("of", Parameter::Text(side.to_owned()))
        .with("kept", Parameter::Count(kept as u64))
        .with("width", Parameter::Count(of as u64));
    if n_found <= LISTED_UNITS {
        let lists: BTreeMap<u32, Vec<u32>> = cut
            .iter()
            .map(|(placed, units)| {
                let of_larger = if n_right < n_left {
                    units.kept()
                } else {
                    let found = units.left_of.iter().enumerate().filter(|(_, left)| left.is_some());
                    found.filter_map(|(right, _)| u32::try_from(right).ok()).collect()
                };
                (placed.right.layer, of_larger)
            })
            .collect();
        let lists = lists.into_values().map(|units| Parameter::counts(units.into_iter().map(u64::from)));
        relation = relation.with("units_kept", Parameter::List(lists.collect()));
    }
    Some(relation)
}

/// Most units found stand elsewhere, not just moved up by a cut.
fn permuted(found: &Found<'_>, mapped: &[(&Placed, &UnitMap)]) -> Option<Relation> {
    let moved = |units: &UnitMap| {
        let partners: Vec<u32> = units.left_of.iter().flatten().copied().collect();
        let n_rising = partners.windows(2).filter(|pair| pair[0] < pair[1]).count();
        units.n_in_place() * 4 < units.n_found() && n_rising * 4 < partners.len() * 3
    };
    let n_moved = if mapped.is_empty() {
        // too large to be mapped in full: what the sample of S3 says
        let agreements = found.facts.agreements.iter().map(|(_, _, agreement)| agreement);
        agreements
            .filter(|agreement| {
                crate::evidence::agrees(agreement) && agreement.n_in_place * 4 < agreement.n_agreeing
            })
            .count()
    } else {
        mapped.iter().filter(|(_, units)| moved(units)).count()
    };
    (n_moved > 0).then(|| {
        let says = format!("MLP units of {} stand in another order", counted(n_moved, "layer", "layers"));
        Relation::new("units-permuted", says).with("layers", Parameter::Count(n_moved as u64))
    })
}

fn rescaled(mapped: &[(&Placed, &UnitMap)]) -> Option<Relation> {
    let is_rescaled = |units: &UnitMap| {
        let [first, second] = units.scale_spreads;
        second > RESCALED.0 * first + RESCALED.1
    };
    let n_rescaled = mapped.iter().filter(|(_, units)| is_rescaled(units)).count();
    (n_rescaled > 0).then(|| {
        let n_layers = counted(n_rescaled, "layer", "layers");
        let says = format!("MLP units of {n_layers} have other lengths, each by its own factor");
        Relation::new("units-rescaled", says).with("layers", Parameter::Count(n_rescaled as u64))
    })
}
