//! S5, the residual map: how the residual basis of one token table became that of the other.
//!
//! First a signed permutation: dimensions are columns of the tables, [shared tokens] long; partners are mutual best matches by
//! |cosine| (all-pairs product of the columns). Found for half of the dimensions, it is one. Else a rotation keeps the cosines of
//! tokens with each other: their correlation over all pairs of tokens says whether there was one. Asked after a verdict: which
//! disguise, never whether.

use super::agreement::{n_found, n_in_place, partners};
use super::identify_by_answers::correlation;
use super::probes::Asked;
use crate::kernels::{Backend, all_pairs};
use crate::reductions::{Keep, Ranking};
use crate::stream::Error;
use crate::tensor::Matrix;

/// Share of the dimensions that must find each other for a permutation,
const PERMUTED: f64 = 0.5;
/// each with this |cosine|: after a rotation half of them have mutual partners too, the largest at about √(2 ln d / d), .36 for 64 dimensions.
const ALIKE: f32 = 0.5;
/// Correlation of token cosines from which on the map was a rotation: independent models of one language reach about a half.
const ROTATED: f64 = 0.8;

/// The map between two residual bases.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenBasis {
    /// Dimensions in another order, some with the other sign.
    Permuted {
        /// For each right dimension the left one.
        left_of: Vec<Option<u32>>,
        /// Of these with another sign.
        n_flipped: usize,
    },
    /// Angles between tokens are kept.
    Rotated {
        /// Correlation of token cosines.
        likeness: f64,
    },
    /// Neither.
    Other {
        /// Correlation of token cosines.
        likeness: f64,
    },
}

impl TokenBasis {
    /// Most dimensions that were found stand where they stood.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let TokenBasis::Permuted { left_of, n_flipped } = self else { return false };
        let n_found = n_found(left_of);
        2 * n_in_place(left_of) > n_found && 2 * n_flipped < n_found
    }
}

/// Which map leads from the left table to the right one.
///
/// # Errors
/// The device failed.
pub fn token_basis(
    backend: &Backend,
    left: &Asked<'_>,
    right: &Asked<'_>,
    flop: &mut u64,
) -> Result<TokenBasis, Error> {
    let (a, b) = (columns(left.tokens()), columns(right.tokens()));
    if a.n_rows == b.n_rows {
        *flop += 2 * (a.n_rows * b.n_rows * a.n_cols) as u64;
        let found = all_pairs::all_pairs(backend, &a, &b, Ranking::Magnitude, Keep::Partners)?;
        let mut left_of = vec![None; b.n_rows];
        let mut n_flipped = 0;
        for (row, column) in partners(&found).into_iter().enumerate() {
            let Some(column) = column.filter(|_| found.rows[row].score >= ALIKE) else { continue };
            left_of[column as usize] = u32::try_from(row).ok();
            let dot: f64 = (0..a.n_cols)
                .map(|token| f64::from(a.at(row, token)) * f64::from(b.at(column as usize, token)))
                .sum();
            n_flipped += usize::from(dot < 0.0);
        }
        if n_found(&left_of) as f64 >= PERMUTED * a.n_rows as f64 {
            return Ok(TokenBasis::Permuted { left_of, n_flipped });
        }
    }
    let likeness = correlation(&left.token_cosines(backend)?, &right.token_cosines(backend)?);
    Ok(if likeness >= ROTATED { TokenBasis::Rotated { likeness } } else { TokenBasis::Other { likeness } })
}

/// Columns as rows, each minus its mean.
fn columns(tokens: &Matrix) -> Matrix {
    let n = tokens.n_rows;
    let mut values = Vec::with_capacity(n * tokens.n_cols);
    for col in 0..tokens.n_cols {
        let mean = (0..n).map(|row| f64::from(tokens.at(row, col))).sum::<f64>() / n.max(1) as f64;
        values.extend((0..n).map(|row| (f64::from(tokens.at(row, col)) - mean) as f32));
    }
    Matrix::from_f32(tokens.n_cols, n, values)
}
