//! S5, the span of the token tables: do the columns of two embeddings span the same space of token vectors? Blind to any
//! invertible map of the residual stream, rotation and rescaling included.
//!
//! With n centred token rows X_A, X_B [n, d] the canonical correlations σ of the two column spaces have
//! Π σ² = det(X_AᵀX_B)² / (det X_AᵀX_A · det X_BᵀX_B), with both tables centred. For independent spaces in general position this is
//! a product of Beta variables (Mardia, Kent & Bibby, Multivariate Analysis, §3.7). The statistic is the mean of ln σ² on the way
//! from its expectation there (0) to equal spans (1). A geometric mean: what models learn alike from one language lifts some large
//! σ, a shared table lifts all.
//!
//! Measured on trained families (docs/methods.md#span): independent up to .48, four of 3,582 pairs above .34; tables from one
//! initialisation .28 to .72, a table taken over .59 to 1. There is no exact null: it makes a verdict inconclusive, no more.

use std::ops::Range;

use rayon::prelude::*;

use super::cholesky::{ln_det_positive, row_products};
use crate::canonical::CanonicalPart;
use crate::kernels::{Backend, all_pairs};
use crate::numerics::{Rng, digamma};
use crate::reductions::{Keep, MAX_KEPT_SCORES, Ranking};
use crate::stream::{Error, ReadMeter, StoredView, read_rows};
use crate::tensor::{Matrix, Values};

/// Tokens per dimension, as measured; fewer than the least tell too little.
const TOKENS_PER_DIMENSION: usize = 8;
const FEWEST_TOKENS_PER_DIMENSION: usize = 4;
/// Tokens of a block: the length of an f32 sum.
const BLOCK_TOKENS: usize = 4096;
/// Rows of a table's own product that are multiplied together with all rows up to them: five eighths of the whole at 4,096.
const OWN_ROWS: usize = 1024;
/// Dimensions below this are too few for a mean.
const FEWEST_DIMENSIONS: usize = 16;

/// How near the spans of two token tables are: 0 like random ones, 1 the same. None where it cannot be asked: other widths, too
/// few shared tokens, more dimensions than one product keeps (4,096), columns that depend on each other.
///
/// # Errors
/// A read or the device failed.
pub fn token_span(
    backend: &Backend,
    tables: (&CanonicalPart, &CanonicalPart),
    shared: &[(u64, u64)],
    seed: u64,
    meter: &ReadMeter,
    flop: &mut u64,
) -> Result<Option<f64>, Error> {
    let (left, right) = (&tables.0.stored, &tables.1.stored);
    let n_dims = usize::try_from(left.view.n_cols).unwrap_or(usize::MAX);
    let fits =
        n_dims >= FEWEST_DIMENSIONS && n_dims.checked_mul(n_dims).is_some_and(|n| n <= MAX_KEPT_SCORES);
    if !fits || left.view.n_cols != right.view.n_cols || shared.len() < FEWEST_TOKENS_PER_DIMENSION * n_dims {
        return Ok(None);
    }
    let drawn = Rng::new(&[seed, 0x7370_616e]).sample(shared.len(), TOKENS_PER_DIMENSION * n_dims);
    let rows = |side: fn(&(u64, u64)) -> u64| drawn.iter().map(|at| side(&shared[*at])).collect::<Vec<u64>>();
    let (rows_l, rows_r) = (rows(|pair| pair.0), rows(|pair| pair.1));
    let load = |stored: &StoredView, rows: &[u64]| -> Result<Columns, Error> {
        Ok(Columns::new(&read_rows(stored, rows, 0..left.view.n_cols, meter)?))
    };
    // one product after the other: each is as large as a model's largest matrix
    let mut own = |stored: &StoredView, rows: &[u64]| -> Result<Option<Own>, Error> {
        let mut product = Product::new(n_dims);
        for rows in rows.chunks(BLOCK_TOKENS) {
            product.add_own(backend, &load(stored, rows)?, flop)?;
        }
        Ok(product.own())
    };
    let (own_l, own_r) = (own(left, &rows_l)?, own(right, &rows_r)?);
    let (Some(own_l), Some(own_r)) = (own_l, own_r) else { return Ok(None) };
    let mut across = Product::new(n_dims);
    for (rows_l, rows_r) in rows_l.chunks(BLOCK_TOKENS).zip(rows_r.chunks(BLOCK_TOKENS)) {
        let (a, b) = (load(left, rows_l)?, load(right, rows_r)?);
        across.add(backend, &a, &b, flop)?;
    }
    let across = across.across(&own_l.scales, &own_r.scales);
    Ok(across.map(|across| nearness(across, &own_l, &own_r, n_dims, drawn.len())))
}

/// 0 for random spaces, 1 for the same.
fn nearness(ln_det_across: f64, left: &Own, right: &Own, n_dims: usize, n_tokens: usize) -> f64 {
    let expected = expected_of_random(n_dims, n_tokens - 1);
    1.0 - (ln_det_across - left.ln_det - right.ln_det) / expected
}

/// Columns of a block of tokens, each of length 1, with what was divided and subtracted.
struct Columns {
    /// [dimensions, tokens].
    unit: Matrix,
    norms: Vec<f64>,
    sums: Vec<f64>,
}

impl Columns {
    fn new(rows: &Matrix) -> Columns {
        let (n_dims, n_tokens) = (rows.n_cols, rows.n_rows);
        let (mut norms, mut sums) = (vec![0.0; n_dims], vec![0.0; n_dims]);
        // sixteen columns together: a line of the rows is read once
        let groups = norms.par_chunks_mut(16).zip(sums.par_chunks_mut(16)).enumerate();
        let add = |(group, (norms, sums)): (usize, (&mut [f64], &mut [f64])),
                   keep: &mut dyn FnMut(usize, usize)| {
            for row in 0..n_tokens {
                for (col, (norm, sum)) in norms.iter_mut().zip(sums.iter_mut()).enumerate() {
                    let value = f64::from(rows.at(row, 16 * group + col));
                    *sum += value;
                    *norm += value * value;
                    keep(row, col);
                }
            }
            norms.iter_mut().for_each(|norm| *norm = norm.sqrt());
        };
        // bf16 stays packed: the product may take it as stored
        let values = match &rows.values {
            Values::Bf16(bits) => {
                let mut columns = vec![0_u16; n_dims * n_tokens];
                columns.par_chunks_mut(n_tokens * 16).zip(groups).for_each(|(columns, group)| {
                    let first = 16 * group.0;
                    add(group, &mut |row, col| {
                        columns[col * n_tokens + row] = bits[row * n_dims + first + col];
                    });
                });
                Values::Bf16(columns)
            }
            _ => {
                let mut columns = vec![0.0_f32; n_dims * n_tokens];
                columns.par_chunks_mut(n_tokens * 16).zip(groups).for_each(|(columns, group)| {
                    let first = 16 * group.0;
                    add(group, &mut |row, col| columns[col * n_tokens + row] = rows.at(row, first + col));
                });
                Values::F32(columns)
            }
        };
        let unit = Matrix { n_rows: n_dims, n_cols: n_tokens, values, column_scale: None };
        Columns { unit, norms, sums }
    }
}

/// Centred XᵀY over all blocks, [dimensions, dimensions].
struct Product {
    n_dims: usize,
    n_tokens: usize,
    values: Vec<f64>,
    sums: [Vec<f64>; 2],
}

/// Determinant of a table's own product, its columns scaled to length 1: within f64 whatever their lengths.
struct Own {
    ln_det: f64,
    scales: Vec<f64>,
}

impl Product {
    fn new(n_dims: usize) -> Product {
        let sums = [vec![0.0; n_dims], vec![0.0; n_dims]];
        Product { n_dims, n_tokens: 0, values: vec![0.0; n_dims * n_dims], sums }
    }

    fn add(&mut self, backend: &Backend, a: &Columns, b: &Columns, flop: &mut u64) -> Result<(), Error> {
        let n = self.n_dims;
        self.add_rows(backend, (a, 0..n), (b, 0..n), flop)?;
        self.count(a, b);
        Ok(())
    }

    /// A table with itself: its lower triangle is enough for a determinant.
    fn add_own(&mut self, backend: &Backend, a: &Columns, flop: &mut u64) -> Result<(), Error> {
        for first in (0..self.n_dims).step_by(OWN_ROWS) {
            let end = (first + OWN_ROWS).min(self.n_dims);
            self.add_rows(backend, (a, first..end), (a, 0..end), flop)?;
        }
        self.count(a, a);
        Ok(())
    }

    /// Rows `of_a` × columns `of_b` of the product of a block.
    fn add_rows(
        &mut self,
        backend: &Backend,
        (a, of_a): (&Columns, Range<usize>),
        (b, of_b): (&Columns, Range<usize>),
        flop: &mut u64,
    ) -> Result<(), Error> {
        *flop += 2 * (of_a.len() * of_b.len() * a.unit.n_cols) as u64;
        let rows = |columns: &'_ Columns, range: &Range<usize>| {
            if range.len() == self.n_dims { None } else { Some(columns.unit.row_range(range.clone())) }
        };
        let (left, right) = (rows(a, &of_a), rows(b, &of_b));
        let (left, right) = (left.as_ref().unwrap_or(&a.unit), right.as_ref().unwrap_or(&b.unit));
        let scores = all_pairs::all_pairs(backend, left, right, Ranking::Signed, Keep::Scores)?.scores;
        let cosines = scores.unwrap_or_default();
        let rows = self.values[of_a.start * self.n_dims..].par_chunks_mut(self.n_dims);
        rows.zip(cosines.par_chunks_exact(of_b.len())).zip(&a.norms[of_a]).for_each(
            |((row, cosines), norm)| {
                for ((value, cosine), other) in row.iter_mut().zip(cosines).zip(&b.norms[of_b.clone()]) {
                    *value += f64::from(*cosine) * norm * other;
                }
            },
        );
        Ok(())
    }

    fn count(&mut self, a: &Columns, b: &Columns) {
        self.n_tokens += a.unit.n_cols;
        for (totals, columns) in self.sums.iter_mut().zip([a, b]) {
            totals.iter_mut().zip(&columns.sums).for_each(|(total, sum)| *total += sum);
        }
    }

    fn centre(&mut self) {
        for (row, x) in self.values.chunks_exact_mut(self.n_dims).zip(&self.sums[0]) {
            row.iter_mut().zip(&self.sums[1]).for_each(|(value, y)| *value -= x * y / self.n_tokens as f64);
        }
    }

    fn scale(&mut self, left: &[f64], right: &[f64]) {
        for (row, x) in self.values.chunks_exact_mut(self.n_dims).zip(left) {
            row.iter_mut().zip(right).for_each(|(value, y)| *value /= x * y);
        }
    }

    /// Of a table with itself; None where its columns depend on each other.
    fn own(mut self) -> Option<Own> {
        self.centre();
        let n = self.n_dims;
        let scales: Vec<f64> = (0..n).map(|i| self.values[i * n + i].max(0.0).sqrt()).collect();
        if scales.iter().any(|scale| !scale.is_finite() || *scale == 0.0) {
            return None;
        }
        self.scale(&scales, &scales);
        Some(Own { ln_det: ln_det_positive(&mut self.values, n)?, scales })
    }

    /// ln det² of the product of two tables: det(M)² = det(M·Mᵀ).
    fn across(mut self, left: &[f64], right: &[f64]) -> Option<f64> {
        self.centre();
        self.scale(left, right);
        let mut squared = row_products(&self.values, self.n_dims);
        drop(self.values);
        ln_det_positive(&mut squared, self.n_dims)
    }
}

/// E Σ ln σ² of two random d-dimensional spaces in n dimensions: σ₁²…σ_d² multiply to Π Beta((d − i)/2, (n − d)/2), i < d.
fn expected_of_random(n_dims: usize, n: usize) -> f64 {
    (0..n_dims).map(|i| digamma((n_dims - i) as f64 / 2.0) - digamma((n - i) as f64 / 2.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;

    const N_DIMS: usize = 24;
    const N_TOKENS: usize = 192;

    fn noise(seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(&[seed]);
        (0..N_DIMS * N_TOKENS).map(|_| rng.normal()).collect()
    }

    fn span(a: &[f64], b: &[f64]) -> f64 {
        let columns = |values: &[f64]| {
            let values = values.iter().map(|value| *value as f32).collect();
            Columns::new(&Matrix::from_f32(N_TOKENS, N_DIMS, values))
        };
        let (a, b) = (columns(a), columns(b));
        let product = |a: &Columns, b: &Columns| {
            let mut product = Product::new(N_DIMS);
            product.add(&Backend::Cpu(Cpu::detect()), a, b, &mut 0).unwrap();
            product
        };
        let own = |a: &Columns| {
            let mut product = Product::new(N_DIMS);
            product.add_own(&Backend::Cpu(Cpu::detect()), a, &mut 0).unwrap();
            product.own().unwrap()
        };
        let (own_a, own_b) = (own(&a), own(&b));
        let across = product(&a, &b).across(&own_a.scales, &own_b.scales).unwrap();
        nearness(across, &own_a, &own_b, N_DIMS, N_TOKENS)
    }

    /// X·Q of a random Q.
    fn mapped(x: &[f64], seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(&[seed]);
        let map: Vec<f64> = (0..N_DIMS * N_DIMS).map(|_| rng.normal()).collect();
        let at =
            |row: usize, col: usize| (0..N_DIMS).map(|k| x[row * N_DIMS + k] * map[k * N_DIMS + col]).sum();
        (0..N_TOKENS)
            .flat_map(|row| (0..N_DIMS).map(move |col| (row, col)))
            .map(|(row, col)| at(row, col))
            .collect()
    }

    #[test]
    fn random_spaces_are_at_zero_and_a_mapped_table_is_far_above() {
        // Var Σ ln σ² = Σ ψ₁((d − i)/2) − ψ₁((n − i)/2), with ψ₁(x) < 1/x + 1/x²: below 12.6 for 24 dimensions, so the mean of 40
        // draws has a standard deviation below √(12.6 / 40) of a sum whose expectation is below −40
        let mean = (0..40).map(|seed| span(&noise(2 * seed), &noise(2 * seed + 1))).sum::<f64>() / 40.0;
        assert!(expected_of_random(N_DIMS, N_TOKENS - 1) < -40.0);
        assert!(mean.abs() < 6.0 * (12.6_f64 / 40.0).sqrt() / 40.0, "{mean}");
        let table = noise(99);
        let copy = span(&table, &mapped(&table, 100));
        assert!((copy - 1.0).abs() < 1e-3, "{copy}");
    }
}
