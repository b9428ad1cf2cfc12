//! Types whose codes stand for whole vectors: IQ1, IQ2 and IQ3. Signs are stored apart from magnitudes.

use std::sync::LazyLock;

use super::{scale_at, u16_at, u32_at};
use crate::cpu::decode::f16;
use crate::tensor::{BlockType, Codebook};

static IQ1: LazyLock<Vec<[i8; 8]>> = LazyLock::new(|| vectors(BlockType::IQ1_S));
static IQ2_XXS: LazyLock<Vec<[i8; 8]>> = LazyLock::new(|| vectors(BlockType::IQ2_XXS));
static IQ2_XS: LazyLock<Vec<[i8; 8]>> = LazyLock::new(|| vectors(BlockType::IQ2_XS));
static IQ2_S: LazyLock<Vec<[i8; 8]>> = LazyLock::new(|| vectors(BlockType::IQ2_S));
static IQ3_XXS: LazyLock<Vec<[i8; 4]>> = LazyLock::new(|| vectors(BlockType::IQ3_XXS));
static IQ3_S: LazyLock<Vec<[i8; 4]>> = LazyLock::new(|| vectors(BlockType::IQ3_S));

fn vectors<const N: usize>(block: BlockType) -> Vec<[i8; N]> {
    Codebook::of(block).map(|codebook| codebook.elements().as_chunks().0.to_vec()).unwrap_or_default()
}

/// Seven stored signs; the eighth makes their number even.
#[inline(always)]
fn eight_signs(seven: u32) -> u32 {
    let seven = seven & 127;
    seven | (seven.count_ones() & 1) << 7
}

/// ± db · magnitude for every element of a vector; `signs` holds a bit an element, set for minus.
#[inline(always)]
fn signed(out: &mut [f32], vector: &[i8], signs: u32, db: f32) {
    for (element, (value, &magnitude)) in (0..).zip(out.iter_mut().zip(vector)) {
        let sign = ((signs >> element) & 1) << 31;
        *value = f32::from_bits((db * f32::from(magnitude)).to_bits() ^ sign);
    }
}

pub(super) fn iq2_xxs() -> impl Fn(&[u8; 66], &mut [f32; 256]) {
    let book: &[[i8; 8]] = &IQ2_XXS;
    move |block, out| {
        let d = scale_at(block, 0);
        for (part, out) in out.chunks_exact_mut(32).enumerate() {
            let (codes, packed) = (&block[2 + 8 * part..][..4], u32_at(block, 6 + 8 * part));
            let db = d * (0.5 + (packed >> 28) as f32) * 0.25;
            for (nth, (out, &code)) in out.chunks_exact_mut(8).zip(codes).enumerate() {
                signed(out, &book[usize::from(code)], eight_signs(packed >> (7 * nth)), db);
            }
        }
    }
}

pub(super) fn iq2_xs() -> impl Fn(&[u8; 74], &mut [f32; 256]) {
    let book: &[[i8; 8]] = &IQ2_XS;
    move |block, out| {
        let d = scale_at(block, 0);
        for (nth, out) in out.chunks_exact_mut(8).enumerate() {
            let db = quarter_scale(d, block[66 + nth / 4], nth / 2);
            let code = u16_at(block, 2 + 2 * nth);
            signed(out, &book[usize::from(code & 511)], eight_signs(u32::from(code >> 9)), db);
        }
    }
}

pub(super) fn iq2_s() -> impl Fn(&[u8; 82], &mut [f32; 256]) {
    let book: &[[i8; 8]] = &IQ2_S;
    move |block, out| {
        let d = scale_at(block, 0);
        for (nth, out) in out.chunks_exact_mut(8).enumerate() {
            let db = quarter_scale(d, block[74 + nth / 4], nth / 2);
            let high = usize::from((block[66 + nth / 4] >> (nth % 4 * 2)) & 3);
            let code = usize::from(block[2 + nth]) | high << 8;
            signed(out, &book[code], u32::from(block[34 + nth]), db);
        }
    }
}

/// d · (½ + s) / 4 with s in the low or high nibble of a byte for two parts of 16.
#[inline(always)]
fn quarter_scale(d: f32, nibbles: u8, part: usize) -> f32 {
    d * (0.5 + f32::from((nibbles >> (part % 2 * 4)) & 15)) * 0.25
}

pub(super) fn iq3_xxs() -> impl Fn(&[u8; 98], &mut [f32; 256]) {
    let book: &[[i8; 4]] = &IQ3_XXS;
    move |block, out| {
        let d = scale_at(block, 0);
        for (part, out) in out.chunks_exact_mut(32).enumerate() {
            let packed = u32_at(block, 66 + 4 * part);
            let db = d * (0.5 + (packed >> 28) as f32) * 0.5;
            for (nth, (out, &code)) in out.chunks_exact_mut(4).zip(&block[2 + 8 * part..]).enumerate() {
                let signs = eight_signs(packed >> (nth / 2 * 7)) >> (nth % 2 * 4);
                signed(out, &book[usize::from(code)], signs, db);
            }
        }
    }
}

pub(super) fn iq3_s() -> impl Fn(&[u8; 110], &mut [f32; 256]) {
    let book: &[[i8; 4]] = &IQ3_S;
    move |block, out| {
        let d = scale_at(block, 0);
        for (nth, out) in out.chunks_exact_mut(4).enumerate() {
            let part = nth / 8;
            let db = d * f32::from(1 + 2 * ((block[106 + part / 2] >> (part % 2 * 4)) & 15));
            let high = usize::from((block[66 + part] >> (nth % 8)) & 1);
            let code = usize::from(block[2 + nth]) | high << 8;
            signed(out, &book[code], u32::from(block[74 + nth / 2] >> (nth % 2 * 4)), db);
        }
    }
}

/// dl · (vector ± ⅛).
#[inline(always)]
fn shifted(out: &mut [f32], vector: &[i8], shift: f32, dl: f32) {
    for (value, &element) in out.iter_mut().zip(vector) {
        *value = dl * (f32::from(element) + shift);
    }
}

#[inline(always)]
fn shift(is_minus: bool) -> f32 {
    if is_minus { -0.125 } else { 0.125 }
}

pub(super) fn iq1_s() -> impl Fn(&[u8; 50], &mut [f32; 256]) {
    let book: &[[i8; 8]] = &IQ1;
    move |block, out| {
        let d = scale_at(block, 0);
        for (nth, out) in out.chunks_exact_mut(8).enumerate() {
            let packed = u16_at(block, 34 + nth / 4 * 2);
            let dl = d * f32::from(2 * ((packed >> 12) & 7) + 1);
            let code = usize::from(block[2 + nth]) | usize::from((packed >> (nth % 4 * 3)) & 7) << 8;
            shifted(out, &book[code], shift(packed & 0x8000 != 0), dl);
        }
    }
}

/// The scale itself is spread over the top bits of the four words of scales.
pub(super) fn iq1_m() -> impl Fn(&[u8; 56], &mut [f32; 256]) {
    let book: &[[i8; 8]] = &IQ1;
    move |block, out| {
        let scales: [u16; 4] = std::array::from_fn(|nth| u16_at(block, 48 + 2 * nth));
        let d =
            f16(scales[0] >> 12 | (scales[1] >> 8) & 0x00f0 | (scales[2] >> 4) & 0x0f00 | scales[3] & 0xf000);
        for (nth, out) in out.chunks_exact_mut(8).enumerate() {
            let part = nth / 2;
            let dl = d * f32::from(2 * ((scales[part / 4] >> (part % 4 * 3)) & 7) + 1);
            let packed = block[32 + nth / 2] >> (nth % 2 * 4);
            let code = usize::from(block[nth]) | usize::from(packed & 7) << 8;
            shifted(out, &book[code], shift(packed & 8 != 0), dl);
        }
    }
}
