//! Counts false alarms: two independent models, drawn at random, and how often the exact test and its combination reject.
//!
//! `cargo bench --bench null_rates -- [n_draws]` prints, per kind of family, the share of draws with p at or below each level
//! and the most that 99.9 % of runs of a valid test would show; it ends with 1 if any count is above its limit. The draws are
//! seeded. In half of them the units of each model share a direction (and those of a head a mean), as trained units do.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::process::ExitCode;

use cognate::canonical::Group;
use cognate::evidence::{FamilyResult, combine};
use cognate::measure::families::Kind;
use cognate::measure::trace::{Exchange, Trace, trace_test};
use cognate::numerics::Rng;
use cognate::roles::{Component, Expert};
use rayon::prelude::*;

/// Families tested per kind where nothing is said.
const DEFAULT_DRAWS: usize = 100_000;
/// A smoke run: under `cargo test --benches` nobody waits for rates.
const FEW_DRAWS: usize = 400;
/// With 10,000 no drawn p reaches 1e-4: the smallest is 1/10,001 + 1e-7.
const MAX_PERMUTATIONS: u64 = 30_000;
const N_UNITS: usize = 48;
const HEAD_SIZE: usize = 8;
/// Features of a unit; few, so that scores scatter far.
const N_FEATURES: usize = 24;
const LEVELS: [f64; 3] = [1e-2, 1e-3, 1e-4];
const SEED: u64 = 0;

/// One kind of family as the product builds it.
#[derive(Clone, Copy)]
struct Draws {
    kind: Kind,
    group: Group,
    exchange: Exchange,
    /// Matrices whose scores are averaged.
    n_matrices: usize,
}

const KINDS: [Draws; 4] = [
    Draws { kind: Kind::MlpUnits, group: Group::Mlp, exchange: Exchange::Free, n_matrices: 3 },
    Draws {
        kind: Kind::ValueChannels,
        group: Group::Attention,
        exchange: Exchange::Wreath { group_size: HEAD_SIZE },
        n_matrices: 2,
    },
    Draws {
        kind: Kind::ResidualDimensions,
        group: Group::Embeddings,
        exchange: Exchange::Free,
        n_matrices: 2,
    },
    Draws { kind: Kind::TensorRows, group: Group::Other, exchange: Exchange::Free, n_matrices: 1 },
];

/// Unit vectors, [units, features]; a hard draw adds a direction of all units and one of each head.
fn features(rng: &mut Rng, is_hard: bool, has_heads: bool) -> Vec<f32> {
    let direction: Vec<f64> = (0..N_FEATURES).map(|_| 2.0 * rng.normal()).collect();
    let mut head = [0.0; N_FEATURES];
    let mut values = Vec::with_capacity(N_UNITS * N_FEATURES);
    for unit in 0..N_UNITS {
        if has_heads && unit % HEAD_SIZE == 0 {
            head.iter_mut().for_each(|value| *value = rng.normal());
        }
        let weight = if is_hard { 1.0 } else { 0.0 };
        let raw: Vec<f64> =
            (0..N_FEATURES).map(|at| rng.normal() + weight * (direction[at] + head[at])).collect();
        let norm = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
        values.extend(raw.iter().map(|value| (value / norm) as f32));
    }
    values
}

/// Mean cosines of every unit of one model with every unit of the other, [units, units].
fn scores(draws: &Draws, rng: &mut Rng, is_hard: bool) -> Vec<f32> {
    let has_heads = draws.kind == Kind::ValueChannels;
    let mut scores = vec![0.0; N_UNITS * N_UNITS];
    for _ in 0..draws.n_matrices {
        let (a, b) = (features(rng, is_hard, has_heads), features(rng, is_hard, has_heads));
        for (a, row) in a.chunks(N_FEATURES).zip(scores.chunks_mut(N_UNITS)) {
            for (b, score) in b.chunks(N_FEATURES).zip(row) {
                *score += a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>() / draws.n_matrices as f32;
            }
        }
    }
    scores
}

fn tested(draws: &Draws, number: usize) -> Trace {
    let mut rng = Rng::new(&[SEED, draws.kind as u64, number as u64]);
    let scores = scores(draws, &mut rng, number % 2 == 1);
    let mut traces = |orders: &[u32]| {
        let sum = |order: &[u32]| {
            let picked = order.iter().zip(scores.chunks(N_UNITS)).map(|(&unit, row)| row[unit as usize]);
            picked.map(f64::from).sum()
        };
        Ok::<_, std::convert::Infallible>(orders.chunks(N_UNITS).map(sum).collect())
    };
    match trace_test(&scores, N_UNITS, draws.exchange, MAX_PERMUTATIONS, &mut rng, &mut traces) {
        Ok(trace) => trace,
        Err(never) => match never {},
    }
}

fn result(draws: &Draws, trace: Trace) -> FamilyResult {
    FamilyResult {
        kind: draws.kind,
        group: draws.group,
        component: Component::Text,
        layers: None,
        expert: Expert::None,
        trace,
        halves: None,
        agreement: None,
    }
}

/// Smallest count that a binomial variable exceeds with a probability of at most 1e-3.
fn upper_limit(n: usize, rate: f64) -> usize {
    let mut ln_mass = n as f64 * (-rate).ln_1p();
    let mut below = 0.0;
    for count in 0..n {
        below += ln_mass.exp();
        if below >= 0.999 {
            return count;
        }
        ln_mass += ((n - count) as f64 / (count + 1) as f64).ln() + (rate / (1.0 - rate)).ln();
    }
    n
}

/// Prints one line per level; whether every count is within its limit.
fn report(what: &str, ln_ps: &[f64]) -> bool {
    let mut is_valid = true;
    for level in LEVELS {
        let count = ln_ps.iter().filter(|ln_p| **ln_p <= level.ln()).count();
        let limit = upper_limit(ln_ps.len(), level);
        let word = if count <= limit { "ok" } else { "EXCEEDED" };
        is_valid &= count <= limit;
        let (n, rate) = (ln_ps.len(), count as f64 / ln_ps.len() as f64);
        let limit = limit as f64 / n as f64;
        println!("{what:<26} {n:>8} draws   p ≤ {level:<7} rate {rate:<9.2e} limit {limit:<9.2e} {word}");
    }
    is_valid
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let asked = arguments.iter().find_map(|argument| argument.replace('_', "").parse().ok());
    let n_draws: usize = asked.unwrap_or(if is_bench { DEFAULT_DRAWS } else { FEW_DRAWS }).max(16);

    let mut is_valid = true;
    let mut pools: Vec<Vec<FamilyResult>> = Vec::new();
    for draws in &KINDS {
        let pool: Vec<FamilyResult> =
            (0..n_draws).into_par_iter().map(|number| result(draws, tested(draws, number))).collect();
        let ln_ps: Vec<f64> = pool.iter().map(|family| family.trace.ln_p).collect();
        is_valid &= report(draws.kind.name(), &ln_ps);
        pools.push(pool);
    }
    let [mlp, values, residual, rows] = &pools[..] else { return ExitCode::FAILURE };

    // models share no family, so their combined p-values are independent draws
    let models = mlp.chunks_exact(4).zip(values.chunks_exact(4)).zip(residual);
    let combined: Vec<_> = models
        .map(|((mlp, values), residual)| {
            combine(&[mlp, values, std::slice::from_ref(residual)].concat(), 0.0)
        })
        .collect();
    let read = |ln_p: fn(&cognate::evidence::TraceEvidence) -> f64| -> Vec<f64> {
        combined.iter().map(ln_p).collect()
    };
    is_valid &= report("combined", &read(|evidence| evidence.ln_p));
    is_valid &= report("combined, spread", &read(|evidence| evidence.spread_ln_p));
    // the smaller of two p-values is valid at twice its size
    is_valid &= report("combined, strongest × 2", &read(|evidence| evidence.strongest_ln_p() + 2.0f64.ln()));

    // an unknown graph: half of the tensors speak twice, as outputs on one residual stream would
    let nameless: Vec<f64> =
        rows.chunks_exact(8).map(|rows| combine(&[rows, &rows[..4]].concat(), 0.0).ln_p).collect();
    is_valid &= report("combined, unknown graph", &nameless);
    if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
