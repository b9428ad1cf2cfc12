//! Numbers about matrices, one file per operation. Kernels never see names, roles or files.

pub mod all_pairs;
pub mod classify;
pub mod decode_blocks;
pub mod gemm;
pub mod moments;
mod operand;
pub mod pack;
mod partners;
pub mod permuted_traces;
pub mod probes;
pub mod row_dots;
pub mod tiers;

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
    &pack::KERNEL,
    &gemm::COOP16_BEST,
    &gemm::COOP16_STORE,
    &gemm::COOP16_ENERGY,
    &gemm::COOP8_BEST,
    &gemm::COOP8_STORE,
    &gemm::COOP8_ENERGY,
    &gemm::COOP8_F32_BEST,
    &gemm::COOP8_F32_STORE,
    &gemm::COOP8_F32_ENERGY,
    &gemm::TILE_BEST,
    &gemm::TILE_STORE,
    &gemm::TILE_ENERGY,
    &gemm::SMALL_BEST,
    &gemm::SMALL_STORE,
    &gemm::SMALL_ENERGY,
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
