//! Σᵢ `C[i][π(i)]` for many permutations π of one n × n score matrix. [n, n], [R, n] → R.
//!
//! The null distribution of a trace under relabelling; what it means is decided elsewhere.

use super::Backend;
use super::moments::to_u32;
use super::operand::BLOCK;
use crate::gpu::{self, Call, Edit, Gpu, Kernel};

/// Σᵢ `C[i][π(i)]` for many permutations π of one n × n score matrix. [n, n], [R, n] → R.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn permuted_traces(
    backend: &Backend,
    scores: &[f32],
    n: usize,
    permutations: &[u32],
) -> Result<Vec<f64>, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.permuted_traces(scores, n, permutations)),
        Backend::Gpu(gpu) => on_gpu(gpu, scores, n, permutations),
    }
}

gpu::params! {
    /// Uniform of shaders/permuted_traces.wgsl.
    struct Params { n: u32, n_permutations: u32, n_blocks: u32 }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "permuted_traces",
    entry: "permuted_traces",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/reduce.wgsl"),
        include_str!("../../shaders/permuted_traces.wgsl"),
    ),
    first_output: 3,
    params: Params::FIELDS,
    broken: &[
        Edit { name: "skipped stride", find: "row += WG", replace: "row += 2u * WG" },
        Edit {
            name: "transposed",
            find: "row * params.n + min(col, params.n - 1u)",
            replace: "col * params.n + row",
        },
        Edit { name: "first permutation only", find: "permutation * params.n + row", replace: "row" },
        Edit { name: "gain", find: "bitcast<u32>(trace)", replace: "bitcast<u32>(trace * 1.0005)" },
    ],
};

/// Words of one partial (`RECORD` in the shader).
const RECORD: usize = 3;

fn on_gpu(gpu: &Gpu, scores: &[f32], n: usize, permutations: &[u32]) -> Result<Vec<f64>, gpu::Error> {
    if n == 0 {
        return Ok(Vec::new());
    }
    let _turn = gpu.turn();
    gpu.recovering(|| all_traces(gpu, &scores[..n * n], n, permutations))
}

/// All traces from the start: the scores are uploaded once.
fn all_traces(gpu: &Gpu, scores: &[f32], n: usize, permutations: &[u32]) -> Result<Vec<f64>, gpu::Error> {
    let n_blocks = n.div_ceil(BLOCK);
    let max_groups = usize::try_from(gpu.info().max_workgroups).unwrap_or(usize::MAX);
    let per_chunk = (gpu.max_chunk_bytes() / 4 / n).min(max_groups / n_blocks).max(1);
    let device_scores = gpu.upload(&KERNEL, bytemuck::cast_slice(scores), 0)?;
    let mut traces = Vec::with_capacity(permutations.len() / n);
    let start = |chunk: &[u32]| {
        let n_permutations = chunk.len() / n;
        let device_permutations = gpu.upload(&KERNEL, bytemuck::cast_slice(chunk), 0)?;
        let params =
            Params { n: to_u32(n), n_permutations: to_u32(n_permutations), n_blocks: to_u32(n_blocks) };
        gpu.submit(&Call {
            kernel: &KERNEL,
            constants: &[],
            params: bytemuck::bytes_of(&params),
            inputs: &[&device_scores, &device_permutations],
            outputs: &[n_permutations * n_blocks * RECORD],
            groups: [to_u32(n_permutations * n_blocks), 1, 1],
        })
    };
    let mut chunks = permutations.chunks(per_chunk * n);
    let mut next = chunks.next().map(|chunk| start(chunk).map(|submitted| (chunk, submitted))).transpose()?;
    while let Some((chunk, submitted)) = next {
        // the next one is uploaded while this one is computed
        next = chunks.next().map(|chunk| start(chunk).map(|submitted| (chunk, submitted))).transpose()?;
        let outputs = gpu.finish(submitted)?;
        let (mut n_seen, mut column_sum) = (0_u64, 0_u32);
        for (permutation, blocks) in chunk.chunks_exact(n).zip(outputs[0].chunks_exact(n_blocks * RECORD)) {
            let mut trace = 0.0;
            for partial in blocks.chunks_exact(RECORD) {
                n_seen += u64::from(partial[0]);
                column_sum = column_sum.wrapping_add(partial[1]);
                trace += f64::from(f32::from_bits(partial[2]));
            }
            if traces.len().is_multiple_of(RECHECK_EVERY) {
                recheck(gpu, scores, n, permutation, trace)?;
            }
            traces.push(trace);
        }
        let wanted = chunk.iter().fold(0_u32, |sum, &col| sum.wrapping_add(col));
        gpu.expect_equal(&KERNEL, "element count", n_seen, chunk.len() as u64)?;
        gpu.expect_equal(&KERNEL, "sum of columns", column_sum, wanted)?;
    }
    Ok(traces)
}

/// One trace in this many is summed again on the host.
const RECHECK_EVERY: usize = 1024;

fn recheck(gpu: &Gpu, scores: &[f32], n: usize, permutation: &[u32], found: f64) -> Result<(), gpu::Error> {
    let term = |(row, &col): (usize, &u32)| scores.get(row * n + col as usize).map_or(0.0, |s| f64::from(*s));
    let terms = || permutation.iter().enumerate().map(term);
    let wanted: f64 = terms().sum();
    let off = (found - wanted).abs();
    if off <= error_bound(terms().map(f64::abs).sum()) {
        Ok(())
    } else {
        Err(gpu.canary(&KERNEL, "recomputed trace", found, wanted))
    }
}

/// How far a trace may be from the exact sum, given Σ|`C[i][π(i)]`|: a thread adds up to 64 scores of a block one after
/// the other, the tree six more times; blocks are added in f64.
#[must_use]
pub fn error_bound(magnitudes: f64) -> f64 {
    f64::from(64 + 6) * 2_f64.powi(-24) * magnitudes
}
