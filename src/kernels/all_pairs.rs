//! Cosine of every row of a with every row of b, reduced inside the product. [n, k] × [m, k] → partners and sums.
//!
//! The score matrix is never written unless it is asked for. Scores are f32 sums over all of k: they *find* partners;
//! what is reported about a pair is computed again by [`super::row_dots`]. A row without direction (all zeros, or with
//! a NaN or Inf in it) scores 0 with every other.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::Backend;
use super::moments::to_u32;
use super::operand::{BLOCK, Rows, element_bytes};
use super::row_dots::{self, OnDevice, rows_per_chunk};
use crate::gpu::{self, Call, Edit, Gpu, Kernel, Resident, Tier};
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

gpu::params! {
    /// Uniform of shaders/gemm_tile.wgsl and gemm_small.wgsl.
    struct Params {
        n_a: u32,
        n_b: u32,
        row_quads: u32,
        first_row_tile: u32,
        n_col_tiles: u32,
        by_magnitude: u32,
    }
}

/// The product in one tier with one epilogue.
macro_rules! gemm {
    ($label:literal, $entry:literal, $finish:literal, $broken:expr) => {
        Kernel {
            label: $label,
            entry: $entry,
            source: concat!(
                include_str!("../../shaders/shared/consts.wgsl"),
                include_str!("../../shaders/shared/decode.wgsl"),
                include_str!("../../shaders/shared/operands.wgsl"),
                include_str!("../../shaders/shared/stage.wgsl"),
                include_str!(concat!("../../shaders/", $entry, ".wgsl")),
                include_str!(concat!("../../shaders/shared/", $finish, ".wgsl")),
            ),
            params: Params::FIELDS,
            broken: $broken,
        }
    };
}

/// Mistakes of the epilogue that finds partners.
const BROKEN_BEST: [Edit; 4] = [
    Edit { name: "last column lost", find: "if col + 3u < params.n_b {", replace: "if false {" },
    Edit {
        name: "tie to the higher index",
        find: "score == best.score && index < best.index",
        replace: "score == best.score",
    },
    Edit { name: "runner-up forgotten", find: "max(best.second, score)", replace: "best.second" },
    Edit { name: "padding takes part", find: "if row < params.n_a {", replace: "if true {" },
];

/// Mistakes of the product, in either tier.
const SKIPPED_SLAB: Edit = Edit { name: "half of a slab", find: "k < 16u", replace: "k < 8u" };
const NORM_IGNORED: Edit = Edit {
    name: "gain",
    find: "bitcast<vec4<f32>>(bits) * factors * inverse_norm",
    replace: "bitcast<vec4<f32>>(bits) * factors * inverse_norm * 1.0005",
};
const WRONG_ROW: Edit = Edit {
    name: "wrong operand row",
    find: "first + 3u * params.row_quads)), factors, norms.w),\n    );\n}\n\n// The same",
    replace: "first + 2u * params.row_quads)), factors, norms.w),\n    );\n}\n\n// The same",
};

/// Finds partners, 128 × 128 tiles.
pub static TILE_BEST: Kernel = gemm!(
    "gemm_tile+finish_best",
    "gemm_tile",
    "finish_best",
    &[SKIPPED_SLAB, NORM_IGNORED, WRONG_ROW, BROKEN_BEST[0], BROKEN_BEST[1], BROKEN_BEST[2], BROKEN_BEST[3]]
);

/// Keeps the scores, 128 × 128 tiles.
pub static TILE_STORE: Kernel = gemm!(
    "gemm_tile+finish_store",
    "gemm_tile",
    "finish_store",
    &[SKIPPED_SLAB, Edit { name: "wrong strip", find: "64u + half * 32u", replace: "half * 32u" }]
);

/// Finds partners, 64 × 64 tiles.
pub static SMALL_BEST: Kernel = gemm!(
    "gemm_small+finish_best",
    "gemm_small",
    "finish_best",
    &[SKIPPED_SLAB, NORM_IGNORED, WRONG_ROW, BROKEN_BEST[0], BROKEN_BEST[1], BROKEN_BEST[2], BROKEN_BEST[3]]
);

/// Keeps the scores, 64 × 64 tiles.
pub static SMALL_STORE: Kernel = gemm!(
    "gemm_small+finish_store",
    "gemm_small",
    "finish_store",
    &[SKIPPED_SLAB, Edit { name: "lost row", find: "c71 += x1.w * y1;", replace: "c71 += x1.z * y1;" }]
);

/// Words of a row record and of a column record (shaders/shared/finish_best.wgsl).
const ROW_WORDS: usize = 3;
const COLUMN_WORDS: usize = 6;

/// Most rows of a block: bounds the records of one dispatch.
const MAX_BLOCK_ROWS: usize = 4096;
/// Outside these norms a row is rescaled by a power of two on the host, so that no factor leaves the range of f32.
const PLAIN_NORMS: Range<f64> = 7.9e-31..1.3e30;

fn on_gpu(gpu: &Gpu, a: &Matrix, b: &Matrix, ranking: Ranking, keep: Keep) -> Result<AllPairs, gpu::Error> {
    let n_cols = a.n_cols.min(b.n_cols);
    let kept = keep == Keep::Scores && a.n_rows.checked_mul(b.n_rows).is_some_and(|n| n <= MAX_KEPT_SCORES);
    let mut found = Found::new(a.n_rows, b.n_rows, kept);
    let mut pace = Pace::new(gpu);
    let block_rows = |matrix: &Matrix| {
        let tile = gpu.tier().tile();
        (rows_per_chunk(gpu, n_cols, element_bytes(matrix)).min(MAX_BLOCK_ROWS) / tile * tile).max(tile)
    };
    let (step_a, step_b) = (block_rows(a), block_rows(b));
    let mut resident: Option<RowBlock> = None;
    for first_a in (0..a.n_rows).step_by(step_a) {
        let turn = gpu.turn();
        let block_a = RowBlock::upload(gpu, a, first_a..a.n_rows.min(first_a + step_a), n_cols)?;
        found.a_has_direction.extend_from_slice(&block_a.has_direction);
        for first_b in (0..b.n_rows).step_by(step_b) {
            let block_b = match resident.take() {
                Some(block) if block.rows.start == first_b => block,
                _ => RowBlock::upload(gpu, b, first_b..b.n_rows.min(first_b + step_b), n_cols)?,
            };
            if first_a == 0 {
                found.b_has_direction.extend_from_slice(&block_b.has_direction);
            }
            multiply(gpu, &block_a, &block_b, ranking, &mut pace, &mut found)?;
            resident = Some(block_b);
        }
        drop(turn);
    }
    Ok(found.finish(ranking))
}

/// Some rows of one operand on the device, with 1/‖row‖.
struct RowBlock {
    rows: Range<usize>,
    code: u32,
    row_quads: usize,
    device: OnDevice,
    inverse_norms: Resident,
    has_direction: Vec<bool>,
}

impl RowBlock {
    fn upload(gpu: &Gpu, matrix: &Matrix, rows: Range<usize>, n_cols: usize) -> Result<RowBlock, gpu::Error> {
        let packed = Rows::new(matrix, rows.clone(), 0..n_cols);
        let tile = gpu.tier().tile();
        let device = OnDevice::upload(gpu, &packed, rows.len().next_multiple_of(tile))?;
        let partials = row_dots::run(gpu, (&packed, &device), (&packed, &device))?;
        let norms: Vec<f64> = (rows.clone().zip(partials))
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
            let mut block = RowBlock::upload(gpu, &plain, 0..rows.len(), n_cols)?;
            block.rows = rows;
            return Ok(block);
        }
        let has_direction: Vec<bool> = norms.iter().map(|norm| *norm > 0.0 && norm.is_finite()).collect();
        let mut inverse: Vec<f32> =
            norms.iter().zip(&has_direction).map(|(norm, has)| inverse(*norm, *has)).collect();
        inverse.resize(rows.len().next_multiple_of(tile), 0.0);
        Ok(RowBlock {
            rows,
            code: packed.code,
            row_quads: packed.padded_cols / 4,
            device,
            inverse_norms: gpu.upload(&row_dots::KERNEL, bytemuck::cast_slice(&inverse), 0)?,
            has_direction,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the shader's factor is f32; its rounding is in the bound"
)]
fn inverse(norm: f64, has_direction: bool) -> f32 {
    if has_direction { norm.recip() as f32 } else { 0.0 }
}

/// Rows divided by their norms on the host: cosines do not see it.
#[expect(clippy::cast_possible_truncation, reason = "one rounding to f32, as in the shader")]
fn rescaled(matrix: &Matrix, rows: Range<usize>, n_cols: usize, norms: &[f64]) -> Matrix {
    let mut values = Vec::with_capacity(rows.len() * n_cols);
    for (row, norm) in rows.clone().zip(norms) {
        let factor = if *norm > 0.0 && norm.is_finite() { norm.recip() } else { 0.0 };
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

/// All scores of two resident blocks, in dispatches of a few rows of tiles.
#[expect(clippy::cast_precision_loss, reason = "counts of operations, for pacing")]
fn multiply(
    gpu: &Gpu,
    a: &RowBlock,
    b: &RowBlock,
    ranking: Ranking,
    pace: &mut Pace,
    found: &mut Found,
) -> Result<(), gpu::Error> {
    let tile = gpu.tier().tile();
    let (n_row_tiles, n_col_tiles) = (a.rows.len().div_ceil(tile), b.rows.len().div_ceil(tile));
    let kernel: &'static Kernel = match (gpu.tier(), found.scores.is_some()) {
        (Tier::Tile, false) => &TILE_BEST,
        (Tier::Tile, true) => &TILE_STORE,
        (Tier::Small, false) => &SMALL_BEST,
        (Tier::Small, true) => &SMALL_STORE,
    };
    let flop_per_row_tile = 2.0 * tile as f64 * (n_col_tiles * tile) as f64 * (a.row_quads * 4) as f64;
    let mut first_row_tile = 0;
    while first_row_tile < n_row_tiles {
        let count = pace.row_tiles(flop_per_row_tile, n_row_tiles - first_row_tile);
        let first_row = first_row_tile * tile;
        let n_rows = (count * tile).min(a.rows.len() - first_row);
        let params = Params {
            n_a: to_u32(a.rows.len()),
            n_b: to_u32(b.rows.len()),
            row_quads: to_u32(a.row_quads),
            first_row_tile: to_u32(first_row_tile),
            n_col_tiles: to_u32(n_col_tiles),
            by_magnitude: u32::from(ranking == Ranking::Magnitude),
        };
        let output_words = if found.scores.is_some() {
            n_rows * b.rows.len()
        } else {
            count * n_col_tiles * tile * (ROW_WORDS + COLUMN_WORDS)
        };
        let start = Instant::now();
        let outputs = gpu.run(&Call {
            kernel,
            constants: &[("A_DTYPE", a.code), ("B_DTYPE", b.code)],
            params: bytemuck::bytes_of(&params),
            inputs: &[
                &a.device.values,
                &b.device.values,
                &a.inverse_norms,
                &b.inverse_norms,
                &a.device.factors,
                &b.device.factors,
            ],
            outputs: &[output_words],
            groups: [to_u32(n_col_tiles), to_u32(count), 1],
        })?;
        pace.saw(flop_per_row_tile * count as f64, start.elapsed());
        let part = Part {
            a_rows: a.rows.start + first_row..a.rows.start + first_row + n_rows,
            b_rows: b.rows.clone(),
        };
        if found.scores.is_some() {
            found.keep(&part, &outputs[0]);
        } else {
            let n_scored = found.add_records(&outputs[0], &part, a.rows.start, tile, n_col_tiles);
            gpu.expect_equal(kernel, "number of scores", n_scored, (n_rows * b.rows.len()) as u64)?;
        }
        first_row_tile += count;
    }
    Ok(())
}

/// Rows of a and b, counted in the whole matrices, that one dispatch multiplied.
struct Part {
    a_rows: Range<usize>,
    b_rows: Range<usize>,
}

/// Best and second best so far.
#[derive(Clone, Copy)]
struct Running {
    score: f32,
    index: u32,
    second: f32,
}

impl Running {
    const NONE: Running = Running { score: f32::NEG_INFINITY, index: 0, second: f32::NEG_INFINITY };

    /// Takes in what was found among higher indices; a tie stays with the lower one.
    fn then(&mut self, later: Running) {
        if later.score > self.score {
            *self = Running { second: self.score.max(later.second), ..later };
        } else {
            self.second = self.second.max(later.score);
        }
    }

    /// From three words of a record; index counted from `first`. Below every cosine: nothing was scored.
    fn read(words: &[u32], first: usize) -> Running {
        let score =
            |bits: u32| Some(f32::from_bits(bits)).filter(|s| *s >= -2.0).unwrap_or(f32::NEG_INFINITY);
        Running { score: score(words[0]), index: words[1] + to_u32(first), second: score(words[2]) }
    }

    fn finish(self, has_direction: bool) -> Best {
        if !has_direction || self.score == f32::NEG_INFINITY {
            return Best { index: None, score: 0.0, second: 0.0 };
        }
        let second = if self.second == f32::NEG_INFINITY { 0.0 } else { self.second };
        Best { index: Some(self.index), score: self.score, second }
    }
}

/// What was found so far.
struct Found {
    rows: Vec<Running>,
    columns: Vec<Running>,
    a_has_direction: Vec<bool>,
    b_has_direction: Vec<bool>,
    sum: f64,
    sum_squares: f64,
    scores: Option<Vec<f32>>,
}

impl Found {
    fn new(n_a: usize, n_b: usize, keeps_scores: bool) -> Found {
        Found {
            rows: vec![Running::NONE; n_a],
            columns: vec![Running::NONE; n_b],
            a_has_direction: Vec::with_capacity(n_a),
            b_has_direction: Vec::with_capacity(n_b),
            sum: 0.0,
            sum_squares: 0.0,
            scores: keeps_scores.then(|| vec![0.0; n_a * n_b]),
        }
    }

    /// Adds the records of one dispatch, tiles in ascending order; returns how many scores they stand for.
    fn add_records(
        &mut self,
        records: &[u32],
        part: &Part,
        first_of_block: usize,
        tile: usize,
        n_col_tiles: usize,
    ) -> u64 {
        let mut n_scored = 0;
        for (tile_idx, record) in records.chunks_exact(tile * (ROW_WORDS + COLUMN_WORDS)).enumerate() {
            let first_row = part.a_rows.start + tile_idx / n_col_tiles * tile;
            let first_col = part.b_rows.start + tile_idx % n_col_tiles * tile;
            let (row_records, column_records) = record.split_at(tile * ROW_WORDS);
            let rows = &mut self.rows[first_row..part.a_rows.end.min(first_row + tile)];
            for (row, words) in rows.iter_mut().zip(row_records.chunks_exact(ROW_WORDS)) {
                row.then(Running::read(words, part.b_rows.start));
            }
            let columns = &mut self.columns[first_col..part.b_rows.end.min(first_col + tile)];
            for (column, words) in columns.iter_mut().zip(column_records.chunks_exact(COLUMN_WORDS)) {
                column.then(Running::read(words, first_of_block));
                self.sum += f64::from(f32::from_bits(words[3]));
                self.sum_squares += f64::from(f32::from_bits(words[4]));
                n_scored += u64::from(words[5]);
            }
        }
        n_scored
    }

    /// Copies the scores of one dispatch to their place.
    fn keep(&mut self, part: &Part, words: &[u32]) {
        let n_b = self.columns.len();
        let Some(scores) = &mut self.scores else { return };
        let rows = scores[part.a_rows.start * n_b..].chunks_exact_mut(n_b);
        for (row, words) in rows.zip(words.chunks_exact(part.b_rows.len().max(1))) {
            for (score, &bits) in row[part.b_rows.clone()].iter_mut().zip(words) {
                *score = f32::from_bits(bits);
            }
        }
    }

    fn finish(mut self, ranking: Ranking) -> AllPairs {
        if let Some(scores) = self.scores.take() {
            self.reduce(&scores, ranking);
            self.scores = Some(scores);
        }
        let finish = |running: Vec<Running>, has: Vec<bool>| {
            running.into_iter().zip(has).map(|(running, has)| running.finish(has)).collect()
        };
        AllPairs {
            rows: finish(self.rows, self.a_has_direction),
            columns: finish(self.columns, self.b_has_direction),
            sum: self.sum,
            sum_squares: self.sum_squares,
            scores: self.scores,
        }
    }

    /// Partners and sums of kept scores.
    fn reduce(&mut self, scores: &[f32], ranking: Ranking) {
        let n_b = self.columns.len();
        for ((row_idx, row), scores) in self.rows.iter_mut().enumerate().zip(scores.chunks_exact(n_b.max(1)))
        {
            for ((col_idx, column), &score) in self.columns.iter_mut().enumerate().zip(scores) {
                let ranked = match ranking {
                    Ranking::Signed => score,
                    Ranking::Magnitude => score.abs(),
                };
                let found =
                    |index| Running { score: ranked, index: to_u32(index), second: f32::NEG_INFINITY };
                row.then(found(col_idx));
                column.then(found(row_idx));
                self.sum += f64::from(score);
                self.sum_squares += f64::from(score) * f64::from(score);
            }
        }
    }
}

/// How far a score may be from the exact cosine: a score is one f32 sum over k, each element rounded twice (column
/// factor and norm) before its product is rounded once, and Σ|âb̂| ≤ 1; the norms' own errors add 2 · 32 more. Half an
/// ulp = 2⁻²⁴ each.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of columns")]
pub fn error_bound(n_cols: usize) -> f64 {
    (n_cols.next_multiple_of(16) as f64 + 5.0 + 64.0) * 2_f64.powi(-24)
}
