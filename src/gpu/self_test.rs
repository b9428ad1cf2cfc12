//! Known answers before any other: an adapter that fails one is not used.
//!
//! Drivers have returned 3 instead of 2080 for a sum over barriers, or zeros after a failed launch, without an error.

use super::faults::FaultPoint;
use super::{Call, Edit, Error, Gpu, Kernel, params};

/// What was checked before the device was trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelfTest {
    /// Names of the checks passed.
    pub checks: Vec<&'static str>,
    /// First 16 hexadecimal digits of the blake3 of all answers: the same on every device that passes this version.
    pub hash: String,
}

params! {
    /// Uniform of shaders/self_test.wgsl.
    struct Params { what: u32, n_groups_x: u32, n_groups: u32, dtype: u32 }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    label: "self_test",
    entry: "self_test",
    source: concat!(
        include_str!("../../shaders/shared/consts.wgsl"),
        include_str!("../../shaders/shared/decode.wgsl"),
        include_str!("../../shaders/shared/reduce.wgsl"),
        include_str!("../../shaders/self_test.wgsl"),
    ),
    first_output: 2,
    params: Params::FIELDS,
    broken: &[
        Edit {
            name: "f16 subnormals",
            find: "vec4<f32>(magnitude) * unit",
            replace: "vec4<f32>(magnitude) * 0.0",
        },
        Edit { name: "f16 rebias", find: "10u, 15u)", replace: "10u, 16u)" },
        Edit { name: "cut tree", find: "let total = float_tree[0];", replace: "let total = float_tree[1];" },
        Edit {
            name: "lost second dimension",
            find: "group_id.y * params.n_groups_x + group_id.x",
            replace: "group_id.x",
        },
        Edit { name: "half a block", find: "i < BLOCK", replace: "i < BLOCK / 2u" },
        Edit {
            name: "smallest instead of largest",
            find: "count_tree[lane] = max(",
            replace: "count_tree[lane] = min(",
        },
    ],
};

/// Threads of a workgroup (`WG`) and elements of a block (`BLOCK`) in shaders/shared/consts.wgsl.
const LANES: u32 = 64;
const BLOCK: u32 = 4096;

/// One part of the test: number in the shader, name, workgroups, words returned, and what they must be.
struct Check {
    what: u32,
    /// Type that is decoded, as in shaders/shared/consts.wgsl.
    code: u32,
    name: &'static str,
    n_groups: u32,
    n_words: usize,
    is_right: fn(usize, u32) -> bool,
}

/// All patterns of 16 bits, those of 8 bits in their low half.
const fn decode(code: u32, name: &'static str, is_right: fn(usize, u32) -> bool) -> Check {
    Check { what: 0, code, name, n_groups: 65_536 / LANES, n_words: 65_536, is_right }
}

const fn tree(n_groups: u32) -> Check {
    let is_right = |group: usize, word: u32| f32::from_bits(word) as usize == 2080 + 64 * group;
    Check { what: 2, code: 0, name: "sum over barriers", n_groups, n_words: n_groups as usize, is_right }
}

const fn ids(n_groups: u32) -> Check {
    let is_right = |group: usize, word: u32| word as usize == 3 * group + 1;
    Check { what: 4, code: 0, name: "workgroup ids", n_groups, n_words: n_groups as usize, is_right }
}

/// Group counts around every boundary, the last beyond one dimension of a dispatch.
const CHECKS: [Check; 21] = [
    decode(1, "bf16 decode", is_bf16),
    decode(2, "f16 decode", is_f16),
    decode(3, "fp8 decode", |pattern, word| is_small(pattern, word, 3, 7, Special::AllOnes)),
    decode(4, "fp8 decode", |pattern, word| is_small(pattern, word, 2, 15, Special::Ieee)),
    decode(5, "fp8 decode", |pattern, word| is_small(pattern, word, 3, 8, Special::NegativeZero)),
    decode(6, "fp8 decode", |pattern, word| is_small(pattern, word, 2, 16, Special::NegativeZero)),
    decode(7, "integer decode", |pattern, word| is_number(word, f32::from((pattern & 255) as u8 as i8))),
    decode(8, "integer decode", |pattern, word| is_number(word, f32::from((pattern & 255) as u8))),
    decode(9, "integer decode", |pattern, word| is_number(word, f32::from((pattern & 65_535) as u16 as i16))),
    decode(10, "integer decode", |pattern, word| is_number(word, f32::from((pattern & 65_535) as u16))),
    tree(1),
    tree(63),
    tree(64),
    tree(65),
    tree(255),
    tree(256),
    tree(257),
    ids(65_535),
    ids(65_536),
    Check {
        what: 3,
        code: 0,
        name: "counts over barriers",
        n_groups: 64,
        n_words: 64,
        is_right: |_, word| word == 63_642_016,
    },
    Check { what: 5, code: 0, name: "dot of a million", n_groups: 245, n_words: 245, is_right: is_dot },
];

fn is_bf16(pattern: usize, word: u32) -> bool {
    Some(word) == u32::try_from(pattern).ok().map(|pattern| pattern << 16)
}

fn is_f16(pattern: usize, word: u32) -> bool {
    let value = half::f16::from_bits(u16::try_from(pattern).unwrap_or(0)).to_f32();
    if value.is_nan() { f32::from_bits(word).is_nan() } else { word == value.to_bits() }
}

fn is_number(word: u32, wanted: f32) -> bool {
    f32::from_bits(word) == wanted
}

/// Which patterns of an 8-bit float are not numbers.
#[derive(Clone, Copy, PartialEq)]
enum Special {
    /// Exponent all ones: Inf, or NaN.
    Ieee,
    /// All ones but the sign: NaN.
    AllOnes,
    /// Minus zero: NaN.
    NegativeZero,
}

/// sign · 2^(exponent − bias) · (1 + mantissa / 2^mantissa_bits), with subnormals.
fn is_small(pattern: usize, word: u32, mantissa_bits: u32, bias: i32, special: Special) -> bool {
    let byte = u32::try_from(pattern & 255).unwrap_or(0);
    let (magnitude, is_negative) = (byte & 127, byte & 128 != 0);
    let (exponent, mantissa) = (magnitude >> mantissa_bits, magnitude & ((1 << mantissa_bits) - 1));
    let found = f32::from_bits(word);
    let top = 127 >> mantissa_bits;
    match special {
        Special::Ieee if exponent == top && mantissa == 0 => {
            return found == if is_negative { f32::NEG_INFINITY } else { f32::INFINITY };
        }
        Special::Ieee if exponent == top => return found.is_nan(),
        Special::AllOnes if magnitude == 127 => return found.is_nan(),
        Special::NegativeZero if byte == 128 => return found.is_nan(),
        _ => {}
    }
    let implicit = if exponent == 0 { 0.0 } else { 1.0 };
    let fraction = implicit + f64::from(mantissa) / f64::from(1_u32 << mantissa_bits);
    let wanted = fraction * 2_f64.powi(i32::try_from(exponent.max(1)).unwrap_or(0) - bias);
    f64::from(found) == if is_negative { -wanted } else { wanted }
}

/// Whole numbers from −8 to 8 without a pattern: every partial sum of squares is exact in f32.
fn element(index: u32) -> i16 {
    let mixed = index.wrapping_mul(2_654_435_761) >> 7;
    i16::try_from(mixed % 17).unwrap_or(0) - 8
}

fn is_dot(block: usize, word: u32) -> bool {
    let first = u32::try_from(block).unwrap_or(0) * BLOCK;
    let wanted: i32 = (first..first + BLOCK).map(|index| i32::from(element(index)).pow(2)).sum();
    f64::from(f32::from_bits(word)) == f64::from(wanted)
}

/// Runs every check.
pub(super) fn run(gpu: &Gpu) -> Result<SelfTest, Error> {
    if gpu.shared.faults.strikes(FaultPoint::SelfTest) {
        let detail = "injected fault".to_owned();
        return Err(Error::SelfTest { adapter: gpu.name(), check: "injected", detail });
    }
    let values: Vec<f32> = (0..245 * BLOCK).map(|index| f32::from(element(index))).collect();
    let values = gpu.upload(&KERNEL, bytemuck::cast_slice(&values), 0)?;
    let mut checks = Vec::new();
    let mut hasher = blake3::Hasher::new();
    for check in &CHECKS {
        // two dimensions where one is too short
        let n_groups_x = check.n_groups.min(32_768);
        let params = Params { what: check.what, n_groups_x, n_groups: check.n_groups, dtype: check.code };
        let outputs = gpu.run(&Call {
            kernel: &KERNEL,
            constants: &[],
            params: bytemuck::bytes_of(&params),
            inputs: &[&values],
            outputs: &[check.n_words],
            groups: [n_groups_x, check.n_groups.div_ceil(n_groups_x), 1],
        })?;
        if let Some(at) =
            outputs[0].iter().enumerate().position(|(index, &word)| !(check.is_right)(index, word))
        {
            let detail = format!("answer {at} of {} is {:#010x}", check.n_words, outputs[0][at]);
            return Err(Error::SelfTest { adapter: gpu.name(), check: check.name, detail });
        }
        hasher.update(check.name.as_bytes());
        // NaN patterns are a device's own affair
        let plain =
            outputs[0].iter().map(|&word| if word & 0x7fff_ffff > 0x7f80_0000 { 0x7fc0_0000 } else { word });
        hasher.update(&plain.flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        if checks.last() != Some(&check.name) {
            checks.push(check.name);
        }
    }
    let hash = hasher.finalize().to_hex()[..16].to_owned();
    Ok(SelfTest { checks, hash })
}
