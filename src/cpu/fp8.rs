//! Values of the four 8-bit floating-point types, from their definitions: 256 entries each.

use crate::tensor::Dtype;

/// How the codes with special meaning are laid out.
#[derive(Clone, Copy)]
enum Specials {
    /// IEEE: exponent all ones is Inf (mantissa 0) or NaN.
    Ieee,
    /// Only exponent and mantissa all ones is NaN; there is no Inf ("fn").
    OnlyNan,
    /// Only 0x80 is NaN; there is neither Inf nor −0 ("fnuz").
    NegativeZeroIsNan,
}

/// Value of every code of an 8-bit float with `mantissa_bits` and exponent `bias`.
const fn table(mantissa_bits: u32, bias: i32, specials: Specials) -> [f32; 256] {
    let mut values = [0.0_f32; 256];
    let mut code = 0_u32;
    while code < 256 {
        values[code as usize] = value(code, mantissa_bits, bias, specials);
        code += 1;
    }
    values
}

const fn value(code: u32, mantissa_bits: u32, bias: i32, specials: Specials) -> f32 {
    let magnitude = code & 0x7f;
    let mantissa = magnitude & ((1 << mantissa_bits) - 1);
    let exponent = magnitude >> mantissa_bits;
    let exponent_ones = 0x7f >> mantissa_bits;
    let is_nan = match specials {
        Specials::Ieee => exponent == exponent_ones && mantissa != 0,
        Specials::OnlyNan => magnitude == 0x7f,
        Specials::NegativeZeroIsNan => code == 0x80,
    };
    if is_nan {
        return f32::NAN;
    }
    let sign = if code & 0x80 == 0 { 1.0_f32 } else { -1.0 };
    if matches!(specials, Specials::Ieee) && exponent == exponent_ones {
        return sign * f32::INFINITY;
    }
    // subnormal: 0.m × 2^(1 − bias); normal: 1.m × 2^(e − bias)
    let (significand, mut power) = if exponent == 0 {
        (mantissa, 1 - bias)
    } else {
        (mantissa | (1 << mantissa_bits), exponent as i32 - bias)
    };
    power -= mantissa_bits as i32;
    let mut scaled = significand as f32;
    while power > 0 {
        scaled *= 2.0;
        power -= 1;
    }
    while power < 0 {
        scaled *= 0.5;
        power += 1;
    }
    sign * scaled
}

static E4M3: [f32; 256] = table(3, 7, Specials::OnlyNan);
static E5M2: [f32; 256] = table(2, 15, Specials::Ieee);
static E4M3_FNUZ: [f32; 256] = table(3, 8, Specials::NegativeZeroIsNan);
static E5M2_FNUZ: [f32; 256] = table(2, 16, Specials::NegativeZeroIsNan);

/// Values of all codes of an 8-bit float, and its mantissa bits; None for every other type.
pub(super) fn values(dtype: Dtype) -> Option<(&'static [f32; 256], u32)> {
    match dtype {
        Dtype::F8E4m3 => Some((&E4M3, 3)),
        Dtype::F8E5m2 => Some((&E5M2, 2)),
        Dtype::F8E4m3Fnuz => Some((&E4M3_FNUZ, 3)),
        Dtype::F8E5m2Fnuz => Some((&E5M2_FNUZ, 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extremes of "FP8 Formats for Deep Learning" (arXiv 2209.05433, table 1) and of the FNUZ variants of ONNX.
    #[test]
    fn extreme_codes_have_the_published_values() {
        for (dtype, code, wanted) in [
            (Dtype::F8E4m3, 0x7e, 448.0),
            (Dtype::F8E4m3, 0x08, 2.0_f32.powi(-6)),
            (Dtype::F8E4m3, 0x01, 2.0_f32.powi(-9)),
            (Dtype::F8E4m3, 0xb8, -1.0),
            (Dtype::F8E5m2, 0x7b, 57344.0),
            (Dtype::F8E5m2, 0x04, 2.0_f32.powi(-14)),
            (Dtype::F8E5m2, 0x01, 2.0_f32.powi(-16)),
            (Dtype::F8E5m2, 0x7c, f32::INFINITY),
            (Dtype::F8E5m2, 0xfc, f32::NEG_INFINITY),
            (Dtype::F8E4m3Fnuz, 0x7f, 240.0),
            (Dtype::F8E4m3Fnuz, 0x01, 2.0_f32.powi(-10)),
            (Dtype::F8E5m2Fnuz, 0x7f, 57344.0),
            (Dtype::F8E5m2Fnuz, 0x01, 2.0_f32.powi(-17)),
        ] {
            assert_eq!(values(dtype).unwrap().0[code], wanted, "{} {code:#x}", dtype.name());
        }
    }

    #[test]
    fn nan_codes_are_the_published_ones() {
        for (dtype, codes) in [
            (Dtype::F8E4m3, vec![0x7f, 0xff]),
            (Dtype::F8E5m2, vec![0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff]),
            (Dtype::F8E4m3Fnuz, vec![0x80]),
            (Dtype::F8E5m2Fnuz, vec![0x80]),
        ] {
            let found: Vec<usize> =
                (0..256).filter(|&code| values(dtype).unwrap().0[code].is_nan()).collect();
            assert_eq!(found, codes, "{}", dtype.name());
        }
    }
}
