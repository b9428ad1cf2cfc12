//! S0 and S1: element sums of every pair, and what they add up to.

use super::TraceStage;
use super::deltas::is_in_place;
use crate::align::Alignment;
use crate::canonical::{CanonicalPart, Group};
use crate::compare::clock::Clock;
use crate::compare::{Effort, Error, Options, Pair, Progress, Side, Statistic};
use crate::evidence::TraceEvidence;
use crate::kernels::Backend;
use crate::measure::common_slope::{CommonSlope, common_slope};
use crate::measure::constants::{TrainedConstants, trained_constants};
use crate::measure::fixed_patterns::is_fixed;
use crate::measure::plain;
use crate::numerics::median;
use crate::reductions::PairMoments;
use crate::roles::Component;
use crate::stream::{ReadMeter, RowPairing, WorkItem, pair_moments, read_rows};
use crate::verdict::weights::{EQUAL_MATRICES, Equality, NEAR};
use std::collections::{BTreeSet, HashSet};

/// Fewest elements of a matrix whose equality says something.
const MIN_EQUAL: u64 = 256;
/// Rows and columns of an equal matrix that are looked at for a mask or a formula.
const EQUAL_ROWS: u64 = 64;
const EQUAL_COLUMNS: u64 = 4096;

/// Element sums per pair of the alignment; None where nothing was read.
pub(in crate::compare) struct PlainStage {
    pub(in crate::compare) moments: Vec<Option<PairMoments>>,
    /// Every element of every pair was read.
    is_complete: bool,
}

/// S0 and S1 on everything (quick: on vectors of the layers that the trace test looked at).
pub(in crate::compare) fn plain(
    backend: &Backend,
    pair: &Pair<'_>,
    (alignment, traced): (&Alignment, &TraceStage),
    options: &Options,
    meter: &ReadMeter,
    clock: &mut Clock<'_>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<PlainStage, Error> {
    let mut moments: Vec<Option<PairMoments>> = vec![None; alignment.pairs.len()];
    if !options.wants(Statistic::Plain) {
        return Ok(PlainStage { moments, is_complete: false });
    }
    // a quick run takes matrices from the trace sample, and reads the vectors that stand beside them
    let is_quick = options.effort == Effort::Quick;
    let layers = traced.layers();
    let chosen: Vec<usize> = (0..alignment.pairs.len())
        .filter(|&idx| {
            let part = pair.part(Side::Right, alignment.pairs[idx].right);
            let is_vector = part.stored.view.n_rows.min(part.stored.view.n_cols) == 1;
            let place = part.role.and_then(|role| Some((role.component, role.layer?)));
            let is_near = layers.is_empty() || place.is_some_and(|place| layers.contains(&place));
            !is_quick || is_vector && is_near
        })
        .collect();
    let paired = chosen.iter().map(|&idx| &alignment.pairs[idx]);
    let items: Vec<WorkItem> = paired
        .clone()
        .map(|paired| WorkItem {
            left: pair.part(Side::Left, paired.left).stored.clone(),
            right: pair.part(Side::Right, paired.right).stored.clone(),
            rows: paired.rows.clone(),
        })
        .collect();
    let total_bytes = paired
        .map(|paired| {
            let bits = |side, idx| pair.part(side, idx).stored.dtype.size_bits();
            let bits = bits(Side::Left, paired.left) + bits(Side::Right, paired.right);
            pair.n_compared(paired) * bits / 8
        })
        .sum();
    let report = |done_bytes| progress(Progress { stage: "plain", done_bytes, total_bytes });
    for (idx, sums) in chosen.iter().zip(pair_moments(backend, &items, meter, &report)?) {
        moments[*idx] = Some(sums);
    }
    clock.stage("plain", 0);
    Ok(PlainStage { moments, is_complete: !is_quick })
}

impl PlainStage {
    /// Sums of the sampled rows where the whole was not read.
    pub(in crate::compare) fn or_sampled(mut self, traced: &TraceStage) -> PlainStage {
        if self.is_complete {
            return self;
        }
        for (pair_idx, moments) in &traced.sampled {
            self.moments[*pair_idx] = Some(*moments);
        }
        self
    }

    /// The same without the matrices of these towers.
    pub(in crate::compare) fn without_towers(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
        towers: &BTreeSet<Component>,
    ) -> PlainStage {
        let is_left_out = |right: usize| {
            pair.part(Side::Right, right).role.is_some_and(|role| towers.contains(&role.component))
        };
        let of_pairs = self.moments.iter().zip(&alignment.pairs);
        let moments = of_pairs.map(|(moments, paired)| moments.filter(|_| !is_left_out(paired.right)));
        PlainStage { moments: moments.collect(), is_complete: self.is_complete }
    }

    /// Picture of one pair; None where nothing was read or nothing was finite.
    pub(in crate::compare) fn picture(&self, pair_idx: usize) -> Option<plain::Plain> {
        let moments = self.moments[pair_idx].as_ref()?;
        let is_finite = moments.n_non_finite_a == 0 && moments.n_non_finite_b == 0;
        is_finite.then(|| plain::plain(moments))
    }

    pub(in crate::compare) fn equality(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
        options: &Options,
        is_all_read: bool,
    ) -> Equality {
        let read = self.moments.iter().flatten();
        let whole_rows = alignment.pairs.iter().all(|paired| match &paired.rows {
            RowPairing::Same => true,
            RowPairing::Listed { left, .. } => {
                let n_rows = |side, idx| pair.part(side, idx).stored.view.n_rows;
                n_rows(Side::Left, paired.left) == left.len() as u64
                    && n_rows(Side::Right, paired.right) == left.len() as u64
            }
        });
        // a model in which layers were doubled is no copy, though every number of it is one of the other's
        let lefts: HashSet<usize> = alignment.pairs.iter().map(|paired| paired.left).collect();
        let is_one_to_one = lefts.len() == alignment.pairs.len();
        Equality {
            n_compared: read.clone().map(|moments| moments.n_elements).sum(),
            n_equal: read.map(|moments| moments.n_equal).sum(),
            is_complete: self.is_complete
                && options.effort != Effort::Quick
                && whole_rows
                && is_one_to_one
                && is_all_read
                && alignment.unpaired.is_empty(),
            dtypes_differ: alignment.pairs.iter().any(|paired| {
                pair.part(Side::Left, paired.left).stored.dtype
                    != pair.part(Side::Right, paired.right).stored.dtype
            }),
        }
    }

    /// Matrices outside the token tables that are equal to the last element and neither masks nor made by a formula; counted up to
    /// [`EQUAL_MATRICES`], which is all that is asked.
    pub(in crate::compare) fn n_equal_matrices(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
        meter: &ReadMeter,
    ) -> Result<usize, Error> {
        // gates of a recurrent layer, and matrices that were fused, are one tensor
        let mut equal = HashSet::new();
        for idx in matrices(pair, alignment) {
            let is_equal = self.moments[idx]
                .is_some_and(|sums| sums.n_elements >= MIN_EQUAL && sums.n_equal == sums.n_elements);
            if !is_equal || equal.len() == EQUAL_MATRICES {
                continue;
            }
            let part = pair.part(Side::Right, alignment.pairs[idx].right);
            let stored = &part.stored;
            let step = stored.view.n_rows.div_ceil(EQUAL_ROWS).max(1);
            let rows: Vec<u64> =
                (0..stored.view.n_rows).step_by(usize::try_from(step).unwrap_or(1)).collect();
            let sample = read_rows(stored, &rows, 0..stored.view.n_cols.min(EQUAL_COLUMNS), meter)?;
            if !is_fixed(&sample, &sample) {
                equal.insert(part.tensor_idx);
            }
        }
        Ok(equal.len())
    }

    /// Gains and biases: vectors of the block graph, or one-dimensional weights of an unknown one.
    pub(in crate::compare) fn trained_constants(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
        trace: &TraceEvidence,
    ) -> Option<TrainedConstants> {
        let (biases, gains): (Vec<usize>, Vec<usize>) = constants(pair, alignment)
            .partition(|idx| is_bias(pair, pair.part(Side::Right, alignment.pairs[*idx].right)));
        let read = |vectors: Vec<usize>| -> Vec<(u64, Option<f64>)> {
            let pictures = vectors.into_iter().filter_map(|idx| self.picture(idx));
            pictures.map(|picture| (picture.n_elements, picture.centred_cosine)).collect()
        };
        let in_place = matrices_in_place(pair, alignment, trace);
        let of_matrices: Vec<f64> = in_place.filter_map(|idx| self.picture(idx)?.centred_cosine).collect();
        trained_constants(&read(gains), &read(biases), &of_matrices)
    }

    /// Slopes of the matrices whose units kept their place, and of gains and biases.
    pub(in crate::compare) fn common_slope(
        &self,
        pair: &Pair<'_>,
        alignment: &Alignment,
        trace: &TraceEvidence,
    ) -> Option<CommonSlope> {
        let matrices: Vec<PairMoments> =
            matrices_in_place(pair, alignment, trace).filter_map(|idx| self.moments[idx]).collect();
        let constants: Vec<PairMoments> =
            constants(pair, alignment).filter_map(|idx| self.moments[idx]).collect();
        common_slope(&matrices, &constants)
    }

    /// Median cosine of matrices outside the token tables.
    pub(in crate::compare) fn median_cosine(&self, pair: &Pair<'_>, alignment: &Alignment) -> Option<f64> {
        median(&self.matrix_cosines(pair, alignment))
    }

    /// Every matrix outside the token tables is near its counterpart.
    pub(super) fn all_near(&self, pair: &Pair<'_>, alignment: &Alignment) -> bool {
        let cosines = self.matrix_cosines(pair, alignment);
        !cosines.is_empty() && cosines.iter().all(|cosine| *cosine >= NEAR)
    }

    fn matrix_cosines(&self, pair: &Pair<'_>, alignment: &Alignment) -> Vec<f64> {
        matrices(pair, alignment).filter_map(|idx| self.picture(idx)?.cosine).collect()
    }
}

/// Pairs of vectors that start as constants: one-dimensional weights, no statistics of data. Left out are vectors that were paired by their
/// values, and in unknown graphs the biases of matrices, which layers of PyTorch start at random (those of norms are zeros, as all are in
/// the known families).
pub(super) fn constants<'a>(
    pair: &'a Pair<'_>,
    alignment: &'a Alignment,
) -> impl Iterator<Item = usize> + 'a {
    let matrices: HashSet<&str> = pair
        .right
        .tensors
        .iter()
        .filter(|tensor| tensor.shape.len() > 1)
        .filter_map(|tensor| tensor.name.strip_suffix("weight"))
        .collect();
    (0..alignment.pairs.len()).filter(move |&idx| {
        let part = pair.part(Side::Right, alignment.pairs[idx].right);
        let name = pair.name(Side::Right, part);
        let is_of_matrix = name.strip_suffix("bias").is_some_and(|stem| matrices.contains(stem));
        part.n_dimensions == 1
            && alignment.pairs[idx].n_candidates == 1
            && !name.contains("running_")
            && !(part.role.is_none() && is_of_matrix)
    })
}

/// By role, or by name where there is none.
pub(super) fn is_bias(pair: &Pair<'_>, part: &CanonicalPart) -> bool {
    let name = pair.name(Side::Right, part);
    part.role.map_or(name.ends_with("bias") || name.ends_with("beta"), |role| role.is_bias)
}

/// Pairs of matrices whose units kept their place.
fn matrices_in_place<'a>(
    pair: &'a Pair<'_>,
    alignment: &'a Alignment,
    trace: &'a TraceEvidence,
) -> impl Iterator<Item = usize> + 'a {
    matrices(pair, alignment).filter(|idx| is_in_place(trace, alignment.pairs[*idx].group))
}

/// Pairs of matrices outside the token tables.
fn matrices<'a>(pair: &'a Pair<'_>, alignment: &'a Alignment) -> impl Iterator<Item = usize> + 'a {
    (0..alignment.pairs.len()).filter(|&idx| {
        let paired = &alignment.pairs[idx];
        let part = pair.part(Side::Right, paired.right);
        part.stored.view.n_rows > 1 && part.n_dimensions > 1 && paired.group != Group::Embeddings
    })
}
