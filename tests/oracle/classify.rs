//! Definition of the class counts: one element after the other, by the fields of its format.

use super::values::Format;
use cognate::tensor::Dtype;

/// (elements, NaN, Inf, zero, subnormal, wrapping sum of little-endian words).
pub(crate) fn classify(dtype: Dtype, bytes: &[u8]) -> (u64, u64, u64, u64, u64, u32) {
    let width = dtype.size_bytes().expect("decodable types are whole bytes");
    let (mut n, mut n_nan, mut n_inf, mut n_zero, mut n_subnormal) = (0, 0, 0, 0, 0);
    for element in bytes.chunks_exact(width) {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(element);
        let raw = u64::from_le_bytes(wide);
        n += 1;
        match Format::of(dtype) {
            Some(format) => {
                let value = format.value(raw);
                n_nan += u64::from(value.is_nan());
                n_inf += u64::from(value.is_infinite());
                n_zero += u64::from(value == 0.0);
                n_subnormal += u64::from(format.exponent(raw) == 0 && value != 0.0 && !value.is_nan());
            }
            None => n_zero += u64::from(raw == 0),
        }
    }
    let words = bytes.chunks(4).map(|word| {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        u32::from_le_bytes(padded)
    });
    (n, n_nan, n_inf, n_zero, n_subnormal, words.fold(0, u32::wrapping_add))
}
