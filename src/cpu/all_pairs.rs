//! Cosine of every row of a with every row of b, reduced while the scores are in cache.
//!
//! Rows of a are packed in panels that all threads share; each task takes a block of rows of b, packs one slab of
//! columns at a time, multiplies it with the panel tile by tile and reduces the finished scores. Every score is summed
//! in the same order, slab by slab, however the work is cut.

use std::sync::Mutex;

use rayon::prelude::*;

use super::panels::{self, Aligned, Factors};
use super::partners::{self, Block, BlockPartners, Running};
use super::simd::{self, Level, Packing, Tile};
use crate::reductions::{AllPairs, Keep, MAX_KEPT_SCORES, Ranking};
use crate::tensor::{Matrix, Values};

/// Words multiplied before the scores are touched again: a strip of b (16 or 32 KiB) stays close.
const SLAB_WORDS: usize = 256;

/// Rows of a that stay in L2 while they meet every strip of b: 192 × 256 × 4 bytes = 192 KiB. Whole tiles of any level.
const CACHED_ROWS: usize = 192;

/// Most words of a packed panel: 32 MiB.
const MAX_PANEL_WORDS: usize = 8 << 20;

/// Most rows of a panel; above that, packing b again costs nothing any more.
const MAX_PANEL_ROWS: usize = 2048;

/// Most rows of b in a task: its scores against a panel are at most 3 MiB.
const MAX_BLOCK_ROWS: usize = 384;

/// Number of tasks a panel is cut into, or a multiple, so that 2, 4 or 8 threads finish together.
const TASKS: usize = 8;

/// The panel of the last product: fetching 32 MiB of fresh pages from the system costs 4 % of a product of 2,048 × 2,048 rows.
static SPARE_PANEL: Mutex<Aligned> = Mutex::new(Aligned::EMPTY);

pub(super) fn all_pairs(level: Level, a: &Matrix, b: &Matrix, ranking: Ranking, keep: Keep) -> AllPairs {
    let packing = packing(level, a, b);
    let a_factors = panels::factors(level, packing, a);
    let b_factors = panels::factors(level, packing, b);
    let product = Product {
        level,
        tile: level.tile(),
        packing,
        a,
        b,
        a_factors: &a_factors,
        b_factors: &b_factors,
        ranking,
    };

    let keeps_scores =
        keep == Keep::Scores && a.n_rows.checked_mul(b.n_rows).is_some_and(|n| n <= MAX_KEPT_SCORES);
    let mut scores = keeps_scores.then(|| vec![0.0_f32; a.n_rows * b.n_rows]);

    let mut rows = vec![Running::NONE; a.n_rows];
    let mut columns = vec![Running::NONE; b.n_rows];
    let (mut sum, mut sum_squares) = (0.0, 0.0);
    let panel_rows = product.panel_rows();
    let mut panel = SPARE_PANEL.lock().map(|mut spare| std::mem::take(&mut *spare)).unwrap_or_default();
    for first_row in (0..a.n_rows).step_by(panel_rows) {
        let n_rows = panel_rows.min(a.n_rows - first_row);
        for (block, partners, tile) in product.panel(&mut panel, (first_row, n_rows), keeps_scores) {
            for (row, found) in rows[first_row..].iter_mut().zip(partners.rows) {
                row.then(found);
            }
            for (column, found) in columns[block.first_col..].iter_mut().zip(partners.columns) {
                column.then(found);
            }
            sum += partners.sum;
            sum_squares += partners.sum_squares;
            if let Some(scores) = &mut scores {
                copy_block(tile.values(), block, scores, b.n_rows);
            }
        }
    }
    if let Ok(mut spare) = SPARE_PANEL.lock() {
        *spare = panel;
    }
    let finish = |running: Vec<Running>, factors: &[Factors]| {
        running.into_iter().zip(factors).map(|(running, factors)| running.finish(factors.is_some())).collect()
    };
    AllPairs {
        rows: finish(rows, &a_factors),
        columns: finish(columns, &b_factors),
        sum,
        sum_squares,
        scores,
    }
}

/// bf16 is multiplied as stored where the machine can and no column has a factor.
fn packing(level: Level, a: &Matrix, b: &Matrix) -> Packing {
    let is_plain =
        |matrix: &Matrix| matches!(matrix.values, Values::Bf16(_)) && matrix.column_scale.is_none();
    if level.multiplies_bf16() && is_plain(a) && is_plain(b) && a.n_cols == b.n_cols {
        Packing::Bf16Pairs
    } else {
        Packing::F32
    }
}

fn copy_block(tile: &[f32], block: Block, scores: &mut [f32], n_cols: usize) {
    let rows = scores[block.first_row * n_cols..].chunks_mut(n_cols).take(block.n_rows);
    for (row, tile_row) in rows.zip(tile.chunks_exact(block.row_stride)) {
        row[block.first_col..block.first_col + block.n_cols].copy_from_slice(&tile_row[..block.n_cols]);
    }
}

struct Product<'a> {
    level: Level,
    tile: Tile,
    packing: Packing,
    a: &'a Matrix,
    b: &'a Matrix,
    a_factors: &'a [Factors],
    b_factors: &'a [Factors],
    ranking: Ranking,
}

impl Product<'_> {
    /// Words of a row.
    fn n_words(&self) -> usize {
        let n_cols = self.a.n_cols.min(self.b.n_cols);
        match self.packing {
            Packing::F32 => n_cols,
            Packing::Bf16Pairs => n_cols.div_ceil(2),
        }
    }

    /// Rows of a panel: equal panels, whole tiles, within the limits. At least one tile.
    fn panel_rows(&self) -> usize {
        let most = (MAX_PANEL_WORDS / self.n_words().max(1)).clamp(self.tile.rows, MAX_PANEL_ROWS);
        even_share(self.a.n_rows, most, 1, self.tile.rows)
    }

    /// Multiplies rows `first_row ..` of a with all rows of b; what was found, in the order of b's rows.
    fn panel(
        &self,
        panel: &mut Aligned,
        (first_row, n_rows): (usize, usize),
        keeps_scores: bool,
    ) -> Vec<(Block, BlockPartners, Aligned)> {
        let padded_rows = n_rows.next_multiple_of(self.tile.rows);
        panel.resize(padded_rows * self.n_words());
        let panel = &mut panel.values_mut()[..padded_rows * self.n_words()];
        panel.par_chunks_mut(padded_rows * SLAB_WORDS).enumerate().for_each(|(slab, packed)| {
            let words = slab_words(slab, self.n_words());
            let a = (self.a, self.a_factors);
            panels::pack(self.level, self.packing, self.tile.rows, a, first_row, words, packed);
        });

        let block_rows = even_share(self.b.n_rows, MAX_BLOCK_ROWS, TASKS, self.tile.columns);
        (0..self.b.n_rows.div_ceil(block_rows))
            .into_par_iter()
            .with_max_len(1)
            .map_init(<(Aligned, Aligned)>::default, |(buffer, packed), task| {
                let first_col = task * block_rows;
                let n_cols = block_rows.min(self.b.n_rows - first_col);
                let row_stride = n_cols.next_multiple_of(self.tile.columns);
                let block = Block { first_row, first_col, n_rows, n_cols, row_stride };
                buffer.reset(padded_rows * row_stride);
                let tile = buffer.values_mut();
                packed.resize(block.row_stride * SLAB_WORDS);
                self.multiply(panel, block, packed.values_mut(), tile);
                if self.packing == Packing::Bf16Pairs {
                    self.scale(block, tile);
                }
                let partners = partners::reduce(self.level, tile, block, self.ranking);
                let kept = if keeps_scores { std::mem::take(buffer) } else { Aligned::default() };
                (block, partners, kept)
            })
            .collect()
    }

    /// Adds the product of a packed panel and a block of rows of b to `scores`.
    fn multiply(&self, panel: &[f32], block: Block, packed: &mut [f32], scores: &mut [f32]) {
        let Tile { rows, columns } = self.tile;
        let padded_rows = block.n_rows.next_multiple_of(rows);
        for (slab, a_slab) in panel.chunks(padded_rows * SLAB_WORDS).enumerate() {
            let words = slab_words(slab, self.n_words());
            let depth = words.len();
            let b_slab = &mut packed[..block.row_stride * depth];
            let b = (self.b, self.b_factors);
            panels::pack(self.level, self.packing, columns, b, block.first_col, words, b_slab);
            let cached =
                a_slab.chunks(CACHED_ROWS * depth).zip(scores.chunks_mut(CACHED_ROWS * block.row_stride));
            for (a_cached, score_rows) in cached {
                for (strip, b_strip) in b_slab.chunks_exact(columns * depth).enumerate() {
                    for (a_strip, score_rows) in a_cached
                        .chunks_exact(rows * depth)
                        .zip(score_rows.chunks_mut(rows * block.row_stride))
                    {
                        let c = &mut score_rows[strip * columns..];
                        simd::multiply_tile(self.level, self.packing, a_strip, b_strip, c, block.row_stride);
                    }
                }
            }
        }
    }

    /// Divides finished scores by the norms of their rows, where elements were not scaled.
    fn scale(&self, block: Block, scores: &mut [f32]) {
        let on_scores =
            |factors: Option<&Factors>| factors.copied().flatten().map_or(0.0, |scale| scale.on_scores);
        let of_columns: Vec<f32> = (block.first_col..block.first_col + block.row_stride)
            .map(|col| on_scores(self.b_factors.get(col)))
            .collect();
        for (row, scores) in (block.first_row..).zip(scores.chunks_exact_mut(block.row_stride)) {
            let of_row = on_scores(self.a_factors.get(row));
            for (score, of_column) in scores.iter_mut().zip(&of_columns) {
                *score = *score * of_row * of_column;
            }
        }
    }
}

fn slab_words(slab: usize, n_words: usize) -> std::ops::Range<usize> {
    let first = slab * SLAB_WORDS;
    first..(first + SLAB_WORDS).min(n_words)
}

/// `n` rows in equal shares of at most `most`, their number a multiple of `parts` where there are rows enough, each a
/// multiple of `unit`; depends on nothing but the shape, so that results do not depend on the machine.
fn even_share(n: usize, most: usize, parts: usize, unit: usize) -> usize {
    let n_shares = n.div_ceil(most.max(1)).next_multiple_of(parts).max(1);
    n.div_ceil(n_shares).next_multiple_of(unit).max(unit)
}
