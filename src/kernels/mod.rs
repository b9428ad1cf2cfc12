//! Numbers about matrices, one file per operation. Kernels never see names, roles or files.

pub mod all_pairs;
pub mod classify;
pub mod decode_blocks;
pub mod moments;
mod operand;
pub mod permuted_traces;
pub mod row_dots;

use crate::cpu;
use crate::gpu;

pub use operand::SHADER_CODES;

/// Every kernel: the layout, twin and broken-twin tests follow from this table.
pub const KERNELS: &[&gpu::Kernel] = &[
    &gpu::SELF_TEST,
    &classify::KERNEL,
    &decode_blocks::KERNEL,
    &moments::KERNEL,
    &row_dots::KERNEL,
    &all_pairs::TILE_BEST,
    &all_pairs::TILE_STORE,
    &all_pairs::SMALL_BEST,
    &all_pairs::SMALL_STORE,
    &permuted_traces::KERNEL,
];

/// Where the numbers are made. A closed enum, so that the compiler lists every place that decides.
#[derive(Debug)]
pub enum Backend {
    /// SIMD chosen at run time, threads by rayon.
    Cpu(cpu::Cpu),
    /// WGSL through wgpu.
    Gpu(gpu::Gpu),
}
