//! Raw little-endian elements of every decodable dtype become f32 or f64.

use super::fp8;
use super::simd::{self, Level, Loop};
use crate::reductions::Elements;
use crate::tensor::{Dtype, Matrix, Values};

/// Decodes as many elements as `out` is long; what `elements` lacks, or what has no value, is NaN.
///
/// Types wider than f32 are rounded to nearest.
pub(super) fn decode_to_f32(level: Level, elements: Elements<'_>, out: &mut [f32]) {
    let bytes = elements.bytes;
    match elements.dtype {
        Dtype::Bf16 => {
            simd::vectorised(level, fill(bytes, out, |element| bf16(u16::from_le_bytes(element))));
        }
        Dtype::F16 => simd::decode_f16(level, bytes, out),
        Dtype::F32 => simd::vectorised(level, fill(bytes, out, f32::from_le_bytes)),
        Dtype::I8 => simd::vectorised(level, fill(bytes, out, |[byte]: [u8; 1]| byte.cast_signed().into())),
        Dtype::U8 => simd::vectorised(level, fill(bytes, out, |[byte]: [u8; 1]| byte.into())),
        Dtype::I16 => simd::vectorised(level, fill(bytes, out, |e| i16::from_le_bytes(e).into())),
        Dtype::U16 => simd::vectorised(level, fill(bytes, out, |e| u16::from_le_bytes(e).into())),
        Dtype::I32 => fill(bytes, out, |e| i32::from_le_bytes(e) as f32).run(),
        Dtype::U32 => fill(bytes, out, |e| u32::from_le_bytes(e) as f32).run(),
        Dtype::I64 => fill(bytes, out, |e| i64::from_le_bytes(e) as f32).run(),
        Dtype::U64 => fill(bytes, out, |e| u64::from_le_bytes(e) as f32).run(),
        Dtype::F64 => fill(bytes, out, |e| f64::from_le_bytes(e) as f32).run(),
        dtype => match fp8::values(dtype) {
            Some((values, _)) => fill(bytes, out, |[code]: [u8; 1]| values[usize::from(code)]).run(),
            None => out.fill(f32::NAN),
        },
    }
}

/// As [`decode_to_f32`], for the types that f32 cannot hold.
pub(super) fn decode_to_f64(level: Level, elements: Elements<'_>, out: &mut [f64]) {
    let bytes = elements.bytes;
    match elements.dtype {
        Dtype::F64 => fill(bytes, out, f64::from_le_bytes).run(),
        Dtype::I64 => fill(bytes, out, |e| i64::from_le_bytes(e) as f64).run(),
        Dtype::U64 => fill(bytes, out, |e| u64::from_le_bytes(e) as f64).run(),
        Dtype::I32 => fill(bytes, out, |e| f64::from(i32::from_le_bytes(e))).run(),
        Dtype::U32 => fill(bytes, out, |e| f64::from(u32::from_le_bytes(e))).run(),
        _ => {
            let mut narrow = [0.0_f32; 256];
            let size = elements.dtype.size_bytes().unwrap_or(1);
            for (index, wide) in out.chunks_mut(narrow.len()).enumerate() {
                let start = (index * narrow.len() * size).min(bytes.len());
                let part = Elements { dtype: elements.dtype, bytes: &bytes[start..] };
                decode_to_f32(level, part, &mut narrow[..wide.len()]);
                for (wide, narrow) in wide.iter_mut().zip(narrow) {
                    *wide = f64::from(narrow);
                }
            }
        }
    }
}

/// Whether f32 holds every value of the type exactly.
pub(super) fn fits_f32(dtype: Dtype) -> bool {
    !matches!(dtype, Dtype::F64 | Dtype::I64 | Dtype::U64 | Dtype::I32 | Dtype::U32)
}

/// Effective elements of row `row` from column `first_col` on, column factors included, as many as `out` is long.
///
/// Part of larger loops, so that it is compiled with their instructions.
#[inline(always)]
pub(super) fn decode_row(level: Level, matrix: &Matrix, row: usize, first_col: usize, out: &mut [f32]) {
    let start = row * matrix.n_cols + first_col;
    let range = start..start + out.len();
    match &matrix.values {
        Values::Bf16(bits) => {
            for (value, &bits) in out.iter_mut().zip(&bits[range]) {
                *value = bf16(bits);
            }
        }
        Values::F16(bits) => simd::decode_f16_words(level, &bits[range], out),
        Values::F32(values) => out.copy_from_slice(&values[range]),
    }
    if let Some(scale) = &matrix.column_scale {
        for (value, factor) in out.iter_mut().zip(&scale[first_col..]) {
            *value *= factor;
        }
    }
}

/// Value of a bf16 bit pattern: the upper half of an f32.
#[inline(always)]
pub(super) fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Value of an f16 bit pattern, without a branch.
///
/// Shifted into the place of an f32 the exponent is too small by 112; multiplying by 2¹¹² repairs it and turns
/// subnormals into normal numbers, exactly. Exponent all ones is Inf or NaN and keeps its payload.
#[inline(always)]
pub(super) fn f16(bits: u16) -> f32 {
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
    let special = magnitude | 0x7f80_0000;
    let selected = if magnitude >= 0x7c00 << 13 { special } else { finite };
    f32::from_bits(selected | (u32::from(bits & 0x8000) << 16))
}

/// Elements of SIZE bytes through `decode`, then NaN where there are fewer of them than `out` is long.
struct Fill<'a, const SIZE: usize, T, F> {
    elements: &'a [[u8; SIZE]],
    out: &'a mut [T],
    decode: F,
}

fn fill<'a, const SIZE: usize, T, F: Fn([u8; SIZE]) -> T>(
    bytes: &'a [u8],
    out: &'a mut [T],
    decode: F,
) -> Fill<'a, SIZE, T, F> {
    Fill { elements: bytes.as_chunks().0, out, decode }
}

impl<const SIZE: usize, T: From<f32>, F: Fn([u8; SIZE]) -> T> Loop for Fill<'_, SIZE, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let n_present = self.elements.len().min(self.out.len());
        for (value, element) in self.out.iter_mut().zip(self.elements) {
            *value = (self.decode)(*element);
        }
        for value in &mut self.out[n_present..] {
            *value = T::from(f32::NAN);
        }
    }
}
