//! Raw little-endian elements of every decodable dtype become f32 or f64.

use super::fp8;
use super::simd::{self, Level};
use crate::reductions::Elements;
use crate::tensor::{Dtype, Matrix, Values};

/// Decodes as many elements as `out` is long; what `elements` lacks, or what has no value, is NaN.
///
/// Types wider than f32 are rounded to nearest.
pub(super) fn decode_to_f32(level: Level, elements: Elements<'_>, out: &mut [f32]) {
    let bytes = elements.bytes;
    match elements.dtype {
        Dtype::Bf16 => simd::vectorised(level, || fill::<2, _>(bytes, out, |e| bf16(u16::from_le_bytes(e)))),
        Dtype::F16 => simd::decode_f16(level, bytes, out),
        Dtype::F32 => simd::vectorised(level, || fill::<4, _>(bytes, out, f32::from_le_bytes)),
        Dtype::I8 => {
            simd::vectorised(level, || fill::<1, _>(bytes, out, |e| f32::from(i8::from_le_bytes(e))))
        }
        Dtype::U8 => {
            simd::vectorised(level, || fill::<1, _>(bytes, out, |e| f32::from(u8::from_le_bytes(e))))
        }
        Dtype::I16 => {
            simd::vectorised(level, || fill::<2, _>(bytes, out, |e| f32::from(i16::from_le_bytes(e))));
        }
        Dtype::U16 => {
            simd::vectorised(level, || fill::<2, _>(bytes, out, |e| f32::from(u16::from_le_bytes(e))));
        }
        Dtype::I32 => fill::<4, _>(bytes, out, |e| i32::from_le_bytes(e) as f32),
        Dtype::U32 => fill::<4, _>(bytes, out, |e| u32::from_le_bytes(e) as f32),
        Dtype::I64 => fill::<8, _>(bytes, out, |e| i64::from_le_bytes(e) as f32),
        Dtype::U64 => fill::<8, _>(bytes, out, |e| u64::from_le_bytes(e) as f32),
        Dtype::F64 => fill::<8, _>(bytes, out, |e| f64::from_le_bytes(e) as f32),
        dtype => match fp8::values(dtype) {
            Some((values, _)) => fill::<1, _>(bytes, out, |[code]| values[usize::from(code)]),
            None => out.fill(f32::NAN),
        },
    }
}

/// As [`decode_to_f32`], for the types that f32 cannot hold.
pub(super) fn decode_to_f64(level: Level, elements: Elements<'_>, out: &mut [f64]) {
    let bytes = elements.bytes;
    match elements.dtype {
        Dtype::F64 => fill::<8, _>(bytes, out, f64::from_le_bytes),
        Dtype::I64 => fill::<8, _>(bytes, out, |e| i64::from_le_bytes(e) as f64),
        Dtype::U64 => fill::<8, _>(bytes, out, |e| u64::from_le_bytes(e) as f64),
        Dtype::I32 => fill::<4, _>(bytes, out, |e| f64::from(i32::from_le_bytes(e))),
        Dtype::U32 => fill::<4, _>(bytes, out, |e| f64::from(u32::from_le_bytes(e))),
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
#[inline(always)]
fn fill<const SIZE: usize, T: From<f32>>(bytes: &[u8], out: &mut [T], decode: impl Fn([u8; SIZE]) -> T) {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let n_present = elements.len().min(out.len());
    for (value, element) in out.iter_mut().zip(elements) {
        *value = decode(*element);
    }
    for value in &mut out[n_present..] {
        *value = T::from(f32::NAN);
    }
}
