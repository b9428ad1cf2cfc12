//! Runs S2 (and S3 on the same products) on one family of units: read, multiply, test.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::agreement::{Agreement, agreement};
use super::families::{Family, Kind};
use super::fixed_patterns::{is_fixed, is_tied, level_own};
use super::trace::{BLOCK_UNITS, Exchange, Trace, trace_test};
use super::units::{Axis, UnitMatrix, load_units, load_vector, read_of_units, side_by_side, whole_units};
use crate::align::{Alignment, PairedPart};
use crate::canonical::{CanonicalModel, CanonicalPart, gain_of};
use crate::kernels::{Backend, all_pairs, moments, permuted_traces};
use crate::numerics::Rng;
use crate::reductions::{AllPairs, Elements, Keep, PairMoments, Ranking};
use crate::roles::Graph;
use crate::stream::{Error, ReadMeter, RowPairing, RowRead, expect_rows};
use crate::tensor::Matrix;

/// How much of a family is read.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Units drawn, at most 4,096.
    pub max_units: usize,
    /// Elements read of a matrix whose rows are units: wide models are asked for fewer units, since z grows with the root of
    /// units × features.
    pub max_row_elements: u64,
    /// Which ones.
    pub draw: Draw,
    /// Output rows that serve as features of units that are columns.
    pub max_feature_rows: usize,
    /// Permutations of one test.
    pub max_permutations: u64,
}

/// Which units and tokens a test looks at. Any choice that does not depend on the weights keeps the test exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Drawn by seed from all.
    Scattered,
    /// The last units, and a window of tokens that begins where the seed says: each matrix is read in one run, and what
    /// stands behind it in the file comes along.
    Consecutive,
}

/// One model of the pair with what reading needs.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// Its parts.
    pub canonical: &'a CanonicalModel,
    /// Its graph.
    pub graph: &'a Graph,
}

/// What came of one family.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exact test.
    pub trace: Trace,
    /// Tests on two disjoint halves of the tokens (residual dimensions only).
    pub halves: Option<[Trace; 2]>,
    /// Agreement of two matrices of the family, where all units were read.
    pub agreement: Option<Agreement>,
    /// Element sums of the first member's rows that were read, for the plain picture of a sampled run.
    pub sampled_moments: Vec<(usize, PairMoments)>,
    /// Floating-point operations of the products.
    pub flop: u64,
    /// The family was tested: all values are finite, and not every matrix of it is a mask or made by a formula.
    pub is_tested: bool,
}

/// Tests one family. The same seed draws the same units and the same permutations on every backend.
///
/// # Errors
/// A read or the device failed.
pub fn test_family(
    backend: &Backend,
    (left, right): (Model<'_>, Model<'_>),
    alignment: &Alignment,
    family: &Family,
    budget: &Budget,
    labels: &[u64],
    meter: &ReadMeter,
) -> Result<Outcome, Error> {
    let mut rng = Rng::new(labels);
    let most = most_units(family.n_units, widest_rows(right.canonical, alignment, family), budget);
    let units = draw_units(family, most, budget.draw, &mut rng);
    let n = units.len();
    let is_sample = (n as u64) < family.n_units;
    let tested = if is_sample { inside_groups(family, n) } else { family.exchange };
    let features: Vec<(Vec<u64>, Vec<u64>)> = family
        .members
        .iter()
        .map(|member| {
            let pair = &alignment.pairs[member.pair];
            draw_features(family, pair, &right.canonical.parts[pair.right], budget, &mut rng)
        })
        .collect();
    expect_rows(&reads((left, right), alignment, family, &units, &features))?;
    let mut views: Vec<AllPairs> = Vec::new();
    let mut halves: [Vec<Vec<f32>>; 2] = [Vec::new(), Vec::new()];
    let (mut flop, mut is_finite, mut sampled_moments) = (0, true, Vec::new());
    // by one table, whose dimensions are those of the others too
    let mut is_tied_to_tokens = false;
    for (member, features) in family.members.iter().zip(&features) {
        let pair = &alignment.pairs[member.pair];
        let (part_l, part_r) = (&left.canonical.parts[pair.left], &right.canonical.parts[pair.right]);
        let load = |part: &CanonicalPart, rows: &[u64]| {
            load_member(part, member.axis, &units, member.blocks_per_group, family, rows, meter)
        };
        let mut a = load(part_l, &features.0)?;
        let mut b = load(part_r, &features.1)?;
        let sums = moments::moments(backend, in_memory(&a), in_memory(&b))?;
        is_finite &= sums.n_non_finite_a == 0 && sums.n_non_finite_b == 0;
        sampled_moments.push((member.pair, sums));
        if family.kind == Kind::ResidualDimensions
            && is_tied(&a, &units, own_columns(part_l, member.axis, family, &features.0))
            && is_tied(&b, &units, own_columns(part_r, member.axis, family, &features.1))
        {
            is_tied_to_tokens = true;
            continue;
        }
        if member.blocks_per_group == 1 {
            level_own(&mut a, &units, own_columns(part_l, member.axis, family, &features.0));
            level_own(&mut b, &units, own_columns(part_r, member.axis, family, &features.1));
        }
        if is_fixed(&a, &b) {
            continue;
        }
        if family.kind == Kind::ResidualDimensions {
            let cut = a.n_cols / 2;
            for (half, range) in [(0, 0..cut), (1, cut..a.n_cols)] {
                let (a, b) = (columns(&a, range.clone()), columns(&b, range));
                let pairs = all_pairs::all_pairs(backend, &a, &b, Ranking::Signed, Keep::Scores)?;
                flop += 2 * (n * n * a.n_cols) as u64;
                halves[half].push(pairs.scores.unwrap_or_default());
            }
            continue;
        }
        if member.axis == Axis::Rows {
            fold_gain(left, part_l, &mut a, meter)?;
            fold_gain(right, part_r, &mut b, meter)?;
        }
        // the first matrix names a partner by its signed cosine; later ones may carry a flipped sign
        let ranking = if views.is_empty() { Ranking::Signed } else { Ranking::Magnitude };
        views.push(match tested.group_size() {
            Some(group_size) if is_sample => group_scores(backend, &a, &b, ranking, group_size, &mut flop)?,
            _ => {
                flop += 2 * (n * n * a.n_cols) as u64;
                all_pairs::all_pairs(backend, &a, &b, ranking, Keep::Scores)?
            }
        });
    }
    let mut outcome =
        Outcome { trace: silent(n), halves: None, agreement: None, sampled_moments, flop, is_tested: false };
    if !is_finite || is_tied_to_tokens || (views.is_empty() && halves[0].is_empty()) {
        return Ok(outcome);
    }
    outcome.is_tested = true;
    if n < 2 {
        return Ok(outcome);
    }
    let test = |scores: &[f32], label: u64| {
        let mut rng = Rng::new(&[labels, &[label]].concat());
        let mut traces = |orders: &[u32]| permuted_traces::permuted_traces(backend, scores, n, orders);
        trace_test(scores, n, tested, budget.max_permutations, &mut rng, &mut traces)
    };
    if family.kind == Kind::ResidualDimensions {
        let [first, second] = halves.map(|scores| mean_scores(&scores, n));
        outcome.halves = Some([test(&first, 1)?, test(&second, 2)?]);
        outcome.trace = test(&mean_scores(&[first, second], n), 0)?;
        return Ok(outcome);
    }
    let scores: Vec<Vec<f32>> = views.iter_mut().map(|view| view.scores.take().unwrap_or_default()).collect();
    outcome.trace = test(&mean_scores(&scores, n), 0)?;
    if !is_sample && let [first, second, ..] = &views[..] {
        outcome.agreement = Some(agreement(first, second));
    }
    Ok(outcome)
}

/// Units of a sample that change places with each other. Orders inside groups are a subgroup of all orders, so the test stays
/// exact; the variance of T loses one part in 256 of its terms; and only the scores inside groups have to be multiplied.
const GROUP_UNITS: usize = 256;
/// Groups of fewer units would lose too much of it.
const FEWEST_GROUP_UNITS: usize = 64;
/// However wide the matrices, so many units are drawn: the bound then reaches (1/8!)¹⁶ = 1e-73.
const FEWEST_SAMPLED_UNITS: usize = 128;

/// Which orders a sample of the units is tested under.
fn inside_groups(family: &Family, n: usize) -> Exchange {
    match family.exchange {
        // its scores are tested as halves and as a whole: products of few features, cheap
        exchange if family.kind == Kind::ResidualDimensions => exchange,
        Exchange::Free if n.is_multiple_of(GROUP_UNITS) => Exchange::Blocks { group_size: GROUP_UNITS },
        Exchange::Wreath { group_size } if group_size >= FEWEST_GROUP_UNITS => {
            Exchange::Blocks { group_size }
        }
        exchange => exchange,
    }
}

/// Scores inside groups of consecutive units, zeros elsewhere, [n, n]. No partners: those need all scores.
pub(super) fn group_scores(
    backend: &Backend,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    group_size: usize,
    flop: &mut u64,
) -> Result<AllPairs, Error> {
    let n = a.n_rows;
    let mut scores = vec![0.0_f32; n * n];
    for first in (0..n).step_by(group_size) {
        let end = (first + group_size).min(n);
        let (of_a, of_b) = (a.row_range(first..end), b.row_range(first..end));
        *flop += 2 * ((end - first) * (end - first) * a.n_cols) as u64;
        let found = all_pairs::all_pairs(backend, &of_a, &of_b, ranking, Keep::Scores)?;
        for (row, found) in (first..end).zip(found.scores.unwrap_or_default().chunks_exact(end - first)) {
            scores[row * n + first..row * n + end].copy_from_slice(found);
        }
    }
    Ok(AllPairs { rows: Vec::new(), columns: Vec::new(), sum: 0.0, sum_squares: 0.0, scores: Some(scores) })
}

fn silent(n_units: usize) -> Trace {
    Trace {
        n_units,
        mean_diagonal: 0.0,
        mean_expected: 0.0,
        variance: 0.0,
        z: 0.0,
        ln_p: 0.0,
        ln_p_floor: 0.0,
        n_permutations: 0,
    }
}

/// What the test of a family is about to read of both models: its matrices, and the gains that are folded into them.
fn reads(
    (left, right): (Model<'_>, Model<'_>),
    alignment: &Alignment,
    family: &Family,
    units: &[u64],
    features: &[(Vec<u64>, Vec<u64>)],
) -> Vec<RowRead> {
    let mut reads = Vec::new();
    for (member, features) in family.members.iter().zip(features) {
        let pair = &alignment.pairs[member.pair];
        for (model, part, features) in [(left, pair.left, &features.0), (right, pair.right, &features.1)] {
            let part = &model.canonical.parts[part];
            if member.blocks_per_group == 1 {
                reads.push(read_of_units(&part.stored, member.axis, units, features));
            }
            if member.axis == Axis::Rows
                && let Some(gain) = part.role.and_then(|role| gain_of(model.canonical, &role))
            {
                let stored = &model.canonical.parts[gain].stored;
                reads.push(RowRead { stored: stored.clone(), rows: vec![0], columns: 0..stored.view.n_cols });
            }
        }
    }
    reads
}

/// Columns of the widest matrix of a family whose rows are units; None where units are columns alone.
fn widest_rows(right: &CanonicalModel, alignment: &Alignment, family: &Family) -> Option<u64> {
    let by_rows = family.members.iter().filter(|member| member.axis == Axis::Rows);
    by_rows.map(|member| right.parts[alignment.pairs[member.pair].right].stored.view.n_cols).max()
}

/// Units that the budget allows. A family that it can read whole stays whole: partners need every unit.
fn most_units(n_units: u64, widest_rows: Option<u64>, budget: &Budget) -> usize {
    let Some(n_cols) = widest_rows.filter(|n_cols| *n_cols > 0 && n_units > budget.max_units as u64) else {
        return budget.max_units;
    };
    let by_elements = usize::try_from(budget.max_row_elements / n_cols).unwrap_or(usize::MAX);
    // whole blocks of the bound
    let by_elements = by_elements / BLOCK_UNITS * BLOCK_UNITS;
    budget.max_units.min(by_elements.max(FEWEST_SAMPLED_UNITS))
}

/// Units of the test, of whole groups where units come in groups.
fn draw_units(family: &Family, most: usize, draw: Draw, rng: &mut Rng) -> Vec<u64> {
    let n_units = usize::try_from(family.n_units).unwrap_or(0);
    let mut chosen = |n: usize, n_drawn: usize| match draw {
        Draw::Scattered => rng.sample(n, n_drawn),
        Draw::Consecutive => (n - n_drawn.min(n)..n).collect(),
    };
    match family.exchange {
        Exchange::Free => chosen(n_units, most).into_iter().map(|unit| unit as u64).collect(),
        Exchange::Wreath { group_size } | Exchange::Blocks { group_size } => {
            let n_groups = (most / group_size).max(1);
            let groups = chosen(n_units / group_size, n_groups);
            groups
                .into_iter()
                .flat_map(|group| group * group_size..(group + 1) * group_size)
                .map(|unit| unit as u64)
                .collect()
        }
    }
}

/// Rows of the left and of the right matrix that serve as features of units that are columns.
///
/// Token tables: shared tokens drawn by seed. Others: a contiguous block, so that it is read in one run.
fn draw_features(
    family: &Family,
    pair: &PairedPart,
    right: &CanonicalPart,
    budget: &Budget,
    rng: &mut Rng,
) -> (Vec<u64>, Vec<u64>) {
    let n_rows = usize::try_from(right.stored.view.n_rows).unwrap_or(usize::MAX);
    if family.kind != Kind::ResidualDimensions {
        let n_features = n_rows.min(budget.max_feature_rows);
        let rows: Vec<u64> = (0..n_features as u64).collect();
        return (rows.clone(), rows);
    }
    let max_tokens = budget.max_feature_rows * 2;
    // half the draw is shuffled into each half of the test
    let mut draw = |n_rows: usize| {
        let mut rows = match budget.draw {
            Draw::Scattered => rng.sample(n_rows, max_tokens),
            Draw::Consecutive => {
                let n_drawn = max_tokens.min(n_rows);
                let first = rng.below(n_rows - n_drawn + 1);
                (first..first + n_drawn).collect()
            }
        };
        rng.shuffle(&mut rows);
        rows
    };
    match &pair.rows {
        RowPairing::Same => {
            let rows: Vec<u64> = draw(n_rows).into_iter().map(|row| row as u64).collect();
            (rows.clone(), rows)
        }
        RowPairing::Listed { left, right } => {
            let drawn = draw(left.len());
            let pick = |ids: &Arc<[u64]>| drawn.iter().map(|&at| ids[at]).collect();
            (pick(left), pick(right))
        }
    }
}

/// Columns of a feature matrix that stand for the number of a unit itself: the input of its number in a row (all taps of a filter), the
/// row of its number in a column.
fn own_columns(
    part: &CanonicalPart,
    axis: Axis,
    family: &Family,
    feature_rows: &[u64],
) -> impl Fn(u64) -> Range<usize> {
    let n_cols = part.stored.view.n_cols;
    let is_filter = part.n_dimensions > 2 && n_cols.is_multiple_of(family.n_units.max(1));
    let n_taps = if is_filter { n_cols / family.n_units.max(1) } else { 1 };
    let place_of: HashMap<u64, usize> = match axis {
        Axis::Rows => HashMap::new(),
        Axis::Columns => feature_rows.iter().enumerate().map(|(place, row)| (*row, place)).collect(),
    };
    move |unit| {
        let first = match axis {
            Axis::Rows => unit % (n_cols / n_taps).max(1) * n_taps,
            Axis::Columns => place_of.get(&unit).map_or(u64::MAX, |place| *place as u64),
        };
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        first..first.saturating_add(usize::try_from(n_taps).unwrap_or(1))
    }
}

fn load_member(
    part: &CanonicalPart,
    axis: Axis,
    units: &[u64],
    blocks_per_group: u64,
    family: &Family,
    feature_rows: &[u64],
    meter: &ReadMeter,
) -> Result<Matrix, Error> {
    if blocks_per_group == 1 {
        return load_units(&part.stored, axis, units, feature_rows, meter);
    }
    // channel c of KV head g is read by every query head of its group: their columns stand side by side
    let (Exchange::Wreath { group_size } | Exchange::Blocks { group_size }) = family.exchange else {
        return load_units(&part.stored, axis, units, feature_rows, meter);
    };
    let head_rows = group_size as u64;
    let mut blocks = Vec::new();
    for query_head in 0..blocks_per_group {
        let columns: Vec<u64> = units
            .iter()
            .map(|unit| {
                let (group, channel) = (unit / head_rows, unit % head_rows);
                (group * blocks_per_group + query_head) * head_rows + channel
            })
            .collect();
        blocks.push(load_units(&part.stored, axis, &columns, feature_rows, meter)?);
    }
    Ok(side_by_side(&blocks))
}

/// γ of the norm that the matrix reads becomes its column factors.
fn fold_gain(
    model: Model<'_>,
    part: &CanonicalPart,
    matrix: &mut Matrix,
    meter: &ReadMeter,
) -> Result<(), Error> {
    let Some(gain) = part.role.and_then(|role| gain_of(model.canonical, &role)) else { return Ok(()) };
    let shift = if model.graph.norm_adds_one { 1.0 } else { 0.0 };
    let factors = load_vector(&model.canonical.parts[gain].stored, shift, meter)?;
    if factors.len() == matrix.n_cols && factors.iter().all(|factor| factor.is_finite()) {
        matrix.column_scale = Some(factors);
    }
    Ok(())
}

/// The given units with all their features, γ folded into what reads a norm, [units, features].
pub(super) fn folded_units(
    model: Model<'_>,
    (part, axis): UnitMatrix<'_>,
    units: &[u64],
    meter: &ReadMeter,
) -> Result<Matrix, Error> {
    let mut matrix = whole_units((part, axis), units, meter)?;
    if axis == Axis::Rows {
        fold_gain(model, part, &mut matrix, meter)?;
    }
    Ok(matrix)
}

/// Elements as stored, before gains are folded.
fn in_memory(matrix: &Matrix) -> Elements<'_> {
    let (dtype, bytes) = matrix.as_bytes();
    Elements { dtype, bytes }
}

fn columns(matrix: &Matrix, range: std::ops::Range<usize>) -> Matrix {
    let values = (0..matrix.n_rows)
        .flat_map(|row| range.clone().map(move |col| (row, col)))
        .map(|(row, col)| matrix.at(row, col))
        .collect();
    Matrix::from_f32(matrix.n_rows, range.len(), values)
}

/// Element-wise mean of several n × n score matrices.
pub(super) fn mean_scores(scores: &[Vec<f32>], n: usize) -> Vec<f32> {
    let weight = 1.0 / scores.len().max(1) as f32;
    let mut mean = vec![0.0f32; n * n];
    for matrix in scores {
        mean.iter_mut().zip(matrix).for_each(|(sum, score)| *sum += weight * score);
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Budget = Budget {
        max_units: 512,
        max_row_elements: 512 * 3072,
        draw: Draw::Consecutive,
        max_feature_rows: 128,
        max_permutations: 10_000,
    };

    #[test]
    fn wide_models_are_asked_for_few_units_and_for_no_less_evidence() {
        // (units of a layer, width): TinyLlama-1.1B, Llama-2-7B, Yi-34B, Llama-2-70B
        let shapes = [(5632, 2048), (11008, 4096), (20480, 7168), (28672, 8192)];
        let elements = shapes.map(|(n_units, width)| most_units(n_units, Some(width), &QUICK) as u64 * width);
        assert_eq!(elements[0], 512 * 2048);
        for of_wide in &elements[1..] {
            // z of the trace grows with the root of units × features
            assert!(elements[0] <= *of_wide && 2 * *of_wide <= 3 * elements[0], "{elements:?}");
        }
    }

    #[test]
    fn what_can_be_read_whole_is_read_whole() {
        assert_eq!(most_units(512, Some(1 << 20), &QUICK), 512);
        assert_eq!(most_units(513, Some(1 << 20), &QUICK), FEWEST_SAMPLED_UNITS);
        assert_eq!(most_units(1 << 20, None, &QUICK), 512);
        assert_eq!(most_units(1 << 20, Some(0), &QUICK), 512);
    }
}
