//! Cosine of every row of a with every row of b, reduced while the scores are in cache.
//!
//! Rows of a are packed in panels that all threads share; each task takes a block of rows of b, packs one slab of
//! columns at a time, multiplies it with the panel tile by tile and reduces the finished scores. Every score is summed
//! in the same order, slab by slab, however the work is cut.

use rayon::prelude::*;

use super::panels::{self, Aligned, Factors};
use super::partners::{self, Block, BlockPartners, Running};
use super::simd::{self, Level, TILE_COLUMNS, TILE_ROWS};
use crate::reductions::{AllPairs, Keep, MAX_KEPT_SCORES, Ranking};
use crate::tensor::Matrix;

/// Columns multiplied before the scores are touched again: a strip of b (16 KiB) stays in L1.
const SLAB_COLUMNS: usize = 256;

/// Rows of a that stay in L2 while they meet every strip of b: 192 × 256 × 4 bytes = 192 KiB.
const CACHED_ROWS: usize = 32 * TILE_ROWS;

/// Most f32 elements of a packed panel: 32 MiB.
const MAX_PANEL_ELEMENTS: usize = 8 << 20;

/// Most rows of a panel; above that, packing b again costs nothing any more.
const MAX_PANEL_ROWS: usize = 2048;

/// Most rows of b in a task: its scores against a panel are at most 3 MiB.
const MAX_BLOCK_ROWS: usize = 384;

/// Number of tasks a panel is cut into, or a multiple, so that 2, 4 or 8 threads finish together.
const TASKS: usize = 8;

pub(super) fn all_pairs(level: Level, a: &Matrix, b: &Matrix, ranking: Ranking, keep: Keep) -> AllPairs {
    let a_factors = panels::factors(level, a);
    let b_factors = panels::factors(level, b);
    let product = Product { level, a, b, a_factors: &a_factors, b_factors: &b_factors, ranking };

    let keeps_scores =
        keep == Keep::Scores && a.n_rows.checked_mul(b.n_rows).is_some_and(|n| n <= MAX_KEPT_SCORES);
    let mut scores = keeps_scores.then(|| vec![0.0_f32; a.n_rows * b.n_rows]);

    let mut rows = vec![Running::NONE; a.n_rows];
    let mut columns = vec![Running::NONE; b.n_rows];
    let (mut sum, mut sum_squares) = (0.0, 0.0);
    let panel_rows = product.panel_rows();
    for first_row in (0..a.n_rows).step_by(panel_rows) {
        let n_rows = panel_rows.min(a.n_rows - first_row);
        for (block, partners, tile) in product.panel(first_row, n_rows, keeps_scores) {
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

fn copy_block(tile: &[f32], block: Block, scores: &mut [f32], n_cols: usize) {
    let rows = scores[block.first_row * n_cols..].chunks_mut(n_cols).take(block.n_rows);
    for (row, tile_row) in rows.zip(tile.chunks_exact(block.row_stride)) {
        row[block.first_col..block.first_col + block.n_cols].copy_from_slice(&tile_row[..block.n_cols]);
    }
}

struct Product<'a> {
    level: Level,
    a: &'a Matrix,
    b: &'a Matrix,
    a_factors: &'a [Factors],
    b_factors: &'a [Factors],
    ranking: Ranking,
}

impl Product<'_> {
    fn n_cols(&self) -> usize {
        self.a.n_cols.min(self.b.n_cols)
    }

    /// Rows of a panel: equal panels, whole tiles, within the limits. At least one tile.
    fn panel_rows(&self) -> usize {
        let most = (MAX_PANEL_ELEMENTS / self.n_cols().max(1)).clamp(TILE_ROWS, MAX_PANEL_ROWS);
        even_share(self.a.n_rows, most, 1, TILE_ROWS)
    }

    /// Multiplies rows `first_row ..` of a with all rows of b; what was found, in the order of b's rows.
    fn panel(
        &self,
        first_row: usize,
        n_rows: usize,
        keeps_scores: bool,
    ) -> Vec<(Block, BlockPartners, Aligned)> {
        let padded_rows = n_rows.next_multiple_of(TILE_ROWS);
        let mut panel = Aligned::zeros(padded_rows * self.n_cols());
        let panel = panel.values_mut();
        panel.par_chunks_mut(padded_rows * SLAB_COLUMNS).enumerate().for_each(|(slab, packed)| {
            let columns = slab_columns(slab, self.n_cols());
            panels::pack::<TILE_ROWS>(self.level, self.a, self.a_factors, first_row, columns, packed);
        });

        let block_rows = even_share(self.b.n_rows, MAX_BLOCK_ROWS, TASKS, TILE_COLUMNS);
        (0..self.b.n_rows.div_ceil(block_rows))
            .into_par_iter()
            .with_max_len(1)
            .map_init(Aligned::default, |buffer, task| {
                let first_col = task * block_rows;
                let n_cols = block_rows.min(self.b.n_rows - first_col);
                let row_stride = n_cols.next_multiple_of(TILE_COLUMNS);
                let block = Block { first_row, first_col, n_rows, n_cols, row_stride };
                buffer.reset(padded_rows * row_stride);
                let tile = buffer.values_mut();
                self.multiply(panel, block, tile);
                let partners = partners::reduce(self.level, tile, block, self.ranking);
                let kept = if keeps_scores { std::mem::take(buffer) } else { Aligned::default() };
                (block, partners, kept)
            })
            .collect()
    }

    /// Adds the product of a packed panel and a block of rows of b to `tile`.
    fn multiply(&self, panel: &[f32], block: Block, tile: &mut [f32]) {
        let padded_rows = block.n_rows.next_multiple_of(TILE_ROWS);
        let mut buffer = Aligned::zeros(block.row_stride * SLAB_COLUMNS);
        let packed = buffer.values_mut();
        for (slab, a_slab) in panel.chunks(padded_rows * SLAB_COLUMNS).enumerate() {
            let columns = slab_columns(slab, self.n_cols());
            let depth = columns.len();
            let b_slab = &mut packed[..block.row_stride * depth];
            panels::pack::<TILE_COLUMNS>(
                self.level,
                self.b,
                self.b_factors,
                block.first_col,
                columns,
                b_slab,
            );
            let cached =
                a_slab.chunks(CACHED_ROWS * depth).zip(tile.chunks_mut(CACHED_ROWS * block.row_stride));
            for (a_cached, tile_rows) in cached {
                for (strip, b_strip) in b_slab.chunks_exact(TILE_COLUMNS * depth).enumerate() {
                    for (a_strip, tile_rows) in a_cached
                        .chunks_exact(TILE_ROWS * depth)
                        .zip(tile_rows.chunks_mut(TILE_ROWS * block.row_stride))
                    {
                        let c = &mut tile_rows[strip * TILE_COLUMNS..];
                        simd::multiply_tile(self.level, a_strip, b_strip, c, block.row_stride);
                    }
                }
            }
        }
    }
}

fn slab_columns(slab: usize, n_cols: usize) -> std::ops::Range<usize> {
    let first = slab * SLAB_COLUMNS;
    first..(first + SLAB_COLUMNS).min(n_cols)
}

/// `n` rows in equal shares of at most `most`, their number a multiple of `parts` where there are rows enough, each a
/// multiple of `unit`; depends on nothing but the shape, so that results do not depend on the machine.
fn even_share(n: usize, most: usize, parts: usize, unit: usize) -> usize {
    let n_shares = n.div_ceil(most.max(1)).next_multiple_of(parts).max(1);
    n.div_ceil(n_shares).next_multiple_of(unit).max(unit)
}
