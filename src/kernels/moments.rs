//! One pass over two equally long runs of elements of any two decodable dtypes: everything S0 and S1 need.
//!
//! Σa, Σb, Σa², Σb², Σab, Σ(a−b)², max|a−b|, equal and same-sign pairs. It says how alike two runs are *in place*:
//! nothing about reordered rows, and nothing about chance. 64-bit types, I32 and U32, which f32 cannot hold, and blocks
//! whose squares leave the range of f32 are summed in f64 by the CPU backend, whatever the backend.

use super::Backend;
use super::operand::{BLOCK, Operand, checksum};
use crate::cpu::Cpu;
use crate::gpu::{self, Call, Edit, Gpu, Kernel};
use crate::reductions::{Elements, PairMoments};

/// One pass over two equally long runs of elements of any two decodable dtypes: everything S0 and S1 need.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn moments(backend: &Backend, a: Elements<'_>, b: Elements<'_>) -> Result<PairMoments, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.moments(a, b)),
        Backend::Gpu(gpu) => on_gpu(gpu, a, b),
    }
}

gpu::params! {
    /// Uniform of shaders/moments.wgsl.
    struct Params { n_elements: u32, n_quads: u32 }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "moments",
    entry: "moments",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/operands.wgsl"),
        include_str!("../../shaders/shared/reduce.wgsl"),
        include_str!("../../shaders/moments.wgsl"),
    ),
    params: Params::FIELDS,
    broken: &[
        Edit {
            name: "skipped stride",
            find: "quad < end; quad += WG",
            replace: "quad < end; quad += 2u * WG",
        },
        Edit {
            name: "lost tail",
            find: "< vec4(params.n_elements)",
            replace: "< vec4(params.n_elements & ~3u)",
        },
        Edit { name: "cut tree", find: "TwoSum(float_tree[0],", replace: "TwoSum(float_tree[1]," },
        Edit { name: "wrong operand", find: "sum_ab += x * y;", replace: "sum_ab += x * x;" },
        Edit { name: "gain", find: "sum_bb += y * y;", replace: "sum_bb += y * y * 1.0005;" },
        Edit {
            name: "wrong count",
            find: "select(none, one, seen & bad_b)",
            replace: "select(none, one, seen & bad_a)",
        },
    ],
};

/// Words of one partial (`RECORD` in the shader).
const RECORD: usize = 24;

/// Sums of squares of up to 4,096 values stay normal f32 while the largest magnitude of a block lies in this range:
/// 2¹² · 2¹¹² < 2¹²⁷, and what is flushed to zero (squares below 2⁻¹²⁶) is 2⁻³⁴ of the largest square at most.
pub(super) fn squares_fit(largest: f32) -> bool {
    largest == 0.0 || (2_f32.powi(-40)..2_f32.powi(56)).contains(&largest)
}

/// One block in this many is summed again on the host.
const RECHECK_EVERY: usize = 1024;

fn on_gpu(gpu: &Gpu, a: Elements<'_>, b: Elements<'_>) -> Result<PairMoments, gpu::Error> {
    let (Some(a), Some(b)) = (Operand::new(a), Operand::new(b)) else {
        return Ok(Cpu::detect().moments(a, b));
    };
    let n_elements = a.n_elements().min(b.n_elements());
    let chunk = gpu.max_chunk_bytes() / a.element_bytes.max(b.element_bytes) / BLOCK * BLOCK;
    let mut total = PairMoments::default();
    for first in (0..n_elements).step_by(chunk) {
        let count = chunk.min(n_elements - first);
        add_chunk(gpu, &a, &b, first..first + count, &mut total)?;
    }
    Ok(total)
}

/// Adds elements `range` (at most one upload) to `total`.
fn add_chunk(
    gpu: &Gpu,
    a: &Operand<'_>,
    b: &Operand<'_>,
    range: std::ops::Range<usize>,
    total: &mut PairMoments,
) -> Result<(), gpu::Error> {
    let bytes_a = a.elements(range.start, range.len()).bytes;
    let bytes_b = b.elements(range.start, range.len()).bytes;
    let n_blocks = range.len().div_ceil(BLOCK);
    let params = Params { n_elements: to_u32(range.len()), n_quads: to_u32(range.len().div_ceil(4)) };
    let turn = gpu.turn();
    let (device_a, device_b) = (gpu.upload(&KERNEL, bytes_a, 0)?, gpu.upload(&KERNEL, bytes_b, 0)?);
    let outputs = gpu.run(&Call {
        kernel: &KERNEL,
        constants: &[("A_DTYPE", a.code), ("B_DTYPE", b.code)],
        params: bytemuck::bytes_of(&params),
        inputs: &[&device_a, &device_b],
        outputs: &[n_blocks * RECORD],
        groups: [to_u32(n_blocks), 1, 1],
    })?;
    drop((device_a, device_b, turn));

    let partials: Vec<Partial> = outputs[0].chunks_exact(RECORD).map(Partial::read).collect();
    for (what, bytes, found) in [
        ("checksum of a", bytes_a, partials.iter().fold(0_u32, |sum, p| sum.wrapping_add(p.checksum_a))),
        ("checksum of b", bytes_b, partials.iter().fold(0_u32, |sum, p| sum.wrapping_add(p.checksum_b))),
    ] {
        gpu.expect_equal(&KERNEL, what, found, checksum(bytes))?;
    }
    let n_seen: u64 = partials.iter().map(|p| p.moments.n_elements).sum();
    gpu.expect_equal(&KERNEL, "element count", n_seen, range.len() as u64)?;

    for (block_idx, partial) in partials.iter().enumerate() {
        let (first, count) = (range.start + block_idx * BLOCK, BLOCK.min(range.len() - block_idx * BLOCK));
        let on_host = || Cpu::portable().moments(a.elements(first, count), b.elements(first, count));
        if !(squares_fit(partial.largest_a) && squares_fit(partial.largest_b)) {
            total.add(&on_host());
            continue;
        }
        if (first / BLOCK).is_multiple_of(RECHECK_EVERY) {
            recheck(gpu, &partial.moments, &on_host())?;
        }
        total.add(&partial.moments);
    }
    Ok(())
}

/// What one workgroup returns.
struct Partial {
    moments: PairMoments,
    checksum_a: u32,
    checksum_b: u32,
    largest_a: f32,
    largest_b: f32,
}

impl Partial {
    fn read(words: &[u32]) -> Partial {
        let count = |index: usize| u64::from(words[index]);
        let float = |index: usize| f32::from_bits(words[index]);
        // a sum and, six words on, what its rounding left out
        let sum = |index: usize| f64::from(float(index)) + f64::from(float(index + 6));
        Partial {
            moments: PairMoments {
                n_elements: count(0),
                n_non_finite_a: count(1),
                n_non_finite_b: count(2),
                n_equal: count(3),
                n_same_sign: count(4),
                sum_a: sum(12),
                sum_b: sum(13),
                sum_aa: sum(14),
                sum_bb: sum(15),
                sum_ab: sum(16),
                sum_squared_diff: sum(17),
                max_abs_diff: float(11),
            },
            checksum_a: words[5] | words[6] << 16,
            checksum_b: words[7] | words[8] << 16,
            largest_a: float(9),
            largest_b: float(10),
        }
    }
}

/// One block again on the host: counts equal, sums within the bound.
fn recheck(gpu: &Gpu, found: &PairMoments, wanted: &PairMoments) -> Result<(), gpu::Error> {
    let counts = |m: &PairMoments| [m.n_non_finite_a, m.n_non_finite_b, m.n_equal, m.n_same_sign];
    gpu.expect_equal(
        &KERNEL,
        "recomputed count",
        format!("{:?}", counts(found)),
        format!("{:?}", counts(wanted)),
    )?;
    let n = usize::try_from(wanted.n_elements).unwrap_or(BLOCK);
    for (what, found, wanted, magnitudes) in [
        // Σ|a| ≤ √(n Σa²), Σ|ab| ≤ √(Σa² Σb²)
        ("recomputed Σa", found.sum_a, wanted.sum_a, (wanted.n_elements as f64 * wanted.sum_aa).sqrt()),
        ("recomputed Σa²", found.sum_aa, wanted.sum_aa, wanted.sum_aa),
        ("recomputed Σb²", found.sum_bb, wanted.sum_bb, wanted.sum_bb),
        ("recomputed Σab", found.sum_ab, wanted.sum_ab, (wanted.sum_aa * wanted.sum_bb).sqrt()),
        (
            "recomputed Σ(a−b)²",
            found.sum_squared_diff,
            wanted.sum_squared_diff,
            2.0 * wanted.sum_squared_diff,
        ),
    ] {
        if (found - wanted).abs() > error_bound(n, magnitudes) + f64::from(f32::MIN_POSITIVE) * n as f64 {
            return Err(gpu.canary(&KERNEL, what, found, wanted));
        }
    }
    Ok(())
}

/// How far a sum of `n_elements` terms may be from the exact one, given the sum of the terms' magnitudes.
///
/// A term is rounded at most three times (a difference is, and counts twice in its square, and the product is). Blocks of 4,096 are added in f64; inside one, at least
/// eight running f32 sums (lanes of a CPU; 64 threads of four on a GPU) take n / 8 terms each, and at most 30 more
/// roundings join them. Each rounding is half an ulp = 2⁻²⁴.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of at most 512")]
pub fn error_bound(n_elements: usize, magnitudes: f64) -> f64 {
    let roundings = n_elements.min(BLOCK).div_ceil(8) as f64 + 33.0;
    roundings * 2_f64.powi(-24) * magnitudes
}

/// A count that the chunking keeps below 2³².
pub(super) fn to_u32(count: usize) -> u32 {
    u32::try_from(count).expect("chunks are at most 32 MiB")
}
