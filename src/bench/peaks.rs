//! The limits that kernels are measured against, from the same run.

use std::convert::Infallible;
use std::hint::black_box;

use super::timing::measure;
use super::{Device, Options, Peak, Timing, Unit, gpu_peaks, noise};
use crate::kernels::Backend;

/// f32 values of the buffer that is read: 512 MiB, more than any cache.
const READ_VALUES: usize = 128 << 20;

/// Rounds of the arithmetic probe: some milliseconds.
const FMA_ROUNDS: u64 = 2_000_000;

/// Measured peaks.
pub(super) fn peaks(device: &Device<'_>, options: &Options, progress: &dyn Fn(&str)) -> Vec<Peak> {
    let cpu = match device.backend {
        Backend::Cpu(cpu) => cpu,
        Backend::Gpu(gpu) => return gpu_peaks::peaks(gpu, options),
    };
    progress(&format!("{} peaks", device.name));
    let (flop, _) = cpu.fma_probe(1);
    let fma = infallible(measure(options, || {
        black_box(cpu.fma_probe(black_box(FMA_ROUNDS)));
        Ok(())
    }));
    let values = noise::weights(options.seed, READ_VALUES);
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let read = infallible(measure(options, || {
        black_box(cpu.read_probe(black_box(bytes)));
        Ok(())
    }));
    vec![
        Peak {
            name: "fma f32",
            rate: (flop * FMA_ROUNDS) as f64 / fma.median_s / 1e12,
            unit: Unit::TeraflopPerSecond,
            timing: fma,
        },
        Peak {
            name: "memory read",
            rate: bytes.len() as f64 / read.median_s / 1e9,
            unit: Unit::GigabytesPerSecond,
            timing: read,
        },
    ]
}

fn infallible(timing: Result<Timing, Infallible>) -> Timing {
    match timing {
        Ok(timing) => timing,
        Err(never) => match never {},
    }
}
