//! What a GPU can do at most: arithmetic without memory, memory without arithmetic, uploads. Each probe's answer is checked.

use std::time::{Duration, Instant};

use super::moments::to_u32;
use crate::gpu::{self, Call, Gpu, Kernel, UploadPath};

gpu::params! {
    /// Uniform of shaders/probe_fma.wgsl.
    struct FmaParams { n_rounds: u32, factor: f32, summand: f32, n_groups: u32 }
}
gpu::params! {
    /// Uniform of shaders/probe_coop.wgsl.
    struct CoopParams { n_rounds: u32, n_groups: u32 }
}
gpu::params! {
    /// Uniform of shaders/probe_copy.wgsl.
    struct CopyParams { n_vectors: u32, n_groups_x: u32 }
}

/// Arithmetic in f32 registers.
pub static FMA: Kernel = Kernel {
    label: "probe_fma",
    entry: "probe_fma",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/probe_fma.wgsl"),
    ),
    first_output: 2,
    params: FmaParams::FIELDS,
    broken: &[],
};

/// Products of 16 × 16 × 16 matrix units.
pub static COOP: Kernel = Kernel {
    label: "probe_coop",
    entry: "probe_coop",
    source: concat!(
        include_str!("../../shaders/shared/head_coop.wgsl"),
        include_str!("../../shaders/shared/head_f16.wgsl"),
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/probe_coop.wgsl"),
    ),
    first_output: 2,
    params: CoopParams::FIELDS,
    broken: &[],
};

/// Device memory.
pub static COPY: Kernel = Kernel {
    label: "probe_copy",
    entry: "probe_copy",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/probe_copy.wgsl"),
    ),
    first_output: 2,
    params: CopyParams::FIELDS,
    broken: &[],
};

/// The probes; they measure, and no result of `compare` rests on them.
pub const PROBES: [&Kernel; 3] = [&FMA, &COOP, &COPY];

/// Work done and the time it took: on the device where it has time stamps, else between submit and answer.
#[derive(Clone, Copy, Debug)]
pub struct Probed {
    /// Floating-point operations, or bytes.
    pub work: f64,
    /// Seconds.
    pub seconds: f64,
}

impl Probed {
    /// Work a second.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.work / self.seconds.max(1e-9)
    }
}

/// Threads of a workgroup (`WG` in shaders/shared/consts.wgsl).
const WG: usize = 64;
/// Workgroups of an arithmetic probe: more than any device runs at a time.
const N_GROUPS: u32 = 4096;

/// f32 multiply-adds in registers, `n_rounds` rounds a thread.
///
/// # Errors
/// The GPU failed or computed something else.
pub fn fma(gpu: &Gpu, n_rounds: u32) -> Result<Probed, gpu::Error> {
    let params = FmaParams { n_rounds, factor: 0.5, summand: 0.5, n_groups: N_GROUPS };
    // 32 chains end at 1 each
    let ends = arithmetic(gpu, &FMA, bytemuck::bytes_of(&params), 32.0)?;
    Ok(Probed { work: f64::from(N_GROUPS) * WG as f64 * f64::from(n_rounds) * 64.0, ..ends })
}

/// Products of 16 × 16 × 16 matrix units, `n_rounds` rounds of four a subgroup; None where there are none.
///
/// # Errors
/// The GPU failed or computed something else.
pub fn coop(gpu: &Gpu, n_rounds: u32) -> Result<Option<Probed>, gpu::Error> {
    let tiers = gpu.info().tiers();
    let n_subgroups = if tiers.contains(&gpu::Tier::Coop16) {
        8.0
    } else if tiers.contains(&gpu::Tier::Coop16Wide) {
        4.0
    } else {
        return Ok(None);
    };
    let params = CoopParams { n_rounds, n_groups: N_GROUPS };
    let ends = arithmetic(gpu, &COOP, bytemuck::bytes_of(&params), 64.0 * f64::from(n_rounds))?;
    let flop = f64::from(N_GROUPS) * n_subgroups * f64::from(n_rounds) * 4.0 * 2.0 * 4096.0;
    Ok(Some(Probed { work: flop, ..ends }))
}

fn arithmetic(gpu: &Gpu, kernel: &'static Kernel, params: &[u8], wanted: f64) -> Result<Probed, gpu::Error> {
    let start = gpu.upload(kernel, bytemuck::cast_slice(&[1.0_f32; WG]), 0)?;
    let (outputs, seconds) = timed(gpu, || {
        gpu.run(&Call {
            kernel,
            constants: &[],
            params,
            inputs: &[&start],
            outputs: &[N_GROUPS as usize],
            groups: [N_GROUPS, 1, 1],
        })
    })?;
    for &end in &outputs[0] {
        gpu.expect_equal(kernel, "end of a chain", f64::from(f32::from_bits(end)), wanted)?;
    }
    Ok(Probed { work: 0.0, seconds })
}

/// Copies `n_bytes` (at most what an upload may have) inside device memory: both directions count.
///
/// # Errors
/// The GPU failed or copied something else.
pub fn copy(gpu: &Gpu, n_bytes: usize) -> Result<Probed, gpu::Error> {
    let n_vectors = n_bytes.min(gpu.max_chunk_bytes()) / 16;
    let words: Vec<u32> = (0..to_u32(n_vectors * 4)).map(|index| index.wrapping_mul(2_654_435_761)).collect();
    let source = gpu.upload(&COPY, bytemuck::cast_slice(&words), 0)?;
    let n_groups = n_vectors.div_ceil(WG);
    let n_groups_x = n_groups.min(32_768);
    let params = CopyParams { n_vectors: to_u32(n_vectors), n_groups_x: to_u32(n_groups_x) };
    let (outputs, seconds) = timed(gpu, || {
        gpu.run(&Call {
            kernel: &COPY,
            constants: &[],
            params: bytemuck::bytes_of(&params),
            inputs: &[&source],
            outputs: &[n_vectors * 4],
            groups: [to_u32(n_groups_x), to_u32(n_groups.div_ceil(n_groups_x.max(1))), 1],
        })
    })?;
    if outputs[0] != words {
        return Err(gpu.canary(&COPY, "copy", "other words", "the same words"));
    }
    Ok(Probed { work: (n_vectors * 32) as f64, seconds })
}

/// Uploads bytes by a path and waits until a kernel has read all of them; its checksum must be the host's.
///
/// # Errors
/// The GPU failed or got something else.
pub fn upload(gpu: &Gpu, path: UploadPath, bytes: &[u8]) -> Result<Probed, gpu::Error> {
    let bytes = &bytes[..bytes.len().min(gpu.max_chunk_bytes())];
    let start = Instant::now();
    super::classify::upload_and_count(gpu, path, bytes)?;
    Ok(Probed { work: bytes.len() as f64, seconds: start.elapsed().as_secs_f64() })
}

/// The call's result and its time on the device, or with the way there and back where it has no time stamps.
fn timed<T>(gpu: &Gpu, call: impl FnOnce() -> Result<T, gpu::Error>) -> Result<(T, f64), gpu::Error> {
    let (before, start) = (gpu.busy_time(), Instant::now());
    let result = call()?;
    let wall = start.elapsed();
    let busy = gpu.busy_time().zip(before).map(|(after, before)| after.saturating_sub(before));
    let elapsed = busy.filter(|busy| *busy > Duration::ZERO).unwrap_or(wall);
    Ok((result, elapsed.as_secs_f64()))
}
