//! Attention heads in another order, another number, or of another inner basis.

use super::units::RESCALED;
use super::{Found, Parameter, Relation};
use crate::evidence::HeadEvidence;
use crate::measure::head_map::Circuit;
use crate::wording::counted;

/// Pruned, permuted, turned.
pub(super) fn relations(found: &Found<'_>) -> Vec<Relation> {
    let Some(heads) = found.facts.heads.filter(|heads| heads.is_shared()) else { return Vec::new() };
    [pruned(heads), permuted(heads), turned(heads), rescaled(heads)].into_iter().flatten().collect()
}

fn pruned(heads: &HeadEvidence) -> Option<Relation> {
    let (n_left, n_right) = heads.n_heads_of_layer;
    (n_left != n_right).then(|| {
        let (side, kept, of) =
            if n_right < n_left { ("right", n_right, n_left) } else { ("left", n_left, n_right) };
        let says = format!(
            "the {side} model keeps {kept} of {} of a layer; {:.0} % of them were found",
            counted(of, "head", "heads"),
            100.0 * heads.all.share()
        );
        Relation::new("heads-pruned", says)
            .with("of", Parameter::Text(side.to_owned()))
            .with("kept", Parameter::Count(kept as u64))
            .with("heads", Parameter::Count(of as u64))
    })
}

fn permuted(heads: &HeadEvidence) -> Option<Relation> {
    let (n_left, n_right) = heads.n_heads_of_layer;
    (n_left == n_right && heads.is_moved()).then(|| {
        let says = format!(
            "{} of {} found in {} stand in another order",
            heads.n_moved(),
            counted(heads.all.n_agreeing, "head", "heads"),
            counted(heads.layers.len(), "layer", "layers")
        );
        Relation::new("heads-permuted", says)
            .with("found", Parameter::Count(heads.all.n_agreeing as u64))
            .with("moved", Parameter::Count(heads.n_moved() as u64))
    })
}

/// Value channels of other lengths, which the outputs take back; queries and keys, scaled alike, would be a turn of the head.
fn rescaled(heads: &HeadEvidence) -> Option<Relation> {
    let [looks_for, copies] = &heads.circuits;
    let is_rescaled = copies.scale_spread > RESCALED.0 * looks_for.scale_spread + RESCALED.1;
    (is_rescaled && !copies.is_turned()).then(|| {
        let n_layers = counted(heads.layers.len(), "layer", "layers");
        let says = format!("value channels of {n_layers} have other lengths, each by its own factor");
        Relation::new("units-rescaled", says).with("layers", Parameter::Count(heads.layers.len() as u64))
    })
}

/// Queries and keys turned together, or values and outputs: what a head does is the same, its channels are not.
fn turned(heads: &HeadEvidence) -> Option<Relation> {
    let of_circuit = heads.circuits.iter().zip(["queries and keys", "values and outputs"]);
    let turned: Vec<&str> =
        of_circuit.filter(|(circuit, _)| Circuit::is_turned(circuit)).map(|(_, name)| name).collect();
    (!turned.is_empty()).then(|| {
        let says = format!(
            "{} stand in another basis inside the heads, which do the same: circuits have a cosine of {:.2}",
            turned.join(" and "),
            heads.circuits.iter().map(|circuit| circuit.cosine).fold(f64::INFINITY, f64::min)
        );
        Relation::new("heads-rotated", says)
            .with("circuits", Parameter::texts(turned.iter().map(|name| (*name).to_owned())))
    })
}
