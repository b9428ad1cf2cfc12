//! Blocks of GGUF become f32, bit for bit as the format's reference does.
//!
//! A value is a scale times a small whole number, plus an offset in some types. The scale has 11 significant bits (f16) and
//! its factors few more, so every product is exact in f32 and at most one addition rounds: no order of operations, fused
//! or not, gives another result. Only Q8_K, whose scale is an f32, rounds its product.
//! Layouts: ggml-common.h and the PyPI package `gguf` (gguf/quants.py).

mod codebooks;
mod grid;
mod k;
mod legacy;

pub(super) use grid::cells;

use super::decode::f16;
use super::simd::{self, Level, Loop};
use crate::tensor::BlockType;

/// Decodes whole blocks: as many as both slices hold.
pub(super) fn decode_blocks(level: Level, block: BlockType, bytes: &[u8], out: &mut [f32]) {
    match block {
        BlockType::Q4_0 => run(level, bytes, out, legacy::q4_0),
        BlockType::Q4_1 => run(level, bytes, out, legacy::q4_1),
        BlockType::Q5_0 => run(level, bytes, out, legacy::q5_0),
        BlockType::Q5_1 => run(level, bytes, out, legacy::q5_1),
        BlockType::Q8_0 => run(level, bytes, out, legacy::q8_0),
        BlockType::Q8_1 => run(level, bytes, out, legacy::q8_1),
        BlockType::Q2_K => run(level, bytes, out, k::q2_k),
        BlockType::Q3_K => run(level, bytes, out, k::q3_k),
        BlockType::Q4_K => run(level, bytes, out, k::q4_k),
        BlockType::Q5_K => run(level, bytes, out, k::q5_k),
        BlockType::Q6_K => run(level, bytes, out, k::q6_k),
        BlockType::Q8_K => run(level, bytes, out, k::q8_k),
        BlockType::IQ1_S => run(level, bytes, out, codebooks::iq1_s()),
        BlockType::IQ1_M => run(level, bytes, out, codebooks::iq1_m()),
        BlockType::IQ2_XXS => run(level, bytes, out, codebooks::iq2_xxs()),
        BlockType::IQ2_XS => run(level, bytes, out, codebooks::iq2_xs()),
        BlockType::IQ2_S => run(level, bytes, out, codebooks::iq2_s()),
        BlockType::IQ3_XXS => run(level, bytes, out, codebooks::iq3_xxs()),
        BlockType::IQ3_S => run(level, bytes, out, codebooks::iq3_s()),
        BlockType::IQ4_NL => run(level, bytes, out, legacy::iq4_nl),
        BlockType::IQ4_XS => run(level, bytes, out, k::iq4_xs),
        BlockType::TQ1_0 => run(level, bytes, out, legacy::tq1_0),
        BlockType::TQ2_0 => run(level, bytes, out, legacy::tq2_0),
        BlockType::MXFP4 => run(level, bytes, out, legacy::mxfp4),
    }
}

fn run<const BYTES: usize, const ELEMENTS: usize>(
    level: Level,
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let body = Blocks { blocks: bytes.as_chunks().0, out: out.as_chunks_mut().0, decode };
    simd::vectorised(level, body);
}

/// Blocks through `decode`, compiled with the machine's widest instructions.
struct Blocks<'a, const BYTES: usize, const ELEMENTS: usize, F> {
    blocks: &'a [[u8; BYTES]],
    out: &'a mut [[f32; ELEMENTS]],
    decode: F,
}

impl<const BYTES: usize, const ELEMENTS: usize, F> Loop for Blocks<'_, BYTES, ELEMENTS, F>
where
    F: Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
{
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (block, out) in self.blocks.iter().zip(self.out) {
            (self.decode)(block, out);
        }
    }
}

#[inline(always)]
fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

#[inline(always)]
fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[inline(always)]
fn scale_at(block: &[u8], at: usize) -> f32 {
    f16(u16_at(block, at))
}
