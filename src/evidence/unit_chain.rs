//! What units weigh that were followed through a net in another order.

use super::agreement::{AGREEING_UNITS, ln_weight_against};
use crate::measure::constants::TrainedConstants;
use crate::measure::unit_chain::{Chain, Link, Sizes};

/// Share of a tensor's units that must agree: of independent models 22 % do at the most where measured (docs/methods.md#chain), of copies
/// nearly all.
const FOUND_SHARE: f64 = 0.4;
/// The largest share measured between independent models.
const CONTROL_SHARE: f64 = 0.22;
/// Spread of lengths (half the distance of the quartiles of ln) from which on units were rescaled: a factor from a half to two leaves
/// .35; of 16 kinds of small nets fine-tunes have medians up to .03, models of one start up to .05.
const RESCALED: f64 = 0.2;
/// Tensors that must be found, and the share of those that an order reached.
const FEWEST_FOUND: usize = 2;
const FOUND_OF_REACHED: f64 = 0.5;
/// Units in place from which on an axis inside the net counts; shorter ones may be classes.
const FEWEST_IN_PLACE: usize = 16;

/// A chain in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEvidence {
    /// Tensors that an order of another tensor reached.
    pub n_reached: usize,
    /// Of these, tensors whose units were found.
    pub n_found: usize,
    /// Their numbers, ascending, each with the share of its units.
    pub found: Vec<(usize, f64)>,
    /// Of these, tensors of which one side holds fewer units.
    pub n_cut: usize,
    /// Median over the tensors found of the median cosine of partners.
    pub median_cosine: f64,
    /// The largest share of units found in one of the tensors reached: what independent models are measured by.
    pub largest_share: f64,
    /// Tensors that were not looked at: too large, or too many.
    pub n_left_out: usize,
    /// Units were rescaled, each by its own factor: gains and biases are no longer comparable.
    pub is_rescaled: bool,
    /// The same where units stand in place: the median cosine, factors taken out.
    pub rescaled_in_place: Option<f64>,
    /// Gains and biases in the orders found.
    pub constants: Option<TrainedConstants>,
    /// Weight on the scale of ln p.
    pub ln_weight: f64,
}

impl ChainEvidence {
    /// Units were found in two tensors and more, and in half of those that were reached: a first layer or two may be alike in models that
    /// learned the same.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.n_found >= FEWEST_FOUND && self.n_found as f64 >= FOUND_OF_REACHED * self.n_reached as f64
    }

    /// Mean share of the units of the tensors found.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.found.iter().map(|(_, share)| share).sum::<f64>() / self.n_found.max(1) as f64
    }
}

/// Which links of a chain count. `is_hidden`: a width inside both nets; units in place of any other one are what goes in or comes out, and have
/// an order of their own.
#[must_use]
pub fn weigh_chain(chain: &Chain, is_hidden: &dyn Fn(Sizes) -> bool) -> ChainEvidence {
    let counts =
        |link: &Link| link.agreement.n_agreeing >= AGREEING_UNITS && link.agreement.share() >= FOUND_SHARE;
    let is_cut = |(left, right): Sizes| left != right;
    let has_own_order = |link: &Link| {
        let found = &link.agreement;
        2 * found.n_in_place >= found.n_agreeing
            && !(is_hidden(link.width) && found.n_in_place >= FEWEST_IN_PLACE)
    };
    let reached: Vec<&Link> =
        chain.links.iter().filter(|link| !(counts(link) && has_own_order(link))).collect();
    let found: Vec<&Link> = reached.iter().copied().filter(|link| counts(link)).collect();
    let cosines: Vec<f64> = found.iter().map(|link| link.median_cosine).collect();
    let in_place: Vec<&Link> = chain.in_place.iter().filter(|link| counts(link)).collect();
    let cosines_in_place: Vec<f64> = in_place.iter().map(|link| link.median_cosine).collect();
    let is_rescaled = |links: &[&Link]| {
        let spreads: Vec<f64> = links.iter().map(|link| link.scale_spread).collect();
        links.len() >= FEWEST_FOUND
            && crate::numerics::median(&spreads).is_some_and(|spread| spread >= RESCALED)
    };
    let weights = found.iter().map(|link| ln_weight_against(&link.agreement, CONTROL_SHARE));
    ChainEvidence {
        n_reached: reached.len(),
        n_found: found.len(),
        found: found.iter().map(|link| (link.id, link.agreement.share())).collect(),
        n_cut: found.iter().filter(|link| is_cut(link.width) || is_cut(link.known)).count(),
        median_cosine: crate::numerics::median(&cosines).unwrap_or(0.0),
        largest_share: reached.iter().map(|link| link.agreement.share()).fold(0.0, f64::max),
        n_left_out: 0,
        is_rescaled: is_rescaled(&found),
        rescaled_in_place: crate::numerics::median(&cosines_in_place).filter(|_| is_rescaled(&in_place)),
        constants: None,
        ln_weight: (weights.sum::<f64>() + (chain.n_tried.max(1) as f64).ln()).min(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::agreement::Agreement;
    use crate::measure::units::Axis;

    fn link(id: usize, n_agreeing: usize, n_in_place: usize, n_units: usize) -> Link {
        let agreement = Agreement { n_agreeing, n_in_place, n_units };
        Link {
            id,
            axis: Axis::Rows,
            width: (n_units, n_units),
            known: (24, 24),
            agreement,
            median_cosine: 0.8,
            scale_spread: 0.05,
        }
    }

    fn weighed(links: &[Link]) -> ChainEvidence {
        let chain = Chain { links: links.to_vec(), n_tried: 10, ..Chain::default() };
        weigh_chain(&chain, &|width| width == (64, 64))
    }

    #[test]
    fn two_tensors_and_half_of_those_reached_are_needed() {
        let (found, silent) = (link(0, 60, 1, 64), link(1, 4, 0, 64));
        for (links, is_shared) in [
            (vec![found, found], true),
            (vec![found], false),
            (vec![found, found, silent, silent], true),
            (vec![found, found, silent, silent, silent], false),
            (vec![silent, silent], false),
        ] {
            let evidence = weighed(&links);
            assert_eq!(evidence.is_shared(), is_shared, "{evidence:?}");
            assert_eq!(evidence.ln_weight < -30.0, evidence.n_found > 0, "{evidence:?}");
        }
    }

    #[test]
    fn units_of_other_lengths_are_rescaled_in_place_or_elsewhere() {
        let of = |scale_spread: f64| Link { scale_spread, ..link(0, 64, 64, 64) };
        for (links, in_place, found) in [
            (vec![], vec![of(0.35), of(0.35), of(0.0)], (false, Some(0.8))),
            (vec![], vec![of(0.35), of(0.1), of(0.1)], (false, None)),
            (vec![], vec![of(0.35)], (false, None)),
            (vec![of(0.35), of(0.35)], vec![], (true, None)),
        ] {
            let evidence = weigh_chain(&Chain { links, in_place, ..Chain::default() }, &|_| true);
            assert_eq!((evidence.is_rescaled, evidence.rescaled_in_place), found);
        }
    }

    #[test]
    fn what_goes_in_and_comes_out_in_place_does_not_count() {
        // 32 and 10 wide axes are no hidden ones here; of a hidden one sixteen units must be in place
        for (link, n_reached, n_found) in [
            (link(0, 32, 32, 32), 0, 0),
            (link(0, 10, 10, 10), 0, 0),
            (link(0, 64, 64, 64), 1, 1),
            (link(0, 32, 15, 32), 1, 1),
            (link(0, 1, 1, 32), 1, 0),
        ] {
            let evidence = weighed(&[link]);
            assert_eq!((evidence.n_reached, evidence.n_found), (n_reached, n_found), "{link:?}");
        }
    }
}
