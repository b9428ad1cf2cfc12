//! Σᵢ `C[i][π(i)]` for many permutations π of one n × n score matrix.
//!
//! All permutations visit a block of rows while it is in cache; every score is fetched from memory once.

use rayon::prelude::*;

/// Elements of C in a block: 256 KiB, so that it stays in L2.
const BLOCK_ELEMENTS: usize = 64 << 10;

/// Permutations of which a task sums one block.
const TASK_PERMUTATIONS: usize = 1024;

pub(super) fn permuted_traces(scores: &[f32], n: usize, permutations: &[u32]) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    let block_rows = (BLOCK_ELEMENTS / n).max(1);
    let mut traces = vec![0.0; permutations.len() / n];
    for (permutations, traces) in
        permutations.chunks(TASK_PERMUTATIONS * n).zip(traces.chunks_mut(TASK_PERMUTATIONS))
    {
        let of_blocks: Vec<Vec<f64>> = scores[..n * n]
            .par_chunks(block_rows * n)
            .enumerate()
            .map(|(block, rows)| of_block(rows, n, block * block_rows, permutations))
            .collect();
        for of_block in of_blocks {
            for (trace, part) in traces.iter_mut().zip(of_block) {
                *trace += part;
            }
        }
    }
    traces
}

/// The part of every trace that lies in the rows from `first_row` on.
fn of_block(rows: &[f32], n: usize, first_row: usize, permutations: &[u32]) -> Vec<f64> {
    let n_rows = rows.len() / n;
    permutations
        .chunks_exact(n)
        .map(|permutation| {
            let columns = &permutation[first_row..first_row + n_rows];
            rows.chunks_exact(n).zip(columns).map(|(row, &column)| f64::from(row[column as usize])).sum()
        })
        .collect()
}
