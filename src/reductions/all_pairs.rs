//! What the all-pairs cosine is reduced to: partners and sums, the scores only on request.

/// Whether the best match is the largest cosine or the largest magnitude (units whose sign may flip).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ranking {
    /// Largest C.
    Signed,
    /// Largest |C|.
    Magnitude,
}

/// Whether the score matrix is kept (permutation tests) or only reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// Partners and sums.
    Partners,
    /// The n_a × n_b scores too: at most [`MAX_KEPT_SCORES`].
    Scores,
}

/// Largest number of scores ever kept: 4096².
pub const MAX_KEPT_SCORES: usize = 1 << 24;

/// Best match of one row (or column) of the score matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    /// Index of the best match, ties to the lower one; None for a zero vector.
    pub index: Option<u32>,
    /// Its score (its magnitude under [`Ranking::Magnitude`]).
    pub score: f32,
    /// Score of the runner-up; 0 where there is none.
    pub second: f32,
}

/// Reduced score matrix `C[i][j]` = cos(row i of a, row j of b); zero rows score 0.
#[derive(Clone, Debug, PartialEq)]
pub struct AllPairs {
    /// For each row of a, its best row of b.
    pub rows: Vec<Best>,
    /// For each row of b, its best row of a.
    pub columns: Vec<Best>,
    /// ΣC (signed).
    pub sum: f64,
    /// ΣC².
    pub sum_squares: f64,
    /// Row-major C, kept on request; always signed.
    pub scores: Option<Vec<f32>>,
}
