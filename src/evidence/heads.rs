//! What heads weigh that were found in another order or basis.

use super::agreement::{AGREEING_UNITS, ln_weight_against};
use crate::measure::agreement::Agreement;
use crate::measure::head_map::{Circuit, HeadMap};
use crate::numerics::median;
use crate::roles::Component;

/// Share of the heads of a layer, and of all, that must be found: of independent models five of twelve are at the most
/// (docs/methods.md#heads), of copies all are.
const FOUND_SHARE: f64 = 0.5;
/// Heads of a layer that find each other in independent models: a quarter by chance, .24 on average of 7,371 layers; twice the
/// chance is taken.
const CONTROL_PER_LAYER: f64 = 0.5;
/// Layers that must be found.
const FEWEST_LAYERS: usize = 2;
/// Share of the heads found that must stand elsewhere to call the order another one.
const MOVED_SHARE: f64 = 0.25;

/// Heads of all layers of a tower that were mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadEvidence {
    /// Tower.
    pub component: Component,
    /// Left layer, right layer, and the heads that have one partner in both circuits.
    pub layers: Vec<(u32, u32, Agreement)>,
    /// Of these, layers in which half of the heads were found.
    pub n_layers_found: usize,
    /// Heads of a layer of each side.
    pub n_heads_of_layer: (usize, usize),
    /// All layers together.
    pub all: Agreement,
    /// What heads look for and what they copy: medians over the layers found.
    pub circuits: [Circuit; 2],
    /// Weight on the scale of ln p.
    pub ln_weight: f64,
}

impl HeadEvidence {
    /// Heads were found in two layers and more, eight and more of them, and half of all.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.n_layers_found >= FEWEST_LAYERS
            && self.all.n_agreeing >= AGREEING_UNITS
            && self.all.share() >= FOUND_SHARE
    }

    /// Heads whose partner stands elsewhere.
    #[must_use]
    pub fn n_moved(&self) -> usize {
        self.all.n_agreeing - self.all.n_in_place
    }

    /// Heads stand in another order.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.n_moved() as f64 >= MOVED_SHARE * self.all.n_agreeing.max(1) as f64
    }

    /// Heads stand in another order, or their channels in another basis: what stands in place does not tell.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.is_shared() && (self.is_moved() || self.circuits.iter().any(Circuit::is_turned))
    }
}

/// Weighs the maps of a few layers of a tower. `n_ways`: how many sets of directions circuits were read by.
#[must_use]
pub fn weigh_heads(component: Component, maps: &[HeadMap], n_ways: usize) -> HeadEvidence {
    let layers: Vec<(u32, u32, Agreement)> = maps.iter().map(of_layer).collect();
    let sum = |read: fn(&Agreement) -> usize| layers.iter().map(|(_, _, found)| read(found)).sum::<usize>();
    let all = Agreement {
        n_agreeing: sum(|found| found.n_agreeing),
        n_in_place: sum(|found| found.n_in_place),
        n_units: sum(|found| found.n_units),
    };
    let of_circuit = |circuit: usize, read: fn(&Circuit) -> f64| {
        // of layers in which heads were found: the others have no partners
        let found = maps.iter().zip(&layers).filter(|(_, (_, _, found))| found.share() >= FOUND_SHARE);
        let values: Vec<f64> = found.map(|(map, _)| read(&map.circuits[circuit])).collect();
        median(&values).unwrap_or(0.0)
    };
    let circuits = [0, 1].map(|circuit| Circuit {
        cosine: of_circuit(circuit, |circuit| circuit.cosine),
        channel_cosine: of_circuit(circuit, |circuit| circuit.channel_cosine),
        scale_spread: of_circuit(circuit, |circuit| circuit.scale_spread),
    });
    let control_share = CONTROL_PER_LAYER * layers.len() as f64 / all.n_units.max(1) as f64;
    HeadEvidence {
        component,
        n_layers_found: layers.iter().filter(|(_, _, found)| found.share() >= FOUND_SHARE).count(),
        layers,
        n_heads_of_layer: maps.first().map_or((0, 0), |map| (map.n_left, map.left_of.len())),
        all,
        circuits,
        ln_weight: (ln_weight_against(&all, control_share) + (n_ways.max(1) as f64).ln()).min(0.0),
    }
}

fn of_layer(map: &HeadMap) -> (u32, u32, Agreement) {
    let found = Agreement {
        n_agreeing: map.n_found(),
        n_in_place: map.n_in_place(),
        n_units: map.n_left.min(map.left_of.len()),
    };
    (map.layers.0, map.layers.1, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::ShippedControls;

    /// A layer of eight heads, so many found, of which the first ones in place.
    fn layer(n_found: u32, n_in_place: u32, channel_cosine: f64) -> HeadMap {
        let left_of = (0..8)
            .map(|head| (head < n_found).then_some(if head < n_in_place { head } else { (head + 1) % 8 }));
        let circuit = Circuit { cosine: 0.9, channel_cosine, scale_spread: 0.0 };
        HeadMap {
            layers: (0, 0),
            n_left: 8,
            left_of: left_of.collect(),
            circuits: [circuit; 2],
            order_of_values: None,
        }
    }

    #[test]
    fn no_control_of_this_version_counts_as_shared() {
        let largest = ShippedControls::shipped().largest_head_share;
        assert!(largest > 0.0 && largest < FOUND_SHARE, "{largest}");
    }

    #[test]
    fn half_of_the_heads_of_two_layers_are_evidence_and_chance_is_none() {
        let weigh = |layers: &[HeadMap]| weigh_heads(Component::Text, layers, 1);
        let independent = weigh(&[layer(2, 0, 0.0), layer(1, 0, 0.0), layer(0, 0, 0.0), layer(2, 0, 0.0)]);
        assert!(!independent.is_shared() && independent.ln_weight > -3.0, "{independent:?}");
        assert!(!weigh(&[layer(8, 0, 1.0)]).is_shared(), "one layer");
        assert!(!weigh(&[layer(8, 0, 1.0), layer(1, 0, 0.0), layer(1, 0, 0.0)]).is_shared());
        let found = weigh(&[layer(8, 8, 0.95), layer(7, 7, 0.95)]);
        assert!(found.is_shared() && !found.is_elsewhere() && found.ln_weight < -10.0, "{found:?}");
        assert!(weigh(&[layer(8, 2, 0.95), layer(8, 2, 0.95)]).is_elsewhere(), "moved");
        assert!(weigh(&[layer(8, 8, 0.3), layer(8, 8, 0.3)]).is_elsewhere(), "turned");
    }
}
