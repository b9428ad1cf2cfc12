//! A block of scores, still in cache, becomes best matches and sums.

use super::simd::{self, Level, Loop};
use crate::reductions::{Best, Ranking};

/// Columns that are ranked together.
const LANES: usize = 16;

/// Best and second best of one row or column so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    index: u32,
    best: f32,
    second: f32,
}

impl Running {
    /// Nothing seen yet.
    pub(super) const NONE: Running = Running { index: 0, best: f32::NEG_INFINITY, second: f32::NEG_INFINITY };

    /// Takes in what was found among higher indices; a tie stays with the lower one.
    pub(super) fn then(&mut self, later: Running) {
        if later.best > self.best {
            *self = Running { second: self.best.max(later.second), ..later };
        } else {
            self.second = self.second.max(later.best);
        }
    }

    /// As reported: a vector without direction matches nothing.
    pub(super) fn finish(self, has_direction: bool) -> Best {
        if !has_direction || self.best == f32::NEG_INFINITY {
            return Best { index: None, score: 0.0, second: 0.0 };
        }
        let second = if self.second == f32::NEG_INFINITY { 0.0 } else { self.second };
        Best { index: Some(self.index), score: self.best, second }
    }
}

/// What a block of scores is reduced to.
pub(super) struct BlockPartners {
    /// For each row of the block.
    pub(super) rows: Vec<Running>,
    /// For each column of the block.
    pub(super) columns: Vec<Running>,
    /// ΣC.
    pub(super) sum: f64,
    /// ΣC².
    pub(super) sum_squares: f64,
}

/// Where a block of scores lies in the whole matrix and in memory.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) first_row: usize,
    pub(super) first_col: usize,
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
    /// Elements between two rows in memory; a multiple of 16.
    pub(super) row_stride: usize,
}

/// Reduces the scores of a block; `scores` holds `n_rows` rows of `row_stride` elements.
pub(super) fn reduce(level: Level, scores: &[f32], block: Block, ranking: Ranking) -> BlockPartners {
    match ranking {
        Ranking::Signed => simd::vectorised(level, Reduce { scores, block, rank: |score| score }),
        Ranking::Magnitude => simd::vectorised(level, Reduce { scores, block, rank: f32::abs }),
    }
}

/// The one loop over the scores, for either ranking.
struct Reduce<'a, F> {
    scores: &'a [f32],
    block: Block,
    rank: F,
}

impl<F: Fn(f32) -> f32 + Copy> Loop for Reduce<'_, F> {
    type Output = BlockPartners;

    #[inline(always)]
    fn run(self) -> BlockPartners {
        reduce_ranked(self.scores, self.block, self.rank)
    }
}

#[inline(always)]
fn reduce_ranked(scores: &[f32], block: Block, rank: impl Fn(f32) -> f32 + Copy) -> BlockPartners {
    let n_groups = block.n_cols.div_ceil(LANES);
    let mut columns = vec![LaneBests::NONE; n_groups];
    let mut rows = Vec::with_capacity(block.n_rows);
    let (mut sum, mut sum_squares) = (0.0, 0.0);
    for (row, scores) in scores.chunks_exact(block.row_stride).take(block.n_rows).enumerate() {
        let row_index = index_u32(block.first_row + row);
        let mut row_bests = LaneBests::NONE;
        let (mut lane_sums, mut lane_squares) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        for (group, (scores, column_bests)) in
            scores.as_chunks::<LANES>().0.iter().zip(&mut columns).enumerate()
        {
            let first_col = group * LANES;
            let n_valid = (block.n_cols - first_col).min(LANES);
            let mut keys = scores.map(rank);
            for key in &mut keys[n_valid..] {
                *key = f32::NEG_INFINITY;
            }
            for lane in 0..LANES {
                // padding is zero and adds nothing
                lane_sums[lane] += scores[lane];
                lane_squares[lane] += scores[lane] * scores[lane];
            }
            row_bests.update(&keys, index_u32(group));
            column_bests.update(&keys, row_index);
        }
        sum += lane_sums.into_iter().map(f64::from).sum::<f64>();
        sum_squares += lane_squares.into_iter().map(f64::from).sum::<f64>();
        rows.push(row_bests.across(index_u32(block.first_col)));
    }
    let columns = columns.iter().flat_map(LaneBests::each).take(block.n_cols).collect();
    BlockPartners { rows, columns, sum, sum_squares }
}

/// Best and second best of sixteen columns, or of every sixteenth element of a row.
#[derive(Clone, Copy)]
struct LaneBests {
    best: [f32; LANES],
    second: [f32; LANES],
    index: [u32; LANES],
}

impl LaneBests {
    const NONE: LaneBests =
        LaneBests { best: [f32::NEG_INFINITY; LANES], second: [f32::NEG_INFINITY; LANES], index: [0; LANES] };

    /// Without branches, so that the lanes become vectors.
    #[expect(clippy::needless_range_loop, reason = "four arrays side by side read better by lane")]
    #[inline(always)]
    fn update(&mut self, keys: &[f32; LANES], index: u32) {
        for lane in 0..LANES {
            let (key, best, second) = (keys[lane], self.best[lane], self.second[lane]);
            let wins = key > best;
            let loser = if wins { best } else { key };
            self.best[lane] = if wins { key } else { best };
            self.second[lane] = if loser > second { loser } else { second };
            self.index[lane] = if wins { index } else { self.index[lane] };
        }
    }

    fn each(&self) -> [Running; LANES] {
        std::array::from_fn(|lane| Running {
            index: self.index[lane],
            best: self.best[lane],
            second: self.second[lane],
        })
    }

    /// Best of a row: lanes hold the group of their best; the lower column wins a tie.
    fn across(&self, first_col: u32) -> Running {
        let mut total = Running::NONE;
        for (lane, found) in (0_u32..).zip(self.each()) {
            let found = Running { index: first_col + found.index * (LANES as u32) + lane, ..found };
            let is_better =
                found.best > total.best || (found.best == total.best && found.index < total.index);
            total = if is_better {
                Running { second: total.best.max(found.second), ..found }
            } else {
                Running { second: total.second.max(found.best), ..total }
            };
        }
        total
    }
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
