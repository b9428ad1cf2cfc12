//! S5b, the exact trace test on answers: does unit i of A answer the shared tokens as unit i of B does, more than the others do?
//!
//! The test of S2 with answers for features. A rotation of the residual stream cancels in them, so the test has power where S2 has
//! none; and it stays exact, since neither the choice of tokens nor the token tables look at the order of units. A fitted residual map
//! would see the same through one more estimate. That training treats units alike is asked for more than in S2, whose bases strangers do not
//! share: units that a design sorts, nests or pads would show, so units change places in short runs, and those without a direction are left out.

use super::family_test::{group_scores, mean_scores};
use super::trace::{Exchange, Trace, trace_test};
use crate::kernels::{Backend, all_pairs, permuted_traces};
use crate::numerics::Rng;
use crate::reductions::{Keep, Ranking};
use crate::stream::Error;
use crate::tensor::Matrix;

/// Units of one test, as of S2 at `standard`.
pub(super) const MAX_UNITS: usize = 2048;
/// Consecutive units that change places with each other. Answers share a frame, so that units which a design sorts or nests (the first half does
/// more, as in MatFormer, arXiv 2310.07707) would be alike between strangers; inside a run of these they are not told apart.
const GROUP_UNITS: usize = 64;
/// Permutations of one test.
const MAX_PERMUTATIONS: u64 = 100_000;

/// Tests the order of units by their answers in several views, [units, tokens] each; None unless both sides have as many units, two
/// and more. `group_size`: units of a head, which keep together; None where units are free. `labels` seed the draws.
///
/// # Errors
/// The device failed.
pub(super) fn answer_trace(
    backend: &Backend,
    left: &[&Matrix],
    right: &[&Matrix],
    group_size: Option<usize>,
    labels: &[u64],
    flop: &mut u64,
) -> Result<Option<Trace>, Error> {
    let n_units = left.first().map_or(0, |view| view.n_rows);
    let is_uneven = left.iter().chain(right).any(|view| view.n_rows != n_units);
    if n_units < 2 || is_uneven || group_size.is_some_and(|size| size > MAX_UNITS) {
        return Ok(None);
    }
    let mut rng = Rng::new(&[labels, &[0x616e_7377]].concat());
    let has_direction = |unit: &usize| {
        left.iter().chain(right).all(|view| view.row(*unit).iter().any(|answer| *answer != 0.0))
    };
    let (units, tested) = match group_size {
        None => {
            let drawn = rng.sample(n_units, MAX_UNITS);
            in_runs(drawn.into_iter().filter(has_direction).collect())
        }
        // heads with a channel that says nothing are left out whole
        Some(size) => {
            let groups = rng.sample(n_units / size, (MAX_UNITS / size).max(1)).into_iter();
            let groups =
                groups.filter(|group| (group * size..(group + 1) * size).all(|unit| has_direction(&unit)));
            let units: Vec<usize> = groups.flat_map(|group| group * size..(group + 1) * size).collect();
            let exchange = Exchange::Wreath { group_size: size };
            (units, exchange)
        }
    };
    let n = units.len();
    if n < 2 {
        return Ok(None);
    }
    let mut scores = Vec::new();
    for (view, (a, b)) in left.iter().zip(right).enumerate() {
        // a later view may carry a flipped sign
        let ranking = if view == 0 { Ranking::Signed } else { Ranking::Magnitude };
        let (a, b) = (rows(a, &units), rows(b, &units));
        let found = match tested.group_size() {
            Some(group_size) => group_scores(backend, &a, &b, ranking, group_size, flop)?,
            None => {
                *flop += 2 * (n * n * a.n_cols) as u64;
                all_pairs::all_pairs(backend, &a, &b, ranking, Keep::Scores)?
            }
        };
        scores.push(found.scores.unwrap_or_default());
    }
    tested_scores(backend, &scores, n, tested, &mut rng).map(Some)
}

/// The same of these units of all, from scores that are at hand, [n_all, n_all] each; None of fewer than two units.
///
/// # Errors
/// The device failed.
pub(super) fn trace_of_scores(
    backend: &Backend,
    scores: &[Vec<f32>],
    n_all: usize,
    units: Vec<usize>,
    labels: &[u64],
) -> Result<Option<Trace>, Error> {
    let mut rng = Rng::new(&[labels, &[0x616e_7377]].concat());
    let (units, tested) = in_runs(units);
    if units.len() < 2 {
        return Ok(None);
    }
    let of_units = |scores: &Vec<f32>| -> Vec<f32> {
        units.iter().flat_map(|row| units.iter().map(move |column| scores[row * n_all + column])).collect()
    };
    let chosen: Vec<Vec<f32>> = scores.iter().map(of_units).collect();
    tested_scores(backend, &chosen, units.len(), tested, &mut rng).map(Some)
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

/// Runs of one length, at most [`GROUP_UNITS`]; the few units that fill no run are left out.
fn in_runs(mut units: Vec<usize>) -> (Vec<usize>, Exchange) {
    let n_runs = units.len().div_ceil(GROUP_UNITS).max(1);
    let group_size = (units.len() / n_runs).max(1);
    units.truncate(n_runs * group_size);
    (units, Exchange::Blocks { group_size })
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

    fn test(left: &[&Matrix], right: &[&Matrix], group_size: Option<usize>) -> Option<Trace> {
        let backend = Backend::Cpu(Cpu::detect());
        answer_trace(&backend, left, right, group_size, &[1], &mut 0).unwrap()
    }

    #[test]
    fn a_tenth_of_a_model_shows_in_its_answers_and_strangers_do_not() {
        let (a, b) = ([normal(1, N_UNITS), normal(2, N_UNITS)], [normal(3, N_UNITS), normal(4, N_UNITS)]);
        let alone = test(&[&a[0], &a[1]], &[&b[0], &b[1]], None).unwrap();
        assert!(alone.ln_p > (1e-3_f64).ln(), "{alone:?}");
        let merged = [with_a_tenth(&a[0], &b[0]), with_a_tenth(&a[1], &b[1])];
        for group_size in [None, Some(16)] {
            let found = test(&[&a[0], &a[1]], &[&merged[0], &merged[1]], group_size).unwrap();
            // z = n · .11 / √(n / tokens) in the first view; in the second sizes of cosines, which say less
            assert!(found.z > 5.0 && found.ln_p < -9.0, "{group_size:?} {found:?}");
        }
    }

    /// The first rows are zero.
    fn padded(matrix: &Matrix, n_zero: usize) -> Matrix {
        let zeros = vec![0.0; N_TOKENS];
        let of_row = |row| if row < n_zero { zeros.clone() } else { matrix.row(row) };
        Matrix::from_f32(matrix.n_rows, N_TOKENS, (0..matrix.n_rows).flat_map(of_row).collect())
    }

    #[test]
    fn units_without_a_direction_in_the_same_places_say_nothing() {
        // sizes of cosines are all above 0, so that zeros in one place would look like order
        let (a, b) = (padded(&normal(1, N_UNITS), 24), padded(&normal(3, N_UNITS), 24));
        let found = test(&[&a, &a], &[&b, &b], None).unwrap();
        assert!(found.n_units <= N_UNITS - 24 && found.ln_p > (1e-3_f64).ln(), "{found:?}");
        assert!(test(&[&a], &[&b], Some(16)).unwrap().n_units <= N_UNITS - 24);
        assert!(test(&[&padded(&a, N_UNITS)], &[&b], None).is_none());
    }

    #[test]
    fn samples_are_runs_of_one_length_and_unequal_counts_have_no_test() {
        assert_eq!(in_runs((0..352).collect()), ((0..348).collect(), Exchange::Blocks { group_size: 58 }));
        assert_eq!(in_runs((0..9).collect()), ((0..9).collect(), Exchange::Blocks { group_size: 9 }));
        assert_eq!(in_runs(Vec::new()), (Vec::new(), Exchange::Blocks { group_size: 1 }));
        assert!(test(&[&normal(1, 8)], &[&normal(2, 9)], None).is_none());
        assert!(test(&[&normal(1, 1)], &[&normal(2, 1)], None).is_none());
        // one head of more channels than a test holds
        let large = normal(1, MAX_UNITS + 1);
        assert!(test(&[&large], &[&large], Some(MAX_UNITS + 1)).is_none());
    }
}
