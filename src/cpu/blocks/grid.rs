//! The levels between which an element of a block had to choose, and the originals that round to the one it took.
//!
//! Levels are not read off the layout a second time: a copy of the block in which every code is the same gives that
//! level of every element, scales and offsets included.

use super::decode_blocks;
use crate::cpu::simd::Level;
use crate::tensor::{BlockType, Cell};

/// How many codes an element has, and whether their levels are equidistant.
#[derive(Clone, Copy)]
enum Levels {
    Equidistant(usize),
    Listed(usize),
}

/// None for codebooks of vectors: which code is nearest depends on all elements of a vector and on weights that only the
/// quantiser knew.
fn levels(block: BlockType) -> Option<Levels> {
    Some(match block {
        BlockType::Q4_0 | BlockType::Q4_1 | BlockType::Q4_K => Levels::Equidistant(16),
        BlockType::Q5_0 | BlockType::Q5_1 | BlockType::Q5_K => Levels::Equidistant(32),
        BlockType::Q8_0 | BlockType::Q8_1 | BlockType::Q8_K => Levels::Equidistant(256),
        BlockType::Q2_K => Levels::Equidistant(4),
        BlockType::Q3_K => Levels::Equidistant(8),
        BlockType::Q6_K => Levels::Equidistant(64),
        BlockType::TQ1_0 | BlockType::TQ2_0 => Levels::Equidistant(3),
        BlockType::IQ4_NL | BlockType::IQ4_XS | BlockType::MXFP4 => Levels::Listed(16),
        _ => return None,
    })
}

/// Gives every element of a block the same code.
fn set_codes(block: BlockType, bytes: &mut [u8], code: usize) {
    let byte = |value: usize| u8::try_from(value & 255).unwrap_or(0);
    let nibbles = byte((code & 15) * 0x11);
    let pairs = byte((code & 3) * 0x55);
    let bits = |is_set: bool| if is_set { 0xff } else { 0 };
    match block {
        BlockType::Q4_0 | BlockType::IQ4_NL => bytes[2..].fill(nibbles),
        BlockType::Q4_1 => bytes[4..].fill(nibbles),
        BlockType::Q5_0 => {
            bytes[2..6].fill(bits(code & 16 != 0));
            bytes[6..].fill(nibbles);
        }
        BlockType::Q5_1 => {
            bytes[4..8].fill(bits(code & 16 != 0));
            bytes[8..].fill(nibbles);
        }
        // in order of value: −128 first
        BlockType::Q8_0 => bytes[2..].fill(byte(code + 128)),
        BlockType::Q8_1 => bytes[4..].fill(byte(code + 128)),
        BlockType::Q8_K => bytes[4..260].fill(byte(code + 128)),
        BlockType::Q2_K => bytes[16..80].fill(pairs),
        BlockType::Q3_K => {
            bytes[..32].fill(bits(code & 4 != 0));
            bytes[32..96].fill(pairs);
        }
        BlockType::Q4_K => bytes[16..].fill(nibbles),
        BlockType::Q5_K => {
            bytes[16..48].fill(bits(code & 16 != 0));
            bytes[48..].fill(nibbles);
        }
        BlockType::Q6_K => {
            bytes[..128].fill(nibbles);
            bytes[128..192].fill(byte((code >> 4) * 0x55));
        }
        BlockType::IQ4_XS => bytes[8..].fill(nibbles),
        BlockType::TQ2_0 => bytes[..64].fill(pairs),
        BlockType::TQ1_0 => {
            // five equal ternary digits as a fraction of 256, rounded up as the writer does; then four
            bytes[..48].fill(byte((code * 121 * 256).div_ceil(243)));
            bytes[48..52].fill(byte((code * 120 * 256).div_ceil(243)));
        }
        BlockType::MXFP4 => bytes[1..].fill(nibbles),
        _ => {}
    }
}

/// How far a level may lie from where the quantiser saw it, relative to its distance from the offset and to the offset: half
/// an ulp of f16 where codes were chosen before the scale was rounded. The K types choose them again afterwards, so
/// that only f32 arithmetic is left (a division and an addition, twice for the reciprocal).
fn scale_rounding(block: BlockType) -> f32 {
    match block {
        BlockType::Q2_K
        | BlockType::Q3_K
        | BlockType::Q4_K
        | BlockType::Q5_K
        | BlockType::Q6_K
        | BlockType::IQ4_XS
        | BlockType::MXFP4 => 1.0 / 4_194_304.0,
        _ => 1.0 / 2048.0,
    }
}

/// Whether the first level is an offset that was rounded by itself.
fn has_offset(block: BlockType) -> bool {
    use BlockType::{Q2_K, Q4_1, Q4_K, Q5_1, Q5_K};
    matches!(block, Q4_1 | Q5_1 | Q2_K | Q4_K | Q5_K)
}

/// Cells of whole blocks, as many as both slices hold; false where the type has none.
pub(in crate::cpu) fn cells(level: Level, block: BlockType, bytes: &[u8], out: &mut [Cell]) -> bool {
    let Some(levels) = levels(block) else { return false };
    let (n, slack) = (block.n_elements(), scale_rounding(block));
    let mut value = vec![0.0; n];
    let mut codes = vec![vec![0.0; n]; 3];
    for (bytes, out) in bytes.chunks_exact(block.size_bytes()).zip(out.chunks_exact_mut(n)) {
        decode_blocks(level, block, bytes, &mut value);
        let mut copy = bytes.to_vec();
        let mut level_of = |code: usize, into: &mut Vec<f32>| {
            set_codes(block, &mut copy, code);
            decode_blocks(level, block, &copy, into);
        };
        match levels {
            Levels::Equidistant(n_codes) => {
                for (code, into) in [0, 1, n_codes - 1].into_iter().zip(&mut codes) {
                    level_of(code, into);
                }
                for (element, cell) in out.iter_mut().enumerate() {
                    let levels = [0, 1, 2].map(|nth| codes[nth][element]);
                    let offset = if has_offset(block) { levels[0] } else { 0.0 };
                    *cell = equidistant(value[element], levels, offset, slack);
                }
            }
            Levels::Listed(n_codes) => {
                codes.resize(n_codes, vec![0.0; n]);
                for (code, into) in codes.iter_mut().enumerate() {
                    level_of(code, into);
                }
                for (element, cell) in out.iter_mut().enumerate() {
                    *cell = listed(value[element], codes.iter().map(|codes| codes[element]), slack);
                }
            }
        }
    }
    true
}

/// Half a step to both sides, unless the value is the first or the last level.
fn equidistant(value: f32, [first, second, last]: [f32; 3], offset: f32, slack: f32) -> Cell {
    let step = (second - first).abs();
    if !(step > 0.0 && step.is_finite() && value.is_finite()) {
        return Cell::UNKNOWN;
    }
    let (lowest, highest) = (first.min(last), first.max(last));
    let reach = 0.5 * step + slack * (value - offset).abs() + slack * offset.abs();
    Cell {
        low: if value - lowest < 0.5 * step { f32::NEG_INFINITY } else { value - reach },
        high: if highest - value < 0.5 * step { f32::INFINITY } else { value + reach },
    }
}

/// Half-way to the next level on both sides.
fn listed(value: f32, levels: impl Iterator<Item = f32>, slack: f32) -> Cell {
    let (mut below, mut above) = (f32::NEG_INFINITY, f32::INFINITY);
    for level in levels {
        if level < value {
            below = below.max(level);
        } else if level > value {
            above = above.min(level);
        }
    }
    if !value.is_finite() || (below.is_infinite() && above.is_infinite()) {
        return Cell::UNKNOWN;
    }
    let slack = slack * value.abs();
    Cell { low: 0.5 * (below + value) - slack, high: 0.5 * (above + value) + slack }
}
