//! Types with one scale a block: Q4_0 to Q8_1, IQ4_NL, MXFP4, and the ternary ones.

use super::{scale_at, u32_at};
use crate::tensor::{IQ4_LEVELS, MXFP4_LEVELS};

/// d · (q − 8). Elements 0 to 15 are low nibbles, 16 to 31 high ones; so in all types of 32 with nibbles.
#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = scale_at(block, 0);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[2..]) {
        *low = d * (i32::from(codes & 15) - 8) as f32;
        *high = d * (i32::from(codes >> 4) - 8) as f32;
    }
}

/// d · q + m.
#[inline(always)]
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (scale_at(block, 0), scale_at(block, 2));
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[4..]) {
        *low = d * f32::from(codes & 15) + m;
        *high = d * f32::from(codes >> 4) + m;
    }
}

/// d · (q − 16), the fifth bits in a word of their own.
#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = scale_at(block, 0);
    fives(u32_at(block, 2), &block[6..], out, |code| d * (code as i32 - 16) as f32);
}

/// d · q + m.
#[inline(always)]
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (scale_at(block, 0), scale_at(block, 2));
    fives(u32_at(block, 4), &block[8..], out, |code| d * code as f32 + m);
}

#[inline(always)]
fn fives(fifth_bits: u32, nibbles: &[u8], out: &mut [f32; 32], value: impl Fn(u32) -> f32) {
    let (low, high) = out.split_at_mut(16);
    for (element, ((low, high), &codes)) in (0..).zip(low.iter_mut().zip(high).zip(nibbles)) {
        *low = value(u32::from(codes & 15) | ((fifth_bits >> element) & 1) << 4);
        *high = value(u32::from(codes >> 4) | ((fifth_bits >> (element + 16)) & 1) << 4);
    }
}

/// d · q.
#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = scale_at(block, 0);
    for (value, &code) in out.iter_mut().zip(&block[2..]) {
        *value = d * f32::from(code.cast_signed());
    }
}

/// d · q; the second half-word holds d · Σq, for dot products only.
#[inline(always)]
pub(super) fn q8_1(block: &[u8; 36], out: &mut [f32; 32]) {
    let d = scale_at(block, 0);
    for (value, &code) in out.iter_mut().zip(&block[4..]) {
        *value = d * f32::from(code.cast_signed());
    }
}

/// d · level(q).
#[inline(always)]
pub(super) fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = scale_at(block, 0);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[2..]) {
        *low = d * f32::from(IQ4_LEVELS[usize::from(codes & 15)]);
        *high = d * f32::from(IQ4_LEVELS[usize::from(codes >> 4)]);
    }
}

/// 2^(e − 128) · level(q): half of the shared exponent, because the levels are doubled.
#[inline(always)]
pub(super) fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    let exponent = u32::from(block[0]);
    let bits = if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 };
    let d = f32::from_bits(bits);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &codes) in low.iter_mut().zip(high).zip(&block[1..]) {
        *low = d * f32::from(MXFP4_LEVELS[usize::from(codes & 15)]);
        *high = d * f32::from(MXFP4_LEVELS[usize::from(codes >> 4)]);
    }
}

/// d · (q − 1), five ternary digits a byte, as a fraction of 256: multiplied by 3ⁿ, the n-th digit stands in front of the point.
#[inline(always)]
pub(super) fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    let d = scale_at(block, 52);
    let mut first = 0;
    for (bytes, n_digits) in [(&block[..32], 5), (&block[32..48], 5), (&block[48..52], 4)] {
        let mut power = 1_u8;
        for _ in 0..n_digits {
            for (value, &byte) in out[first..].iter_mut().zip(bytes) {
                let digit = (u16::from(byte.wrapping_mul(power)) * 3) >> 8;
                *value = d * (i32::from(digit) - 1) as f32;
            }
            first += bytes.len();
            power = power.wrapping_mul(3);
        }
    }
}

/// d · (q − 1).
#[inline(always)]
pub(super) fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = scale_at(block, 64);
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let codes = &block[part / 4 * 32..][..32];
        for (value, &code) in out.iter_mut().zip(codes) {
            *value = d * (i32::from((code >> (2 * (part % 4))) & 3) - 1) as f32;
        }
    }
}
