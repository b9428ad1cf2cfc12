//! Decoding of GGUF blocks: every type against its reference on 100,000 blocks, then the speed of some.
//!
//! `cargo bench --bench blocks` checks and times the CPU; `-- gpu` checks every adapter too (minutes on software ones).

#![expect(clippy::print_stderr, reason = "what was checked is told beside the times")]

#[path = "../tests/oracle/decode_blocks.rs"]
mod reference;

use std::hint::black_box;
use std::time::Duration;

use cognate::cpu::Cpu;
use cognate::gpu::{Gpu, devices};
use cognate::kernels::{self, Backend};
use cognate::tensor::BlockType;
use criterion::{Criterion, Throughput};
use rayon::prelude::*;

const N_BLOCKS: usize = 100_000;

/// Elements of the timed tensor: 64 Mi, 256 MiB of output.
const N_ELEMENTS: usize = 64 << 20;

/// Output bytes that one thread writes at a time, as the streaming reads.
const PIECE_BYTES: usize = 256 << 10;

fn check(name: &str, backend: &Backend) {
    for block in BlockType::ALL {
        let blocks = reference::blocks(block, N_BLOCKS);
        let values =
            kernels::decode_blocks::decode_blocks(backend, block, &blocks).expect("the device answers");
        assert_eq!(reference::complaint(block, N_BLOCKS, &values), None, "{name}");
    }
    eprintln!("{name}: {} types, {N_BLOCKS} blocks each, bit-equal to the reference", BlockType::ALL.len());
}

fn speed(criterion: &mut Criterion) {
    let cpu = Cpu::detect();
    let mut out = vec![0.0_f32; N_ELEMENTS];
    for block in [BlockType::Q4_K, BlockType::Q8_0, BlockType::Q6_K, BlockType::Q4_0, BlockType::IQ2_XXS] {
        let bytes = reference::blocks(block, N_ELEMENTS / block.n_elements());
        let elements = PIECE_BYTES / 4;
        let piece = elements / block.n_elements() * block.size_bytes();
        let mut group = criterion.benchmark_group(format!("cpu/decode_blocks, {} threads", cpu.n_threads));
        group.throughput(Throughput::Bytes(N_ELEMENTS as u64 * 4));
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        group.bench_function(block.name(), |bencher| {
            bencher.iter(|| {
                out.par_chunks_mut(elements)
                    .zip(bytes.par_chunks(piece))
                    .for_each(|(out, bytes)| cpu.decode_blocks(block, bytes, out));
                black_box(out[0])
            });
        });
        group.finish();
    }
}

fn main() {
    check("cpu", &Backend::Cpu(Cpu::detect()));
    if std::env::args().any(|argument| argument == "gpu") {
        for info in devices() {
            let name = format!("{} {}", info.name, info.api.name());
            match Gpu::open_index(info.index) {
                Ok(gpu) => check(&name, &Backend::Gpu(gpu)),
                Err(error) => eprintln!("skipped: {name}: {error}"),
            }
        }
    }
    let mut criterion = Criterion::default();
    speed(&mut criterion);
    criterion.final_summary();
}
