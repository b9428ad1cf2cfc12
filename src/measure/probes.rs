//! S4, token probes: S3 on what units answer to the tokens both models know. A rotation of the residual stream cancels.
//!
//! X = embedding rows of the shared tokens; Y = X·Wᵀ with the norm gain folded into W, each unit's answers centred over the
//! tokens; without a gate the second view is X·W_down, what a unit writes seen by the tokens. The cosine of a unit with a token is its answer up to a factor per unit, which the cosine of answers ignores, so
//! both products run on the all-pairs kernel. Hidden sizes may differ.
//!
//! Measured on trained families (docs/methods.md#probes): independent ≤ .4 % of the units agree, a shared initialisation .1
//! to 5.8 %, shared training 82 to 100 %, merges of two bases less.

use rayon::prelude::*;

use super::agreement::{Agreement, agreement};
use super::answer_trace::{MAX_UNITS, answer_trace, trace_of_scores};
use super::family_test::{Model, folded_units};
use super::trace::Trace;
use super::units::{UnitMatrix, n_units};
use crate::align::TokenMatch;
use crate::canonical::CanonicalPart;
use crate::kernels::{Backend, all_pairs};
use crate::numerics::Rng;
use crate::reductions::{AllPairs, Keep, Ranking};
use crate::stream::{Error, ReadMeter, read_rows};
use crate::tensor::{Matrix, Values};

/// Units that are read at once: 2,048 × 8,192 bf16 are 32 MiB.
pub(super) const BLOCK_UNITS: usize = 2048;

/// Shared tokens that units answer to.
const PROBE_TOKENS: usize = 512;
/// They are drawn from this many lowest ids, which are frequent in most tokenizers.
const FREQUENT_TOKENS: usize = 4096;
/// Fewer tell too little.
const FEWEST_TOKENS: usize = 64;

/// Rows of the same tokens in both token tables; None if too few are shared. Without token strings by id.
#[must_use]
pub fn probe_tokens(
    shared: Option<&TokenMatch>,
    tables: (&CanonicalPart, &CanonicalPart),
    seed: u64,
) -> Option<(Vec<u64>, Vec<u64>)> {
    let (n_left, n_right) = (tables.0.stored.view.n_rows, tables.1.stored.view.n_rows);
    let shared: Vec<(u64, u64)> = match shared {
        Some(tokens) => tokens
            .left
            .iter()
            .zip(tokens.right.iter())
            .map(|(left, right)| (*left, *right))
            .filter(|(left, right)| *left < n_left && *right < n_right)
            .take(FREQUENT_TOKENS)
            .collect(),
        None => (0..n_left.min(n_right).min(FREQUENT_TOKENS as u64)).map(|id| (id, id)).collect(),
    };
    let drawn = Rng::new(&[seed, 0x7072_6f62]).sample(shared.len(), PROBE_TOKENS);
    (drawn.len() >= FEWEST_TOKENS).then(|| drawn.into_iter().map(|at| shared[at]).unzip())
}

/// One model and the tokens it is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    pub(super) model: Model<'a>,
    /// Embedding rows of the shared tokens (or random directions), in the same order on both sides, [tokens, hidden].
    tokens: Matrix,
}

impl<'a> Asked<'a> {
    /// Reads the embedding rows of the tokens.
    ///
    /// # Errors
    /// A read failed.
    pub fn new(
        model: Model<'a>,
        embed: &CanonicalPart,
        tokens: &[u64],
        meter: &ReadMeter,
    ) -> Result<Asked<'a>, Error> {
        let tokens = read_rows(&embed.stored, tokens, 0..embed.stored.view.n_cols, meter)?;
        Ok(Asked { model, tokens })
    }

    /// Asks random directions of the residual stream instead, the same of every model of this width.
    #[must_use]
    pub fn by_directions(model: Model<'a>, n_hidden: usize, n_directions: usize, seed: u64) -> Asked<'a> {
        let mut rng = Rng::new(&[seed, 0x6469_7265]);
        let values = (0..n_directions * n_hidden).map(|_| rng.normal() as f32).collect();
        Asked { model, tokens: Matrix::from_f32(n_directions, n_hidden, values) }
    }
}

impl Asked<'_> {
    /// Embedding rows of the shared tokens, [tokens, hidden].
    #[must_use]
    pub fn tokens(&self) -> &Matrix {
        &self.tokens
    }

    /// Cosines of the tokens with each other, [tokens, tokens].
    ///
    /// # Errors
    /// The device failed.
    pub fn token_cosines(&self, backend: &Backend) -> Result<Matrix, Error> {
        let n = self.tokens.n_rows;
        let centred = centred_columns(&self.tokens);
        let scores = all_pairs::all_pairs(backend, &centred, &centred, Ranking::Signed, Keep::Scores)?.scores;
        Ok(Matrix::from_f32(n, n, scores.unwrap_or_else(|| vec![0.0; n * n])))
    }
}

/// Two looks at the same units that chance does not make alike.
#[derive(Clone, Copy, Debug)]
pub enum Views<'a> {
    /// Two matrices of an MLP: gate and up, or up and the columns of down.
    Matrices([UnitMatrix<'a>; 2]),
    /// One matrix on two halves of the tokens. Weaker: what a unit does is alike on both halves, so units of independent models
    /// that do the same find each other (1.3 % where measured, 4 % with token tables in common). Proposes, never decides.
    Halves(UnitMatrix<'a>),
}

impl Views<'_> {
    /// Units.
    #[must_use]
    pub fn n_units(&self) -> u64 {
        let (Views::Matrices([matrix, _]) | Views::Halves(matrix)) = self;
        n_units(*matrix)
    }
}

/// What units answer, each row centred: two views of the same units, [units, tokens].
#[derive(Debug)]
pub struct Answers([Matrix; 2]);

impl Answers {
    /// Units.
    #[must_use]
    pub fn n_units(&self) -> usize {
        self.0[0].n_rows
    }

    /// Tokens of one view.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.0[0].n_cols
    }

    /// The units of several blocks under each other.
    #[must_use]
    pub fn under_each_other(blocks: &[Answers]) -> Answers {
        let stacked = |view: usize| {
            let n_cols = blocks.first().map_or(0, |block| block.0[view].n_cols);
            let mut values = Vec::new();
            for block in blocks {
                if let Values::F32(of_block) = &block.0[view].values {
                    values.extend_from_slice(of_block);
                }
            }
            Matrix::from_f32(values.len() / n_cols.max(1), n_cols, values)
        };
        Answers([stacked(0), stacked(1)])
    }
}

/// Answers of the given units, all if None.
///
/// # Errors
/// A read or the device failed.
pub fn answers(
    backend: &Backend,
    asked: &Asked<'_>,
    views: Views<'_>,
    units: Option<&[u64]>,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Answers, Error> {
    let n_tokens = asked.tokens.n_rows;
    let mut of = |matrix: UnitMatrix<'_>| cosines(backend, asked, matrix, units, meter, flop);
    Ok(Answers(match views {
        Views::Matrices([first, second]) => {
            [centred(&of(first)?, 0, n_tokens), centred(&of(second)?, 0, n_tokens)]
        }
        Views::Halves(matrix) => {
            let answers = of(matrix)?;
            [centred(&answers, 0, n_tokens / 2), centred(&answers, n_tokens / 2, n_tokens / 2)]
        }
    }))
}

/// Units of two MLPs that find the same partner in both views; and S5b, whether unit i of one answers as unit i of the other, where
/// `labels_of_order` seed its draws and both have as many units.
///
/// # Errors
/// The device failed.
pub fn held_against(
    backend: &Backend,
    left: &Answers,
    right: &Answers,
    labels_of_order: Option<&[u64]>,
    flop: &mut u64,
) -> Result<(Agreement, Option<Trace>), Error> {
    let n = left.n_units();
    let labels = labels_of_order.filter(|_| n >= 2 && n == right.n_units());
    let keep = if labels.is_some() && n <= MAX_UNITS { Keep::Scores } else { Keep::Partners };
    let [mut first, mut second] = products(backend, left, right, keep, flop)?;
    let found = agreement(&first, &second);
    let order = match (labels, first.scores.take(), second.scores.take()) {
        (Some(labels), Some(a), Some(b)) => {
            // a unit of zeros has no best partner
            let has_direction = |unit: &usize| {
                [&first.rows, &first.columns, &second.rows, &second.columns]
                    .iter()
                    .all(|best| best[*unit].index.is_some())
            };
            let units = (0..n).filter(has_direction).collect();
            trace_of_scores(backend, &[a, b], n, units, labels)?
        }
        (Some(labels), ..) => {
            let ([a, c], [b, d]) = (&left.0, &right.0);
            answer_trace(backend, &[a, c], &[b, d], None, labels, flop)?
        }
        (None, ..) => None,
    };
    Ok((found, order))
}

/// For each left unit whether its best right unit is the same in both views. A search over many left blocks at once: partners
/// need not name each other back, for copies of a block share theirs.
///
/// # Errors
/// The device failed.
pub fn find_partner(
    backend: &Backend,
    left: &Answers,
    right: &Answers,
    flop: &mut u64,
) -> Result<Vec<bool>, Error> {
    let [first, second] = products(backend, left, right, Keep::Partners, flop)?;
    let both = first.rows.iter().zip(&second.rows);
    Ok(both.map(|(a, b)| a.index.is_some() && a.index == b.index).collect())
}

pub(super) fn products(
    backend: &Backend,
    left: &Answers,
    right: &Answers,
    keep: Keep,
    flop: &mut u64,
) -> Result<[AllPairs; 2], Error> {
    let mut product = |view: usize, ranking| {
        let (a, b) = (&left.0[view], &right.0[view]);
        *flop += 2 * (a.n_rows * b.n_rows * a.n_cols) as u64;
        all_pairs::all_pairs(backend, a, b, ranking, keep)
    };
    Ok([product(0, Ranking::Signed)?, product(1, Ranking::Magnitude)?])
}

/// Cosine of the given units with every token, [units, tokens].
fn cosines(
    backend: &Backend,
    asked: &Asked<'_>,
    matrix: UnitMatrix<'_>,
    units: Option<&[u64]>,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Matrix, Error> {
    let tokens = &asked.tokens;
    let mut values = Vec::new();
    let n_units = for_blocks(asked.model, matrix, units, meter, |block| {
        *flop += 2 * (block.n_rows * tokens.n_rows * block.n_cols) as u64;
        let scores = all_pairs::all_pairs(backend, block, tokens, Ranking::Signed, Keep::Scores)?.scores;
        values.extend(scores.unwrap_or_default());
        Ok(())
    })?;
    Ok(Matrix::from_f32(n_units, tokens.n_rows, values))
}

/// What every unit of a matrix answers to the first tokens, taken at length 1: its own length kept, centred over the tokens,
/// [units, tokens].
pub(super) fn responses(
    backend: &Backend,
    asked: &Asked<'_>,
    matrix: UnitMatrix<'_>,
    n_tokens: usize,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Matrix, Error> {
    let tokens = first_rows(&asked.tokens, n_tokens.min(asked.tokens.n_rows));
    let mut values = Vec::new();
    let n_units = for_blocks(asked.model, matrix, None, meter, |block| {
        *flop += 2 * (block.n_rows * tokens.n_rows * block.n_cols) as u64;
        let scores = all_pairs::all_pairs(backend, block, &tokens, Ranking::Signed, Keep::Scores)?.scores;
        let mut responses = scores.unwrap_or_default();
        responses.par_chunks_mut(tokens.n_rows.max(1)).enumerate().for_each(|(row, of_row)| {
            let squares: f64 = block.row(row).into_iter().map(|value| f64::from(value).powi(2)).sum();
            let length = squares.sqrt() as f32;
            of_row.iter_mut().for_each(|response| *response *= length);
        });
        values.extend(responses);
        Ok(())
    })?;
    Ok(centred(&Matrix::from_f32(n_units, tokens.n_rows, values), 0, tokens.n_rows))
}

/// Hands over the given units of a matrix (all if None) block by block, gains folded, [units, features]; their number.
fn for_blocks(
    model: Model<'_>,
    matrix: UnitMatrix<'_>,
    units: Option<&[u64]>,
    meter: &ReadMeter,
    mut each: impl FnMut(&Matrix) -> Result<(), Error>,
) -> Result<usize, Error> {
    let all: Vec<u64>;
    let units = match units {
        Some(units) => units,
        None => {
            all = (0..n_units(matrix)).collect();
            &all
        }
    };
    for units in units.chunks(BLOCK_UNITS) {
        each(&folded_units(model, matrix, units, meter)?)?;
    }
    Ok(units.len())
}

/// The first rows of a matrix.
fn first_rows(matrix: &Matrix, n_rows: usize) -> Matrix {
    let values = (0..n_rows).flat_map(|row| matrix.row(row)).collect();
    Matrix::from_f32(n_rows, matrix.n_cols, values)
}

/// `width` columns from `first` on, each row minus its mean.
fn centred(answers: &Matrix, first: usize, width: usize) -> Matrix {
    let mut values = Vec::with_capacity(answers.n_rows * width);
    for row in 0..answers.n_rows {
        let row = &answers.row(row)[first..first + width];
        let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / width.max(1) as f64;
        values.extend(row.iter().map(|value| (f64::from(*value) - mean) as f32));
    }
    Matrix::from_f32(answers.n_rows, width, values)
}

/// Each column minus its mean.
fn centred_columns(matrix: &Matrix) -> Matrix {
    let n = matrix.n_rows.max(1) as f64;
    let mut means = vec![0.0_f64; matrix.n_cols];
    for row in 0..matrix.n_rows {
        means.iter_mut().zip(matrix.row(row)).for_each(|(mean, value)| *mean += f64::from(value) / n);
    }
    let of_row = |row: usize| {
        matrix.row(row).into_iter().zip(&means).map(|(value, mean)| (f64::from(value) - mean) as f32)
    };
    Matrix::from_f32(matrix.n_rows, matrix.n_cols, (0..matrix.n_rows).flat_map(of_row).collect())
}
