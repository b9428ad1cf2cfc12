//! Σᵢ `C[i][π(i)]` for many permutations π of one n × n score matrix.

use rayon::prelude::*;

/// Permutations that one task sums.
const TASK_PERMUTATIONS: usize = 64;

/// Rows of C that are visited by all permutations of a task before the next ones: at n = 4096, 256 KiB.
const BLOCK_ROWS: usize = 16;

pub(super) fn permuted_traces(scores: &[f32], n: usize, permutations: &[u32]) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    permutations
        .par_chunks(TASK_PERMUTATIONS * n)
        .flat_map_iter(|permutations| of_task(scores, n, permutations))
        .collect()
}

/// Each trace is summed in row order, whatever the blocks.
fn of_task(scores: &[f32], n: usize, permutations: &[u32]) -> Vec<f64> {
    let mut traces = vec![0.0_f64; permutations.len() / n];
    for (block, rows) in scores[..n * n].chunks(BLOCK_ROWS * n).enumerate() {
        let first_row = block * BLOCK_ROWS;
        for (trace, permutation) in traces.iter_mut().zip(permutations.chunks_exact(n)) {
            for (row, &column) in rows.chunks_exact(n).zip(&permutation[first_row..]) {
                *trace += f64::from(row[column as usize]);
            }
        }
    }
    traces
}
