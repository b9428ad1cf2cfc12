//! Seeded test values in every element type, and their decoding by formula.

use cognate::tensor::{Dtype, Matrix, Values};

/// splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 2_f64.powi(53)
    }

    /// Bell-shaped, variance 1: twelve uniforms less six.
    pub(crate) fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// What kind of values a run holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Class {
    /// Weights: bell-shaped, deviation 0.02.
    Weights,
    /// Weights, every fifth one zero, NaN, infinite or subnormal.
    Specials,
    /// Magnitudes around 2⁻⁷⁰: their squares leave f32.
    Tiny,
    /// Magnitudes around 2⁶⁵: their squares leave f32.
    Huge,
    /// Zeros of both signs.
    Zeros,
    /// Any bit pattern.
    Bits,
}

pub(crate) const CLASSES: [Class; 6] =
    [Class::Weights, Class::Specials, Class::Tiny, Class::Huge, Class::Zeros, Class::Bits];

/// `n` elements of `dtype` as little-endian bytes.
pub(crate) fn bytes(dtype: Dtype, class: Class, n: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let width = dtype.size_bytes().expect("decodable types are whole bytes");
    let mut bytes = Vec::with_capacity(n * width);
    for index in 0..n {
        let raw = match class {
            Class::Bits => random.bits(),
            Class::Zeros if !dtype.is_float() || random.bits().is_multiple_of(2) => 0,
            Class::Zeros => encode(dtype, -0.0),
            Class::Weights => encode(dtype, random.bell() * 0.02),
            Class::Tiny => encode(dtype, random.bell() * 2_f64.powi(-70)),
            Class::Huge => encode(dtype, random.bell() * 2_f64.powi(65)),
            Class::Specials if index % 5 == 3 => {
                let choice = random.bits() % 6;
                encode(dtype, [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-39][choice as usize])
            }
            Class::Specials => encode(dtype, random.bell() * 0.02),
        };
        bytes.extend_from_slice(&raw.to_le_bytes()[..width]);
    }
    bytes
}

/// Bit pattern of `value` in the low bits; 8-bit floats are rounded towards zero, integers are thousandths.
pub(crate) fn encode(dtype: Dtype, value: f64) -> u64 {
    match dtype {
        Dtype::F64 => value.to_bits(),
        Dtype::F32 => u64::from((value as f32).to_bits()),
        Dtype::Bf16 => u64::from(half::bf16::from_f64(value).to_bits()),
        Dtype::F16 => u64::from(half::f16::from_f64(value).to_bits()),
        Dtype::F8E4m3 | Dtype::F8E5m2 | Dtype::F8E4m3Fnuz | Dtype::F8E5m2Fnuz => {
            if value.is_finite() && value != 0.0 {
                return below(dtype, value);
            }
            let is_it = |byte: &u64| {
                let found = decode_one(dtype, *byte);
                found == value || (found.is_nan() && value.is_nan())
            };
            // formats without infinity: their largest magnitude
            (0..256).find(is_it).unwrap_or_else(|| below(dtype, value))
        }
        _ => (value * 1000.0) as i64 as u64,
    }
}

/// The 8-bit pattern below `value` in magnitude, of the same sign; the largest where there is none.
fn below(dtype: Dtype, value: f64) -> u64 {
    let finite = |byte: &u64| decode_one(dtype, *byte).is_finite();
    let fits = |byte: u64| finite(&byte) && decode_one(dtype, byte) <= value.abs();
    let (mut low, mut high) = (0, 0x80);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    if value < 0.0 && low > 0 { low | 0x80 } else { low }
}

/// Elements of a run, each by the definition of its format.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let width = dtype.size_bytes().expect("decodable types are whole bytes");
    let raw = bytes.chunks_exact(width).map(|element| {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(element);
        u64::from_le_bytes(wide)
    });
    raw.map(|raw| decode_one(dtype, raw)).collect()
}

fn decode_one(dtype: Dtype, raw: u64) -> f64 {
    if let Some(format) = Format::of(dtype) {
        return format.value(raw);
    }
    match dtype {
        Dtype::I8 => f64::from(raw as u8 as i8),
        Dtype::U8 => f64::from(raw as u8),
        Dtype::I16 => f64::from(raw as u16 as i16),
        Dtype::U16 => f64::from(raw as u16),
        Dtype::I32 => f64::from(raw as u32 as i32),
        Dtype::U32 => f64::from(raw as u32),
        Dtype::I64 => raw as i64 as f64,
        Dtype::U64 => raw as f64,
        other => panic!("{other:?} has no decoding"),
    }
}

/// Which patterns are not numbers.
#[derive(Clone, Copy)]
enum Special {
    /// Exponent all ones: Inf with mantissa 0, NaN otherwise.
    Ieee,
    /// Everything but the sign all ones is NaN; no Inf.
    AllOnes,
    /// The pattern of −0 is NaN; no Inf.
    NegativeZero,
}

/// A binary floating-point format: sign, exponent, mantissa.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    special: Special,
}

impl Format {
    pub(crate) fn of(dtype: Dtype) -> Option<Format> {
        let (exponent_bits, mantissa_bits, bias, special) = match dtype {
            Dtype::F64 => (11, 52, 1023, Special::Ieee),
            Dtype::F32 => (8, 23, 127, Special::Ieee),
            Dtype::Bf16 => (8, 7, 127, Special::Ieee),
            Dtype::F16 => (5, 10, 15, Special::Ieee),
            Dtype::F8E5m2 => (5, 2, 15, Special::Ieee),
            Dtype::F8E4m3 => (4, 3, 7, Special::AllOnes),
            Dtype::F8E4m3Fnuz => (4, 3, 8, Special::NegativeZero),
            Dtype::F8E5m2Fnuz => (5, 2, 16, Special::NegativeZero),
            _ => return None,
        };
        Some(Format { exponent_bits, mantissa_bits, bias, special })
    }

    pub(crate) fn exponent(self, raw: u64) -> u64 {
        raw >> self.mantissa_bits & ((1 << self.exponent_bits) - 1)
    }

    /// sign · 2^(exponent − bias) · (1 + mantissa / 2^mantissa_bits), with subnormals.
    pub(crate) fn value(self, raw: u64) -> f64 {
        let mantissa = raw & ((1 << self.mantissa_bits) - 1);
        let exponent = self.exponent(raw);
        let negative = raw >> (self.mantissa_bits + self.exponent_bits) & 1 == 1;
        let top = (1 << self.exponent_bits) - 1;
        let magnitude = match self.special {
            Special::Ieee if exponent == top && mantissa == 0 => f64::INFINITY,
            Special::Ieee if exponent == top => f64::NAN,
            Special::AllOnes if exponent == top && mantissa + 1 == 1 << self.mantissa_bits => f64::NAN,
            Special::NegativeZero if negative && exponent == 0 && mantissa == 0 => f64::NAN,
            _ => {
                let implicit = if exponent == 0 { 0.0 } else { 1.0 };
                let fraction = implicit + mantissa as f64 / 2_f64.powi(self.mantissa_bits as i32);
                fraction * 2_f64.powi((exponent as i32).max(1) - self.bias)
            }
        };
        if negative { -magnitude } else { magnitude }
    }
}

/// A matrix of this type with n_rows × n_cols values of a class; `scaled` adds factors to its columns.
pub(crate) fn matrix(
    dtype: Dtype,
    class: Class,
    n_rows: usize,
    n_cols: usize,
    seed: u64,
    scaled: bool,
) -> Matrix {
    let raw = bytes(dtype, class, n_rows * n_cols, seed);
    let halves = || raw.chunks_exact(2).map(|e| u16::from_le_bytes([e[0], e[1]])).collect();
    let values = match dtype {
        Dtype::Bf16 => Values::Bf16(halves()),
        Dtype::F16 => Values::F16(halves()),
        Dtype::F32 => Values::F32(decode(dtype, &raw).into_iter().map(|value| value as f32).collect()),
        other => panic!("no matrix of {other:?}"),
    };
    let mut random = Random(seed ^ 0xfac7);
    let column_scale = scaled.then(|| (0..n_cols).map(|_| (0.5 + random.unit()) as f32).collect());
    Matrix { n_rows, n_cols, values, column_scale }
}
