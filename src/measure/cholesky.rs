//! Determinants of symmetric positive definite matrices, as logarithms.

use rayon::prelude::*;

use crate::cpu::wide;

/// Columns that are finished together: their rows stay in cache while all rows below use them.
const PANEL: usize = 32;

/// Elements of a row that are multiplied before the next rows are taken: what a tile reads twice stays in L1.
const DEPTH: usize = 1024;

/// Rows and columns of the products that are summed together.
const TILE: (usize, usize) = (4, 2);

/// ln det of a symmetric positive definite matrix [n, n], row-major, by Cholesky's factorisation A = L·Lᵀ; None if it is not
/// positive definite to rounding. Only the lower triangle is read; it is overwritten.
pub(super) fn ln_det_positive(matrix: &mut [f64], n: usize) -> Option<f64> {
    assert_eq!(matrix.len(), n * n, "a matrix needs n × n values");
    let largest = (0..n).map(|i| matrix[i * n + i]).fold(0.0, f64::max);
    let mut ln_det = 0.0;
    for first in (0..n).step_by(PANEL) {
        let end = (first + PANEL).min(n);
        // the panel's own rows, one after the other
        for i in first..end {
            for j in first..=i {
                let (row_i, row_j) = (&matrix[i * n..i * n + j], &matrix[j * n..j * n + j]);
                let value = matrix[i * n + j] - dot(row_i, row_j);
                if i == j {
                    // a pivot at rounding level: the matrix has a lower rank
                    if value.is_nan() || value <= largest * n as f64 * f64::EPSILON {
                        return None;
                    }
                    matrix[i * n + i] = value.sqrt();
                    ln_det += value.ln();
                } else {
                    matrix[i * n + j] = value / matrix[j * n + j];
                }
            }
        }
        let (above, below) = matrix.split_at_mut(end * n);
        let panel: Vec<&[f64]> = above[first * n..].chunks_exact(n).collect();
        below.par_chunks_mut(n * PANEL).for_each(|rows| {
            // what the columns before the panel take away, then the panel's own columns one after the other
            let finished: Vec<&[f64]> = rows.chunks_exact(n).map(|row| &row[..first]).collect();
            let of_panel: Vec<&[f64]> = panel.iter().map(|row| &row[..first]).collect();
            let mut taken = vec![0.0; finished.len() * of_panel.len()];
            wide::run(Dots { rows: &finished, columns: &of_panel, sums: &mut taken });
            for (row, taken) in rows.chunks_exact_mut(n).zip(taken.chunks_exact(panel.len())) {
                for (step, j) in (first..end).enumerate() {
                    let inside = dot(&row[first..j], &panel[step][first..j]);
                    row[j] = (row[j] - taken[step] - inside) / panel[step][j];
                }
            }
        });
    }
    Some(ln_det)
}

/// A·Aᵀ of a square matrix [n, n], row-major: the lower triangle, zeros above.
pub(super) fn row_products(matrix: &[f64], n: usize) -> Vec<f64> {
    assert_eq!(matrix.len(), n * n, "a matrix needs n × n values");
    let all: Vec<&[f64]> = matrix.chunks_exact(n.max(1)).collect();
    let mut product = vec![0.0; n * n];
    product.par_chunks_mut(n * PANEL).enumerate().for_each(|(panel, rows)| {
        let first = panel * PANEL;
        let end = first + rows.len() / n;
        let mut sums = vec![0.0; (end - first) * end];
        wide::run(Dots { rows: &all[first..end], columns: &all[..end], sums: &mut sums });
        for (step, (row, sums)) in rows.chunks_exact_mut(n).zip(sums.chunks_exact(end)).enumerate() {
            row[..=first + step].copy_from_slice(&sums[..=first + step]);
        }
    });
    product
}

/// Adds the products of every row with every column to `sums`, [rows, columns].
struct Dots<'a> {
    rows: &'a [&'a [f64]],
    columns: &'a [&'a [f64]],
    sums: &'a mut [f64],
}

impl wide::Loop for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (n_columns, depth) = (self.columns.len(), self.rows.first().map_or(0, |row| row.len()));
        for start in (0..depth).step_by(DEPTH) {
            let range = start..(start + DEPTH).min(depth);
            for (col_tile, columns) in self.columns.chunks(TILE.1).enumerate() {
                for (row_tile, rows) in self.rows.chunks(TILE.0).enumerate() {
                    let place = |row: usize, col: usize| {
                        (row_tile * TILE.0 + row) * n_columns + col_tile * TILE.1 + col
                    };
                    if let ([a, b, c, d], [x, y]) = (rows, columns) {
                        let rows = [a, b, c, d].map(|row| &row[range.clone()]);
                        let found = tile(rows, [x, y].map(|column| &column[range.clone()]));
                        for (row, found) in found.iter().enumerate() {
                            for (col, found) in found.iter().enumerate() {
                                self.sums[place(row, col)] += found;
                            }
                        }
                        continue;
                    }
                    for (row, a) in rows.iter().enumerate() {
                        for (col, x) in columns.iter().enumerate() {
                            self.sums[place(row, col)] += dot(&a[range.clone()], &x[range.clone()]);
                        }
                    }
                }
            }
        }
    }
}

/// Lanes of a sum.
const LANES: usize = 4;

/// Eight sums of four lanes each, products and sums rounded apart: the same on every machine.
#[inline(always)]
fn tile(rows: [&[f64]; TILE.0], columns: [&[f64]; TILE.1]) -> [[f64; TILE.1]; TILE.0] {
    let rows = rows.map(|row| row.as_chunks::<LANES>());
    let columns = columns.map(|column| column.as_chunks::<LANES>());
    let mut sums = [[[0.0; LANES]; TILE.1]; TILE.0];
    // zipped by hand: an index into each would be checked at every step
    let [a, b, c, d] = rows.map(|(lanes, _)| lanes.iter());
    let [x, y] = columns.map(|(lanes, _)| lanes.iter());
    for (((a, b), (c, d)), (x, y)) in a.zip(b).zip(c.zip(d)).zip(x.zip(y)) {
        for (sums, row) in sums.iter_mut().zip([a, b, c, d]) {
            for (sum, column) in sums.iter_mut().zip([x, y]) {
                for lane in 0..LANES {
                    sum[lane] += row[lane] * column[lane];
                }
            }
        }
    }
    std::array::from_fn(|row| {
        std::array::from_fn(|col| {
            let tail = rows[row].1.iter().zip(columns[col].1).map(|(a, b)| a * b).sum::<f64>();
            sums[row][col].iter().sum::<f64>() + tail
        })
    })
}

/// Eight sums, so that the compiler can use vectors.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_eights, a_tail) = a.as_chunks::<8>();
    let (b_eights, b_tail) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (x, y) in a_eights.iter().zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + a_tail.iter().zip(b_tail).map(|(x, y)| x * y).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    #[test]
    fn determinants_of_hand_and_of_products() {
        assert!((ln_det_positive(&mut [4.0, 0.0, 2.0, 5.0], 2).unwrap() - 16_f64.ln()).abs() < 1e-15);
        // rank 1
        assert_eq!(ln_det_positive(&mut [1.0, 1.0, 1.0, 1.0], 2), None);
        assert_eq!(ln_det_positive(&mut [f64::NAN], 1), None);
        // det(LLᵀ) of a triangular L is the squared product of its diagonal, whatever lies below it
        for n in [1_usize, 31, 33, 100] {
            let mut rng = Rng::new(&[n as u64]);
            let mut lower = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..i {
                    lower[i * n + j] = rng.unit() - 0.5;
                }
                lower[i * n + i] = 1.0 + rng.unit();
            }
            let wanted: f64 = (0..n).map(|i| 2.0 * lower[i * n + i].ln()).sum();
            let found = ln_det_positive(&mut row_products(&lower, n), n).unwrap();
            assert!((found - wanted).abs() < 1e-9 * n as f64, "{n}: {found} is not {wanted}");
        }
    }
}
