//! Correlations of sequences, and the p-value of a rank correlation.

use crate::numerics::ln_normal_sf;

/// Pearson's correlation; 0 where one does not vary.
pub(super) fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len()).max(1) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma).powi(2);
        bb += (y - mb).powi(2);
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// One-sided ln p of Spearman's correlation of two orders of the same length, by the normal law of ρ√(n − 1).
pub(super) fn spearman_ln_p(a: &[usize], b: &[usize]) -> f64 {
    // both hold different numbers, so their ranks are their orders
    let ranks = |values: &[usize]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|k| values[*k]);
        let mut rank = vec![0.0; values.len()];
        for (position, k) in order.into_iter().enumerate() {
            rank[k] = position as f64;
        }
        rank
    };
    if a.len() < 3 {
        return 0.0;
    }
    ln_normal_sf(pearson(&ranks(a), &ranks(b)) * ((a.len() - 1) as f64).sqrt())
}

/// Distance correlation of two samples (Székely, Rizzo & Bakirov 2007).
pub(super) fn distance_correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let centred = |values: &[f64]| {
        let d = |i: usize, j: usize| (values[i] - values[j]).abs();
        let row: Vec<f64> = (0..n).map(|i| (0..n).map(|j| d(i, j)).sum::<f64>() / n as f64).collect();
        let all = row.iter().sum::<f64>() / n as f64;
        let mut out = Vec::with_capacity(n * n);
        for i in 0..n {
            out.extend((0..n).map(|j| d(i, j) - row[i] - row[j] + all));
        }
        out
    };
    let (a, b) = (centred(a), centred(b));
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let norm = (product(&a, &a) * product(&b, &b)).sqrt();
    if norm > 0.0 { (product(&a, &b).max(0.0) / norm).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_lines_correlate_fully() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [9.0, 7.0, 5.0, 3.0]);
        assert!((pearson(&a, &b) + 1.0).abs() < 1e-12);
        assert!((distance_correlation(&a, &b) - 1.0).abs() < 1e-12);
        assert_eq!(pearson(&a, &[1.0; 4]), 0.0);
    }

    #[test]
    fn equal_orders_have_a_small_p_and_reversed_ones_a_large() {
        let order: Vec<usize> = (0..100).collect();
        let reversed: Vec<usize> = (0..100).rev().collect();
        // ρ = ±1: z = ±√99
        assert!((spearman_ln_p(&order, &order) - ln_normal_sf(99f64.sqrt())).abs() < 1e-9);
        assert!(spearman_ln_p(&order, &reversed) > -1e-9);
    }
}
