//! Blocks of GGUF become f32. `[n_blocks × bytes of a block]` → `[n_elements]`.
//!
//! Bit for bit what the format's reference gives on every device, NaN for NaN; it does not say what the numbers mean.

use super::Backend;
use super::moments::to_u32;
use super::operand::BLOCK;
use crate::gpu::{self, Call, Edit, Gpu, Kernel};
use crate::tensor::{BlockType, Codebook};

/// All elements of whole blocks, in order; bytes behind the last whole block are ignored.
///
/// # Errors
/// The GPU failed or left words unwritten.
pub fn decode_blocks(backend: &Backend, block: BlockType, bytes: &[u8]) -> Result<Vec<f32>, gpu::Error> {
    let n_blocks = bytes.len() / block.size_bytes();
    let bytes = &bytes[..n_blocks * block.size_bytes()];
    match backend {
        Backend::Cpu(cpu) => {
            let mut out = vec![f32::NAN; n_blocks * block.n_elements()];
            cpu.decode_blocks(block, bytes, &mut out);
            Ok(out)
        }
        Backend::Gpu(gpu) => on_gpu(gpu, block, bytes),
    }
}

gpu::params! {
    /// Uniform of shaders/decode_blocks.wgsl.
    struct Params { n_elements: u32, block_elements: u32, block_bytes: u32 }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "decode_blocks",
    entry: "decode_blocks",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/blocks.wgsl"),
        include_str!("../../shaders/decode_blocks.wgsl"),
    ),
    first_output: 3,
    params: Params::FIELDS,
    broken: &[
        Edit { name: "skipped stride", find: "element += WG", replace: "element += 2u * WG" },
        Edit { name: "infinity is a number", find: "if field == 31u {", replace: "if field == 32u {" },
        Edit {
            name: "rounds half away from zero",
            find: "rest > half || (rest == half && (mantissa & 1u) == 1u)",
            replace: "rest >= half",
        },
        Edit {
            name: "subnormals flushed",
            find: "return sign | (number << u32(exponent + 149));",
            replace: "return sign;",
        },
        Edit { name: "sign of zero lost", find: "return a & b;", replace: "return 0u;" },
        Edit {
            name: "offset added",
            find: "scaled(min_half, false, min, 0) ^ MINUS",
            replace: "scaled(min_half, false, min, 0)",
        },
        Edit {
            name: "eighth sign is plus",
            find: " | ((countOneBits(seven & 127u) & 1u) << 7u)",
            replace: "",
        },
        Edit { name: "codebook shifted by one", find: "lane * 2u;", replace: "(lane ^ 1u) * 2u;" },
        Edit { name: "last level", find: "0xf0d8c4b4u", replace: "0xefd8c4b4u" },
        Edit { name: "ternary digits", find: "9u, 27u, 81u)", replace: "9u, 27u, 27u)" },
    ],
};

fn on_gpu(gpu: &Gpu, block: BlockType, bytes: &[u8]) -> Result<Vec<f32>, gpu::Error> {
    let (size, elements) = (block.size_bytes(), block.n_elements());
    let code = BlockType::ALL.iter().position(|known| *known == block).unwrap_or(BlockType::ALL.len());
    let codebook = Codebook::of(block).map_or(&[][..], |codebook| codebook.packed);
    let n_blocks = bytes.len() / size;
    let mut out = Vec::with_capacity(n_blocks * elements);
    gpu.in_steps(
        n_blocks,
        |first| {
            // what comes back is larger than what goes in, so it sets the size of a step
            let count = (gpu.max_chunk_bytes() / (elements * 4)).max(1).min(n_blocks - first);
            let blocks = gpu.upload(&KERNEL, &bytes[first * size..(first + count) * size], 0)?;
            let codebook = gpu.upload(&KERNEL, codebook, 0)?;
            let params = Params {
                n_elements: to_u32(count * elements),
                block_elements: to_u32(elements),
                block_bytes: to_u32(size),
            };
            let submitted = gpu.submit(&Call {
                kernel: &KERNEL,
                constants: &[("BLOCK_TYPE", to_u32(code))],
                params: bytemuck::bytes_of(&params),
                inputs: &[&blocks, &codebook],
                outputs: &[count * elements],
                groups: [to_u32((count * elements).div_ceil(BLOCK)), 1, 1],
            })?;
            Ok((count, submitted))
        },
        |submitted| gpu.finish(submitted),
        |outputs| out.extend(outputs[0].iter().map(|&bits| f32::from_bits(bits))),
    )?;
    Ok(out)
}
