//! S7 for attention, the head map: which head of A each head of B continues, in whatever order, inner basis or residual basis.
//!
//! A head is two circuits (Elhage et al., A Mathematical Framework for Transformer Circuits, 2021): what it copies, W_O·W_V, and what it
//! looks for, W_Qᵀ·W_K. Neither changes when value channels are mixed inside a head, or queries and keys are turned together. Each
//! circuit is read by tokens that both models know, x·W_O·W_V·xᵀ and x·W_Qᵀ·W_K·xᵀ, [tokens, tokens], so that a rotation of the residual
//! stream cancels too; or by random directions, for heads that kept their residual basis under other tokens or none. Partners are mutual best matches by the cosine of both circuits (all-pairs product). Position is left out: the
//! second circuit is that of distance 0, which rotary embeddings keep.
//!
//! There is no exact null: what a map weighs against independent models is measured (`evidence/heads.rs`).

use rayon::prelude::*;

use super::agreement::{n_found, n_in_place, partners};
use super::answer_trace::answer_trace;
use super::probes::{Asked, responses};
use super::trace::Trace;
use super::unit_map::half_quartile_distance;
use super::units::{Axis, UnitMatrix};
use crate::canonical::{CanonicalModel, CanonicalPart};
use crate::kernels::{Backend, all_pairs};
use crate::numerics::median;
use crate::reductions::{Keep, Ranking};
use crate::roles::{Component, Expert, Graph, Part};
use crate::stream::{Error, ReadMeter};
use crate::tensor::Matrix;

/// Tokens that read a circuit: 128² = 16,384 numbers a head.
pub const CIRCUIT_TOKENS: usize = 128;

/// Most heads of a layer, bounding circuits to 32 MiB: how many there are is what a configuration claims. The largest published models have 128.
const MAX_HEADS: u64 = 512;

/// Attention of one layer: its matrices and how heads lie in them.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Its layer.
    pub layer: u32,
    /// Rows: queries, head by head.
    pub q: &'a CanonicalPart,
    /// Rows: keys, group by group.
    pub k: &'a CanonicalPart,
    /// Rows: values, group by group.
    pub v: &'a CanonicalPart,
    /// Columns: values of each query head.
    pub o: &'a CanonicalPart,
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads.
    pub n_groups: usize,
}

impl<'a> Attention<'a> {
    /// Attention of a layer; None where a matrix is missing, heads are not known, or it reads another stream than it writes.
    #[must_use]
    pub fn of(
        model: &'a CanonicalModel,
        graph: &Graph,
        component: Component,
        layer: u32,
    ) -> Option<Attention<'a>> {
        let part = |wanted: Part| {
            model.parts.iter().find(|part| {
                part.role.is_some_and(|role| {
                    (role.component, role.layer, role.part) == (component, Some(layer), wanted)
                        && role.expert == Expert::None
                        && !role.is_bias
                })
            })
        };
        let (q, k, v, o) = (part(Part::Q)?, part(Part::K)?, part(Part::V)?, part(Part::O)?);
        let [q_view, k_view, v_view, o_view] = [q, k, v, o].map(|part| &part.stored.view);
        let key_rows = graph.head_dim_of(component).filter(|rows| *rows > 0)?;
        let heads = |n_rows: u64| n_rows.is_multiple_of(key_rows).then(|| n_rows / key_rows);
        let (n_heads, n_groups) = (heads(q_view.n_rows)?, heads(k_view.n_rows)?);
        let n_hidden = q_view.n_cols;
        let reads_one_stream = k_view.n_cols == n_hidden && v_view.n_cols == n_hidden;
        let fits = n_groups > 0
            && (1..=MAX_HEADS).contains(&n_heads)
            && n_heads.is_multiple_of(n_groups)
            && v_view.n_rows.is_multiple_of(n_groups)
            && o_view.n_cols == n_heads * (v_view.n_rows / n_groups)
            && o_view.n_rows == n_hidden;
        (reads_one_stream && fits).then_some(Attention {
            layer,
            q,
            k,
            v,
            o,
            n_heads: usize::try_from(n_heads).ok()?,
            n_groups: usize::try_from(n_groups).ok()?,
        })
    }

    /// Dimensions of the residual stream.
    #[must_use]
    pub fn n_hidden(&self) -> usize {
        usize::try_from(self.q.stored.view.n_cols).unwrap_or(usize::MAX)
    }

    /// Operations of reading its circuits by tokens.
    #[must_use]
    pub fn cost_flop(&self) -> u64 {
        let n_elements = [self.q, self.k, self.v, self.o].map(|part| part.stored.view.n_elements());
        let n_tokens = CIRCUIT_TOKENS as u64;
        let n_channels = self.q.stored.view.n_rows + self.o.stored.view.n_cols;
        // made, and held against as many of the other model
        let of_circuits = (n_channels + 2 * (self.n_heads * self.n_heads) as u64) * n_tokens * n_tokens;
        2 * (n_elements.iter().sum::<u64>() * n_tokens + of_circuits)
    }
}

/// Heads of one layer and the heads of the other model that they continue.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMap {
    /// Left and right layer.
    pub layers: (u32, u32),
    /// Query heads of the left layer.
    pub n_left: usize,
    /// For each right head its left one.
    pub left_of: Vec<Option<u32>>,
    /// Of the partners, for what a head looks for (queries and keys) and what it copies (values and outputs).
    pub circuits: [Circuit; 2],
    /// S5b: whether value channel i answers as value channel i; None where there are not as many, or it was not asked.
    pub order_of_values: Option<Trace>,
}

/// How partners agree in one circuit; medians over heads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Circuit {
    /// Cosine of the circuits.
    pub cosine: f64,
    /// Cosine of single channels at the same place inside their heads, without its sign.
    pub channel_cosine: f64,
    /// Spread of ln(length of a right channel / length of its left one): half the distance of the quartiles.
    pub scale_spread: f64,
}

/// A circuit is the product of two matrices, so its cosine is about the square of theirs; where channels keep less than half of it, the
/// channels are others.
const TURNED: f64 = 0.5;

impl Circuit {
    /// The circuit was kept and the channels that make it were not.
    #[must_use]
    pub fn is_turned(&self) -> bool {
        self.channel_cosine.max(0.0).powi(2) < TURNED * self.cosine
    }
}

impl HeadMap {
    /// Right heads with a partner.
    #[must_use]
    pub fn n_found(&self) -> usize {
        n_found(&self.left_of)
    }

    /// Of these, heads whose partner has their own number.
    #[must_use]
    pub fn n_in_place(&self) -> usize {
        n_in_place(&self.left_of)
    }
}

/// What the heads of one layer answer: channels by token, and circuits.
struct HeadAnswers {
    /// Of q, k, v and o, [channels, tokens].
    channels: [Matrix; 4],
    /// W_Qᵀ·W_K and W_O·W_V, a row a query head, [heads, tokens²].
    circuits: [Matrix; 2],
    n_heads: usize,
    n_groups: usize,
}

/// Which head of the left layer each head of the right one continues. The order of value channels is tested where `labels_of_order` seed
/// its draws.
///
/// # Errors
/// A read or the device failed.
pub fn head_map(
    backend: &Backend,
    (asked_l, left): (&Asked<'_>, Attention<'_>),
    (asked_r, right): (&Asked<'_>, Attention<'_>),
    labels_of_order: Option<&[u64]>,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<HeadMap, Error> {
    let of_left = head_answers(backend, asked_l, left, meter, flop)?;
    let of_right = head_answers(backend, asked_r, right, meter, flop)?;
    let mut found = Vec::new();
    for (a, b) in of_left.circuits.iter().zip(&of_right.circuits) {
        *flop += 2 * (a.n_rows * b.n_rows * a.n_cols) as u64;
        found.push(all_pairs::all_pairs(backend, a, b, Ranking::Signed, Keep::Partners)?);
    }
    let mut left_of = vec![None; right.n_heads];
    let mut cosines = [Vec::new(), Vec::new()];
    let mut channels = [Vec::new(), Vec::new()];
    for (head, (a, b)) in partners(&found[0]).into_iter().zip(partners(&found[1])).enumerate() {
        let Some(partner) = a.filter(|_| a == b) else { continue };
        left_of[partner as usize] = u32::try_from(head).ok();
        let heads = (head, partner as usize);
        for circuit in 0..2 {
            cosines[circuit].push(f64::from(found[circuit].rows[head].score));
            channels[circuit].extend(pairs_of_channels(&of_left, &of_right, heads, circuit));
        }
    }
    let circuits = [0, 1].map(|circuit| {
        let (of_channels, ln_ratios): (Vec<f64>, Vec<f64>) = channels[circuit].iter().copied().unzip();
        Circuit {
            cosine: median(&cosines[circuit]).unwrap_or(0.0),
            channel_cosine: median(&of_channels).unwrap_or(0.0),
            scale_spread: half_quartile_distance(ln_ratios),
        }
    });
    let order_of_values = match labels_of_order.filter(|_| left.n_groups == right.n_groups) {
        Some(labels) => {
            let ([_, _, a, _], [_, _, b, _]) = (&of_left.channels, &of_right.channels);
            let group_size = Some((a.n_rows / left.n_groups).max(1));
            answer_trace(backend, &[a], &[b], group_size, labels, flop)?
        }
        None => None,
    };
    let layers = (left.layer, right.layer);
    Ok(HeadMap { layers, n_left: left.n_heads, left_of, circuits, order_of_values })
}

fn head_answers(
    backend: &Backend,
    asked: &Asked<'_>,
    attention: Attention<'_>,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<HeadAnswers, Error> {
    let Attention { q, k, v, o, n_heads, n_groups, .. } = attention;
    let mut read = |matrix: UnitMatrix<'_>| responses(backend, asked, matrix, CIRCUIT_TOKENS, meter, flop);
    let channels =
        [read((q, Axis::Rows))?, read((k, Axis::Rows))?, read((v, Axis::Rows))?, read((o, Axis::Columns))?];
    let [of_q, of_k, of_v, of_o] = &channels;
    let circuits = [circuits((of_q, n_heads), (of_k, n_groups)), circuits((of_o, n_heads), (of_v, n_groups))];
    *flop += 2 * ((of_q.n_rows + of_o.n_rows) * of_q.n_cols * of_q.n_cols) as u64;
    Ok(HeadAnswers { channels, circuits, n_heads, n_groups })
}

/// For each query head Σ over its channels of (answer of one matrix) × (answer of the other), [heads, tokens²].
fn circuits((first, n_heads): (&Matrix, usize), (second, n_groups): (&Matrix, usize)) -> Matrix {
    let (n_channels, n_tokens) = (first.n_rows / n_heads, first.n_cols.min(second.n_cols));
    let block = |matrix: &Matrix, block: usize| -> Vec<f32> {
        let rows = block * n_channels..(block + 1) * n_channels;
        rows.flat_map(|row| matrix.row(row).into_iter().take(n_tokens)).collect()
    };
    let mut values = vec![0.0_f32; n_heads * n_tokens * n_tokens];
    values.par_chunks_exact_mut((n_tokens * n_tokens).max(1)).enumerate().for_each(|(head, sums)| {
        let (of_first, of_second) = (block(first, head), block(second, head * n_groups / n_heads));
        // a row of sums stays in the first cache while all channels are added to it
        for (token, sums) in sums.chunks_exact_mut(n_tokens).enumerate() {
            for (channel, of_channel) in of_second.chunks_exact(n_tokens).enumerate() {
                let factor = of_first[channel * n_tokens + token];
                sums.iter_mut().zip(of_channel).for_each(|(sum, answer)| *sum += factor * answer);
            }
        }
    });
    Matrix::from_f32(n_heads, n_tokens * n_tokens, values)
}

/// |cosine| of the channels of two heads at equal places inside them, and ln of the ratio of their lengths (right to left), in both
/// matrices of a circuit.
fn pairs_of_channels(
    left: &HeadAnswers,
    right: &HeadAnswers,
    (head_l, head_r): (usize, usize),
    circuit: usize,
) -> Vec<(f64, f64)> {
    let mut pairs = Vec::new();
    // q and o lie by query head, k and v by group
    let by_head = if circuit == 0 { [0, 1] } else { [3, 2] };
    for (at, is_by_group) in by_head.into_iter().zip([false, true]) {
        let (a, b) = (&left.channels[at], &right.channels[at]);
        let first = |answers: &HeadAnswers, matrix: &Matrix, head: usize| {
            let (n_blocks, block) = if is_by_group {
                (answers.n_groups, head * answers.n_groups / answers.n_heads)
            } else {
                (answers.n_heads, head)
            };
            (matrix.n_rows / n_blocks, block * (matrix.n_rows / n_blocks))
        };
        let ((n_channels, first_l), (n_right, first_r)) = (first(left, a, head_l), first(right, b, head_r));
        pairs.extend(
            (0..n_channels.min(n_right))
                .filter_map(|channel| channel_pair(a, first_l + channel, b, first_r + channel)),
        );
    }
    pairs
}

fn channel_pair(a: &Matrix, row_a: usize, b: &Matrix, row_b: usize) -> Option<(f64, f64)> {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.row(row_a).into_iter().zip(b.row(row_b)) {
        let (x, y) = (f64::from(x), f64::from(y));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    (aa > 0.0 && bb > 0.0).then(|| (ab.abs() / (aa * bb).sqrt(), 0.5 * (bb / aa).ln()))
}
