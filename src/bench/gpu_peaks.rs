//! Limits of a GPU, from the same run: arithmetic in registers and on matrix units, copies inside device memory.

use super::timing::measure;
use super::{Options, Peak, Unit};
use crate::gpu::{self, Gpu};
use crate::kernels::probes::{self, Probed};

/// Rounds of the arithmetic probes: some milliseconds of a fast card.
const ROUNDS: u32 = 4096;
/// The same on a software adapter, whose speed says nothing.
const SOFTWARE_ROUNDS: u32 = 16;
/// Bytes that are copied.
const COPY_BYTES: usize = 32 << 20;

/// Peaks of the device; a probe that fails is left out, so that no share of it is given.
pub(super) fn peaks(gpu: &Gpu, options: &Options) -> Vec<Peak> {
    let rounds = if gpu.info().is_software() { SOFTWARE_ROUNDS } else { ROUNDS };
    let fma = peak(options, "fma f32", Unit::TeraflopPerSecond, || probes::fma(gpu, rounds).map(Some));
    let coop = peak(options, "matrix units f16", Unit::TeraflopPerSecond, || probes::coop(gpu, rounds));
    let copy =
        peak(options, "device copy", Unit::GigabytesPerSecond, || probes::copy(gpu, COPY_BYTES).map(Some));
    [fma, copy, coop].into_iter().flatten().collect()
}

fn peak(
    options: &Options,
    name: &'static str,
    unit: Unit,
    probe: impl Fn() -> Result<Option<Probed>, gpu::Error>,
) -> Option<Peak> {
    let mut rates = Vec::new();
    let timing = measure(options, || {
        rates.extend(probe()?.map(Probed::rate));
        Ok::<(), gpu::Error>(())
    });
    rates.sort_by(f64::total_cmp);
    let scale = if unit == Unit::TeraflopPerSecond { 1e12 } else { 1e9 };
    Some(Peak { name, rate: rates.get(rates.len() / 2)? / scale, unit, timing: timing.ok()? })
}
