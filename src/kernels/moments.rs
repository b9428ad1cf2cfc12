//! One pass over two equally long runs of elements of any two decodable dtypes: everything S0 and S1 need.
//!
//! Σa, Σb, Σa², Σb², Σab, Σ(a−b)², max|a−b|, equal and same-sign pairs. It says how alike two runs are *in place*:
//! nothing about reordered rows, and nothing about chance. 64-bit types, I32 and U32, which f32 cannot hold, and blocks
//! whose squares leave the range of f32 are summed in f64 by the CPU backend, whatever the backend.

use std::ops::Range;

use super::Backend;
use super::operand::{BLOCK, Operand};
use crate::cpu::Cpu;
use crate::gpu::{self, Call, Edit, Gpu, Kernel, Submitted};
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
    first_output: 3,
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
    let mut total = PairMoments::default();
    gpu.in_steps(
        n_elements,
        |first| {
            let range = first..n_elements.min(first + most_elements(gpu, &a, &b));
            Ok((range.len(), Step::submit(gpu, &a, &b, range)?))
        },
        |step| step.finish(gpu, &a, &b),
        |blocks| blocks.iter().for_each(|block| total.add(block)),
    )?;
    Ok(total)
}

/// Elements of one upload, a whole number of blocks.
fn most_elements(gpu: &Gpu, a: &Operand<'_>, b: &Operand<'_>) -> usize {
    gpu.max_chunk_bytes() / a.element_bytes.max(b.element_bytes) / BLOCK * BLOCK
}

/// A run on its way through a GPU while the caller prepares the next one.
#[derive(Debug)]
pub(crate) struct Begun(Option<Step>);

/// Starts the moments of two runs on the device. What cannot be started, because it is too long for one upload or the
/// device is in trouble, is done by [`finish`].
pub(crate) fn begin(gpu: &Gpu, a: Elements<'_>, b: Elements<'_>) -> Begun {
    let (Some(a), Some(b)) = (Operand::new(a), Operand::new(b)) else { return Begun(None) };
    let n_elements = a.n_elements().min(b.n_elements());
    let fits = n_elements > 0 && n_elements <= most_elements(gpu, &a, &b);
    Begun(if fits { Step::submit(gpu, &a, &b, 0..n_elements).ok() } else { None })
}

/// What [`moments`] returns for the same two runs.
///
/// # Errors
/// As [`moments`]: a step that failed is done again from the start.
pub(crate) fn finish(
    gpu: &Gpu,
    begun: Begun,
    a: Elements<'_>,
    b: Elements<'_>,
) -> Result<PairMoments, gpu::Error> {
    let mut begun = begun.0;
    gpu.recovering(|| match (begun.take(), Operand::new(a), Operand::new(b)) {
        (Some(step), Some(a), Some(b)) => {
            let mut total = PairMoments::default();
            step.finish(gpu, &a, &b)?.iter().for_each(|block| total.add(block));
            Ok(total)
        }
        _ => on_gpu(gpu, a, b),
    })
}

/// One upload of both runs and its dispatch.
#[derive(Debug)]
struct Step {
    range: Range<usize>,
    submitted: Submitted,
}

impl Step {
    fn submit(gpu: &Gpu, a: &Operand<'_>, b: &Operand<'_>, range: Range<usize>) -> Result<Step, gpu::Error> {
        let n_blocks = range.len().div_ceil(BLOCK);
        let params = Params { n_elements: to_u32(range.len()), n_quads: to_u32(range.len().div_ceil(4)) };
        let upload =
            |side: &Operand<'_>| gpu.upload(&KERNEL, side.elements(range.start, range.len()).bytes, 0);
        let (device_a, device_b) = (upload(a)?, upload(b)?);
        let submitted = gpu.submit(&Call {
            kernel: &KERNEL,
            constants: &[("A_DTYPE", a.code), ("B_DTYPE", b.code)],
            params: bytemuck::bytes_of(&params),
            inputs: &[&device_a, &device_b],
            outputs: &[n_blocks * RECORD],
            groups: [to_u32(n_blocks), 1, 1],
        })?;
        Ok(Step { range, submitted })
    }

    /// Moments of every block. Checksums and counts of elements that are not finite must be the host's.
    fn finish(self, gpu: &Gpu, a: &Operand<'_>, b: &Operand<'_>) -> Result<Vec<PairMoments>, gpu::Error> {
        let range = self.range;
        // while the device works
        let cpu = Cpu::detect();
        let on_host_a = cpu.classify(a.elements(range.start, range.len()));
        let on_host_b = cpu.classify(b.elements(range.start, range.len()));
        let outputs = gpu.finish(self.submitted)?;

        let partials: Vec<Partial> = outputs[0].chunks_exact(RECORD).map(Partial::read).collect();
        let sum = |count: fn(&Partial) -> u64| partials.iter().map(count).sum::<u64>();
        let checksum = |of: fn(&Partial) -> u32| partials.iter().map(of).fold(0, u32::wrapping_add);
        gpu.expect_equal(&KERNEL, "checksum of a", checksum(|p| p.checksum_a), on_host_a.checksum)?;
        gpu.expect_equal(&KERNEL, "checksum of b", checksum(|p| p.checksum_b), on_host_b.checksum)?;
        for (what, found, on_host) in [
            ("count of NaN and Inf in a", sum(|p| p.moments.n_non_finite_a), &on_host_a),
            ("count of NaN and Inf in b", sum(|p| p.moments.n_non_finite_b), &on_host_b),
        ] {
            gpu.expect_equal(&KERNEL, what, found, on_host.n_nan + on_host.n_inf)?;
        }
        gpu.expect_equal(&KERNEL, "element count", sum(|p| p.moments.n_elements), range.len() as u64)?;

        let mut blocks = Vec::with_capacity(partials.len());
        for (block_idx, partial) in partials.iter().enumerate() {
            let (first, count) =
                (range.start + block_idx * BLOCK, BLOCK.min(range.len() - block_idx * BLOCK));
            let on_host = || Cpu::portable().moments(a.elements(first, count), b.elements(first, count));
            if !(squares_fit(partial.largest_a) && squares_fit(partial.largest_b)) {
                blocks.push(on_host());
                continue;
            }
            if (first / BLOCK).is_multiple_of(RECHECK_EVERY) {
                recheck(gpu, &partial.moments, &on_host())?;
            }
            blocks.push(partial.moments);
        }
        Ok(blocks)
    }
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
