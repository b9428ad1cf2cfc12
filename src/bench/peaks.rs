//! The limits that kernels are measured against, from the same run.

use std::convert::Infallible;
use std::hint::black_box;

use rayon::prelude::*;

use super::timing::measure;
use super::{Device, Options, Peak, Timing, Unit, gpu_peaks, noise};
use crate::cpu::Cpu;
use crate::kernels::Backend;

/// f32 values of the buffer that is read: 512 MiB, more than any cache.
const READ_VALUES: usize = 128 << 20;

/// Rounds of the arithmetic probes: some milliseconds.
const PROBE_ROUNDS: u64 = 2_000_000;

/// Name of the peak of products of bf16 as stored.
pub(super) const DOT_BF16: &str = "dot bf16";

/// Measured peaks of a device.
pub(super) fn peaks(device: &Device<'_>, options: &Options, progress: &dyn Fn(&str)) -> Vec<Peak> {
    progress(&format!("{} peaks", device.name));
    match device.backend {
        Backend::Cpu(cpu) => of_cpu(cpu, options),
        Backend::Gpu(gpu) => gpu_peaks::peaks(gpu, options),
    }
}

fn of_cpu(cpu: &Cpu, options: &Options) -> Vec<Peak> {
    let mut peaks = Vec::new();
    let mut arithmetic = |name, flop: u64, call: &dyn Fn()| {
        let timing = timed(options, call);
        let rate = (flop * PROBE_ROUNDS) as f64 / timing.median_s / 1e12;
        peaks.push(Peak { name, rate, unit: Unit::TeraflopPerSecond, timing });
    };
    arithmetic("fma f32", cpu.fma_probe(1).0, &|| {
        black_box(cpu.fma_probe(black_box(PROBE_ROUNDS)));
    });
    if let Some((flop, _)) = cpu.bf16_probe(1) {
        arithmetic(DOT_BF16, flop, &|| {
            black_box(cpu.bf16_probe(black_box(PROBE_ROUNDS)));
        });
    }
    let values = noise::weights(options.seed, READ_VALUES);
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let mut memory = |name, call: &mut dyn FnMut()| {
        let timing = timed(options, call);
        let rate = bytes.len() as f64 / timing.median_s / 1e9;
        peaks.push(Peak { name, rate, unit: Unit::GigabytesPerSecond, timing });
    };
    memory("memory read", &mut || {
        black_box(cpu.read_probe(black_box(bytes)));
    });
    // bytes copied, each of them read and written
    let mut copy = vec![0_u8; bytes.len()];
    memory("memory copy", &mut || {
        copy.par_chunks_mut(1 << 20).zip(bytes.par_chunks(1 << 20)).for_each(|(to, from)| {
            to.copy_from_slice(black_box(from));
        });
        black_box(&mut copy);
    });
    peaks
}

fn timed(options: &Options, mut call: impl FnMut()) -> Timing {
    let timing: Result<Timing, Infallible> = measure(options, || {
        call();
        Ok(())
    });
    match timing {
        Ok(timing) => timing,
        Err(never) => match never {},
    }
}
