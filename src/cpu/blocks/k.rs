//! Types of 256 elements whose parts of 16 or 32 have scales of their own, themselves in few bits.

use super::{scale_at, u16_at};
use crate::tensor::IQ4_LEVELS;

/// dl · q − ml, parts of 16: the low nibble of a part's byte scales, the high one offsets.
#[inline(always)]
pub(super) fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, d_min) = (scale_at(block, 80), scale_at(block, 82));
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let scales = block[part];
        let (dl, ml) = (d * f32::from(scales & 15), d_min * f32::from(scales >> 4));
        let codes = &block[16 + part / 8 * 32 + part % 2 * 16..][..16];
        let shift = part % 8 / 2 * 2;
        for (value, &code) in out.iter_mut().zip(codes) {
            *value = dl * f32::from((code >> shift) & 3) - ml;
        }
    }
}

/// dl · (q − 4), parts of 16 with signed scales of 6 bits; the third bits stand in a mask of their own.
#[inline(always)]
pub(super) fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = scale_at(block, 108);
    let scales = &block[96..108];
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let low = (scales[part % 8] >> (part / 8 * 4)) & 15;
        let high = (scales[8 + part % 4] >> (part / 4 * 2)) & 3;
        let dl = d * (i32::from(low | high << 4) - 32) as f32;
        let codes = &block[32 + part / 8 * 32 + part % 2 * 16..][..16];
        let thirds = &block[part % 2 * 16..][..16];
        let (shift, third) = (part % 8 / 2 * 2, part / 2);
        for ((value, &code), &thirds) in out.iter_mut().zip(codes).zip(thirds) {
            let code = (code >> shift) & 3 | ((thirds >> third) & 1) << 2;
            *value = dl * (i32::from(code) - 4) as f32;
        }
    }
}

/// Scale and offset of a part, 6 bits each, of Q4_K and Q5_K.
#[inline(always)]
fn scale_and_min(scales: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        (scales[part] & 63, scales[part + 4] & 63)
    } else {
        let low = scales[part + 4];
        (low & 15 | (scales[part - 4] >> 6) << 4, low >> 4 | (scales[part] >> 6) << 4)
    }
}

/// dl · q − ml, parts of 32; parts 2i and 2i + 1 are the low and high nibbles of the same bytes.
#[inline(always)]
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, d_min) = (scale_at(block, 0), scale_at(block, 2));
    for (pair, out) in out.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let (scale, min) = scale_and_min(&block[4..16], 2 * pair);
        let (dl_low, ml_low) = (d * f32::from(scale), d_min * f32::from(min));
        let (scale, min) = scale_and_min(&block[4..16], 2 * pair + 1);
        let (dl_high, ml_high) = (d * f32::from(scale), d_min * f32::from(min));
        let (low, high) = out.split_at_mut(32);
        for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[16 + 32 * pair..][..32]) {
            *low = dl_low * f32::from(codes & 15) - ml_low;
            *high = dl_high * f32::from(codes >> 4) - ml_high;
        }
    }
}

/// As Q4_K, with the fifth bits of part p in bit p of 32 bytes.
#[inline(always)]
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, d_min) = (scale_at(block, 0), scale_at(block, 2));
    let fifths = &block[16..48];
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(&block[4..16], part);
        let (dl, ml) = (d * f32::from(scale), d_min * f32::from(min));
        let codes = &block[48 + part / 2 * 32..][..32];
        let shift = part % 2 * 4;
        for ((value, &code), &fifths) in out.iter_mut().zip(codes).zip(fifths) {
            let code = (code >> shift) & 15 | ((fifths >> part) & 1) << 4;
            *value = dl * f32::from(code) - ml;
        }
    }
}

/// dl · (q − 32), parts of 16 with signed scales of 8 bits; four low bits and two high bits stand apart.
#[inline(always)]
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = scale_at(block, 208);
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let dl = d * f32::from(block[192 + part].cast_signed());
        let low = &block[part / 8 * 64 + part % 4 * 16..][..16];
        let high = &block[128 + part / 8 * 32 + part % 2 * 16..][..16];
        let (low_shift, high_shift) = (part % 8 / 4 * 4, part % 8 / 2 * 2);
        for ((value, &low), &high) in out.iter_mut().zip(low).zip(high) {
            let code = (low >> low_shift) & 15 | ((high >> high_shift) & 3) << 4;
            *value = dl * (i32::from(code) - 32) as f32;
        }
    }
}

/// d · q with d an f32; sums of parts follow, for dot products only.
#[inline(always)]
pub(super) fn q8_k(block: &[u8; 292], out: &mut [f32; 256]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    for (value, &code) in out.iter_mut().zip(&block[4..]) {
        *value = d * f32::from(code.cast_signed());
    }
}

/// dl · level(q), parts of 32 with signed scales of 6 bits.
#[inline(always)]
pub(super) fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let d = scale_at(block, 0);
    let high_bits = u16_at(block, 2);
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let low = i32::from((block[4 + part / 2] >> (part % 2 * 4)) & 15);
        let high = i32::from((high_bits >> (2 * part)) & 3);
        let dl = d * ((low | high << 4) - 32) as f32;
        let (first, second) = out.split_at_mut(16);
        for ((first, second), &codes) in first.iter_mut().zip(second).zip(&block[8 + 16 * part..][..16]) {
            *first = dl * f32::from(IQ4_LEVELS[usize::from(codes & 15)]);
            *second = dl * f32::from(IQ4_LEVELS[usize::from(codes >> 4)]);
        }
    }
}
