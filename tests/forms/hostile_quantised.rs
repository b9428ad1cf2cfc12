//! Damaged and hostile quantised weights: what does not fit is left as it is, with its reason, and listed as skipped (exit code 4);
//! what shows only in the values is refused when it is read (exit code 3).

use cognate::canonical::{LeftOut, canonicalise};
use cognate::checkpoint::{self, Limits};
use cognate::roles;

use crate::hostile::{Folder, file, tensor};

/// A stored tensor: name behind the module's, type, shape.
type Row<'a> = (&'a str, &'a str, &'a [u64]);

const STEM: &str = "model.layers.0.mlp.up_proj";

/// A file of zeros with these tensors.
fn zeros(tensors: &[Row<'_>]) -> Vec<u8> {
    let (mut entries, mut at) = (Vec::new(), 0);
    for (part, dtype, shape) in tensors {
        let size = match *dtype {
            "F32" | "I32" => 4,
            "I64" => 8,
            "F16" | "BF16" => 2,
            _ => 1,
        };
        let end = at + shape.iter().product::<u64>() * size;
        let separator = if part.starts_with('_') { "" } else { "." };
        entries.push(tensor(&format!("{STEM}{separator}{part}"), dtype, &format!("{shape:?}"), at, end));
        at = end;
    }
    file(format!("{{{}}}", entries.join(",")), usize::try_from(at).expect("small"))
}

/// The group is not decoded, for this reason, and counts as skipped.
fn skipped(id: &str, folder: &Folder, reason: &str) {
    let model = checkpoint::open(&folder.path().to_string_lossy(), &Limits::default()).expect(id);
    let notes: Vec<_> = model.notes.iter().filter(|note| note.rule == "QT-FORM").collect();
    assert!(notes.iter().any(|note| note.says.contains(reason)), "{id}: no '{reason}' in {:?}", model.notes);
    assert!(model.tensors.iter().all(|tensor| tensor.encoding.is_none()), "{id}");
    let left_out = canonicalise(&model, &roles::assign(&model)).left_out;
    let is_skipped = |reason: &LeftOut| matches!(reason, LeftOut::Packed(_) | LeftOut::Undecodable(_));
    assert!(left_out.iter().any(|(_, reason)| is_skipped(reason)), "{id}: {left_out:?}");
}

const GPTQ: [Row<'_>; 4] = [
    ("qweight", "I32", &[4, 32]),
    ("qzeros", "I32", &[2, 4]),
    ("scales", "F16", &[2, 32]),
    ("g_idx", "I32", &[32]),
];
const AWQ: [Row<'_>; 3] =
    [("qweight", "I32", &[32, 4]), ("qzeros", "I32", &[2, 4]), ("scales", "F16", &[2, 32])];
const PACKED: [Row<'_>; 3] =
    [("weight_packed", "I32", &[32, 4]), ("weight_scale", "F32", &[32, 1]), ("weight_shape", "I64", &[2])];
const FP8: [Row<'_>; 2] = [("weight", "F8_E4M3", &[32, 40]), ("weight_scale_inv", "F32", &[1, 1])];
const INT8: [Row<'_>; 2] = [("weight", "I8", &[32, 40]), ("SCB", "F32", &[32])];
const MXFP4: [Row<'_>; 2] = [("_blocks", "U8", &[2, 8, 3, 16]), ("_scales", "U8", &[2, 8, 3])];
const NVFP4: [Row<'_>; 3] = [
    ("weight_packed", "U8", &[8, 16]),
    ("weight_scale", "F8_E4M3", &[8, 2]),
    ("weight_global_scale", "F32", &[1]),
];

/// One of the tensors exchanged for another, or taken away.
fn but<'a>(tensors: &[Row<'a>], part: &str, other: Option<Row<'a>>) -> Vec<Row<'a>> {
    tensors.iter().filter_map(|row| if row.0 == part { other } else { Some(*row) }).collect()
}

#[test]
fn groups_that_do_not_fit_are_skipped_with_their_reason() {
    let with = |tensors: &[Row<'static>], part: &str, dtype, shape| {
        let name = tensors.iter().find(|row| row.0 == part).expect("a part").0;
        but(tensors, part, Some((name, dtype, shape)))
    };
    let rows: Vec<(&str, Vec<Row<'static>>, &str)> = vec![
        ("QT01", but(&GPTQ, "qzeros", None), "qzeros' is missing"),
        ("QT02", but(&GPTQ, "scales", None), "scales' is missing"),
        ("QT03", with(&GPTQ, "scales", "F16", &[2, 31]), "scales are for 31 outputs, codes for 32"),
        ("QT04", with(&GPTQ, "scales", "F16", &[64]), "not a matrix"),
        ("QT05", with(&GPTQ, "scales", "I32", &[2, 32]), "has type I32, not F32 or F16 or BF16"),
        ("QT06", with(&GPTQ, "qzeros", "I32", &[2, 5]), "fit no width of 2, 3, 4 or 8 bits"),
        ("QT07", with(&GPTQ, "qzeros", "I32", &[3, 4]), "has shape [3, 4], not [2, 4]"),
        ("QT08", with(&GPTQ, "qzeros", "F32", &[2, 4]), "has type F32"),
        ("QT09", with(&GPTQ, "g_idx", "I32", &[40]), "do not hold 40 inputs of 4 bits"),
        ("QT10", with(&GPTQ, "g_idx", "I64", &[32]), "has type I64"),
        ("QT11", with(&GPTQ, "g_idx", "I32", &[4, 8]), "has shape [4, 8], not [32]"),
        ("QT12", with(&GPTQ, "qweight", "F32", &[4, 32]), "has type F32, not I32 or U32"),
        ("QT13", with(&GPTQ, "qweight", "I32", &[0, 32]), "not a matrix"),
        (
            "QT14",
            vec![GPTQ[0], ("qzeros", "I32", &[5, 4]), ("scales", "F16", &[5, 32])],
            "5 groups do not cover 32 inputs",
        ),
        ("QT15", [&GPTQ[..], &[("weight", "F32", &[32, 32])]].concat(), "is stored too"),
        ("QT16", but(&AWQ, "qzeros", None), "qzeros' is missing"),
        ("QT17", with(&AWQ, "qzeros", "I32", &[2, 5]), "has shape [2, 5], not [2, 4]"),
        (
            "QT18",
            vec![AWQ[0], ("qzeros", "I32", &[3, 4]), ("scales", "F16", &[3, 32])],
            "3 groups do not cover 32 inputs",
        ),
        ("QT19", but(&PACKED, "weight_shape", None), "weight_shape' is missing"),
        ("QT20", but(&PACKED, "weight_scale", None), "weight_scale' is missing"),
        ("QT21", PACKED.to_vec(), "the stored shape is [0, 0]"),
        ("QT22", with(&PACKED, "weight_shape", "I64", &[3]), "has shape [3], not [2]"),
        ("QT23", with(&PACKED, "weight_shape", "F32", &[2]), "has type F32"),
        (
            "QT24",
            but(&FP8, "weight", Some(("weight", "F8_E4M3", &[2, 2, 2, 160]))),
            "is no matrix and no stack",
        ),
        ("QT25", with(&FP8, "weight_scale_inv", "F32", &[3, 7]), "a scale of shape [3, 7] does not fit"),
        ("QT26", with(&FP8, "weight_scale_inv", "F32", &[0, 1]), "does not fit"),
        ("QT27", with(&FP8, "weight_scale_inv", "I64", &[1, 1]), "has type I64"),
        ("QT28", with(&FP8, "weight", "F32", &[32, 40]), "has type F32"),
        ("QT29", with(&INT8, "SCB", "F32", &[31]), "has shape [31], not [32]"),
        ("QT30", with(&INT8, "SCB", "F16", &[32]), "has type F16"),
        ("QT31", with(&INT8, "weight", "F32", &[32, 40]), "has type F32, not I8"),
        ("QT32", with(&MXFP4, "_scales", "U8", &[2, 8, 4]), "has shape [2, 8, 4]"),
        ("QT33", with(&MXFP4, "_blocks", "U8", &[2, 8, 3, 8]), "are not […, outputs, blocks, 16]"),
        ("QT34", with(&MXFP4, "_blocks", "U8", &[16]), "have no axis of blocks"),
        ("QT35", with(&MXFP4, "_scales", "F32", &[2, 8, 3]), "has type F32"),
        ("QT36", but(&NVFP4, "weight_global_scale", None), "weight_global_scale' is missing"),
        ("QT37", with(&NVFP4, "weight_scale", "F8_E4M3", &[8, 3]), "has shape [8, 3], not [8, 2]"),
        ("QT38", with(&NVFP4, "weight_global_scale", "F32", &[2]), "not one element"),
    ];
    for (id, tensors, reason) in rows {
        let folder = Folder::new();
        folder.write("model.safetensors", zeros(&tensors));
        skipped(id, &folder, reason);
    }
}

/// A four-bit weight of bitsandbytes with this state.
fn four_bit(state: &[u8], more: &[Row<'_>]) -> Vec<u8> {
    let length = [state.len() as u64];
    let mut tensors: Vec<Row<'_>> = vec![
        ("weight.quant_state.bitsandbytes__nf4", "U8", &length),
        ("weight", "U8", &[64, 1]),
        ("weight.quant_map", "F32", &[16]),
    ];
    tensors.extend(more);
    let mut bytes = zeros(&tensors);
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight"));
    let start = 8 + usize::try_from(header).expect("small");
    bytes[start..start + state.len()].copy_from_slice(state);
    bytes
}

#[test]
fn states_of_bitsandbytes_are_read_with_suspicion() {
    const ABSMAX: Row<'_> = ("weight.absmax", "F32", &[2]);
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(5000));
    let rows: Vec<(&str, &[u8], Vec<Row<'_>>, &str)> = vec![
        ("QT40", b"", vec![ABSMAX], "this is an empty file"),
        ("QT41", b"not JSON", vec![ABSMAX], "the quantisation state"),
        ("QT42", b"{\"quant_type\":\"nf4\"", vec![ABSMAX], "the quantisation state"),
        ("QT43", b"\xff\xfe", vec![ABSMAX], ""),
        ("QT44", deep.as_bytes(), vec![ABSMAX], "deep"),
        ("QT45", long.as_bytes(), vec![ABSMAX], "is no such state"),
        (
            "QT46",
            br#"{"quant_type":"nf4","blocksize":64,"shape":[8,17]}"#,
            vec![ABSMAX],
            "do not hold the shape [8, 17]",
        ),
        (
            "QT47",
            br#"{"quant_type":"nf4","blocksize":64,"shape":[4294967296,4294967296]}"#,
            vec![ABSMAX],
            "do not hold the shape",
        ),
        ("QT48", br#"{"quant_type":"nf4","blocksize":0,"shape":[8,16]}"#, vec![ABSMAX], "blocks of 0"),
        (
            "QT49",
            br#"{"quant_type":"nf4","blocksize":32,"shape":[8,16]}"#,
            vec![ABSMAX],
            "2 scales for 4 blocks",
        ),
        (
            "QT50",
            br#"{"quant_type":"fp4","blocksize":64,"shape":[8,16]}"#,
            vec![ABSMAX],
            "is of the kind 'fp4'",
        ),
        (
            "QT51",
            br#"{"quant_type":"nf4","blocksize":64,"shape":[-8,16]}"#,
            vec![ABSMAX],
            "the quantisation state",
        ),
        (
            "QT52",
            br#"{"quant_type":"nf4","blocksize":64,"shape":[8,16]}"#,
            vec![("weight.absmax", "U8", &[2])],
            "nested_absmax' is missing",
        ),
        (
            "QT53",
            br#"{"quant_type":"nf4","blocksize":64,"shape":[8,16],"nested_blocksize":0,"nested_offset":0.5}"#,
            vec![
                ("weight.absmax", "U8", &[2]),
                ("weight.nested_absmax", "F32", &[1]),
                ("weight.nested_quant_map", "F32", &[256]),
            ],
            "lacks the block size or offset",
        ),
        (
            "QT54",
            br#"{"quant_type":"nf4","blocksize":64,"shape":[8,16],"nested_blocksize":256}"#,
            vec![
                ("weight.absmax", "U8", &[2]),
                ("weight.nested_absmax", "F32", &[1]),
                ("weight.nested_quant_map", "F32", &[256]),
            ],
            "lacks the block size or offset",
        ),
    ];
    for (id, state, more, reason) in rows {
        let folder = Folder::new();
        folder.write("model.safetensors", four_bit(state, &more));
        skipped(id, &folder, reason);
    }
}

#[test]
fn a_group_that_does_not_exist_is_refused_when_it_is_read() {
    for (id, group) in [("QT60", 2_i32), ("QT61", -1), ("QT62", i32::MAX)] {
        let folder = Folder::new();
        let mut bytes = zeros(&GPTQ);
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&group.to_le_bytes());
        folder.write("model.safetensors", bytes);
        let model = checkpoint::open(&folder.path().to_string_lossy(), &Limits::default()).expect(id);
        let source = model.elements_of(&model.tensors[0]).0;
        let error = source.read_at(0, &mut [0; 64]).expect_err("there are two groups");
        let fault = error.fault();
        assert_eq!((error.exit_code(), fault.rule), (3, "QT-GROUP"), "{id}");
        assert!(fault.to_lines().contains(&format!("found:  {group}")), "{id}: {}", fault.to_lines());
        assert!(fault.file.is_some() && fault.tensor.is_some() && fault.byte.is_some(), "{id}");
    }
}

#[test]
fn scales_of_zero_and_of_nothing_are_values_like_others() {
    let folder = Folder::new();
    folder.write("model.safetensors", zeros(&GPTQ));
    let model = checkpoint::open(&folder.path().to_string_lossy(), &Limits::default()).expect("a model");
    assert!(crate::values(&model, 0).iter().all(|value| *value == 0.0));
    // a scale that is not a number gives values that are none: they are counted, and end with exit code 4
    let mut bytes = zeros(&FP8);
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = Folder::new();
    folder.write("model.safetensors", bytes);
    let model = checkpoint::open(&folder.path().to_string_lossy(), &Limits::default()).expect("a model");
    assert!(crate::values(&model, 0).iter().all(|value| value.is_nan()));
}

#[test]
fn skipped_weights_end_with_exit_code_4_and_refused_ones_with_3() {
    let folder = Folder::new();
    let norm = tensor("model.norm.weight", "F32", "[4]", 0, 16);
    folder.write("plain/model.safetensors", file(format!("{{{norm}}}"), 16));
    folder.write("skipped/model.safetensors", zeros(&but(&GPTQ, "qzeros", None)));
    let mut damaged = zeros(&GPTQ);
    let last = damaged.len() - 4;
    damaged[last..].copy_from_slice(&9_i32.to_le_bytes());
    folder.write("damaged/model.safetensors", damaged);
    let code = |left: &str, right: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cognate"));
        let ended = command
            .arg("compare")
            .args([folder.at(left), folder.at(right)])
            .args(["--backend", "cpu"])
            .output();
        ended.expect("it runs").status.code()
    };
    assert_eq!(code("skipped", "plain"), Some(4));
    assert_eq!(code("damaged", "damaged"), Some(3));
}
