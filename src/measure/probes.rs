//! S4, token probes: S3 on what units answer to the tokens both models know. A rotation of the residual stream cancels.
//!
//! X = embedding rows of the shared tokens; Y = X·Wᵀ with the norm gain folded into W, each unit's answers centred over the
//! tokens. The cosine of a unit with a token is its answer up to a factor per unit, which the cosine of answers ignores, so
//! both products run on the all-pairs kernel. Hidden sizes may differ.
//!
//! Measured on trained families (docs/methods.md#probes): independent ≤ .4 % of the units agree, a shared initialisation .1
//! to 5.8 %, shared training 82 to 100 %, merges of two bases less.

use super::agreement::{Agreement, agreement};
use super::family_test::{Model, fold_gain};
use crate::canonical::CanonicalPart;
use crate::kernels::{Backend, all_pairs};
use crate::reductions::{AllPairs, Keep, Ranking};
use crate::stream::{Error, ReadMeter, read_rows};
use crate::tensor::Matrix;

/// Rows of a block of units: 2,048 × 8,192 bf16 are 32 MiB.
const BLOCK_ROWS: u64 = 2048;

/// One model's side of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Probed<'a> {
    /// The model.
    pub model: Model<'a>,
    /// Token table.
    pub embed: &'a CanonicalPart,
    /// Rows of the shared tokens, in the same order on both sides.
    pub tokens: &'a [u64],
    /// Matrices whose rows are units: gate and up, or up alone.
    pub views: &'a [&'a CanonicalPart],
}

/// Agreement of the units of one layer pair, and the operations it took.
///
/// With two matrices a unit's partner by the first must be its partner by the second; with one, its partner on the first
/// half of the tokens must be its partner on the second half.
///
/// # Errors
/// A read or the device failed.
pub fn probe(
    backend: &Backend,
    left: Probed<'_>,
    right: Probed<'_>,
    meter: &ReadMeter,
) -> Result<(Agreement, u64), Error> {
    let mut flop = 0;
    let mut views: Vec<AllPairs> = Vec::new();
    for (part_l, part_r) in left.views.iter().zip(right.views) {
        let a = answers(backend, &left, part_l, meter, &mut flop)?;
        let b = answers(backend, &right, part_r, meter, &mut flop)?;
        let halves = if left.views.len() == 1 { 2 } else { 1 };
        let width = a.n_cols / halves;
        for half in 0..halves {
            let (a, b) = (centred(&a, half * width, width), centred(&b, half * width, width));
            let ranking = if views.is_empty() { Ranking::Signed } else { Ranking::Magnitude };
            flop += 2 * (a.n_rows * b.n_rows * width) as u64;
            views.push(all_pairs::all_pairs(backend, &a, &b, ranking, Keep::Partners)?);
        }
    }
    let agreement = match &views[..] {
        [first, second, ..] => agreement(first, second),
        _ => Agreement { n_agreeing: 0, n_in_place: 0, n_units: 0 },
    };
    Ok((agreement, flop))
}

/// Cosine of every unit with every token, [units, tokens].
fn answers(
    backend: &Backend,
    side: &Probed<'_>,
    part: &CanonicalPart,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Matrix, Error> {
    let embed = &side.embed.stored;
    let tokens = read_rows(embed, side.tokens, 0..embed.view.n_cols, meter)?;
    let n_units = part.stored.view.n_rows;
    let mut values = Vec::new();
    for first in (0..n_units).step_by(BLOCK_ROWS as usize) {
        let rows: Vec<u64> = (first..n_units.min(first + BLOCK_ROWS)).collect();
        let mut block = read_rows(&part.stored, &rows, 0..part.stored.view.n_cols, meter)?;
        fold_gain(side.model, part, &mut block, meter)?;
        *flop += 2 * (block.n_rows * tokens.n_rows * block.n_cols) as u64;
        let scores = all_pairs::all_pairs(backend, &block, &tokens, Ranking::Signed, Keep::Scores)?.scores;
        values.extend(scores.unwrap_or_default());
    }
    Ok(Matrix::from_f32(values.len() / tokens.n_rows.max(1), tokens.n_rows, values))
}

/// `width` columns from `first` on, each row minus its mean.
fn centred(answers: &Matrix, first: usize, width: usize) -> Matrix {
    let mut values = Vec::with_capacity(answers.n_rows * width);
    for row in 0..answers.n_rows {
        let row: Vec<f32> = (first..first + width).map(|col| answers.at(row, col)).collect();
        let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / width.max(1) as f64;
        values.extend(row.iter().map(|value| (f64::from(*value) - mean) as f32));
    }
    Matrix::from_f32(answers.n_rows, width, values)
}
