//! S7 where there are no layers and no tokens: units in another order, followed through the net, where everything else is silent.

use super::plain::{constants, is_bias};
use std::collections::HashMap;

use crate::align::Alignment;
use crate::canonical::{CanonicalPart, Group};
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::evidence::{ChainEvidence, weigh_chain};
use crate::kernels::Backend;
use crate::measure::constants::{MIN_LENGTH, TrainedConstants, trained_constants};
use crate::measure::families::hidden_widths;
use crate::measure::unit_chain::{Chain, ChainTensor, Sizes, UnitOrder, unit_chain};
use crate::measure::units::load_vector;
use crate::stream::{ReadMeter, RowPairing, StoredView, read_rows};

/// Largest tensor that is looked at, and elements of a side in all: 128 MiB of f32.
const MAX_ELEMENTS: u64 = 1 << 23;
const MAX_ALL_ELEMENTS: u64 = 1 << 25;
/// Operations at `standard`: seconds on two cores; ten times as many at `full`.
const MAX_FLOP: u64 = 400_000_000_000;

/// What was followed.
pub(in crate::compare) struct ChainStage {
    pub(in crate::compare) evidence: ChainEvidence,
    /// The tensors found, each with the share of its units.
    pub(in crate::compare) found: Vec<(Candidate, f64)>,
}

/// None at `quick`, under `--only`, or where an order reached no tensor.
pub(in crate::compare) fn follow_units(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Option<ChainStage>, Error> {
    let max_flop = match options.effort {
        Effort::Quick => return Ok(None),
        Effort::Standard => MAX_FLOP,
        Effort::Full => 10 * MAX_FLOP,
    };
    if options.only.is_some() {
        return Ok(None);
    }
    let candidates = candidates(pair, alignment);
    let mut tensors = Vec::new();
    let mut n_elements = 0;
    for (id, candidate) in candidates.iter().enumerate() {
        let n_more = candidate.n_elements(pair);
        if n_more <= MAX_ELEMENTS && n_elements + n_more <= MAX_ALL_ELEMENTS {
            n_elements += n_more;
            tensors.push(load(pair, id, candidate, meter)?);
        }
    }
    let n_left_out = candidates.len() - tensors.len();
    let mut flop = 0;
    let chain = unit_chain(backend, &tensors, max_flop, &mut flop)?;
    drop(tensors);
    let matrices = |side| pair.parts(side).iter().filter(|part| part.n_dimensions >= 2);
    let hidden = (hidden_widths(matrices(Side::Left)), hidden_widths(matrices(Side::Right)));
    let is_hidden =
        |width: Sizes| hidden.0.contains(&(width.0 as u64)) && hidden.1.contains(&(width.1 as u64));
    let mut evidence = weigh_chain(&chain, &is_hidden);
    evidence.n_left_out = n_left_out;
    if evidence.n_found > 0 {
        evidence.constants = constants_in_order(pair, alignment, &chain, &evidence, meter)?;
    }
    clock.stage("unit chain", flop);
    let found = evidence.found.iter().map(|&(id, share)| (candidates[id], share)).collect();
    let says_something = !chain.links.is_empty() || evidence.rescaled_in_place.is_some();
    Ok(says_something.then_some(ChainStage { evidence, found }))
}

/// Tensors of both models that may be one: as they were paired, and those of one name of which a side has fewer units.
#[derive(Clone, Copy, Debug)]
pub(in crate::compare) struct Candidate {
    /// Index into the alignment's pairs; None of those that differ in shape.
    pub(in crate::compare) pair: Option<usize>,
    pub(in crate::compare) left: usize,
    pub(in crate::compare) right: usize,
}

impl Candidate {
    /// Elements of the larger side.
    fn n_elements(&self, pair: &Pair<'_>) -> u64 {
        let of = |side, idx| pair.part(side, idx).stored.view.n_elements();
        of(Side::Left, self.left).max(of(Side::Right, self.right))
    }

    pub(in crate::compare) fn group(&self, pair: &Pair<'_>) -> Group {
        Group::of(pair.part(Side::Right, self.right).role.as_ref())
    }
}

fn candidates(pair: &Pair<'_>, alignment: &Alignment) -> Vec<Candidate> {
    let is_matrix = |part: &CanonicalPart| {
        part.n_dimensions >= 2 && part.stored.view.n_rows > 1 && !part.role.is_some_and(|role| role.is_bias)
    };
    let paired = alignment.pairs.iter().enumerate().filter(|(_, paired)| {
        let (left, right) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let (l, r) = (&left.stored.view, &right.stored.view);
        let is_whole = matches!(paired.rows, RowPairing::Same);
        is_matrix(right) && is_whole && (l.n_rows, l.n_cols) == (r.n_rows, r.n_cols)
    });
    let mut found: Vec<Candidate> = paired
        .map(|(idx, paired)| Candidate { pair: Some(idx), left: paired.left, right: paired.right })
        .collect();
    let unpaired = |side: Side| {
        let of_side = alignment.unpaired.iter().filter(move |unpaired| unpaired.side == side);
        of_side.map(move |unpaired| (unpaired.part, pair.part(side, unpaired.part)))
    };
    // a tensor that was cut in several has its views under one name; which of them is meant, shapes would have said
    let lefts: HashMap<&str, usize> = unpaired(Side::Left)
        .filter(|(_, part)| is_matrix(part))
        .map(|(idx, part)| (pair.name(Side::Left, part), idx))
        .collect();
    for (right, part) in unpaired(Side::Right).filter(|(_, part)| is_matrix(part)) {
        let Some(&left) = lefts.get(pair.name(Side::Right, part)) else { continue };
        let other = pair.part(Side::Left, left);
        if other.role == part.role && taps(pair, Side::Left, other) == taps(pair, Side::Right, part) {
            found.push(Candidate { pair: None, left, right });
        }
    }
    found
}

/// Taps of a filter [outputs, inputs, taps …]; None of a matrix.
fn taps(pair: &Pair<'_>, side: Side, part: &CanonicalPart) -> Option<usize> {
    let shape = &pair.entry(side, part).shape;
    let n_taps: u64 = shape.iter().skip(2).product();
    let view = &part.stored.view;
    let is_filter = shape.len() > 2 && shape[0] == view.n_rows && shape[1] * n_taps == view.n_cols;
    is_filter.then(|| size(n_taps))
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn load(pair: &Pair<'_>, id: usize, candidate: &Candidate, meter: &ReadMeter) -> Result<ChainTensor, Error> {
    let (left, right) = (pair.part(Side::Left, candidate.left), pair.part(Side::Right, candidate.right));
    let values = |stored: &StoredView| -> Result<Vec<f32>, Error> {
        let rows: Vec<u64> = (0..stored.view.n_rows).collect();
        let matrix = read_rows(stored, &rows, 0..stored.view.n_cols, meter)?;
        let places = (0..matrix.n_rows).flat_map(|row| (0..matrix.n_cols).map(move |col| (row, col)));
        Ok(places.map(|(row, col)| matrix.at(row, col)).collect())
    };
    let (l, r) = (&left.stored.view, &right.stored.view);
    Ok(ChainTensor {
        id,
        n_rows: (size(l.n_rows), size(r.n_rows)),
        n_cols: (size(l.n_cols), size(r.n_cols)),
        n_taps: taps(pair, Side::Right, right),
        left: values(&left.stored)?,
        right: values(&right.stored)?,
    })
}

/// Gains and biases, each in the order among those of its length in which it is most alike.
fn constants_in_order(
    pair: &Pair<'_>,
    alignment: &Alignment,
    chain: &Chain,
    evidence: &ChainEvidence,
    meter: &ReadMeter,
) -> Result<Option<TrainedConstants>, Error> {
    let (mut gains, mut biases) = (Vec::new(), Vec::new());
    for idx in constants(pair, alignment) {
        let paired = &alignment.pairs[idx];
        let (left, right) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
        let length = right.stored.view.n_elements();
        let Ok(n_units) = usize::try_from(length) else { continue };
        if length < MIN_LENGTH || left.stored.view.n_elements() != length {
            continue;
        }
        let values = (load_vector(&left.stored, 0.0, meter)?, load_vector(&right.stored, 0.0, meter)?);
        let in_place = UnitOrder::in_place(n_units);
        let orders = chain.orders.get(&(n_units, n_units)).into_iter().flatten().chain([&in_place]);
        let best =
            orders.filter_map(|order| order.centred_cosine(&values.0, &values.1)).max_by(f64::total_cmp);
        let list = if is_bias(pair, right) { &mut biases } else { &mut gains };
        list.push((length, best));
    }
    Ok(trained_constants(&gains, &biases, &[evidence.median_cosine]))
}
