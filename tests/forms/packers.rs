//! Writers of quantised models: rounding to nearest, then the layout of each form. What they write is read back by code that is
//! checked against the forms' own tools (`quantised`).

use std::collections::BTreeMap;

use serde_json::json;

/// A stored tensor: type, shape, bytes.
pub(crate) type Stored = (&'static str, Vec<usize>, Vec<u8>);
/// Tensors by the end of their name.
pub(crate) type Parts = Vec<(&'static str, Stored)>;

fn words(shape: Vec<usize>, words: &[u32]) -> Stored {
    ("I32", shape, words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn floats(shape: Vec<usize>, values: &[f32]) -> Stored {
    ("F32", shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Codes 0 to 15 around 8 with a step for each group of `group` inputs of a row. [out, in] → codes [out, in], steps [out, groups].
fn int4(weight: &[f32], n_ins: usize, group: usize) -> (Vec<u32>, Vec<f32>) {
    let (mut codes, mut steps) = (Vec::new(), Vec::new());
    for row in weight.chunks(n_ins) {
        for values in row.chunks(group) {
            let step = values.iter().fold(1e-8_f32, |most, value| most.max(value.abs())) / 7.0;
            codes.extend(values.iter().map(|value| ((value / step).round() + 8.0) as u32));
            steps.push(step);
        }
    }
    (codes, steps)
}

/// [rows, cols] → [cols, rows].
fn turned<T: Copy>(values: &[T], n_cols: usize) -> Vec<T> {
    (0..n_cols).flat_map(|col| values.iter().skip(col).step_by(n_cols).copied()).collect()
}

/// Eight codes a word, the first in the lowest bits, along consecutive codes.
fn packed(codes: &[u32]) -> Vec<u32> {
    codes.chunks(8).map(|eight| eight.iter().rev().fold(0, |word, code| word << 4 | code)).collect()
}

/// GPTQ, version 1, groups of 32.
pub(crate) fn gptq(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    let (codes, steps) = int4(weight, n_ins, 32);
    let n_groups = n_ins.div_ceil(32);
    // [out, in / 8] words, turned
    let qweight = turned(&packed(&codes), n_ins / 8);
    vec![
        ("qweight", words(vec![n_ins / 8, n_outs], &qweight)),
        ("qzeros", words(vec![n_groups, n_outs / 8], &vec![0x7777_7777; n_groups * n_outs / 8])),
        ("scales", floats(vec![n_groups, n_outs], &turned(&steps, n_groups))),
    ]
}

/// AWQ, groups of 32.
pub(crate) fn awq(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    let (codes, steps) = int4(weight, n_ins, 32);
    let n_groups = n_ins.div_ceil(32);
    let by_input = turned(&codes, n_ins);
    let interleaved: Vec<u32> =
        by_input.chunks(8).flat_map(|eight| [0, 2, 4, 6, 1, 3, 5, 7].map(|at: usize| eight[at])).collect();
    vec![
        ("qweight", words(vec![n_ins, n_outs / 8], &packed(&interleaved))),
        ("qzeros", words(vec![n_groups, n_outs / 8], &vec![0x8888_8888; n_groups * n_outs / 8])),
        ("scales", floats(vec![n_groups, n_outs], &turned(&steps, n_groups))),
    ]
}

/// compressed-tensors, four bits, groups of 32.
pub(crate) fn compressed(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    let (codes, steps) = int4(weight, n_ins, 32);
    let shape = [n_outs as u64, n_ins as u64].iter().flat_map(|dim| dim.to_le_bytes()).collect();
    vec![
        ("weight_packed", words(vec![n_outs, n_ins / 8], &packed(&codes))),
        ("weight_scale", floats(vec![n_outs, n_ins.div_ceil(32)], &steps)),
        ("weight_shape", ("I64", vec![2], shape)),
    ]
}

/// bitsandbytes int8.
pub(crate) fn int8(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    let largest = |row: &[f32]| row.iter().fold(1e-8_f32, |most, value| most.max(value.abs()));
    let most: Vec<f32> = weight.chunks(n_ins).map(largest).collect();
    let code =
        |(at, value): (usize, &f32)| ((value * 127.0 / most[at / n_ins]).round() as i8).cast_unsigned();
    vec![
        ("weight", ("I8", vec![n_outs, n_ins], weight.iter().enumerate().map(code).collect())),
        ("SCB", floats(vec![n_outs], &most)),
    ]
}

/// The levels of nf4 (Dettmers et al., QLoRA, arXiv 2305.14314, appendix E).
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

fn nearest(levels: &[f32], value: f32) -> u8 {
    let distance = |at: &usize| (levels[*at] - value).abs();
    let at = (0..levels.len()).min_by(|i, j| distance(i).total_cmp(&distance(j))).expect("levels");
    u8::try_from(at).expect("few levels")
}

/// bitsandbytes nf4, blocks of 64.
pub(crate) fn nf4(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    let (mut codes, mut absmax) = (Vec::new(), Vec::new());
    for block in weight.chunks(64) {
        let most = block.iter().fold(1e-8_f32, |most, value| most.max(value.abs()));
        codes.extend(block.iter().map(|value| nearest(&NF4, value / most)));
        absmax.push(most);
    }
    let bytes: Vec<u8> = codes.chunks(2).map(|two| two[0] << 4 | two[1]).collect();
    let state =
        json!({ "quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [n_outs, n_ins] });
    let state = state.to_string().into_bytes();
    vec![
        ("weight", ("U8", vec![bytes.len(), 1], bytes)),
        ("weight.absmax", floats(vec![absmax.len()], &absmax)),
        ("weight.quant_map", floats(vec![16], &NF4)),
        ("weight.quant_state.bitsandbytes__nf4", ("U8", vec![state.len()], state)),
    ]
}

/// FP8 (E4M3) in blocks of 32 × 32, with the scale that is called inverse.
pub(crate) fn fp8(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    // magnitudes of the codes 0 to 126, from the definition: bias 7, three bits of mantissa
    let magnitude = |code: i32| {
        let (exponent, mantissa) = (code / 8, code % 8);
        let (significand, power) = if exponent == 0 { (mantissa, -6) } else { (8 + mantissa, exponent - 7) };
        significand as f32 / 8.0 * 2.0_f32.powi(power)
    };
    let levels: Vec<f32> = (0..127).map(magnitude).collect();
    let blocks = [n_outs.div_ceil(32), n_ins.div_ceil(32)];
    let block_of = |at: usize| at / n_ins / 32 * blocks[1] + at % n_ins / 32;
    let mut scales = vec![1e-8_f32; blocks[0] * blocks[1]];
    for (at, value) in weight.iter().enumerate() {
        scales[block_of(at)] = scales[block_of(at)].max(value.abs() / 448.0);
    }
    let code = |(at, value): (usize, &f32)| {
        let sign = if *value < 0.0 { 0x80 } else { 0 };
        sign | nearest(&levels, value.abs() / scales[block_of(at)])
    };
    vec![
        ("weight", ("F8_E4M3", vec![n_outs, n_ins], weight.iter().enumerate().map(code).collect())),
        ("weight_scale_inv", floats(blocks.to_vec(), &scales)),
    ]
}

/// MXFP4, groups of 32.
pub(crate) fn mxfp4(weight: &[f32], n_outs: usize, n_ins: usize) -> Parts {
    const MAGNITUDES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    for group in weight.chunks(32) {
        let most = group.iter().fold(1e-30_f32, |most, value| most.max(value.abs()));
        let exponent = most.log2().floor() as i32 - 2;
        let step = 2.0_f32.powi(exponent);
        let code = |value: &f32| nearest(&MAGNITUDES, value.abs() / step) | if *value < 0.0 { 8 } else { 0 };
        codes.extend(group.iter().map(code));
        scales.push(u8::try_from(exponent + 127).expect("an exponent"));
    }
    let bytes: Vec<u8> = codes.chunks(2).map(|two| two[0] | two[1] << 4).collect();
    let groups = vec![n_outs, n_ins / 32];
    vec![("_blocks", ("U8", [groups.clone(), vec![16]].concat(), bytes)), ("_scales", ("U8", groups, scales))]
}

/// A safetensors file of these tensors.
pub(crate) fn file(tensors: &BTreeMap<String, Stored>) -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, (dtype, shape, bytes)) in tensors {
        let begin = data.len();
        data.extend_from_slice(bytes);
        let shape = format!("{shape:?}");
        entries.push(crate::hostile::tensor(name, dtype, &shape, begin as u64, data.len() as u64));
    }
    let mut file = crate::hostile::file(format!("{{{}}}", entries.join(",")), 0);
    file.append(&mut data);
    file
}
