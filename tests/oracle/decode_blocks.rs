//! The reference of the block types: values of the PyPI package `gguf`, digested by scripts/reference_values.py.

use std::collections::BTreeMap;

use cognate::tensor::BlockType;

const REFERENCE: &str = include_str!("../reference/blocks.txt");

/// f16 scales at the edges of the format.
const EDGE_SCALES: [u16; 10] =
    [0x0000, 0x8000, 0x0001, 0x0400, 0x3c00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e01];

fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where a type's f16 scales lie.
fn scales(block: BlockType) -> &'static [usize] {
    match block {
        BlockType::Q8_K | BlockType::MXFP4 | BlockType::IQ1_M => &[],
        BlockType::Q4_1 | BlockType::Q5_1 | BlockType::Q4_K | BlockType::Q5_K => &[0, 2],
        BlockType::Q2_K => &[80, 82],
        BlockType::Q3_K => &[108],
        BlockType::Q6_K => &[208],
        BlockType::TQ1_0 => &[52],
        BlockType::TQ2_0 => &[64],
        _ => &[0],
    }
}

/// Seeded random blocks with the edge patterns in front: the same as the script makes.
pub(crate) fn blocks(block: BlockType, n_blocks: usize) -> Vec<u8> {
    let size = block.size_bytes();
    let seed = block.name().bytes().map(u64::from).sum::<u64>() << 32;
    let n_words = (n_blocks * size).div_ceil(8) as u64;
    let mut bytes: Vec<u8> = (0..n_words).flat_map(|word| mix(word + seed).to_le_bytes()).collect();
    bytes.truncate(n_blocks * size);
    let fills = [0x00, 0xff, 0x55, 0xaa, 0x80, 0x7f];
    for (row, fill) in bytes.chunks_exact_mut(size).zip(fills) {
        row.fill(fill);
    }
    let edges = scales(block).iter().flat_map(|at| EDGE_SCALES.map(|scale| (*at, scale)));
    let mut n_edges = fills.len();
    for (row, (at, scale)) in bytes.chunks_exact_mut(size).skip(fills.len()).zip(edges) {
        row[at..at + 2].copy_from_slice(&scale.to_le_bytes());
        n_edges += 1;
    }
    if block == BlockType::MXFP4 {
        for (row, exponent) in bytes.chunks_exact_mut(size).skip(n_edges).zip(0..=255) {
            row[0] = exponent;
        }
    }
    bytes
}

/// Bit pattern with one NaN for all.
fn canonical(value: f32) -> u32 {
    if value.is_nan() { 0x7fc0_0000 } else { value.to_bits() }
}

/// Sum of (bits + 1) · mix(position).
pub(crate) fn digest(values: &[f32]) -> u64 {
    (0..).zip(values).fold(0_u64, |sum, (position, value)| {
        sum.wrapping_add((u64::from(canonical(*value)) + 1).wrapping_mul(mix(position)))
    })
}

/// The digest of the reference for this many blocks.
pub(crate) fn wanted(block: BlockType, n_blocks: usize) -> u64 {
    let lines: BTreeMap<(&str, &str), &str> = REFERENCE
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(((words.next()?, words.next()?), words.next()?))
        })
        .collect();
    let digest = lines[&(block.name(), n_blocks.to_string().as_str())];
    u64::from_str_radix(digest, 16).expect("hexadecimal")
}

/// The first decoded bit patterns of one ordinary block, and its number.
pub(crate) fn first_bits(block: BlockType) -> (usize, Vec<u32>) {
    let prefix = format!("{} block ", block.name());
    let line = REFERENCE.lines().find_map(|line| line.strip_prefix(&prefix)).expect("a line");
    let mut words = line.split(' ');
    let number = words.next().and_then(|word| word.parse().ok()).expect("a number");
    (number, words.map(|word| u32::from_str_radix(word, 16).expect("hexadecimal")).collect())
}

/// What differs, in words.
pub(crate) fn complaint(block: BlockType, n_blocks: usize, values: &[f32]) -> Option<String> {
    if digest(values) == wanted(block, n_blocks) {
        return None;
    }
    let (number, bits) = first_bits(block);
    let found = values.iter().skip(number * block.n_elements()).map(|value| canonical(*value));
    let at = found.zip(&bits).position(|(found, wanted)| found != *wanted);
    Some(format!("{} of {n_blocks} blocks differs; block {number} first at {at:?}", block.name()))
}
