//! S5b, the exact trace test on answers: does unit i of A answer the shared tokens as unit i of B does, more than the others do?
//!
//! The test of S2 with answers for features. A rotation of the residual stream cancels in them, so the test has power where S2 has
//! none; and it stays exact, since neither the choice of tokens nor the token tables look at the order of units. A fitted residual map
//! would see the same through one more estimate.

use super::family_test::{group_scores, mean_scores};
use super::trace::{Exchange, Trace, trace_test};
use crate::kernels::{Backend, all_pairs, permuted_traces};
use crate::numerics::Rng;
use crate::reductions::{Keep, Ranking};
use crate::stream::Error;
use crate::tensor::Matrix;

/// Units of one test, as of S2 at `standard`.
pub(super) const MAX_UNITS: usize = 2048;
/// Units of a sample that change places with each other.
const GROUP_UNITS: usize = 256;
/// Permutations of one test.
const MAX_PERMUTATIONS: u64 = 100_000;

/// Tests the order of units by their answers in several views, [units, tokens] each; None unless both sides have as many units, two
/// and more. `labels` seed the draws.
///
/// # Errors
/// The device failed.
pub(super) fn answer_trace(
    backend: &Backend,
    left: &[&Matrix],
    right: &[&Matrix],
    exchange: Exchange,
    labels: &[u64],
    flop: &mut u64,
) -> Result<Option<Trace>, Error> {
    let n_units = left.first().map_or(0, |view| view.n_rows);
    if n_units < 2 || left.iter().chain(right).any(|view| view.n_rows != n_units) {
        return Ok(None);
    }
    let mut rng = Rng::new(&[labels, &[0x616e_7377]].concat());
    let (units, tested) = drawn(n_units, exchange, &mut rng);
    let n = units.len();
    let mut scores = Vec::new();
    for (view, (a, b)) in left.iter().zip(right).enumerate() {
        // a later view may carry a flipped sign
        let ranking = if view == 0 { Ranking::Signed } else { Ranking::Magnitude };
        let found = match tested.group_size() {
            Some(group_size) if n < n_units => {
                group_scores(backend, &rows(a, &units), &rows(b, &units), ranking, group_size, flop)?
            }
            _ => {
                *flop += 2 * (n * n * a.n_cols) as u64;
                all_pairs::all_pairs(backend, a, b, ranking, Keep::Scores)?
            }
        };
        scores.push(found.scores.unwrap_or_default());
    }
    tested_scores(backend, &scores, n, tested, &mut rng).map(Some)
}

/// The same of all units, from scores that are at hand, [n, n] each.
///
/// # Errors
/// The device failed.
pub(super) fn trace_of_scores(
    backend: &Backend,
    scores: &[Vec<f32>],
    n: usize,
    exchange: Exchange,
    labels: &[u64],
) -> Result<Trace, Error> {
    let mut rng = Rng::new(&[labels, &[0x616e_7377]].concat());
    tested_scores(backend, scores, n, exchange, &mut rng)
}

fn tested_scores(
    backend: &Backend,
    scores: &[Vec<f32>],
    n: usize,
    exchange: Exchange,
    rng: &mut Rng,
) -> Result<Trace, Error> {
    let scores = mean_scores(scores, n);
    let mut traces = |orders: &[u32]| permuted_traces::permuted_traces(backend, &scores, n, orders);
    Ok(trace_test(&scores, n, exchange, MAX_PERMUTATIONS, rng, &mut traces)?)
}

/// Units of the test, whole groups of them where they come in groups, and the orders that they are tested under.
fn drawn(n_units: usize, exchange: Exchange, rng: &mut Rng) -> (Vec<usize>, Exchange) {
    if n_units <= MAX_UNITS {
        return ((0..n_units).collect(), exchange);
    }
    match exchange {
        Exchange::Free => (rng.sample(n_units, MAX_UNITS), Exchange::Blocks { group_size: GROUP_UNITS }),
        Exchange::Wreath { group_size } | Exchange::Blocks { group_size } => {
            let groups = rng.sample(n_units / group_size, (MAX_UNITS / group_size).max(1));
            let units = groups.into_iter().flat_map(|group| group * group_size..(group + 1) * group_size);
            (units.collect(), Exchange::Blocks { group_size })
        }
    }
}

fn rows(matrix: &Matrix, units: &[usize]) -> Matrix {
    let mut values = Vec::with_capacity(units.len() * matrix.n_cols);
    units.iter().for_each(|unit| values.extend_from_slice(&matrix.row(*unit)));
    Matrix::from_f32(units.len(), matrix.n_cols, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;

    const N_UNITS: usize = 96;
    const N_TOKENS: usize = 128;

    fn normal(seed: u64, n_rows: usize) -> Matrix {
        let mut rng = Rng::new(&[seed]);
        Matrix::from_f32(n_rows, N_TOKENS, (0..n_rows * N_TOKENS).map(|_| rng.normal() as f32).collect())
    }

    /// A tenth of A in B.
    fn with_a_tenth(a: &Matrix, b: &Matrix) -> Matrix {
        let of_row = |row| a.row(row).into_iter().zip(b.row(row)).map(|(a, b)| 0.1 * a + 0.9 * b);
        Matrix::from_f32(a.n_rows, N_TOKENS, (0..a.n_rows).flat_map(of_row).collect())
    }

    fn test(left: &[&Matrix], right: &[&Matrix], exchange: Exchange) -> Option<Trace> {
        let backend = Backend::Cpu(Cpu::detect());
        answer_trace(&backend, left, right, exchange, &[1], &mut 0).unwrap()
    }

    #[test]
    fn a_tenth_of_a_model_shows_in_its_answers_and_strangers_do_not() {
        let (a, b) = ([normal(1, N_UNITS), normal(2, N_UNITS)], [normal(3, N_UNITS), normal(4, N_UNITS)]);
        let alone = test(&[&a[0], &a[1]], &[&b[0], &b[1]], Exchange::Free).unwrap();
        assert!(alone.ln_p > (1e-3_f64).ln(), "{alone:?}");
        let merged = [with_a_tenth(&a[0], &b[0]), with_a_tenth(&a[1], &b[1])];
        for exchange in [Exchange::Free, Exchange::Wreath { group_size: 16 }] {
            let found = test(&[&a[0], &a[1]], &[&merged[0], &merged[1]], exchange).unwrap();
            // z = n · .11 / √(n / tokens) in the first view; in the second sizes of cosines, which say less
            assert!(found.z > 5.0 && found.ln_p < -9.0, "{exchange:?} {found:?}");
        }
    }

    #[test]
    fn samples_keep_whole_groups_and_unequal_counts_have_no_test() {
        let mut rng = Rng::new(&[5]);
        let (units, exchange) = drawn(5000, Exchange::Free, &mut rng);
        assert_eq!((units.len(), exchange), (MAX_UNITS, Exchange::Blocks { group_size: GROUP_UNITS }));
        let (units, exchange) = drawn(4096, Exchange::Wreath { group_size: 96 }, &mut rng);
        assert_eq!((units.len() % 96, exchange), (0, Exchange::Blocks { group_size: 96 }));
        assert!(units.chunks(96).all(|group| group[0].is_multiple_of(96) && group[95] == group[0] + 95));
        assert!(test(&[&normal(1, 8)], &[&normal(2, 9)], Exchange::Free).is_none());
        assert!(test(&[&normal(1, 1)], &[&normal(2, 1)], Exchange::Free).is_none());
    }
}
