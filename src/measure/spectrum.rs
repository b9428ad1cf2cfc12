//! Eigenvalues of small symmetric matrices: of a row Gram matrix they are squared singular values.

use super::cholesky::dot;

/// Halvings of the interval of one eigenvalue: below rounding.
const N_HALVINGS: usize = 56;

/// Eigenvalues of a symmetric matrix, asked for by number or by bound, so that no more are computed than are wanted: Householder's
/// reduction to three diagonals, then counts of sign changes (Golub & Van Loan, Matrix Computations, §8.3 and §8.4).
pub(super) struct Spectrum {
    /// [n].
    diagonal: Vec<f64>,
    /// Element i couples i and i + 1, squared; [n − 1].
    beside_squared: Vec<f64>,
    /// No eigenvalue lies outside (Gershgorin).
    bounds: (f64, f64),
}

impl Spectrum {
    /// Of a symmetric matrix [n, n], row-major, of which only the lower triangle is read.
    pub(super) fn of(matrix: &[f64], n: usize) -> Spectrum {
        assert_eq!(matrix.len(), n * n, "a matrix needs n × n values");
        let (diagonal, beside) = three_diagonals(matrix.to_vec(), n);
        let reach = |i: usize| beside[i].abs() + if i > 0 { beside[i - 1].abs() } else { 0.0 };
        let bounds = (0..n).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), i| {
            (low.min(diagonal[i] - reach(i)), high.max(diagonal[i] + reach(i)))
        });
        let beside_squared = beside.iter().take(n.saturating_sub(1)).map(|value| value * value).collect();
        Spectrum { diagonal, beside_squared, bounds }
    }

    /// Their sum, the trace.
    pub(super) fn sum(&self) -> f64 {
        self.diagonal.iter().sum()
    }

    /// How many lie above a bound: the pivots of T − bound · I that are positive.
    pub(super) fn n_above(&self, bound: f64) -> usize {
        let Some((&first, rest)) = self.diagonal.split_first() else { return 0 };
        let mut pivot = first - bound;
        let mut n_positive = usize::from(pivot > 0.0);
        for (diagonal, beside_squared) in rest.iter().zip(&self.beside_squared) {
            // a pivot of zero is as good as one just below it
            let before = if pivot == 0.0 { -f64::MIN_POSITIVE } else { pivot };
            pivot = diagonal - bound - beside_squared / before;
            n_positive += usize::from(pivot > 0.0);
        }
        n_positive
    }

    /// The largest `count` of them, the largest first.
    pub(super) fn largest(&self, count: usize) -> Vec<f64> {
        let mut highest = self.bounds.1;
        (1..=count.min(self.diagonal.len()))
            .map(|rank| {
                let (mut low, mut high) = (self.bounds.0, highest);
                for _ in 0..N_HALVINGS {
                    let middle = f64::midpoint(low, high);
                    if self.n_above(middle) >= rank { low = middle } else { high = middle }
                }
                highest = high;
                high
            })
            .collect()
    }
}

/// The diagonal, and what stands beside it: element i couples i and i + 1; one more that is 0.
fn three_diagonals(mut matrix: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut diagonal, mut beside) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n {
        diagonal[k] = matrix[k * n + k];
        if k + 1 >= n {
            continue;
        }
        let first = k + 1;
        let mut v: Vec<f64> = (first..n).map(|row| matrix[row * n + k]).collect();
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if first + 1 >= n || length == 0.0 {
            beside[k] = v[0];
            continue;
        }
        let alpha = if v[0] > 0.0 { -length } else { length };
        beside[k] = alpha;
        v[0] -= alpha;
        let factor = 2.0 / dot(&v, &v);
        // the lower triangle stands for both: row i gives p[i], and its elements left of the diagonal also theirs
        let mut p = vec![0.0; v.len()];
        for (i, v_i) in v.iter().enumerate() {
            let row = &matrix[(first + i) * n + first..][..=i];
            let (before, at) = p.split_at_mut(i);
            at[0] += dot(row, &v[..=i]);
            before.iter_mut().zip(row).for_each(|(p, value)| *p += v_i * value);
        }
        p.iter_mut().for_each(|p| *p *= factor);
        let half = 0.5 * factor * dot(&p, &v);
        p.iter_mut().zip(&v).for_each(|(p, v)| *p -= half * v);
        for (i, (p_i, v_i)) in p.iter().zip(&v).enumerate() {
            let row = &mut matrix[(first + i) * n + first..][..=i];
            row.iter_mut().zip(p.iter().zip(&v)).for_each(|(value, (p, v))| *value -= v_i * p + p_i * v);
        }
    }
    (diagonal, beside)
}

#[cfg(test)]
mod tests {
    use super::Spectrum;
    use crate::numerics::Rng;

    fn eigenvalues(matrix: &[f64], n: usize) -> Vec<f64> {
        Spectrum::of(matrix, n).largest(n)
    }

    #[test]
    fn of_hand() {
        let near = |found: Vec<f64>, wanted: &[f64]| {
            assert_eq!(found.len(), wanted.len());
            let far = found.iter().zip(wanted).any(|(a, b)| (a - b).abs() > 1e-12);
            assert!(!far, "{found:?} is not {wanted:?}");
        };
        near(eigenvalues(&[], 0), &[]);
        near(eigenvalues(&[7.0], 1), &[7.0]);
        near(eigenvalues(&[2.0, 1.0, 1.0, 2.0], 2), &[3.0, 1.0]);
        // the path of three: 2 + √2, 2, 2 − √2
        let root = 2_f64.sqrt();
        near(eigenvalues(&[2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0], 3), &[2.0 + root, 2.0, 2.0 - root]);
        near(eigenvalues(&[0.0; 16], 4), &[0.0; 4]);
        // a pivot of zero on the way: the middle bound of the path is its middle eigenvalue
        let path = Spectrum::of(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 3);
        assert_eq!([-1.5, -1.0, 0.0, 1.0, 1.5].map(|bound| path.n_above(bound)), [3, 2, 1, 1, 0]);
    }

    #[test]
    fn a_known_spectrum_survives_a_rotation() {
        // reflections of a diagonal matrix keep its eigenvalues
        for n in [2_usize, 5, 40, 100] {
            let mut rng = Rng::new(&[n as u64]);
            let mut wanted: Vec<f64> = (0..n).map(|_| 10.0 * rng.unit()).collect();
            wanted[n - 1] = wanted[0];
            let mut matrix = vec![0.0; n * n];
            (0..n).for_each(|i| matrix[i * n + i] = wanted[i]);
            for _ in 0..3 {
                let v: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
                let length: f64 = v.iter().map(|x| x * x).sum();
                let reflect = |i: usize, j: usize| f64::from(i == j) - 2.0 * v[i] * v[j] / length;
                let product =
                    |a: &dyn Fn(usize, usize) -> f64, b: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
                        let cell = |i: usize, j: usize| (0..n).map(|k| a(i, k) * b(k, j)).sum();
                        (0..n * n).map(|at| cell(at / n, at % n)).collect()
                    };
                let half = product(&reflect, &|i, j| matrix[i * n + j]);
                matrix = product(&|i, j| half[i * n + j], &reflect);
            }
            let found = eigenvalues(&matrix, n);
            wanted.sort_by(|a, b| b.total_cmp(a));
            let far = found.iter().zip(&wanted).any(|(a, b)| (a - b).abs() > 1e-12 * n as f64 * 10.0);
            assert!(!far, "{n}: {found:?} is not {wanted:?}");
        }
    }
}
