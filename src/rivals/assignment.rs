//! Linear assignment by shortest augmenting paths (Kuhn 1955; Jonker & Volgenant 1987), O(n³).

use super::linear::Dense;

/// For each row the column that a maximum-score assignment gives it; None for rows beyond the number of columns.
pub(super) fn assign(scores: &Dense) -> Vec<Option<usize>> {
    let is_wide = scores.n_rows <= scores.n_cols;
    let turned;
    let wide = if is_wide {
        scores
    } else {
        turned = scores.transposed();
        &turned
    };
    let column_of = assign_wide(wide);
    if is_wide {
        return column_of.into_iter().map(Some).collect();
    }
    let mut found = vec![None; scores.n_rows];
    for (column, row) in column_of.into_iter().enumerate() {
        found[row] = Some(column);
    }
    found
}

/// As [`assign`], with at least as many columns as rows.
fn assign_wide(scores: &Dense) -> Vec<usize> {
    let (n, m) = (scores.n_rows, scores.n_cols);
    let cost = |i: usize, j: usize| -f64::from(scores.values[i * m + j]);
    // potentials of rows and columns, and the row of each column; index 0 is none
    let (mut u, mut v, mut row_of) = (vec![0.0; n + 1], vec![0.0; m + 1], vec![0usize; m + 1]);
    for i in 1..=n {
        row_of[0] = i;
        let mut at = 0;
        let (mut least, mut used, mut from) =
            (vec![f64::INFINITY; m + 1], vec![false; m + 1], vec![0usize; m + 1]);
        while row_of[at] != 0 {
            used[at] = true;
            let row = row_of[at];
            let (mut delta, mut next) = (f64::INFINITY, 0);
            for j in 1..=m {
                if used[j] {
                    continue;
                }
                let reduced = cost(row - 1, j - 1) - u[row] - v[j];
                if reduced < least[j] {
                    (least[j], from[j]) = (reduced, at);
                }
                if least[j] < delta {
                    (delta, next) = (least[j], j);
                }
            }
            for j in 0..=m {
                if used[j] {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            at = next;
        }
        while at != 0 {
            row_of[at] = row_of[from[at]];
            at = from[at];
        }
    }
    let mut found = vec![0; n];
    for j in 1..=m {
        if row_of[j] > 0 {
            found[row_of[j] - 1] = j - 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Rng;

    #[test]
    fn no_order_of_five_scores_more() {
        let mut rng = Rng::new(&[4]);
        let values: Vec<f32> = (0..25).map(|_| rng.unit() as f32).collect();
        let scores = Dense { n_rows: 5, n_cols: 5, values };
        let total = |order: &[usize]| -> f32 {
            order.iter().enumerate().map(|(i, j)| scores.values[i * 5 + j]).sum()
        };
        let found: Vec<usize> = assign(&scores).into_iter().flatten().collect();
        let mut orders = vec![vec![]];
        for _ in 0..5 {
            orders = orders
                .into_iter()
                .flat_map(|order: Vec<usize>| {
                    (0..5)
                        .filter(|k| !order.contains(k))
                        .map(|k| [&order[..], &[k]].concat())
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        let best = orders.iter().map(|order| total(order)).fold(f32::MIN, f32::max);
        assert!((total(&found) - best).abs() < 1e-6);
    }

    #[test]
    fn more_rows_than_columns_leave_rows_without_one() {
        let scores = Dense { n_rows: 3, n_cols: 2, values: vec![0.1, 0.2, 0.9, 0.0, 0.0, 0.8] };
        assert_eq!(assign(&scores), [None, Some(0), Some(1)]);
    }
}
