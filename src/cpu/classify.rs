//! Counts NaN, Inf, zero and subnormal elements by integer tests on the raw words.

use rayon::prelude::*;

use super::simd::{self, Level, Loop};
use super::{BLOCK_ELEMENTS, fp8};
use crate::reductions::{ClassCounts, Elements};
use crate::tensor::Dtype;

/// Bytes that one task counts: many blocks, a whole number of elements and of 32-bit words.
const TASK_BYTES: usize = 1 << 20;

pub(super) fn classify(level: Level, elements: Elements<'_>) -> ClassCounts {
    elements
        .bytes
        .par_chunks(TASK_BYTES)
        .map(|bytes| simd::vectorised(level, Run { dtype: elements.dtype, bytes }))
        .collect::<Vec<_>>()
        .into_iter()
        .fold(ClassCounts::default(), |mut total, part| {
            total.add(&part);
            total
        })
}

/// The elements of one task.
struct Run<'a> {
    dtype: Dtype,
    bytes: &'a [u8],
}

impl Loop for Run<'_> {
    type Output = ClassCounts;

    #[inline(always)]
    fn run(self) -> ClassCounts {
        of_run(self.dtype, self.bytes)
    }
}

#[inline(always)]
fn of_run(dtype: Dtype, bytes: &[u8]) -> ClassCounts {
    let size = dtype.size_bytes().unwrap_or(1);
    let mut counts = ClassCounts { n_elements: (bytes.len() / size) as u64, ..ClassCounts::default() };
    for block in bytes.chunks(BLOCK_ELEMENTS * size) {
        let [n_nan, n_inf, n_zero, n_subnormal] = match dtype {
            Dtype::Bf16 => of_u16(block, 0x7f80, 0x0080),
            Dtype::F16 => of_u16(block, 0x7c00, 0x0400),
            Dtype::F32 => of_u32(block, 0x7f80_0000, 0x0080_0000),
            Dtype::F64 => of_u64(block, 0x7ff0_0000_0000_0000, 0x0010_0000_0000_0000),
            _ => match fp8::values(dtype) {
                Some((values, mantissa_bits)) => of_fp8(block, values, mantissa_bits),
                None if dtype.is_decodable() => of_integers(block, size),
                None => [0; 4],
            },
        };
        counts.checksum = counts.checksum.wrapping_add(checksum(block));
        counts.n_nan += n_nan;
        counts.n_inf += n_inf;
        counts.n_zero += n_zero;
        counts.n_subnormal += n_subnormal;
    }
    counts
}

/// Wrapping sum of the little-endian 32-bit words, the last one padded with zeros.
#[inline(always)]
fn checksum(bytes: &[u8]) -> u32 {
    let (words, tail) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    words.iter().fold(u32::from_le_bytes(last), |sum, word| sum.wrapping_add(u32::from_le_bytes(*word)))
}

/// Counter of one class in a block, per word type: a block has at most 4,096 elements, so u16 cannot overflow and
/// the loop stays as wide as the data.
macro_rules! float_classes {
    ($name:ident, $word:ty, $size:literal) => {
        #[inline(always)]
        fn $name(block: &[u8], infinity: $word, smallest_normal: $word) -> [u64; 4] {
            let (mut n_nan, mut n_inf, mut n_zero, mut n_subnormal) = (0, 0, 0, 0);
            for element in block.as_chunks::<$size>().0 {
                let magnitude = <$word>::from_le_bytes(*element) & (<$word>::MAX >> 1);
                n_nan += <$word>::from(magnitude > infinity);
                n_inf += <$word>::from(magnitude == infinity);
                n_zero += <$word>::from(magnitude == 0);
                n_subnormal += <$word>::from((magnitude != 0) & (magnitude < smallest_normal));
            }
            [n_nan, n_inf, n_zero, n_subnormal].map(u64::from)
        }
    };
}

float_classes!(of_u16, u16, 2);
float_classes!(of_u32, u32, 4);
float_classes!(of_u64, u64, 8);

/// By a histogram of the 256 codes.
fn of_fp8(block: &[u8], values: &[f32; 256], mantissa_bits: u32) -> [u64; 4] {
    let mut n_of_code = [0_u64; 256];
    for &code in block {
        n_of_code[usize::from(code)] += 1;
    }
    let mut counts = [0; 4];
    for (code, (&value, n)) in values.iter().zip(n_of_code).enumerate() {
        let has_zero_exponent = (code & 0x7f) >> mantissa_bits == 0;
        let class = if value.is_nan() {
            0
        } else if value.is_infinite() {
            1
        } else if value == 0.0 {
            2
        } else if has_zero_exponent {
            3
        } else {
            continue;
        };
        counts[class] += n;
    }
    counts
}

/// Whole numbers are zero or nothing special.
fn of_integers(block: &[u8], size: usize) -> [u64; 4] {
    let n_zero = block.chunks_exact(size).filter(|element| element.iter().all(|&byte| byte == 0)).count();
    [0, 0, n_zero as u64, 0]
}
