//! Eigenvalues of small symmetric matrices: of a row Gram matrix they are squared singular values.

use super::cholesky::dot;

/// Steps of one eigenvalue; each cuts the off-diagonal by orders of magnitude, so that this many are never needed.
const MAX_STEPS: usize = 60;

/// Eigenvalues of a symmetric matrix [n, n], row-major, the largest first. Householder's reduction to three diagonals, then QL
/// steps with implicit shifts (Golub & Van Loan, Matrix Computations, §8.3). The matrix is overwritten.
#[must_use]
pub(super) fn eigenvalues(matrix: &mut [f64], n: usize) -> Vec<f64> {
    assert_eq!(matrix.len(), n * n, "a matrix needs n × n values");
    let (mut diagonal, mut beside) = three_diagonals(matrix, n);
    for first in 0..n {
        for _ in 0..MAX_STEPS {
            let end = (first..n.saturating_sub(1))
                .find(|&at| {
                    let scale = diagonal[at].abs() + diagonal[at + 1].abs();
                    beside[at].abs() <= f64::EPSILON * scale
                })
                .unwrap_or(n - 1);
            if end == first {
                break;
            }
            ql_step(&mut diagonal, &mut beside, first, end);
        }
    }
    diagonal.sort_by(|a, b| b.total_cmp(a));
    diagonal
}

/// The diagonal, and what stands beside it: element i couples i and i + 1; one more that is 0.
fn three_diagonals(matrix: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>) {
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
        let factor = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        let mut p: Vec<f64> =
            (first..n).map(|i| factor * dot(&matrix[i * n + first..(i + 1) * n], &v)).collect();
        let half = 0.5 * factor * p.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>();
        p.iter_mut().zip(&v).for_each(|(p, v)| *p -= half * v);
        for (i, (p_i, v_i)) in p.iter().zip(&v).enumerate() {
            let row = &mut matrix[(first + i) * n + first..(first + i) * n + n];
            row.iter_mut().zip(p.iter().zip(&v)).for_each(|(value, (p, v))| *value -= v_i * p + p_i * v);
        }
    }
    (diagonal, beside)
}

/// One implicit QL step on rows `first..=end`.
fn ql_step(diagonal: &mut [f64], beside: &mut [f64], first: usize, end: usize) {
    let lead = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let root = lead.hypot(1.0);
    let mut g = diagonal[end] - diagonal[first] + beside[first] / (lead + root.copysign(lead));
    let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
    for i in (first..end).rev() {
        let (f, b) = (sine * beside[i], cosine * beside[i]);
        let length = f.hypot(g);
        beside[i + 1] = length;
        if length == 0.0 {
            diagonal[i + 1] -= shift;
            beside[end] = 0.0;
            return;
        }
        sine = f / length;
        cosine = g / length;
        g = diagonal[i + 1] - shift;
        let turn = (diagonal[i] - g) * sine + 2.0 * cosine * b;
        shift = sine * turn;
        diagonal[i + 1] = g + shift;
        g = cosine * turn - b;
    }
    diagonal[first] -= shift;
    beside[first] = g;
    beside[end] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::eigenvalues;
    use crate::numerics::Rng;

    #[test]
    fn of_hand() {
        let near = |found: Vec<f64>, wanted: &[f64]| {
            assert_eq!(found.len(), wanted.len());
            let far = found.iter().zip(wanted).any(|(a, b)| (a - b).abs() > 1e-12);
            assert!(!far, "{found:?} is not {wanted:?}");
        };
        near(eigenvalues(&mut [], 0), &[]);
        near(eigenvalues(&mut [7.0], 1), &[7.0]);
        near(eigenvalues(&mut [2.0, 1.0, 1.0, 2.0], 2), &[3.0, 1.0]);
        // the path of three: 2 + √2, 2, 2 − √2
        let root = 2_f64.sqrt();
        near(
            eigenvalues(&mut [2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 2.0], 3),
            &[2.0 + root, 2.0, 2.0 - root],
        );
        near(eigenvalues(&mut [0.0; 16], 4), &[0.0; 4]);
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
            let found = eigenvalues(&mut matrix, n);
            wanted.sort_by(|a, b| b.total_cmp(a));
            let far = found.iter().zip(&wanted).any(|(a, b)| (a - b).abs() > 1e-12 * n as f64 * 10.0);
            assert!(!far, "{n}: {found:?} is not {wanted:?}");
        }
    }
}
