//! S2, the exact trace test: does unit i of A look like unit i of B more than like the others?
//!
//! T = Σᵢ `C[i][i]` is one draw from {Σᵢ `C[i][π(i)]`} under H0, because training treats the units alike. Three numbers come
//! out: z by Hoeffding's moments (asymptotic, a size), and p, which is valid in a finite sample with no assumption about B:
//! - Chernoff's bound over a subgroup whose moment generating function is known exactly: consecutive units in blocks of at
//!   most [`BLOCK_UNITS`], permuted inside their blocks. E exp(λT) of a block is perm(exp(λC))/b!, so
//!   ln P(T_π ≥ T) ≤ inf_λ Σ_blocks ln(perm(exp λC)/b!) − λT. It needs no draw, behaves like exp(−z²/2), and reaches
//!   (1/8!)^(n/8): 1e-1178 with 2,048 units. A subgroup of exchangeable orders is exchangeable, so the p-value is valid.
//! - where the bound stays above [`BOUND_COUNTS_FROM`], the Monte Carlo p of Besag & Clifford (1991): stop at 20 exceedances.
//!
//! p = bound if bound ≤ 1e-7 (looked at from z = 3 on), else p_mc + 1e-7. Valid: P(p ≤ α) ≤ α for α ≤ 1e-7 by the bound alone, and
//! ≤ 1e-7 + (α − 1e-7) above.

use crate::numerics::Rng;

/// Which orders of the units are equally likely under H0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Any order.
    Free,
    /// Groups of this many consecutive units: groups change places, units change places inside their group.
    Wreath {
        /// Units of one group.
        group_size: usize,
    },
    /// Units change places inside their group only (heads under ALiBi differ by position).
    Blocks {
        /// Units of one group.
        group_size: usize,
    },
}

impl Exchange {
    /// Units of a group where units stay inside theirs and groups in their places.
    #[must_use]
    pub fn group_size(self) -> Option<usize> {
        match self {
            Exchange::Blocks { group_size } => Some(group_size),
            Exchange::Free | Exchange::Wreath { .. } => None,
        }
    }
}

/// The bound is reported where it is at most this (ln 1e-7).
pub const BOUND_COUNTS_FROM: f64 = -16.118_095_650_958_32;

/// Units of a block of the bound: 8! = 40,320 orders, whose permanent is a sum over 256 subsets.
pub const BLOCK_UNITS: usize = 8;

/// z below which the bound is not computed: exp(−z²/2) is far above 1e-7. p stays valid, since it only grows where the bound would have counted.
const LEAST_BOUNDED_Z: f64 = 3.0;

/// Golden sections of the search for λ: a two-thousandth of the interval, whose square is what the bound loses.
const N_SECTIONS: usize = 16;

/// Exceedances after which drawing stops.
const EXCEEDANCES: u64 = 20;

/// Outcome of one trace test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    /// Units.
    pub n_units: usize,
    /// T / n: mean score of a unit with itself.
    pub mean_diagonal: f64,
    /// E T / n.
    pub mean_expected: f64,
    /// Var T under the reference group.
    pub variance: f64,
    /// (T − E T)/√Var T; 0 where the variance is 0.
    pub z: f64,
    /// Natural logarithm of the p-value.
    pub ln_p: f64,
    /// The smallest ln p that these scores could have given.
    pub ln_p_floor: f64,
    /// Permutations drawn; 0 where the bound was enough.
    pub n_permutations: u64,
}

/// Sums Σᵢ `C[i][π(i)]` of a batch of permutations, [n_permutations, n] flattened.
pub type PermutedTraces<'a, E> = dyn FnMut(&[u32]) -> Result<Vec<f64>, E> + 'a;

/// Tests the diagonal of `scores` [n, n], row-major. Fewer than two units, or scores that are all alike, give p = 1.
///
/// # Errors
/// Only what `permuted_traces` returns.
pub fn trace_test<E>(
    scores: &[f32],
    n: usize,
    exchange: Exchange,
    max_permutations: u64,
    rng: &mut Rng,
    permuted_traces: &mut PermutedTraces<'_, E>,
) -> Result<Trace, E> {
    debug_assert_eq!(scores.len(), n * n, "scores are square");
    let (group_size, groups_move) = match exchange {
        Exchange::Free => (n, false),
        Exchange::Wreath { group_size } => (group_size, true),
        Exchange::Blocks { group_size } => (group_size, false),
    };
    assert!(n == 0 || group_size > 0 && n.is_multiple_of(group_size), "groups are of equal size");
    let moments = Moments::of(scores, n, group_size, groups_move);
    let mut trace = Trace {
        n_units: n,
        mean_diagonal: moments.trace / n.max(1) as f64,
        mean_expected: moments.expected / n.max(1) as f64,
        variance: moments.variance,
        z: 0.0,
        ln_p: 0.0,
        ln_p_floor: 0.0,
        n_permutations: 0,
    };
    let rounding = moments.rounding(n);
    if n < 2 || moments.variance.sqrt() <= rounding {
        return Ok(trace);
    }
    trace.z = (moments.trace - moments.expected) / moments.variance.sqrt();
    let ln_resolution = -((max_permutations + 1) as f64).ln();
    let best_bound = -ln_orders(n, group_size);
    let ln_drawn_floor = (BOUND_COUNTS_FROM.exp() + ln_resolution.exp()).ln();
    trace.ln_p_floor = if best_bound <= BOUND_COUNTS_FROM { best_bound } else { ln_drawn_floor };
    let bound = if trace.z < LEAST_BOUNDED_Z { 0.0 } else { block_bound(scores, n, group_size) };
    if bound <= BOUND_COUNTS_FROM {
        trace.ln_p = bound;
        return Ok(trace);
    }
    let (exceedances, drawn) = count_exceedances(
        Draw::new(n, group_size, groups_move),
        max_permutations,
        rounding,
        rng,
        permuted_traces,
    )?;
    let p = if exceedances >= EXCEEDANCES {
        exceedances as f64 / drawn as f64
    } else {
        (exceedances + 1) as f64 / (drawn + 1) as f64
    };
    trace.ln_p = (p + BOUND_COUNTS_FROM.exp()).min(1.0).ln();
    trace.n_permutations = drawn;
    Ok(trace)
}

/// Hoeffding's z of the diagonal of `scores` [n, n] when any order is equally likely; 0 where the scores carry no order.
#[must_use]
pub fn trace_z(scores: &[f32], n: usize) -> f64 {
    let moments = Moments::of(scores, n, n, false);
    if n < 2 || moments.variance.sqrt() <= moments.rounding(n) {
        return 0.0;
    }
    (moments.trace - moments.expected) / moments.variance.sqrt()
}

/// Draws until 20 permuted traces reach T or the budget is spent; ties within rounding count as reached (conservative).
fn count_exceedances<E>(
    mut draw: Draw,
    max_permutations: u64,
    rounding: f64,
    rng: &mut Rng,
    permuted_traces: &mut PermutedTraces<'_, E>,
) -> Result<(u64, u64), E> {
    let n = draw.order.len();
    let identity: Vec<u32> = draw.order.clone();
    let observed = permuted_traces(&identity)?.first().copied().unwrap_or(f64::NAN);
    let (mut exceedances, mut drawn) = (0, 0);
    let mut batch_size = 64;
    while drawn < max_permutations {
        let n_draws = batch_size.min(max_permutations - drawn);
        let mut batch = Vec::with_capacity(n * n_draws as usize);
        for _ in 0..n_draws {
            batch.extend_from_slice(draw.next(rng));
        }
        for trace in permuted_traces(&batch)? {
            drawn += 1;
            exceedances += u64::from(trace >= observed - rounding);
            if exceedances == EXCEEDANCES {
                return Ok((exceedances, drawn));
            }
        }
        batch_size = (batch_size * 2).min(4096);
    }
    Ok((exceedances, drawn))
}

/// Uniform draws from the reference group.
struct Draw {
    group_size: usize,
    groups_move: bool,
    order: Vec<u32>,
    groups: Vec<usize>,
}

impl Draw {
    fn new(n: usize, group_size: usize, groups_move: bool) -> Draw {
        let order = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
        Draw { group_size, groups_move, order, groups: (0..n / group_size).collect() }
    }

    fn next(&mut self, rng: &mut Rng) -> &[u32] {
        if self.groups_move {
            rng.shuffle(&mut self.groups);
        }
        for (slot, &group) in self.groups.iter().enumerate() {
            let places = &mut self.order[slot * self.group_size..(slot + 1) * self.group_size];
            let first = group * self.group_size;
            for (place, unit) in places.iter_mut().zip(first..) {
                // n ≤ 4096, so a unit number fits
                *place = unit as u32;
            }
            rng.shuffle(places);
        }
        &self.order
    }
}

/// Mean and variance of the permuted trace, and what the bound needs.
struct Moments {
    trace: f64,
    expected: f64,
    variance: f64,
    largest: f64,
}

impl Moments {
    fn of(scores: &[f32], n: usize, group_size: usize, groups_move: bool) -> Moments {
        let n_groups = n.checked_div(group_size).unwrap_or(0);
        let size = group_size as f64;
        let trace: f64 = (0..n).map(|i| f64::from(scores[i * n + i])).sum();
        let largest = scores.iter().fold(0.0f32, |largest, score| largest.max(score.abs()));
        let mut block_means = vec![0.0; n_groups * n_groups];
        let mut inside = 0.0;
        for g in 0..n_groups {
            for h in (0..n_groups).filter(|&h| groups_move || h == g) {
                let (rows, columns, total) = block_sums(scores, n, group_size, g, h);
                block_means[g * n_groups + h] = total / size;
                let grand = total / (size * size);
                let mut squares = 0.0;
                for i in 0..group_size {
                    let row = &scores[(g * group_size + i) * n + h * group_size..][..group_size];
                    let row_shift = grand - rows[i] / size;
                    for (j, &score) in row.iter().enumerate() {
                        let centred = f64::from(score) - columns[j] / size + row_shift;
                        squares += centred * centred;
                    }
                }
                inside += squares / (size - 1.0).max(1.0);
            }
        }
        // blocks that can meet: all of them, or those on the diagonal
        let choices = if groups_move { (n_groups as f64).max(1.0) } else { 1.0 };
        let between = if groups_move { between_variance(&block_means, n_groups) } else { 0.0 };
        let expected = block_means.iter().sum::<f64>() / choices;
        let variance = inside / choices + between;
        Moments { trace, expected, variance, largest: f64::from(largest) }
    }
}

impl Moments {
    /// Scores equal up to f32 rounding carry no order: what a sum of n of them may be off by.
    fn rounding(&self, n: usize) -> f64 {
        f64::from(f32::EPSILON) * n as f64 * self.largest
    }
}

/// Blocks of the bound: runs of at most [`BLOCK_UNITS`] consecutive units inside their group.
fn blocks(n: usize, group_size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(group_size.max(1)).flat_map(move |first| {
        let end = first + group_size;
        (first..end).step_by(BLOCK_UNITS).map(move |at| (at, BLOCK_UNITS.min(end - at)))
    })
}

/// ln of the number of orders of the bound's subgroup.
fn ln_orders(n: usize, group_size: usize) -> f64 {
    blocks(n, group_size).map(|(_, size)| ln_factorial(size)).sum()
}

fn ln_factorial(n: usize) -> f64 {
    (2..=n).map(|k| (k as f64).ln()).sum()
}

/// ln of Chernoff's bound on P(T_π ≥ T) over permutations inside the blocks; 0 where T is not above its mean.
fn block_bound(scores: &[f32], n: usize, group_size: usize) -> f64 {
    // each block minus its diagonal: exponents are then λ(C[i][j] − C[i][i]) and T itself is 0
    let blocks: Vec<(usize, [f64; BLOCK_UNITS * BLOCK_UNITS])> = blocks(n, group_size)
        .map(|(first, size)| {
            let mut block = [0.0; BLOCK_UNITS * BLOCK_UNITS];
            for i in 0..size {
                let row = &scores[(first + i) * n + first..][..size];
                for (j, &score) in row.iter().enumerate() {
                    block[i * BLOCK_UNITS + j] = f64::from(score) - f64::from(row[i]);
                }
            }
            (size, block)
        })
        .collect();
    let at = |lambda: f64| -> f64 {
        blocks.iter().map(|(size, block)| ln_permanent(block, *size, lambda) - ln_factorial(*size)).sum()
    };
    if blocks.iter().map(|(size, block)| mean_trace(block, *size)).sum::<f64>() >= 0.0 {
        return 0.0;
    }
    // beyond this λ the terms of a block whose diagonal is not its largest order would underflow and be lost
    let steepest = blocks.iter().map(|(size, block)| steepness(block, *size)).fold(0.0, f64::max);
    let limit = if steepest > 0.0 { (600.0 / steepest).min(1e4) } else { 1e4 };
    // convex in λ, and every λ gives a valid bound: the search may stop early
    let inverse_golden = 0.618_033_988_749_895;
    let (mut low, mut high) = (0.0, 1.0f64.min(limit));
    while 2.0 * high <= limit && at(2.0 * high) < at(high) {
        high *= 2.0;
    }
    high = (2.0 * high).min(limit);
    // one of the two inner points of a golden section is an inner point of the next
    let point = |at_lambda: f64| (at_lambda, at(at_lambda));
    let width = (high - low) * inverse_golden;
    let (mut left, mut right) = (point(high - width), point(low + width));
    for _ in 0..N_SECTIONS {
        if left.1 < right.1 {
            high = right.0;
            right = left;
            left = point(high - (high - low) * inverse_golden);
        } else {
            low = left.0;
            left = right;
            right = point(low + (high - low) * inverse_golden);
        }
    }
    at(0.5 * (low + high)).min(0.0)
}

/// Mean trace of a block over its orders.
fn mean_trace(block: &[f64; BLOCK_UNITS * BLOCK_UNITS], size: usize) -> f64 {
    block.iter().sum::<f64>() / size as f64
}

/// Σ of the largest entries of the rows: how fast the scale of a block grows with λ.
fn steepness(block: &[f64; BLOCK_UNITS * BLOCK_UNITS], size: usize) -> f64 {
    (0..size).map(|i| block[i * BLOCK_UNITS..][..size].iter().copied().fold(0.0, f64::max)).sum()
}

/// ln perm(exp(λ·block)) by the sum over column subsets, all terms positive. Rows are scaled by their largest entry.
fn ln_permanent(block: &[f64; BLOCK_UNITS * BLOCK_UNITS], size: usize, lambda: f64) -> f64 {
    let mut sums = [0.0f64; 1 << BLOCK_UNITS];
    sums[0] = 1.0;
    let mut ln_scale = 0.0;
    let mut weights = [[0.0; BLOCK_UNITS]; BLOCK_UNITS];
    for (row, weights) in weights.iter_mut().enumerate().take(size) {
        let entries = &block[row * BLOCK_UNITS..][..size];
        let largest = entries.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        ln_scale += lambda * largest;
        weights.iter_mut().zip(entries).for_each(|(w, entry)| *w = (lambda * (entry - largest)).exp());
    }
    for subset in 1usize..1 << size {
        // rows are filled in order: a subset of k columns is used by the first k rows
        let weights = &weights[subset.count_ones() as usize - 1];
        let mut sum = 0.0;
        let mut rest = subset;
        while rest != 0 {
            let column = rest.trailing_zeros() as usize;
            sum += weights[column] * sums[subset & !(1 << column)];
            rest &= rest - 1;
        }
        sums[subset] = sum;
    }
    ln_scale + sums[(1 << size) - 1].ln()
}

fn block_sums(scores: &[f32], n: usize, size: usize, g: usize, h: usize) -> (Vec<f64>, Vec<f64>, f64) {
    let (mut rows, mut columns) = (vec![0.0; size], vec![0.0; size]);
    for i in 0..size {
        let row = &scores[(g * size + i) * n + h * size..][..size];
        for (column, &score) in columns.iter_mut().zip(row) {
            rows[i] += f64::from(score);
            *column += f64::from(score);
        }
    }
    let total = rows.iter().sum();
    (rows, columns, total)
}

/// Variance of Σ_g M[g][γ(g)] over all orders γ of the groups.
fn between_variance(means: &[f64], n_groups: usize) -> f64 {
    if n_groups < 2 {
        return 0.0;
    }
    let size = n_groups as f64;
    let rows: Vec<f64> = means.chunks(n_groups).map(|row| row.iter().sum::<f64>() / size).collect();
    let columns: Vec<f64> =
        (0..n_groups).map(|h| (0..n_groups).map(|g| means[g * n_groups + h]).sum::<f64>() / size).collect();
    let grand = rows.iter().sum::<f64>() / size;
    let squares: f64 = means
        .iter()
        .enumerate()
        .map(|(at, mean)| (mean - rows[at / n_groups] - columns[at % n_groups] + grand).powi(2))
        .sum();
    squares / (size - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_host(scores: &[f32], n: usize) -> impl FnMut(&[u32]) -> Result<Vec<f64>, ()> + '_ {
        move |orders| {
            let sum = |order: &[u32]| {
                order.iter().enumerate().map(|(i, &j)| f64::from(scores[i * n + j as usize])).sum()
            };
            Ok(orders.chunks(n).map(sum).collect())
        }
    }

    fn run(scores: &[f32], n: usize, exchange: Exchange, seed: u64) -> Trace {
        let mut traces = on_host(scores, n);
        trace_test(scores, n, exchange, 10_000, &mut Rng::new(&[seed]), &mut traces).expect("cannot fail")
    }

    fn noise(n: usize, rng: &mut Rng) -> Vec<f32> {
        (0..n * n).map(|_| rng.normal() as f32 * 0.1).collect()
    }

    /// Mean and variance of T over every element of the group, by enumeration.
    fn enumerate(scores: &[f32], n: usize, size: usize) -> (f64, f64, Vec<f64>) {
        fn orders(items: &[usize]) -> Vec<Vec<usize>> {
            if items.is_empty() {
                return vec![vec![]];
            }
            let mut all = Vec::new();
            for (at, &first) in items.iter().enumerate() {
                let mut rest = items.to_vec();
                rest.remove(at);
                all.extend(orders(&rest).into_iter().map(|mut tail| {
                    tail.insert(0, first);
                    tail
                }));
            }
            all
        }
        let inner = orders(&(0..size).collect::<Vec<_>>());
        let mut traces = Vec::new();
        for groups in orders(&(0..n / size).collect::<Vec<_>>()) {
            let mut choices = vec![0usize; n / size];
            'odometer: loop {
                let trace: f64 = (0..n)
                    .map(|i| {
                        let (g, c) = (i / size, i % size);
                        f64::from(scores[i * n + groups[g] * size + inner[choices[g]][c]])
                    })
                    .sum();
                traces.push(trace);
                for digit in &mut choices {
                    *digit += 1;
                    if *digit < inner.len() {
                        continue 'odometer;
                    }
                    *digit = 0;
                }
                break;
            }
        }
        let mean = traces.iter().sum::<f64>() / traces.len() as f64;
        let variance = traces.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / traces.len() as f64;
        (mean, variance, traces)
    }

    #[test]
    fn moments_equal_an_enumeration_of_the_group() {
        let mut rng = Rng::new(&[5]);
        for (n, size) in [(5, 5), (6, 3), (6, 2), (4, 1)] {
            let scores = noise(n, &mut rng);
            let (mean, variance, _) = enumerate(&scores, n, size);
            let moments = Moments::of(&scores, n, size, true);
            // f64 sums of fewer than 200 terms of order .1
            assert!((moments.expected - mean).abs() < 1e-12, "{n} {size}");
            assert!((moments.variance - variance).abs() < 1e-12, "{n} {size}");
        }
    }

    #[test]
    fn the_bound_is_never_below_the_exact_tail() {
        let mut rng = Rng::new(&[6]);
        for (n, size) in [(6, 6), (7, 7), (6, 3), (6, 2)] {
            for _ in 0..40 {
                let mut scores = noise(n, &mut rng);
                (0..n).for_each(|i| scores[i * n + i] += 0.2);
                // the bound speaks of the subgroup that keeps the groups in place
                let mut kept = vec![0.0f32; n * n];
                for i in 0..n {
                    for j in 0..n {
                        kept[i * n + j] = if i / size == j / size { scores[i * n + j] } else { f32::NAN };
                    }
                }
                let (_, _, traces) = enumerate(&kept, n, size);
                let inside: Vec<f64> = traces.into_iter().filter(|trace| trace.is_finite()).collect();
                let trace: f64 = (0..n).map(|i| f64::from(scores[i * n + i])).sum();
                let reached = inside.iter().filter(|permuted| **permuted >= trace - 1e-9).count();
                let exact = reached as f64 / inside.len() as f64;
                assert!(block_bound(&scores, n, size).exp() >= exact - 1e-12, "{n} {size} {exact}");
            }
        }
    }

    #[test]
    fn permanents_equal_the_sum_over_orders() {
        let mut rng = Rng::new(&[8]);
        let mut block = [0.0; BLOCK_UNITS * BLOCK_UNITS];
        block.iter_mut().for_each(|entry| *entry = rng.normal());
        for size in [1, 2, 5] {
            let scores: Vec<f32> =
                (0..size * size).map(|at| block[at / size * BLOCK_UNITS + at % size] as f32).collect();
            let (_, _, traces) = enumerate(&scores, size, size);
            let sum: f64 = traces.iter().map(|trace| (0.7 * trace).exp()).sum();
            // scores were rounded to f32: 0.7 · size · 2⁻²⁴ relative
            assert!((ln_permanent(&block, size, 0.7) - sum.ln()).abs() < 1e-5, "{size}");
        }
    }

    #[test]
    fn the_bound_follows_the_normal_tail_and_reaches_the_smallest_group_share() {
        let mut rng = Rng::new(&[10]);
        let n = 512;
        let mut scores = noise(n, &mut rng);
        // z = 8: √Var T = 0.1 √n
        (0..n).for_each(|i| scores[i * n + i] += (8.0 * 0.1 / (n as f64).sqrt()) as f32);
        let z = run(&scores, n, Exchange::Free, 1).z;
        let bound = block_bound(&scores, n, n);
        // the subgroup sees the same shift with its own noise: z of the two differ by about one
        assert!(bound < -0.5 * (z - 2.0).powi(2) && bound > -0.5 * (z + 2.0).powi(2), "{z} {bound}");
        (0..n).for_each(|i| scores[i * n + i] = 5.0);
        assert!((block_bound(&scores, n, n) + ln_orders(n, n)).abs() < 1e-3 * ln_orders(n, n));
    }

    #[test]
    fn a_copy_is_found_and_noise_is_not() {
        let mut rng = Rng::new(&[9]);
        let n = 128;
        let null = noise(n, &mut rng);
        let outcome = run(&null, n, Exchange::Free, 1);
        assert!(outcome.ln_p > (1e-3f64).ln() && outcome.z.abs() < 4.0, "{outcome:?}");
        let mut copy = null.clone();
        (0..n).for_each(|i| copy[i * n + i] = 1.0);
        for exchange in
            [Exchange::Free, Exchange::Wreath { group_size: 16 }, Exchange::Blocks { group_size: 16 }]
        {
            let outcome = run(&copy, n, exchange, 1);
            assert!(outcome.ln_p < BOUND_COUNTS_FROM && outcome.z > 30.0, "{outcome:?}");
            assert!(outcome.ln_p_floor <= outcome.ln_p && outcome.n_permutations == 0);
        }
    }

    #[test]
    fn scores_that_are_all_alike_say_nothing() {
        for value in [0.0, 1.0, 0.333] {
            let outcome = run(&vec![value; 64], 8, Exchange::Free, 1);
            assert_eq!((outcome.ln_p, outcome.z), (0.0, 0.0));
        }
        assert_eq!(run(&[0.9], 1, Exchange::Free, 1).ln_p, 0.0);
        assert_eq!(run(&[], 0, Exchange::Free, 1).ln_p, 0.0);
    }

    #[test]
    fn null_p_keeps_its_level() {
        let mut rng = Rng::new(&[12]);
        let n_draws = 2_000;
        for exchange in
            [Exchange::Free, Exchange::Wreath { group_size: 6 }, Exchange::Blocks { group_size: 6 }]
        {
            let hits = (0..n_draws)
                .filter(|&seed| run(&noise(24, &mut rng), 24, exchange, seed).ln_p <= 0.05f64.ln())
                .count();
            // binomial(2000, .05): mean 100, sd 9.7, four of them; far below would be a defect too
            assert!((61..139).contains(&hits), "{exchange:?} {hits}");
        }
    }
}
