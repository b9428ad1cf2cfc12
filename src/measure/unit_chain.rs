//! S7 without layers: units in another order, followed from tensor to tensor through a graph that is not known.
//!
//! A tensor [units, inputs, taps] whose inputs are known to correspond names the partners of its units by their weights, and the other
//! way round. What enters a net (colours, sensors) has an order of its own, so the first tensor starts from inputs in place; the order
//! that its units were found in is then tried on every axis of that width, and so on. An order is right if units find one partner by both
//! halves of the axis that it arranges: random units do so once in n, and a quarter of a unit per tensor is mutual by chance. Each slice of
//! the known axis counts alike, so that positive factors per unit cancel; signs are carried along (docs/methods.md#chain).

use std::collections::{BTreeMap, VecDeque};

use rayon::prelude::*;

use super::agreement::{Agreement, agreement, partners};
use super::families::is_taps;
use super::plain::plain;
use super::unit_map::half_quartile_distance;
use super::units::Axis;
use crate::kernels::{Backend, all_pairs};
use crate::numerics::median;
use crate::reductions::{AllPairs, Keep, PairMoments, Ranking};
use crate::stream::Error;
use crate::tensor::Matrix;

/// Sizes of the left and of the right side.
pub type Sizes = (usize, usize);

/// A pair of tensors, rows × inputs × taps, row-major; a side may have fewer rows or inputs.
#[derive(Clone, Debug)]
pub struct ChainTensor {
    /// Its number among the caller's tensors.
    pub id: usize,
    /// Outputs.
    pub n_rows: Sizes,
    /// Inputs times taps.
    pub n_cols: Sizes,
    /// Taps per input of a filter of known shape; None of a plain matrix, which may read several numbers of each input.
    pub n_taps: Option<usize>,
    /// Values of the left tensor.
    pub left: Vec<f32>,
    /// Values of the right tensor.
    pub right: Vec<f32>,
}

/// Units of one axis and their partners.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitOrder {
    /// (left unit, right unit, −1 where the sign was flipped).
    pub partners: Vec<(u32, u32, f32)>,
    /// The tensor it was found in; None of units in place.
    found_in: Option<usize>,
    /// A second tensor named it, or it is in place.
    is_confirmed: bool,
}

/// An order to be tried.
struct Try {
    width: Sizes,
    idx: usize,
    /// On one tensor; None: on all but the one that it was found in.
    only: Option<usize>,
}

impl Try {
    fn on_all(width: Sizes, idx: usize) -> Try {
        Try { width, idx, only: None }
    }
}

impl UnitOrder {
    /// Every unit where it was.
    #[must_use]
    pub fn in_place(n_units: usize) -> UnitOrder {
        let ids = 0..u32::try_from(n_units).unwrap_or(u32::MAX);
        UnitOrder { partners: ids.map(|id| (id, id, 1.0)).collect(), found_in: None, is_confirmed: true }
    }

    /// Centred cosine of two vectors whose elements belong to the units; the larger one of signs carried along and left alone (a gain over
    /// the residual stream keeps its sign where its dimension was flipped). None where a side is constant.
    #[must_use]
    pub fn centred_cosine(&self, left: &[f32], right: &[f32]) -> Option<f64> {
        let of = |with_signs: bool| {
            let mut sums = PairMoments::default();
            for &(left_unit, right_unit, sign) in &self.partners {
                let a = f64::from(*left.get(left_unit as usize)?);
                let b = f64::from(*right.get(right_unit as usize)?)
                    * if with_signs { f64::from(sign) } else { 1.0 };
                sums.n_elements += 1;
                sums.sum_a += a;
                sums.sum_b += b;
                sums.sum_aa += a * a;
                sums.sum_bb += b * b;
                sums.sum_ab += a * b;
            }
            plain(&sums).centred_cosine
        };
        [of(true), of(false)].into_iter().flatten().max_by(f64::total_cmp)
    }

    /// Units that it shares with another one, signs included.
    fn n_common(&self, other: &UnitOrder) -> usize {
        let right_of: BTreeMap<u32, (u32, f32)> =
            other.partners.iter().map(|&(left, right, sign)| (left, (right, sign))).collect();
        let is_in_both = |&(left, right, sign): &(u32, u32, f32)| right_of.get(&left) == Some(&(right, sign));
        self.partners.iter().copied().filter(is_in_both).count()
    }
}

/// The units of one tensor found by an order that another tensor gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The tensor.
    pub id: usize,
    /// The axis whose units were looked for.
    pub axis: Axis,
    /// Units with the same partner by both halves of the other axis.
    pub agreement: Agreement,
    /// Units of that axis.
    pub width: Sizes,
    /// Units of the other one.
    pub known: Sizes,
    /// Median cosine of mutual partners, slices of the other axis at one length.
    pub median_cosine: f64,
    /// Spread of ln(length of a right slice of the other axis / length of its left one): half the distance of the quartiles.
    pub scale_spread: f64,
}

/// What was followed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// The best link of each tensor that an order of another one reached.
    pub links: Vec<Link>,
    /// The best link of each tensor whose units stand in place, by inputs or outputs in place.
    pub in_place: Vec<Link>,
    /// Orders tried on tensors.
    pub n_tried: usize,
    /// Orders other than in place, by number of units.
    pub orders: BTreeMap<Sizes, Vec<UnitOrder>>,
}

/// Fewest units of an axis that is looked at.
const FEWEST_UNITS: usize = 8;
/// Fewest numbers by which a unit is known.
const FEWEST_FEATURES: usize = 9;
/// Axes shorter than this (colours, a few sensors) cannot be halved: mutual partners by the whole make the order.
const HALVED: usize = 16;
/// Share of mutual partners from which on a short axis makes an order; of random units half of them have one.
const MUTUAL_SHARE: f64 = 0.3;
/// Share of agreeing units from which on an order is followed further; independent models 6 % at the most where measured.
const FOLLOWED_SHARE: f64 = 0.1;
/// Share of equal partners from which on two orders are one, and from which on one is the order in place with errors: what the trace test
/// is there for.
const SAME_ORDER: f64 = 0.5;
const IN_PLACE: f64 = 0.25;
/// Units that name a partner before all of them are looked at.
const SAMPLED_UNITS: usize = 64;
/// Orders kept for one width.
const MAX_ORDERS: usize = 32;

/// Follows orders of units through the tensors, up to `max_flop` operations. Pairs of equal shape, at most some millions of elements each.
///
/// # Errors
/// The device failed.
pub fn unit_chain(
    backend: &Backend,
    tensors: &[ChainTensor],
    max_flop: u64,
    flop: &mut u64,
) -> Result<Chain, Error> {
    let mut orders: BTreeMap<Sizes, Vec<UnitOrder>> = BTreeMap::new();
    for tensor in tensors {
        let n_taps = tensor.n_taps.unwrap_or(1);
        for width in [tensor.n_rows, (tensor.n_cols.0 / n_taps, tensor.n_cols.1 / n_taps)] {
            orders.entry(width).or_insert_with(|| known_before(width));
        }
    }
    // short axes first: what enters a net and what it answers is where an order begins
    let mut queue: VecDeque<Try> =
        orders.keys().filter(|width| width.0 == width.1).map(|width| Try::on_all(*width, 0)).collect();
    let (mut best, mut in_place, mut n_tried) =
        (BTreeMap::<usize, Link>::new(), BTreeMap::<usize, Link>::new(), 0);
    while let Some(Try { width, idx, only }) = queue.pop_front() {
        let order = orders[&width][idx].clone();
        let is_meant = |tensor: &&ChainTensor| match only {
            Some(id) => tensor.id == id,
            None => order.found_in != Some(tensor.id),
        };
        for tensor in tensors.iter().filter(is_meant) {
            for axis in [Axis::Rows, Axis::Columns] {
                let Some(sides) = Arranged::of(tensor, axis, width, &order) else { continue };
                let Some(found) = look(backend, &sides, max_flop, flop)? else { continue };
                let link = Link {
                    id: tensor.id,
                    axis,
                    width: sides.n_units(),
                    known: width,
                    agreement: found.agreement,
                    median_cosine: found.median_cosine,
                    scale_spread: sides.scale_spread(),
                };
                n_tried += usize::from(order.found_in.is_some());
                let stands = 2 * link.agreement.n_in_place > link.agreement.n_agreeing;
                let best = if order.found_in.is_some() { &mut best } else { &mut in_place };
                let share = |link: &Link| link.agreement.share();
                let is_better = best.get(&tensor.id).is_none_or(|known| share(known) < share(&link));
                if is_better && (order.found_in.is_some() || stands) {
                    best.insert(tensor.id, link);
                }
                let n_units = sides.n_units();
                let is_right = if order.found_in.is_none() && width.0 < HALVED {
                    found.partners.len() as f64 >= MUTUAL_SHARE * n_units.0.min(n_units.1) as f64
                } else {
                    found.agreement.n_agreeing >= FEWEST_UNITS && found.agreement.share() >= FOLLOWED_SHARE
                };
                if !is_right {
                    continue;
                }
                let known = orders.entry(n_units).or_insert_with(|| known_before(n_units));
                let found =
                    UnitOrder { partners: found.partners, found_in: Some(tensor.id), is_confirmed: false };
                let is_same = |other: &UnitOrder| {
                    let enough = if other.found_in.is_none() { IN_PLACE } else { SAME_ORDER };
                    found.n_common(other) as f64 >= enough * found.partners.len() as f64
                };
                match known.iter().position(is_same) {
                    // another tensor says the same, so the first one may be looked at by this order too
                    Some(idx) if !known[idx].is_confirmed && known[idx].found_in != found.found_in => {
                        known[idx].is_confirmed = true;
                        queue.push_back(Try { width: n_units, idx, only: known[idx].found_in });
                    }
                    None if known.len() < MAX_ORDERS => {
                        queue.push_back(Try::on_all(n_units, known.len()));
                        known.push(found);
                    }
                    _ => {}
                }
            }
        }
    }
    for known in orders.values_mut() {
        known.retain(|order| order.found_in.is_some());
    }
    orders.retain(|_, known| !known.is_empty());
    Ok(Chain {
        links: best.into_values().collect(),
        in_place: in_place.into_values().collect(),
        n_tried,
        orders,
    })
}

/// Units of equal number may stand in place.
fn known_before(width: Sizes) -> Vec<UnitOrder> {
    if width.0 == width.1 { vec![UnitOrder::in_place(width.0)] } else { Vec::new() }
}

/// Both sides of a tensor, one axis known, the units of the other one looked for.
struct Arranged<'a> {
    left: SideView<'a>,
    right: SideView<'a>,
}

impl<'a> Arranged<'a> {
    /// None where the other axis has another width, or too little is there to be told apart.
    fn of(tensor: &'a ChainTensor, axis: Axis, width: Sizes, order: &UnitOrder) -> Option<Arranged<'a>> {
        // consecutive columns that belong to one input
        let n_taps = match (axis, tensor.n_taps) {
            (_, Some(n_taps)) => n_taps,
            (Axis::Rows, None) => taps(tensor.n_cols.0, width.0)?,
            (Axis::Columns, None) => 1,
        };
        let shape = |n_rows: usize, n_cols: usize| {
            let n_inputs = n_cols / n_taps;
            let (n_units, n_known) = match axis {
                Axis::Rows => (n_rows, n_inputs),
                Axis::Columns => (n_inputs, n_rows),
            };
            SideShape { axis, n_cols, n_taps, n_units, n_known }
        };
        let left = shape(tensor.n_rows.0, tensor.n_cols.0);
        let right = shape(tensor.n_rows.1, tensor.n_cols.1);
        let is_of_width = (left.n_known, right.n_known) == width && left.fits() && right.fits();
        let n_partners = order.partners.len();
        if !is_of_width
            || left.n_units.min(right.n_units) < FEWEST_UNITS
            || n_partners * n_taps < FEWEST_FEATURES
        {
            return None;
        }
        let partners = order.partners.iter();
        let (of_left, of_right): (Vec<_>, Vec<_>) =
            partners.map(|&(left, right, sign)| ((left as usize, 1.0), (right as usize, sign))).unzip();
        Some(Arranged {
            left: SideView::new(left, &tensor.left, &of_left),
            right: SideView::new(right, &tensor.right, &of_right),
        })
    }

    fn n_units(&self) -> Sizes {
        (self.left.shape.n_units, self.right.shape.n_units)
    }

    /// How far the lengths of known slices are from one factor for all.
    fn scale_spread(&self) -> f64 {
        let factors = self.left.known.iter().zip(&self.right.known);
        let ratios = factors.map(|((_, left), (_, right))| f64::from(left / right).abs().ln());
        half_quartile_distance(ratios.filter(|ratio| ratio.is_finite()).collect())
    }
}

/// How many numbers of each of n_known inputs a row of a plain matrix reads.
fn taps(n_cols: usize, n_known: usize) -> Option<usize> {
    let is_whole = n_cols == n_known || is_taps(n_cols as u64, n_known as u64);
    is_whole.then(|| n_cols / n_known)
}

/// Where the numbers of one side lie.
#[derive(Clone, Copy)]
struct SideShape {
    axis: Axis,
    n_cols: usize,
    n_taps: usize,
    n_units: usize,
    n_known: usize,
}

impl SideShape {
    /// Inputs and taps make whole rows.
    fn fits(&self) -> bool {
        self.n_cols.is_multiple_of(self.n_taps)
    }

    fn place(&self, unit: usize, known: usize) -> usize {
        match self.axis {
            Axis::Rows => unit * self.n_cols + known * self.n_taps,
            Axis::Columns => known * self.n_cols + unit * self.n_taps,
        }
    }
}

/// Units and rows that are copied together: one line of a cache holds their numbers.
const COPIED: usize = 16;

/// One side: its known units in the order of the partners, each with the factor that brings its slice to length 1 over all units,
/// times its sign.
struct SideView<'a> {
    shape: SideShape,
    values: &'a [f32],
    known: Vec<(usize, f32)>,
}

impl<'a> SideView<'a> {
    fn new(shape: SideShape, values: &'a [f32], partners: &[(usize, f32)]) -> SideView<'a> {
        let factors = |partners: &[(usize, f32)]| -> Vec<(usize, f32)> {
            let mut sums = vec![0.0_f64; partners.len()];
            for unit in 0..shape.n_units {
                for (sum, (known, _)) in sums.iter_mut().zip(partners) {
                    let place = shape.place(unit, *known);
                    let numbers = values[place..place + shape.n_taps].iter();
                    *sum += numbers.map(|value| f64::from(finite(*value)).powi(2)).sum::<f64>();
                }
            }
            let partners = partners.iter().zip(sums);
            partners
                .map(|(&(known, sign), sum)| {
                    let factor = f64::from(sign) / sum.sqrt();
                    // a slice of zeros says nothing
                    (known, if factor.is_finite() { factor as f32 } else { 0.0 })
                })
                .collect()
        };
        let known = partners.par_chunks(COPIED).flat_map_iter(factors).collect();
        SideView { shape, values, known }
    }

    /// Every `step`-th unit by every second known unit from `first` on (`half`), or by all: [units, known · taps].
    fn features(&self, step: usize, half: Option<usize>) -> Matrix {
        let shape = &self.shape;
        let (first, every) = half.map_or((0, 1), |first| (first, 2));
        let known: Vec<(usize, f32)> = self.known.iter().copied().skip(first).step_by(every).collect();
        let units: Vec<usize> = (0..shape.n_units).step_by(step).collect();
        let n_features = known.len() * shape.n_taps;
        let mut out = vec![0.0_f32; units.len() * n_features];
        let rows = out.par_chunks_mut((COPIED * n_features).max(1)).zip(units.par_chunks(COPIED));
        rows.for_each(|(rows, units)| {
            for (at, &(known, factor)) in known.iter().enumerate() {
                for (row, &unit) in rows.chunks_exact_mut(n_features).zip(units) {
                    let place = shape.place(unit, known);
                    let numbers = &self.values[place..place + shape.n_taps];
                    let features = &mut row[at * shape.n_taps..(at + 1) * shape.n_taps];
                    for (feature, value) in features.iter_mut().zip(numbers) {
                        *feature = finite(*value) * factor;
                    }
                }
            }
        });
        Matrix::from_f32(units.len(), n_features, out)
    }
}

/// Damaged numbers are left out of the sums.
fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

/// Partners by the whole of the known axis, and how many have the same one by each half of it.
struct Looked {
    partners: Vec<(u32, u32, f32)>,
    agreement: Agreement,
    median_cosine: f64,
}

/// None where it would cost more than is left. A sample of the left units decides whether all are looked at: most orders are tried on
/// tensors that they are not about.
fn look(
    backend: &Backend,
    sides: &Arranged<'_>,
    max_flop: u64,
    flop: &mut u64,
) -> Result<Option<Looked>, Error> {
    let (n_left, n_right) = sides.n_units();
    let n_known = sides.left.known.len();
    let n_features = n_known * sides.left.shape.n_taps;
    let mut pays = |n_units: usize, n_features: usize| {
        let cost = 2 * (n_units * n_right * n_features) as u64;
        let is_paid = *flop + cost <= max_flop;
        *flop += if is_paid { cost } else { 0 };
        is_paid
    };
    let multiplied = |left: &Matrix, right: &Matrix| -> Result<AllPairs, Error> {
        Ok(all_pairs::all_pairs(backend, left, right, Ranking::Magnitude, Keep::Partners)?)
    };
    let product = |step: usize, half: usize| {
        multiplied(&sides.left.features(step, Some(half)), &sides.right.features(1, Some(half)))
    };
    let can_be_halved = n_known >= HALVED;
    let step = n_left / SAMPLED_UNITS;
    if can_be_halved && step >= 2 {
        if !pays(n_left.div_ceil(step), n_features) {
            return Ok(None);
        }
        let mut agreement = Agreement { n_agreeing: 0, n_in_place: 0, n_units: 0 };
        let (first, second) = (product(step, 0)?.rows, product(step, 1)?.rows);
        for (at, (first, second)) in first.iter().zip(&second).enumerate() {
            let (Some(first), Some(second)) = (first.index, second.index) else { continue };
            agreement.n_units += 1;
            agreement.n_agreeing += usize::from(first == second);
            agreement.n_in_place += usize::from(first == second && first as usize == at * step);
        }
        if agreement.share() < FOLLOWED_SHARE {
            return Ok(Some(Looked { partners: Vec::new(), agreement, median_cosine: 0.0 }));
        }
    }
    if !pays(n_left, 2 * n_features) {
        return Ok(None);
    }
    let (left, right) = (sides.left.features(1, None), sides.right.features(1, None));
    let whole = multiplied(&left, &right)?;
    let agreement = if n_known >= 2 {
        agreement(&product(1, 0)?, &product(1, 1)?)
    } else {
        Agreement { n_agreeing: 0, n_in_place: 0, n_units: n_left }
    };
    let mut found = Vec::new();
    let mut cosines = Vec::new();
    for (row, column) in partners(&whole).into_iter().enumerate() {
        let Some(column) = column else { continue };
        let numbers = (0..n_features).map(|k| (left.at(row, k), right.at(column as usize, k)));
        let dot: f64 = numbers.map(|(a, b)| f64::from(a) * f64::from(b)).sum();
        found.push((u32::try_from(row).unwrap_or(u32::MAX), column, if dot < 0.0 { -1.0 } else { 1.0 }));
        cosines.push(f64::from(whole.rows[row].score));
    }
    let median_cosine = median(&cosines).unwrap_or(0.0);
    Ok(Some(Looked { partners: found, agreement, median_cosine }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::numerics::Rng;

    /// A tensor of one model: rows, inputs, taps of a filter, values.
    struct Weights {
        n_rows: usize,
        n_inputs: usize,
        n_taps: usize,
        values: Vec<f32>,
    }

    /// Colours → 24 → 40 → 32 → 12 classes, filters of nine taps and one plain matrix.
    fn network(seed: u64) -> Vec<Weights> {
        let mut rng = Rng::new(&[seed]);
        [(24, 3, 9), (40, 24, 9), (32, 40, 9), (12, 32, 1)]
            .into_iter()
            .map(|(n_rows, n_inputs, n_taps)| {
                let values = (0..n_rows * n_inputs * n_taps).map(|_| rng.normal() as f32).collect();
                Weights { n_rows, n_inputs, n_taps, values }
            })
            .collect()
    }

    /// The units of every hidden axis in another order, some with the other sign, each with a factor of its own; noise of a tenth.
    fn disguised(network: &[Weights], seed: u64) -> Vec<Weights> {
        let mut rng = Rng::new(&[seed]);
        let mut inputs: Vec<(usize, f32)> = (0..network[0].n_inputs).map(|input| (input, 1.0)).collect();
        let mut out = Vec::new();
        for (idx, tensor) in network.iter().enumerate() {
            let mut rows: Vec<(usize, f32)> = (0..tensor.n_rows).map(|row| (row, 1.0)).collect();
            if idx + 1 < network.len() {
                rng.shuffle(&mut rows);
                for (_, factor) in &mut rows {
                    *factor = ((rng.unit() + 0.5) * if rng.below(2) == 0 { 1.0 } else { -1.0 }) as f32;
                }
            }
            let mut values = Vec::new();
            for &(row, factor) in &rows {
                for &(input, of_input) in &inputs {
                    for tap in 0..tensor.n_taps {
                        let value = tensor.values[(row * tensor.n_inputs + input) * tensor.n_taps + tap];
                        values.push((value + 0.1 * rng.normal() as f32) * factor / of_input);
                    }
                }
            }
            out.push(Weights { values, ..*tensor });
            inputs = rows;
        }
        out
    }

    fn followed(left: &[Weights], right: &[Weights], max_flop: u64) -> (Chain, u64) {
        let tensors = left.iter().zip(right).enumerate().map(|(id, (left, right))| ChainTensor {
            id,
            n_rows: (left.n_rows, right.n_rows),
            n_cols: (left.n_inputs * left.n_taps, right.n_inputs * right.n_taps),
            n_taps: (left.n_taps > 1).then_some(left.n_taps),
            left: left.values.clone(),
            right: right.values.clone(),
        });
        let mut flop = 0;
        let backend = Backend::Cpu(Cpu::detect());
        let chain = unit_chain(&backend, &tensors.collect::<Vec<_>>(), max_flop, &mut flop)
            .expect("the CPU does not fail");
        (chain, flop)
    }

    #[test]
    fn units_in_another_order_of_another_length_and_sign_are_followed_through_the_net() {
        let net = network(1);
        let (chain, _) = followed(&net, &disguised(&net, 2), u64::MAX);
        let reached: Vec<usize> = chain.links.iter().map(|link| link.id).collect();
        assert_eq!(reached, [1, 2, 3], "{:?}", chain.links);
        for link in &chain.links {
            assert_eq!(link.agreement.n_agreeing, link.agreement.n_units, "{link:?}");
            // noise of a tenth, factors from a half to three halves: the quartiles lie at .75 and 1.25, ln of their ratio is .51
            assert!(link.median_cosine > 0.95 && (0.15..0.4).contains(&link.scale_spread), "{link:?}");
        }
        let orders = &chain.orders[&(40, 40)];
        assert_eq!((orders.len(), orders[0].partners.len()), (1, 40));
        let n_flipped = orders[0].partners.iter().filter(|(_, _, sign)| *sign < 0.0).count();
        assert!((8..32).contains(&n_flipped), "half of 40 signs: {n_flipped}");
    }

    #[test]
    fn independent_nets_and_nets_in_place_have_no_order_in_common() {
        let net = network(1);
        let (chain, _) = followed(&net, &disguised(&network(3), 2), u64::MAX);
        for link in &chain.links {
            // a quarter of a unit agrees by chance; eight or more of 40 once in 10^12
            assert!(link.agreement.n_agreeing < 8, "{link:?}");
        }
        let (chain, _) = followed(&net, &network(1), u64::MAX);
        assert_eq!((chain.links.len(), chain.orders.len()), (0, 0));
    }

    #[test]
    fn flipped_signs_of_units_in_place_are_an_order_of_their_own() {
        let net = network(1);
        let mut flipped: Vec<Weights> =
            net.iter().map(|tensor| Weights { values: tensor.values.clone(), ..*tensor }).collect();
        for tensor in &mut flipped[..3] {
            tensor.values.iter_mut().for_each(|value| *value = -*value);
        }
        let (chain, _) = followed(&net, &flipped, u64::MAX);
        assert_eq!(chain.links.len(), 3);
        for link in &chain.links {
            assert_eq!(link.agreement.n_in_place, link.agreement.n_units, "{link:?}");
        }
    }

    #[test]
    fn units_that_were_cut_are_followed() {
        let net = network(1);
        let (mut cut, mut kept_inputs) = (Vec::new(), vec![0, 1, 2]);
        for (idx, tensor) in net.iter().enumerate() {
            let last = idx + 1 == net.len();
            let kept: Vec<usize> = (0..tensor.n_rows).filter(|row| last || row % 3 != 0).collect();
            let row = tensor.n_inputs * tensor.n_taps;
            let values = kept.iter().flat_map(|&unit| {
                let place = move |input: usize| unit * row + input * tensor.n_taps;
                kept_inputs
                    .iter()
                    .flat_map(move |&input| &tensor.values[place(input)..place(input) + tensor.n_taps])
            });
            let values = values.copied().collect();
            cut.push(Weights { n_rows: kept.len(), n_inputs: kept_inputs.len(), values, ..*tensor });
            kept_inputs = kept;
        }
        let (chain, _) = followed(&net, &cut, u64::MAX);
        assert_eq!(chain.links.len(), 3);
        for link in &chain.links {
            assert_eq!(link.agreement.n_agreeing, link.width.1, "{link:?}");
        }
    }

    #[test]
    fn operations_are_bounded_and_damaged_units_are_left_out() {
        let net = network(1);
        let (chain, flop) = followed(&net, &disguised(&net, 2), 100_000);
        assert!(flop <= 100_000 && chain.links.is_empty(), "{flop}");
        let mut damaged = disguised(&net, 2);
        damaged[1].values[..24 * 9].fill(f32::NAN);
        let (chain, _) = followed(&net, &damaged, u64::MAX);
        assert_eq!(chain.links.len(), 3);
        assert!(chain.links[0].agreement.n_agreeing >= 38, "{:?}", chain.links);
    }
}
