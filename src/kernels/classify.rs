//! Counts NaN, Inf, zero and subnormal elements by integer tests on the raw words. `[n]` → counts.
//!
//! The checksum is the sum of the words, a canary of uploads; it says nothing about who made the file.

use super::Backend;
use super::moments::to_u32;
use super::operand::{BLOCK, shader_code};
use crate::cpu::Cpu;
use crate::gpu::{self, Call, Edit, Gpu, Kernel, Resident, Submitted, UploadPath};
use crate::reductions::{ClassCounts, Elements};
use crate::tensor::Dtype;

/// Counts NaN, Inf, zero and subnormal elements by integer tests on the raw words.
///
/// # Errors
/// The GPU failed or returned a wrong canary.
pub fn classify(backend: &Backend, elements: Elements<'_>) -> Result<ClassCounts, gpu::Error> {
    match backend {
        Backend::Cpu(cpu) => Ok(cpu.classify(elements)),
        Backend::Gpu(gpu) => on_gpu(gpu, elements),
    }
}

gpu::params! {
    /// Uniform of shaders/classify.wgsl.
    struct Params { n_elements: u32 }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "classify",
    entry: "classify",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/reduce.wgsl"),
        include_str!("../../shaders/classify.wgsl"),
    ),
    first_output: 2,
    params: Params::FIELDS,
    broken: &[
        Edit { name: "skipped stride", find: "element += WG", replace: "element += 2u * WG" },
        Edit { name: "infinity is NaN", find: "magnitude > infinity", replace: "magnitude >= infinity" },
        Edit { name: "high half ignored", find: "element % per_word * bits", replace: "0u" },
        Edit {
            name: "zero is subnormal",
            find: "magnitude != 0u && magnitude < smallest_normal);\n}\n\nfn class_f64",
            replace: "magnitude < smallest_normal);\n}\n\nfn class_f64",
        },
        Edit { name: "lost count", find: "partials[out + 4u] = counted.w;", replace: "" },
    ],
};

/// Words of one partial (`RECORD` in the shader).
const RECORD: usize = 7;

/// The number of a type in shaders/shared/consts.wgsl: classify reads 32- and 64-bit types as well.
fn code_of(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::I32 | Dtype::U32 => 11,
        Dtype::F64 => 12,
        Dtype::I64 | Dtype::U64 => 13,
        // none of the shader's types: an element of an undecodable type has no class
        other => shader_code(other).unwrap_or(14),
    }
}

fn on_gpu(gpu: &Gpu, elements: Elements<'_>) -> Result<ClassCounts, gpu::Error> {
    let width = elements.dtype.size_bytes().unwrap_or(1);
    let whole = &elements.bytes[..elements.bytes.len() / width * width];
    let mut total = ClassCounts::default();
    gpu.in_steps(
        whole.len(),
        |first| {
            let length = (gpu.max_chunk_bytes() / (BLOCK * width) * BLOCK * width).min(whole.len() - first);
            let bytes = &whole[first..first + length];
            Ok((length, (bytes, submit(gpu, elements.dtype, bytes)?)))
        },
        |(bytes, submitted)| finish(gpu, elements.dtype, bytes, submitted),
        |counted| total.add(&counted),
    )?;
    Ok(total)
}

/// Brings bytes to the device by one path and counts them there: what `devices --check` times.
pub(super) fn upload_and_count(gpu: &Gpu, path: UploadPath, bytes: &[u8]) -> Result<ClassCounts, gpu::Error> {
    let uploaded = gpu.upload_by(path, &KERNEL, bytes, 0)?;
    finish(gpu, Dtype::F32, bytes, submit_uploaded(gpu, Dtype::F32, bytes.len(), &uploaded)?)
}

fn submit(gpu: &Gpu, dtype: Dtype, bytes: &[u8]) -> Result<Submitted, gpu::Error> {
    submit_uploaded(gpu, dtype, bytes.len(), &gpu.upload(&KERNEL, bytes, 0)?)
}

fn submit_uploaded(
    gpu: &Gpu,
    dtype: Dtype,
    n_bytes: usize,
    uploaded: &Resident,
) -> Result<Submitted, gpu::Error> {
    let n_elements = n_bytes / dtype.size_bytes().unwrap_or(1);
    let n_blocks = n_elements.div_ceil(BLOCK);
    gpu.submit(&Call {
        kernel: &KERNEL,
        constants: &[("DTYPE", code_of(dtype))],
        params: bytemuck::bytes_of(&Params { n_elements: to_u32(n_elements) }),
        inputs: &[uploaded],
        outputs: &[n_blocks * RECORD],
        groups: [to_u32(n_blocks), 1, 1],
    })
}

/// Elements, checksum, NaN and Inf must be the host's.
fn finish(gpu: &Gpu, dtype: Dtype, bytes: &[u8], submitted: Submitted) -> Result<ClassCounts, gpu::Error> {
    // while the device works
    let wanted = Cpu::detect().classify(Elements { dtype, bytes });
    let outputs = gpu.finish(submitted)?;
    let mut counted = ClassCounts::default();
    for partial in outputs[0].chunks_exact(RECORD) {
        let [n_elements, n_nan, n_inf, n_zero, n_subnormal] =
            [partial[0], partial[1], partial[2], partial[3], partial[4]].map(u64::from);
        let checksum = partial[5] | partial[6] << 16;
        counted.add(&ClassCounts { n_elements, n_nan, n_inf, n_zero, n_subnormal, checksum });
    }
    gpu.expect_equal(&KERNEL, "element count", counted.n_elements, wanted.n_elements)?;
    gpu.expect_equal(&KERNEL, "checksum", counted.checksum, wanted.checksum)?;
    gpu.expect_equal(&KERNEL, "count of NaN", counted.n_nan, wanted.n_nan)?;
    gpu.expect_equal(&KERNEL, "count of Inf", counted.n_inf, wanted.n_inf)?;
    Ok(counted)
}
