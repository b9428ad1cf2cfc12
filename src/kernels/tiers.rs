//! Which tier an adapter runs: tried in the order of its properties, each tier's answers first, then its time.

use std::time::Instant;

use super::Backend;
use super::all_pairs::{all_pairs, energy, error_bound};
use crate::cpu::Cpu;
use crate::gpu::{self, Gpu, Tier};
use crate::reductions::{Keep, Ranking};
use crate::tensor::{Matrix, Values};

/// What became of a tier on an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The tier.
    pub tier: Tier,
    /// Seconds of the timed product, where the answers were right (0 where time was not asked), or what was wrong.
    pub outcome: Result<f64, String>,
}

/// A product that takes a fast card some milliseconds.
const TIMED_ROWS: usize = 2048;
const TIMED_COLS: usize = 1024;

/// The device with the tier that it is best used in, and all that were tried.
///
/// A tier on matrix units is taken if it finds the partners that the CPU finds and is faster than the tier in registers. A
/// device that computes wrongly in registers is not used at all.
///
/// # Errors
/// The tier in registers fails or gives a wrong answer.
pub fn settle(gpu: &Gpu) -> Result<(Gpu, Vec<Tried>), gpu::Error> {
    let plain = gpu.info().default_tier();
    let plain_gpu = gpu.with_tier(plain);
    prove(&plain_gpu)?;
    let others: Vec<Tier> = gpu.info().tiers().into_iter().filter(|tier| tier.has_matrix_units()).collect();
    if others.is_empty() {
        return Ok((plain_gpu, vec![Tried { tier: plain, outcome: Ok(0.0) }]));
    }
    let plain_s = seconds(&plain_gpu)?;
    let mut tried = vec![Tried { tier: plain, outcome: Ok(plain_s) }];
    for tier in others {
        let candidate = gpu.with_tier(tier);
        let outcome = prove(&candidate).and_then(|()| seconds(&candidate)).map_err(|error| error.to_string());
        tried.push(Tried { tier, outcome });
    }
    let best = tried.iter().filter_map(|tried| Some((tried.tier, *tried.outcome.as_ref().ok()?)));
    let (tier, best_s) = best.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((plain, plain_s));
    Ok((gpu.with_tier(tier).with_advantage(plain_s / best_s.max(1e-9)), tried))
}

/// Whether a device's tier finds what the CPU finds, in products whose answers leave no doubt: whole numbers; magnitudes
/// over 32 octaves; rows that need two parts.
///
/// # Errors
/// The device failed or found something else.
pub fn prove(gpu: &Gpu) -> Result<(), gpu::Error> {
    let wrong = |detail: String| gpu::Error::SelfTest {
        adapter: gpu.info().name.clone(),
        check: gpu.tier().name(),
        detail,
    };
    let backend = Backend::Gpu(gpu.with_tier(gpu.tier()));
    for (what, a, b) in [
        ("whole numbers", whole_numbers(150, 1), whole_numbers(70, 2)),
        ("octaves", octaves(150, 3), octaves(70, 4)),
        ("column factors", with_factors(octaves(70, 5)), whole_numbers(150, 6)),
    ] {
        let found = all_pairs(&backend, &a, &b, Ranking::Signed, Keep::Partners)?;
        let wanted = Cpu::detect().all_pairs(&a, &b, Ranking::Signed, Keep::Partners);
        let bound = error_bound(gpu.tier(), a.n_cols) + error_bound(Tier::Tile, a.n_cols);
        for (side, found, wanted) in
            [("row", &found.rows, &wanted.rows), ("column", &found.columns, &wanted.columns)]
        {
            for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                let off = f64::from(found.score) - f64::from(wanted.score);
                // partners may differ where their scores do not; a NaN is not near anything
                let is_near = off.abs() <= bound;
                if !is_near {
                    return Err(wrong(format!("{what}: {side} {index} is {found:?}, not {wanted:?}")));
                }
            }
        }
        let n_scores = (a.n_rows * b.n_rows) as f64;
        let found = energy(&backend, &a, &b)?;
        let off = (found - wanted.sum_squares).abs();
        // each squared score is off by twice the bound at most, and sums of 384 f32 terms by 384 roundoffs
        let is_near = off <= n_scores * (3.0 * bound + 384.0 * 2_f64.powi(-24));
        if !is_near {
            return Err(wrong(format!("{what}: ΣC² is {found}, not {}", wanted.sum_squares)));
        }
    }
    Ok(())
}

/// Seconds of one product, the second of two: on the device where it has time stamps.
fn seconds(gpu: &Gpu) -> Result<f64, gpu::Error> {
    let backend = Backend::Gpu(gpu.with_tier(gpu.tier()));
    let noise = |seed| bf16(TIMED_ROWS, TIMED_COLS, octave(seed));
    let (a, b) = (noise(7), noise(8));
    let run = || energy(&backend, &a, &b);
    run()?;
    let (before, start) = (gpu.busy_time(), Instant::now());
    run()?;
    let wall = start.elapsed();
    let busy = gpu.busy_time().zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(busy.filter(|busy| !busy.is_zero()).unwrap_or(wall).as_secs_f64())
}

/// Columns of the proofs: more than a slab, and no whole number of them.
const PROOF_COLS: usize = 70;

fn mixed(seed: u32, index: usize) -> u32 {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let word = index.wrapping_add(seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(2_654_435_761);
    (word ^ (word >> 15)).wrapping_mul(0x2c1b_3c6d) >> 8
}

fn bf16(n_rows: usize, n_cols: usize, value: impl Fn(usize) -> f32) -> Matrix {
    let values = (0..n_rows * n_cols).map(|index| half::bf16::from_f32(value(index)).to_bits());
    Matrix { n_rows, n_cols, values: Values::Bf16(values.collect()), column_scale: None }
}

/// Whole numbers from −8 to 8: every product and sum is exact.
fn whole_numbers(n_rows: usize, seed: u32) -> Matrix {
    bf16(n_rows, PROOF_COLS, |index| (mixed(seed, index) % 17) as f32 - 8.0)
}

/// Values of either sign over 32 octaves.
fn octaves(n_rows: usize, seed: u32) -> Matrix {
    bf16(n_rows, PROOF_COLS, octave(seed))
}

fn octave(seed: u32) -> impl Fn(usize) -> f32 {
    move |index| {
        let word = mixed(seed, index);
        let mantissa = 1.0 + (word & 127) as f32 / 128.0;
        let sign = if word & 128 == 0 { 1.0 } else { -1.0 };
        let exponent = i32::try_from(word >> 8 & 31).unwrap_or(0);
        sign * mantissa * 2_f32.powi(-exponent)
    }
}

fn with_factors(matrix: Matrix) -> Matrix {
    let factors = (0..matrix.n_cols).map(|col| 0.5 + (mixed(11, col) % 1000) as f32 / 1000.0);
    Matrix { column_scale: Some(factors.collect()), ..matrix }
}
