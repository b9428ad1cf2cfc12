//! What the shaders can read: element types by number, and host decoding of those that they cannot.

use std::borrow::Cow;

use crate::reductions::Elements;
use crate::tensor::Dtype;

/// Elements of one f32 partial sum (`BLOCK` in shaders/shared/consts.wgsl).
pub(super) const BLOCK: usize = 4096;

/// The number of an element type in shaders/shared/consts.wgsl, for the types that the kernels decode; the others
/// are turned into f32 on the host.
pub(super) fn shader_code(dtype: Dtype) -> Option<u32> {
    match dtype {
        Dtype::F32 => Some(0),
        Dtype::Bf16 => Some(1),
        Dtype::F16 => Some(2),
        Dtype::F8E4m3 => Some(3),
        Dtype::F8E5m2 => Some(4),
        Dtype::F8E4m3Fnuz => Some(5),
        Dtype::F8E5m2Fnuz => Some(6),
        Dtype::I8 => Some(7),
        Dtype::U8 => Some(8),
        Dtype::I16 => Some(9),
        Dtype::U16 => Some(10),
        _ => None,
    }
}

/// A run of elements in a type that the shaders decode.
pub(super) struct Operand<'a> {
    pub(super) code: u32,
    pub(super) element_bytes: usize,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl<'a> Operand<'a> {
    /// The bytes as they are, or rounded to f32 where the shaders do not know the type (64-bit types, I32, U32).
    pub(super) fn new(elements: Elements<'a>) -> Operand<'a> {
        match shader_code(elements.dtype) {
            Some(code) => Operand {
                code,
                element_bytes: elements.dtype.size_bytes().unwrap_or(1),
                bytes: Cow::Borrowed(elements.bytes),
            },
            None => Operand {
                code: 0,
                element_bytes: 4,
                bytes: Cow::Owned(round_to_f32(elements).into_iter().flat_map(f32::to_le_bytes).collect()),
            },
        }
    }

    /// Whole elements.
    pub(super) fn n_elements(&self) -> usize {
        self.bytes.len() / self.element_bytes
    }

    /// The bytes of elements `first..first + count`, cut at the end.
    pub(super) fn slice(&self, first: usize, count: usize) -> &[u8] {
        let end = (first + count).min(self.n_elements());
        &self.bytes[first.min(end) * self.element_bytes..end * self.element_bytes]
    }
}

/// Wrapping sum of the little-endian 32-bit words; a short tail counts as zero-padded.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks_exact(4);
    let mut tail = [0; 4];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    words.fold(u32::from_le_bytes(tail), |sum, word| {
        sum.wrapping_add(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounding to f32 is the purpose"
)]
fn round_to_f32(elements: Elements<'_>) -> Vec<f32> {
    match elements.dtype {
        Dtype::F64 => elements.bytes.as_chunks().0.iter().map(|&e| f64::from_le_bytes(e) as f32).collect(),
        Dtype::I64 => elements.bytes.as_chunks().0.iter().map(|&e| i64::from_le_bytes(e) as f32).collect(),
        Dtype::U64 => elements.bytes.as_chunks().0.iter().map(|&e| u64::from_le_bytes(e) as f32).collect(),
        Dtype::I32 => elements.bytes.as_chunks().0.iter().map(|&e| i32::from_le_bytes(e) as f32).collect(),
        Dtype::U32 => elements.bytes.as_chunks().0.iter().map(|&e| u32::from_le_bytes(e) as f32).collect(),
        // not decodable: no caller may pass them, and no number is what they have
        _ => Vec::new(),
    }
}

/// Four consecutive elements as the shaders see them, for checks and for values outside the range of f32 squares.
pub(super) fn decode_f32(code: u32, bytes: &[u8]) -> Vec<f32> {
    let two = |decode: fn(u16) -> f32| -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|&e| decode(u16::from_le_bytes(e))).collect()
    };
    let one = |decode: fn(u8) -> f32| -> Vec<f32> { bytes.iter().map(|&e| decode(e)).collect() };
    match code {
        0 => bytes.as_chunks().0.iter().map(|&e| f32::from_le_bytes(e)).collect(),
        1 => two(|e| half::bf16::from_bits(e).to_f32()),
        2 => two(|e| half::f16::from_bits(e).to_f32()),
        3 => one(|e| if e & 0x7f == 0x7f { f32::NAN } else { minifloat(e, 3, 7) }),
        4 => one(|e| half::f16::from_bits(u16::from(e) << 8).to_f32()),
        5 => one(|e| if e == 0x80 { f32::NAN } else { minifloat(e, 3, 8) }),
        6 => one(|e| if e == 0x80 { f32::NAN } else { minifloat(e, 2, 16) }),
        7 => one(|e| f32::from(e.cast_signed())),
        8 => one(f32::from),
        9 => two(|e| f32::from(e.cast_signed())),
        _ => two(f32::from),
    }
}

/// Finite value of an 8-bit float: sign, 7 − `mantissa_bits` exponent bits, mantissa.
fn minifloat(byte: u8, mantissa_bits: i32, bias: i32) -> f32 {
    let mantissa = f32::from(byte & ((1 << mantissa_bits) - 1));
    let exponent = i32::from((byte & 0x7f) >> mantissa_bits);
    let implicit = if exponent == 0 { 0.0 } else { f32::from(1_u8 << mantissa_bits) };
    let magnitude = (implicit + mantissa) * 2_f32.powi(exponent.max(1) - bias - mantissa_bits);
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}
