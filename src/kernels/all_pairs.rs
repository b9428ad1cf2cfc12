//! Cosine of every row of a with every row of b, reduced inside the product. [n, k] × [m, k] → partners and sums.
//!
//! The score matrix is never written unless it is asked for. Scores are f32 sums over all of k: they *find* partners. On a
//! GPU every best score is computed again on the host from the rows themselves; one that differs by more than the
//! arithmetic allows is an error, not a partner. A row without direction (all zeros, or with a NaN or Inf in it) scores 0
//! with every other.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Backend;
use super::gemm::{self, Epilogue, Params};
use super::moments::to_u32;
use super::operand::{BLOCK, Rows, element_bytes};
use super::pack::{self, Operand, PACK_ROWS, Parts};
use super::partners::{COLUMN_WORDS, ENERGY_WORDS, Found, Part, ROW_WORDS};
use super::row_dots::{self, OnDevice, rows_within};
use crate::cpu::Cpu;
use crate::gpu::{self, Call, Gpu, Resident, Submitted, Tier};
use crate::reductions::{AllPairs, Best, Keep, MAX_KEPT_SCORES, Ranking};
use crate::tensor::{Matrix, Values};

/// Cosine of every row of a with every row of b, reduced inside the product. [n, k] × [m, k] → partners and sums.
///
/// Scores are kept only under [`Keep::Scores`] and up to [`MAX_KEPT_SCORES`].
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn all_pairs(
    backend: &Backend,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    keep: Keep,
) -> Result<AllPairs, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.all_pairs(a, b, ranking, keep)),
        Backend::Gpu(gpu) => on_gpu(gpu, a, b, ranking, keep),
    }
}

/// ΣC² over the same cosines, the energy that CKA is made of. [n, k] × [m, k] → one number.
///
/// # Errors
/// As [`all_pairs`].
pub fn energy(backend: &Backend, a: &Matrix, b: &Matrix) -> Result<f64, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.all_pairs(a, b, Ranking::Signed, Keep::Partners).sum_squares),
        Backend::Gpu(gpu) => Ok(product(gpu, a, b, Ranking::Signed, Epilogue::Energy)?.0.sum_squares),
    }
}

/// Most rows of a block: bounds the records of one dispatch.
const MAX_BLOCK_ROWS: usize = 4096;
/// Outside these norms a row is rescaled by a power of two on the host, so that no factor leaves the range of f32.
const PLAIN_NORMS: Range<f64> = 7.9e-31..1.3e30;

/// Dispatches on the device at the same time.
const IN_FLIGHT: usize = 2;

fn on_gpu(gpu: &Gpu, a: &Matrix, b: &Matrix, ranking: Ranking, keep: Keep) -> Result<AllPairs, gpu::Error> {
    let keeps = keep == Keep::Scores && a.n_rows.checked_mul(b.n_rows).is_some_and(|n| n <= MAX_KEPT_SCORES);
    let epilogue = if keeps { Epilogue::Store } else { Epilogue::Best };
    let (found, scores) = product(gpu, a, b, ranking, epilogue)?;
    let found = found.finish(scores, ranking);
    gpu.recovering(|| {
        check_bests(gpu, a, b, ranking, &found)?;
        check_sampled_rows(gpu, a, b, ranking, &found)
    })?;
    Ok(found)
}

/// All blocks of a against all blocks of b. A block of a that fails is done again from its start.
fn product(
    gpu: &Gpu,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    epilogue: Epilogue,
) -> Result<(Found, Option<Vec<f32>>), gpu::Error> {
    if gpu.tier().has_matrix_units() && Parts::of(a, b).n_parts as f64 > gpu.advantage() {
        // as many products as parts: slower than f32 in registers
        return product(&gpu.with_tier(gpu.info().default_tier()), a, b, ranking, epilogue);
    }
    let n_cols = a.n_cols.min(b.n_cols);
    let mut found = Found::new(a.n_rows, b.n_rows);
    let mut scores = (epilogue == Epilogue::Store).then(|| vec![0.0; a.n_rows * b.n_rows]);
    let mut pace = Pace::new(gpu);
    let parts = gpu.tier().has_matrix_units().then(|| Parts::of(a, b));
    let block_rows = |matrix: &Matrix| {
        // packed rows are the larger ones where there are any
        let width = element_bytes(matrix).max(parts.map_or(0, |parts| 2 * parts.n_parts));
        let tile = gpu.tier().tile().max(parts.map_or(0, |_| PACK_ROWS));
        (rows_within(gpu, gpu.max_block_bytes(), n_cols, width).min(MAX_BLOCK_ROWS) / tile * tile).max(tile)
    };
    let _turn = gpu.turn();
    let mut n_done = 0;
    gpu.recovering(|| {
        let mut resident: Option<RowBlock> = None;
        while n_done < a.n_rows {
            // counted anew when the block fails half-way
            let mut trial = found.clone();
            let rows = n_done..a.n_rows.min(n_done + block_rows(a));
            let block_a = RowBlock::upload(gpu, a, rows.clone(), n_cols, parts, Operand::Left)?;
            trial.a_has_direction.extend_from_slice(&block_a.has_direction);
            let step_b = block_rows(b);
            for first_b in (0..b.n_rows).step_by(step_b) {
                let rows_b = first_b..b.n_rows.min(first_b + step_b);
                let block_b = match resident.take() {
                    Some(block) if block.rows == rows_b => block,
                    _ => RowBlock::upload(gpu, b, rows_b, n_cols, parts, Operand::Right)?,
                };
                if n_done == 0 {
                    trial.b_has_direction.extend_from_slice(&block_b.has_direction);
                }
                let job = Job { gpu, a: &block_a, b: &block_b, ranking, epilogue };
                job.multiply(&mut pace, &mut trial, scores.as_deref_mut())?;
                resident = Some(block_b);
            }
            found = trial;
            n_done = rows.end;
        }
        Ok(())
    })?;
    Ok((found, scores))
}

/// Some rows of one operand on the device, as its tier reads them, with 1/‖row‖.
struct RowBlock {
    rows: Range<usize>,
    /// Groups of four columns of a row.
    row_quads: usize,
    has_direction: Vec<bool>,
    inverse_norms: Resident,
    values: Stored,
}

/// The rows themselves.
enum Stored {
    /// As in the file, with column factors, for the register tiers.
    Plain(OnDevice, u32),
    /// As f16, for the matrix units.
    Packed(Resident),
}

impl RowBlock {
    fn upload(
        gpu: &Gpu,
        matrix: &Matrix,
        rows: Range<usize>,
        n_cols: usize,
        parts: Option<Parts>,
        operand: Operand,
    ) -> Result<RowBlock, gpu::Error> {
        let packed = Rows::new(matrix, rows.clone(), 0..n_cols);
        let tile = gpu.tier().tile().max(parts.map_or(0, |_| PACK_ROWS));
        let device = OnDevice::upload(gpu, &packed, rows.len().next_multiple_of(tile))?;
        let partials = row_dots::run(gpu, (&packed, &device), (&packed, &device))?;
        let norms: Vec<f64> = (rows.clone().zip(&partials))
            .map(|(row, blocks)| {
                let squares = blocks.iter().enumerate().map(|(block_idx, partial)| {
                    let cols = block_idx * BLOCK..n_cols.min((block_idx + 1) * BLOCK);
                    if partial.fits {
                        partial.dots.aa
                    } else {
                        row_dots::host_block(matrix, matrix, row, cols).aa
                    }
                });
                squares.sum::<f64>().sqrt()
            })
            .collect();
        if norms.iter().any(|&norm| norm > 0.0 && norm.is_finite() && !PLAIN_NORMS.contains(&norm)) {
            let plain = rescaled(matrix, rows.clone(), n_cols, &norms);
            drop((device, packed));
            let mut block = RowBlock::upload(gpu, &plain, 0..rows.len(), n_cols, parts, operand)?;
            block.rows = rows;
            return Ok(block);
        }
        let has_direction: Vec<bool> = norms.iter().map(|norm| *norm > 0.0 && norm.is_finite()).collect();
        // 2^s of each row on matrix units
        let scales: Vec<f32> = (partials.iter().zip(&has_direction))
            .map(|(blocks, has)| {
                let largest = blocks.iter().map(|partial| partial.largest_a).fold(0.0, f32::max);
                if *has { pack::row_scale(largest) } else { 0.0 }
            })
            .collect();
        let scale_of = |row: usize| if parts.is_some() { f64::from(scales[row]) } else { 1.0 };
        let mut inverse: Vec<f32> = (norms.iter().zip(&has_direction).enumerate())
            .map(|(row, (norm, has))| inverse(*norm * scale_of(row), *has))
            .collect();
        inverse.resize(rows.len().next_multiple_of(tile), 0.0);
        let (values, row_quads) = match parts {
            Some(parts) => {
                let on_device = (&device.values, &device.factors);
                let values = pack::pack(gpu, &packed, on_device, &scales, parts, operand)?;
                (Stored::Packed(values), parts.n_packed_cols(packed.padded_cols) / 4)
            }
            None => {
                let (code, row_quads) = (packed.code, packed.padded_cols / 4);
                (Stored::Plain(device, code), row_quads)
            }
        };
        Ok(RowBlock {
            rows,
            row_quads,
            has_direction,
            inverse_norms: gpu.upload(&row_dots::KERNEL, bytemuck::cast_slice(&inverse), 0)?,
            values,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the shader's factor is f32; its rounding is in the bound"
)]
fn inverse(norm: f64, has_direction: bool) -> f32 {
    if has_direction && norm > 0.0 { norm.recip() as f32 } else { 0.0 }
}

/// Rows multiplied on the host by the power of two next to 1/‖row‖: cosines do not see it, and no bit is lost.
#[expect(clippy::cast_possible_truncation, reason = "a power of two times an f32, within its range")]
fn rescaled(matrix: &Matrix, rows: Range<usize>, n_cols: usize, norms: &[f64]) -> Matrix {
    let mut values = Vec::with_capacity(rows.len() * n_cols);
    for (row, norm) in rows.clone().zip(norms) {
        let has_direction = *norm > 0.0 && norm.is_finite();
        let factor = if has_direction { (-norm.log2().floor()).exp2() } else { 0.0 };
        values.extend((0..n_cols).map(|col| match factor {
            0.0 => 0.0,
            factor => (f64::from(matrix.at(row, col)) * factor) as f32,
        }));
    }
    Matrix { n_rows: rows.len(), n_cols, values: Values::F32(values), column_scale: None }
}

/// Rows of tiles per dispatch: what takes about 30 ms at the speed seen so far.
struct Pace {
    flop_per_s: f64,
}

impl Pace {
    const TARGET: Duration = Duration::from_millis(30);

    fn new(gpu: &Gpu) -> Pace {
        // low guesses: the first dispatch corrects them
        Pace { flop_per_s: if gpu.info().is_software() { 5e9 } else { 2e11 } }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the count of rows"
    )]
    fn row_tiles(&self, flop_per_row_tile: f64, n_row_tiles: usize) -> usize {
        let fitting = self.flop_per_s * Pace::TARGET.as_secs_f64() / flop_per_row_tile;
        (fitting.clamp(1.0, 65_535.0) as usize).min(n_row_tiles)
    }

    fn saw(&mut self, flop: f64, elapsed: Duration) {
        // half way towards the latest speed; upload and read-back are in it, which errs to the small side
        let latest = flop / elapsed.as_secs_f64().max(1e-6);
        self.flop_per_s = 0.5 * (self.flop_per_s + latest);
    }
}

/// Two resident blocks and what is wanted of their scores.
struct Job<'a> {
    gpu: &'a Gpu,
    a: &'a RowBlock,
    b: &'a RowBlock,
    ranking: Ranking,
    epilogue: Epilogue,
}

/// A dispatch on its way: its rows of tiles, counted in the block, and when it was started.
struct Step {
    first_row: usize,
    n_rows: usize,
    flop: f64,
    started: Instant,
    submitted: Submitted,
}

impl Job<'_> {
    /// All scores, in dispatches of a few rows of tiles; one is started before the one before is waited for.
    fn multiply(
        &self,
        pace: &mut Pace,
        found: &mut Found,
        mut scores: Option<&mut [f32]>,
    ) -> Result<(), gpu::Error> {
        let tile = self.gpu.tier().tile();
        let n_row_tiles = self.a.rows.len().div_ceil(tile);
        let mut first_row_tile = 0;
        let mut in_flight: VecDeque<Step> = VecDeque::new();
        let mut last_finished = Instant::now();
        loop {
            while first_row_tile < n_row_tiles && in_flight.len() < IN_FLIGHT {
                let count = pace.row_tiles(self.flop_per_row_tile(), n_row_tiles - first_row_tile);
                in_flight.push_back(self.start(first_row_tile, count)?);
                first_row_tile += count;
            }
            let Some(step) = in_flight.pop_front() else { return Ok(()) };
            let (flop, since) = (step.flop, step.started.max(last_finished));
            self.finish(step, found, scores.as_deref_mut())?;
            last_finished = Instant::now();
            pace.saw(flop, last_finished - since);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of operations, for pacing")]
    fn flop_per_row_tile(&self) -> f64 {
        let tile = self.gpu.tier().tile();
        2.0 * tile as f64 * self.b.rows.len().next_multiple_of(tile) as f64 * (self.a.row_quads * 4) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of operations, for pacing")]
    fn start(&self, first_row_tile: usize, count: usize) -> Result<Step, gpu::Error> {
        let (gpu, a, b) = (self.gpu, self.a, self.b);
        let tile = gpu.tier().tile();
        let n_col_tiles = b.rows.len().div_ceil(tile);
        let first_row = first_row_tile * tile;
        let n_rows = (count * tile).min(a.rows.len() - first_row);
        let params = Params {
            n_a: to_u32(a.rows.len()),
            n_b: to_u32(b.rows.len()),
            row_quads: to_u32(a.row_quads),
            first_row_tile: to_u32(first_row_tile),
            n_col_tiles: to_u32(n_col_tiles),
            by_magnitude: u32::from(self.ranking == Ranking::Magnitude),
        };
        let n_words = match self.epilogue {
            Epilogue::Store => n_rows * b.rows.len(),
            Epilogue::Best => count * n_col_tiles * tile * (ROW_WORDS + COLUMN_WORDS),
            Epilogue::Energy => count * n_col_tiles * tile * ENERGY_WORDS,
        };
        let (constants, values, factors) = match (&a.values, &b.values) {
            (Stored::Plain(left, left_code), Stored::Plain(right, right_code)) => (
                vec![("A_DTYPE", *left_code), ("B_DTYPE", *right_code)],
                [&left.values, &right.values],
                vec![&left.factors, &right.factors],
            ),
            (Stored::Packed(left), Stored::Packed(right)) => {
                (subgroups(gpu.tier()), [left, right], Vec::new())
            }
            _ => unreachable!("both operands are stored as the tier reads them"),
        };
        let norms = [&a.inverse_norms, &b.inverse_norms];
        let inputs: Vec<&Resident> = values.into_iter().chain(norms).chain(factors).collect();
        let submitted = gpu.submit(&Call {
            kernel: gemm::kernel(gpu.tier(), self.epilogue),
            constants: &constants,
            params: bytemuck::bytes_of(&params),
            inputs: &inputs,
            outputs: &[n_words],
            groups: [to_u32(n_col_tiles), to_u32(count), 1],
        })?;
        let flop = self.flop_per_row_tile() * count as f64;
        Ok(Step { first_row, n_rows, flop, started: Instant::now(), submitted })
    }

    fn finish(&self, step: Step, found: &mut Found, scores: Option<&mut [f32]>) -> Result<(), gpu::Error> {
        let (a, b, tile) = (self.a, self.b, self.gpu.tier().tile());
        let kernel = gemm::kernel(self.gpu.tier(), self.epilogue);
        let outputs = self.gpu.finish(step.submitted)?;
        let first_row = a.rows.start + step.first_row;
        let part = Part { a_rows: first_row..first_row + step.n_rows, b_rows: b.rows.clone() };
        let n_scored = match (self.epilogue, scores) {
            (Epilogue::Best, _) => {
                found.add_records(&outputs[0], &part, a.rows.start, tile, b.rows.len().div_ceil(tile))
            }
            (Epilogue::Energy, _) => found.add_energies(&outputs[0]),
            (Epilogue::Store, None) => 0,
            (Epilogue::Store, Some(scores)) => keep(scores, found.n_columns(), &part, &outputs[0]),
        };
        self.gpu.expect_equal(kernel, "number of scores", n_scored, (step.n_rows * b.rows.len()) as u64)?;
        if !(found.sum.is_finite() && found.sum_squares.is_finite()) {
            return Err(self.gpu.canary(kernel, "sum of scores", found.sum, "a finite number"));
        }
        Ok(())
    }
}

/// The shape of workgroup that a tier's kernel is made for.
fn subgroups(tier: Tier) -> Vec<(&'static str, u32)> {
    match tier {
        Tier::Coop16 => vec![("SUBGROUPS", 8)],
        Tier::Coop16Wide => vec![("SUBGROUPS", 4)],
        _ => Vec::new(),
    }
}

/// Copies the scores of one dispatch to their place and counts those that are numbers.
fn keep(scores: &mut [f32], n_b: usize, part: &Part, words: &[u32]) -> u64 {
    let mut n_kept = 0;
    let rows = scores[part.a_rows.start * n_b..].chunks_exact_mut(n_b.max(1));
    for (row, words) in rows.zip(words.chunks_exact(part.b_rows.len().max(1))) {
        for (score, &bits) in row[part.b_rows.clone()].iter_mut().zip(words) {
            *score = f32::from_bits(bits);
            n_kept += u64::from(score.is_finite());
        }
    }
    n_kept
}

/// Norms of rows whose f32 sums of squares are right: their largest element of 28,672 or fewer lies above 2⁻³⁸, so that
/// what is flushed to zero is below 2⁻³⁴ of the sum.
const SUMMED_NORMS: Range<f64> = 9.4e-10..7.2e16;

/// Rows scored again at a time.
const CHECKED_ROWS: usize = 1024;

/// Every best score once more, on the host and from the rows themselves: GPUs find, the host says whether it is so.
fn check_bests(
    gpu: &Gpu,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    found: &AllPairs,
) -> Result<(), gpu::Error> {
    let kernel = gemm::kernel(gpu.tier(), Epilogue::Best);
    let bound = error_bound(gpu.tier(), a.n_cols.min(b.n_cols));
    for (what, left, right, bests) in
        [("score of a row", a, b, &found.rows), ("score of a column", b, a, &found.columns)]
    {
        for first in (0..bests.len()).step_by(CHECKED_ROWS) {
            let part = &bests[first..bests.len().min(first + CHECKED_ROWS)];
            for (best, exact) in part.iter().zip(exact_scores(left, right, first, part)) {
                let exact = if ranking == Ranking::Magnitude { exact.abs() } else { exact };
                // a NaN is not near anything
                let is_near = (f64::from(best.score) - exact).abs() <= bound;
                if best.index.is_some() && !is_near {
                    return Err(gpu.canary(kernel, what, best.score, exact));
                }
            }
        }
    }
    Ok(())
}

/// One row in this many meets all others again on the host.
const RECHECK_EVERY: usize = 1024;
/// Most rows of a product that do.
const MAX_RECHECKED: usize = 8;

/// All scores of some rows once more, on the host: a score that is too low would hide a partner.
fn check_sampled_rows(
    gpu: &Gpu,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    found: &AllPairs,
) -> Result<(), gpu::Error> {
    let kernel = gemm::kernel(gpu.tier(), Epilogue::Best);
    let n_cols = a.n_cols.min(b.n_cols);
    // two backends, each within the bound
    let bound = error_bound(gpu.tier(), n_cols) + error_bound(Tier::Tile, n_cols);
    let n_sampled = a.n_rows.div_ceil(RECHECK_EVERY).min(MAX_RECHECKED);
    let sampled: Vec<usize> = (0..n_sampled).map(|index| index * a.n_rows / n_sampled).collect();
    let rows = taken(a, n_cols, sampled.iter().copied());
    let wanted = Cpu::detect().all_pairs(&rows, b, ranking, Keep::Partners).rows;
    for (row, wanted) in sampled.into_iter().zip(wanted) {
        let Some(best) = found.rows.get(row) else { continue };
        let is_near = |found: f32, wanted: f32| (f64::from(found) - f64::from(wanted)).abs() <= bound;
        let is_same = best.index.is_some() == wanted.index.is_some();
        if !(is_same && is_near(best.score, wanted.score) && is_near(best.second, wanted.second)) {
            let (found, wanted) = (format!("{best:?}"), format!("{wanted:?}"));
            return Err(gpu.canary(kernel, "recomputed row", found, wanted));
        }
    }
    Ok(())
}

/// Cosines of rows `first` … of `left` with their partners in `right`.
fn exact_scores(left: &Matrix, right: &Matrix, first: usize, bests: &[Best]) -> Vec<f64> {
    let n_cols = left.n_cols.min(right.n_cols);
    let partner = |best: &Best| best.index.map_or(0, |index| index as usize);
    let rows = taken(left, n_cols, first..first + bests.len());
    let partners = taken(right, n_cols, bests.iter().map(partner));
    let dots = Cpu::detect().row_dots(&rows, &partners);
    (bests.iter().zip(dots).enumerate())
        .map(|(at, (best, dots))| {
            let is_plain = |square: f64| SUMMED_NORMS.contains(&square.sqrt());
            let dots = if is_plain(dots.aa) && is_plain(dots.bb) {
                dots
            } else {
                of_two_rows(left, first + at, right, partner(best), n_cols)
            };
            let cosine = dots.ab / (dots.aa.sqrt() * dots.bb.sqrt());
            // a row without direction scores 0
            if cosine.is_finite() { cosine } else { 0.0 }
        })
        .collect()
}

/// The sums of one pair of rows, in f64.
fn of_two_rows(
    a: &Matrix,
    row_a: usize,
    b: &Matrix,
    row_b: usize,
    n_cols: usize,
) -> crate::reductions::RowDots {
    let mut dots = crate::reductions::RowDots::default();
    for col in 0..n_cols {
        let (x, y) = (f64::from(a.at(row_a, col)), f64::from(b.at(row_b, col)));
        dots.ab += x * y;
        dots.aa += x * x;
        dots.bb += y * y;
    }
    dots
}

/// Some rows of a matrix, in this order, as a matrix of their own.
fn taken(matrix: &Matrix, n_cols: usize, rows: impl ExactSizeIterator<Item = usize> + Clone) -> Matrix {
    fn copied<T: Copy>(
        values: &[T],
        stride: usize,
        n_cols: usize,
        rows: impl Iterator<Item = usize>,
    ) -> Vec<T> {
        rows.flat_map(|row| values[row * stride..][..n_cols].iter().copied()).collect()
    }
    let values = match &matrix.values {
        Values::Bf16(values) => Values::Bf16(copied(values, matrix.n_cols, n_cols, rows.clone())),
        Values::F16(values) => Values::F16(copied(values, matrix.n_cols, n_cols, rows.clone())),
        Values::F32(values) => Values::F32(copied(values, matrix.n_cols, n_cols, rows.clone())),
    };
    let column_scale = matrix.column_scale.as_ref().map(|scale| scale[..n_cols].to_vec());
    Matrix { n_rows: rows.len(), n_cols, values, column_scale }
}

/// How far a score of a tier may be from the exact cosine, of rows of `n_cols` columns.
///
/// A score is one f32 sum over k. In registers each element is rounded twice (column factor and norm) before its product
/// is rounded once, and Σ|âb̂| ≤ 1; the norms' own errors add 2 · 32 more. Half an ulp = 2⁻²⁴ each. Matrix units may truncate
/// where they add, a whole ulp, over up to three parts; the products of two low parts, left out, are at most 2⁻²² of the
/// whole, and so are the low parts' own roundings, each side.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of columns")]
pub fn error_bound(tier: Tier, n_cols: usize) -> f64 {
    if tier.has_matrix_units() {
        let n_sums = 3 * n_cols.next_multiple_of(pack::SLAB);
        (n_sums as f64 + 5.0 + 64.0) * 2_f64.powi(-23) + 3.0 * 2_f64.powi(-22)
    } else {
        (n_cols.next_multiple_of(16) as f64 + 5.0 + 64.0) * 2_f64.powi(-24)
    }
}
