//! What the dispatches of an all-pairs product have found so far: best matches and sums, in the order of the tiles.

use std::ops::Range;

use super::moments::to_u32;
use crate::reductions::{AllPairs, Best, Ranking};

/// Words of a row record and of a column record (shaders/shared/finish_best.wgsl).
pub(super) const ROW_WORDS: usize = 3;
pub(super) const COLUMN_WORDS: usize = 6;
/// Words of a column's record (shaders/shared/finish_energy.wgsl).
pub(super) const ENERGY_WORDS: usize = 2;

/// Rows of a and b, counted in the whole matrices, that one dispatch multiplied.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Rows of a.
    pub(super) a_rows: Range<usize>,
    /// Rows of b.
    pub(super) b_rows: Range<usize>,
}

/// Best and second best so far.
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone, Debug)]
pub(super) struct Found {
    rows: Vec<Running>,
    columns: Vec<Running>,
    pub(super) a_has_direction: Vec<bool>,
    pub(super) b_has_direction: Vec<bool>,
    pub(super) sum: f64,
    pub(super) sum_squares: f64,
}

impl Found {
    pub(super) fn new(n_a: usize, n_b: usize) -> Found {
        Found {
            rows: vec![Running::NONE; n_a],
            columns: vec![Running::NONE; n_b],
            a_has_direction: Vec::with_capacity(n_a),
            b_has_direction: Vec::with_capacity(n_b),
            sum: 0.0,
            sum_squares: 0.0,
        }
    }

    /// Columns of the score matrix.
    pub(super) fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// Adds the records of one dispatch, tiles in ascending order; returns how many scores they stand for.
    pub(super) fn add_records(
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

    /// Adds ΣC² of one dispatch; returns how many scores it stands for.
    pub(super) fn add_energies(&mut self, records: &[u32]) -> u64 {
        let mut n_scored = 0;
        for words in records.chunks_exact(ENERGY_WORDS) {
            self.sum_squares += f64::from(f32::from_bits(words[0]));
            n_scored += u64::from(words[1]);
        }
        n_scored
    }

    /// Partners and sums; those of kept scores are found here.
    pub(super) fn finish(mut self, scores: Option<Vec<f32>>, ranking: Ranking) -> AllPairs {
        if let Some(scores) = &scores {
            self.reduce(scores, ranking);
        }
        let finish = |running: Vec<Running>, has: Vec<bool>| {
            running.into_iter().zip(has).map(|(running, has)| running.finish(has)).collect()
        };
        AllPairs {
            rows: finish(self.rows, self.a_has_direction),
            columns: finish(self.columns, self.b_has_direction),
            sum: self.sum,
            sum_squares: self.sum_squares,
            scores,
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
