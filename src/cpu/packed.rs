//! Packed whole numbers of 1 to 8 bits become levels times a step: the loops of every quantised form.

/// In which order the codes of a byte lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOrder {
    /// Code i in bits i·n … of the row, lowest bit first, also across bytes.
    LowFirst,
    /// Two codes a byte, the first in the upper half.
    HighHalfFirst,
}

/// Codes `first` … of a row of packed codes of `n_bits` (1 to 8), as many as `codes` is long; 0 where bytes are missing.
pub fn unpack_codes(row: &[u8], n_bits: u32, order: CodeOrder, first: usize, codes: &mut [u8]) {
    match (n_bits, order) {
        (8, _) => {
            let bytes = row.get(first..).unwrap_or_default();
            let n = bytes.len().min(codes.len());
            codes[..n].copy_from_slice(&bytes[..n]);
            codes[n..].fill(0);
        }
        (4, _) => {
            let shifts = match order {
                CodeOrder::LowFirst => [0, 4],
                CodeOrder::HighHalfFirst => [4, 0],
            };
            let bytes = row.get(first / 2..).unwrap_or_default();
            if first.is_multiple_of(2) {
                halves(bytes, shifts, codes);
            } else if let Some((head, tail)) = codes.split_first_mut() {
                *head = bytes.first().map_or(0, |byte| (byte >> shifts[1]) & 15);
                halves(bytes.get(1..).unwrap_or_default(), shifts, tail);
            }
        }
        _ => {
            let mask = (1_u32 << n_bits.min(8)) - 1;
            for (at, code) in codes.iter_mut().enumerate() {
                let bit = (first + at) * n_bits as usize;
                let byte = |at: usize| u32::from(row.get(at).copied().unwrap_or(0));
                let window = byte(bit / 8) | byte(bit / 8 + 1) << 8;
                *code = ((window >> (bit % 8)) & mask).to_le_bytes()[0];
            }
        }
    }
}

/// Two codes a byte, from the start of a byte.
fn halves(bytes: &[u8], shifts: [u32; 2], codes: &mut [u8]) {
    let n_whole = bytes.len().min(codes.len() / 2);
    let (whole, rest) = codes.split_at_mut(2 * n_whole);
    for (pair, byte) in whole.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [(byte >> shifts[0]) & 15, (byte >> shifts[1]) & 15];
    }
    let last = bytes.get(n_whole).copied().unwrap_or(0);
    for (code, shift) in rest.iter_mut().zip(shifts) {
        *code = (last >> shift) & 15;
    }
    if let Some(missing) = rest.get_mut(2..) {
        missing.fill(0);
    }
}

/// (code − zero) · step, element by element.
pub fn scale_codes(codes: &[u8], zero: f32, step: f32, out: &mut [f32]) {
    for (value, code) in out.iter_mut().zip(codes) {
        *value = (f32::from(*code) - zero) * step;
    }
}

/// (level of the code − zero) · step, element by element.
pub fn scale_levels(codes: &[u8], levels: &[f32; 256], zero: f32, step: f32, out: &mut [f32]) {
    for (value, code) in out.iter_mut().zip(codes) {
        *value = (levels[usize::from(*code)] - zero) * step;
    }
}

#[cfg(test)]
mod tests {
    use super::{CodeOrder, unpack_codes};

    /// Each width against a bit-by-bit reading of the stream, from every start.
    #[test]
    fn codes_of_every_width_are_the_bits_of_the_stream() {
        let row: Vec<u8> = (0..24_u8).map(|i| i.wrapping_mul(97).wrapping_add(41)).collect();
        let bit = |at: usize| row[at / 8] >> (at % 8) & 1;
        for n_bits in 1..=8_usize {
            let n_codes = row.len() * 8 / n_bits;
            for first in 0..9 {
                let mut codes = vec![0xaa; n_codes - first];
                unpack_codes(&row, u32::try_from(n_bits).unwrap(), CodeOrder::LowFirst, first, &mut codes);
                for (at, code) in codes.iter().enumerate() {
                    let start = (first + at) * n_bits;
                    let wanted = (0..n_bits).fold(0, |sum, i| sum | bit(start + i) << i);
                    assert_eq!(*code, wanted, "{n_bits} bits, code {}", first + at);
                }
            }
        }
        let mut codes = [0; 5];
        unpack_codes(&[0x12, 0x34, 0x56], 4, CodeOrder::HighHalfFirst, 1, &mut codes);
        assert_eq!(codes, [2, 3, 4, 5, 6]);
        unpack_codes(&[0x12], 4, CodeOrder::HighHalfFirst, 1, &mut codes);
        assert_eq!(codes, [2, 0, 0, 0, 0]);
    }
}
