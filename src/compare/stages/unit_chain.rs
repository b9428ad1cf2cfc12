//! S7 where there are no layers and no tokens: units in another order, followed through the net, where everything else is silent.

use super::plain::{constants, is_bias};
use crate::align::{Alignment, PairedPart};
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Side};
use crate::evidence::{ChainEvidence, weigh_chain};
use crate::kernels::Backend;
use crate::measure::constants::{MIN_LENGTH, TrainedConstants, trained_constants};
use crate::measure::families::hidden_widths;
use crate::measure::unit_chain::{Chain, ChainTensor, UnitOrder, unit_chain};
use crate::measure::units::load_vector;
use crate::stream::{ReadMeter, RowPairing, StoredView, read_rows};

/// Largest tensor that is looked at, and elements of a side in all: 128 MiB of f32.
const MAX_ELEMENTS: u64 = 1 << 23;
const MAX_ALL_ELEMENTS: u64 = 1 << 25;
/// Operations at `standard`: seconds on two cores; ten times as many at `full`.
const MAX_FLOP: u64 = 400_000_000_000;

/// None at `quick`, under `--only`, or where an order reached no tensor.
pub(in crate::compare) fn follow_units(
    backend: &Backend,
    pair: &Pair<'_>,
    alignment: &Alignment,
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
) -> Result<Option<ChainEvidence>, Error> {
    let max_flop = match options.effort {
        Effort::Quick => return Ok(None),
        Effort::Standard => MAX_FLOP,
        Effort::Full => 10 * MAX_FLOP,
    };
    if options.only.is_some() {
        return Ok(None);
    }
    let mut tensors = Vec::new();
    let mut n_elements = 0;
    for (idx, paired) in alignment.pairs.iter().enumerate() {
        let view = &pair.part(Side::Right, paired.right).stored.view;
        let n_more = view.n_elements();
        if is_looked_at(pair, paired) && n_more <= MAX_ELEMENTS && n_elements + n_more <= MAX_ALL_ELEMENTS {
            n_elements += n_more;
            tensors.push(load(pair, idx, paired, meter)?);
        }
    }
    let mut flop = 0;
    let chain = unit_chain(backend, &tensors, max_flop, &mut flop)?;
    drop(tensors);
    let matrices = |side| pair.parts(side).iter().filter(|part| part.n_dimensions >= 2);
    let hidden = (hidden_widths(matrices(Side::Left)), hidden_widths(matrices(Side::Right)));
    let is_hidden = |width: usize| hidden.0.contains(&(width as u64)) && hidden.1.contains(&(width as u64));
    let mut evidence = weigh_chain(&chain, &is_hidden);
    if evidence.n_found > 0 {
        evidence.constants = constants_in_order(pair, alignment, &chain, &evidence, meter)?;
    }
    clock.stage("unit chain", flop);
    Ok((!chain.links.is_empty()).then_some(evidence))
}

/// A whole matrix or filter of equal shape on both sides.
fn is_looked_at(pair: &Pair<'_>, paired: &PairedPart) -> bool {
    let (left, right) = (pair.part(Side::Left, paired.left), pair.part(Side::Right, paired.right));
    let (l, r) = (&left.stored.view, &right.stored.view);
    let is_matrix = right.n_dimensions >= 2 && r.n_rows > 1 && !right.role.is_some_and(|role| role.is_bias);
    let is_whole = matches!(paired.rows, RowPairing::Same);
    is_matrix && is_whole && (l.n_rows, l.n_cols) == (r.n_rows, r.n_cols)
}

fn load(pair: &Pair<'_>, idx: usize, paired: &PairedPart, meter: &ReadMeter) -> Result<ChainTensor, Error> {
    let part = pair.part(Side::Right, paired.right);
    let view = &part.stored.view;
    let shape = &pair.entry(Side::Right, part).shape;
    let n_taps: u64 = shape.iter().skip(2).product();
    let is_filter = shape.len() > 2 && shape[0] == view.n_rows && shape[1] * n_taps == view.n_cols;
    let values = |stored: &StoredView| -> Result<Vec<f32>, Error> {
        let rows: Vec<u64> = (0..stored.view.n_rows).collect();
        let matrix = read_rows(stored, &rows, 0..stored.view.n_cols, meter)?;
        let places = (0..matrix.n_rows).flat_map(|row| (0..matrix.n_cols).map(move |col| (row, col)));
        Ok(places.map(|(row, col)| matrix.at(row, col)).collect())
    };
    let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(ChainTensor {
        pair: idx,
        n_rows: size(view.n_rows),
        n_cols: size(view.n_cols),
        n_taps: is_filter.then_some(size(n_taps)),
        left: values(&pair.part(Side::Left, paired.left).stored)?,
        right: values(&part.stored)?,
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
        let orders = chain.orders.get(&n_units).into_iter().flatten().chain([&in_place]);
        let best =
            orders.filter_map(|order| order.centred_cosine(&values.0, &values.1)).max_by(f64::total_cmp);
        let list = if is_bias(pair, right) { &mut biases } else { &mut gains };
        list.push((length, best));
    }
    Ok(trained_constants(&gains, &biases, &[evidence.median_cosine]))
}
