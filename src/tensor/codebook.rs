//! Codebooks of GGUF's IQ types: vectors of eight or four magnitudes that one code stands for.
//!
//! They were chosen by search, so no formula gives them. Each element is an index into a short list of magnitudes, two
//! bits (eight elements a vector) or four bits (four elements), lowest bits first, as the PyPI package `gguf` 0.19
//! (gguf/quants.py, `grid_hex` and `grid_map`, MIT) packs the tables of ggml-common.h.

use super::BlockType;

/// One codebook.
#[derive(Clone, Copy, Debug)]
pub struct Codebook {
    /// Indices into `magnitudes`, packed.
    pub packed: &'static [u8],
    /// Elements of a vector: 8 with two bits each, or 4 with four bits each.
    pub vector_elements: usize,
    /// What an index stands for; IQ1's are the values −1, 0, 1 themselves.
    pub magnitudes: &'static [i8],
}

const TERNARY: &[i8] = &[-1, 0, 1];
const IQ2: &[i8] = &[0x08, 0x19, 0x2b];
const IQ3_XXS: &[i8] = &[0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e];
const IQ3_S: &[i8] = &[0x01, 0x03, 0x05, 0x07, 0x09, 0x0b, 0x0d, 0x0f];

static IQ1_S_PACKED: [u8; 4096] = unhex(include_bytes!("codebooks/iq1_s.hex"));
static IQ2_XXS_PACKED: [u8; 512] = unhex(include_bytes!("codebooks/iq2_xxs.hex"));
static IQ2_XS_PACKED: [u8; 1024] = unhex(include_bytes!("codebooks/iq2_xs.hex"));
static IQ2_S_PACKED: [u8; 2048] = unhex(include_bytes!("codebooks/iq2_s.hex"));
static IQ3_XXS_PACKED: [u8; 512] = unhex(include_bytes!("codebooks/iq3_xxs.hex"));
static IQ3_S_PACKED: [u8; 1024] = unhex(include_bytes!("codebooks/iq3_s.hex"));

/// Levels of IQ4_NL and IQ4_XS.
pub const IQ4_LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Levels of MXFP4 (E2M1), doubled.
pub const MXFP4_LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

impl Codebook {
    /// The codebook of a block type that has one.
    #[must_use]
    pub fn of(block: BlockType) -> Option<Codebook> {
        let (packed, vector_elements, magnitudes): (&'static [u8], _, _) = match block {
            BlockType::IQ1_S | BlockType::IQ1_M => (&IQ1_S_PACKED, 8, TERNARY),
            BlockType::IQ2_XXS => (&IQ2_XXS_PACKED, 8, IQ2),
            BlockType::IQ2_XS => (&IQ2_XS_PACKED, 8, IQ2),
            BlockType::IQ2_S => (&IQ2_S_PACKED, 8, IQ2),
            BlockType::IQ3_XXS => (&IQ3_XXS_PACKED, 4, IQ3_XXS),
            BlockType::IQ3_S => (&IQ3_S_PACKED, 4, IQ3_S),
            _ => return None,
        };
        Some(Codebook { packed, vector_elements, magnitudes })
    }

    /// All vectors one after the other, unpacked.
    #[must_use]
    pub fn elements(&self) -> Vec<i8> {
        let n_bits = 16 / self.vector_elements;
        let mask = (1u8 << n_bits) - 1;
        let of_byte = |byte: &u8| {
            let byte = *byte;
            (0..8).step_by(n_bits).map(move |shift| usize::from((byte >> shift) & mask))
        };
        let indices = self.packed.iter().flat_map(of_byte);
        indices.map(|index| self.magnitudes.get(index).copied().unwrap_or(0)).collect()
    }
}

/// The bytes of a hexadecimal text, line breaks skipped.
const fn unhex<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let (mut at, mut n_digits) = (0, 0);
    while at < text.len() {
        let digit = match text[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => {
                at += 1;
                continue;
            }
        };
        bytes[n_digits / 2] = bytes[n_digits / 2] << 4 | digit;
        n_digits += 1;
        at += 1;
    }
    assert!(n_digits == 2 * N, "a codebook's text has the wrong length");
    bytes
}

#[cfg(test)]
mod tests {
    use super::Codebook;
    use crate::tensor::BlockType;

    #[test]
    fn every_code_has_its_vector() {
        // numbers of codes by the widths of the index fields in the formats: 8, 9, 10, 8, 9 and 11 bits
        for (block, n_codes) in [
            (BlockType::IQ2_XXS, 256),
            (BlockType::IQ2_XS, 512),
            (BlockType::IQ2_S, 1024),
            (BlockType::IQ3_XXS, 256),
            (BlockType::IQ3_S, 512),
            (BlockType::IQ1_S, 2048),
            (BlockType::IQ1_M, 2048),
        ] {
            let codebook = Codebook::of(block).expect("it has one");
            let elements = codebook.elements();
            assert_eq!(elements.len(), n_codes * codebook.vector_elements, "{block:?}");
            assert!(elements.iter().all(|element| codebook.magnitudes.contains(element)), "{block:?}");
        }
        assert!(Codebook::of(BlockType::Q4_K).is_none());
    }
}
