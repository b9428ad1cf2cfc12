//! Damaged and hostile adapters: refused with exit code 3, each with its message.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cognate::checkpoint::{self, Limits};

use crate::hostile::Folder;
use crate::packers::{self, Stored};

/// Deterministic values around 0.
fn noise(n: usize, scale: f32) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (f32::from(u16::try_from(state >> 48).expect("16 bits")) / 32768.0 - 1.0) * scale
        })
        .collect()
}

fn factor(shape: [usize; 2], scale: f32) -> Stored {
    let values = noise(shape[0] * shape[1], scale);
    ("F32", shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// An adapter over `up_proj` of the four layers of the zoo's base, [256, 96].
pub(crate) fn zoo_adapter(folder: &Folder, rank: usize, scale: f32) -> PathBuf {
    let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
    for layer in 0..4 {
        let stem = format!("base_model.model.model.layers.{layer}.mlp.up_proj");
        tensors.insert(format!("{stem}.lora_A.weight"), factor([rank, 96], scale));
        tensors.insert(format!("{stem}.lora_B.weight"), factor([256, rank], scale));
    }
    folder.write("adapter_model.safetensors", packers::file(&tensors));
    let config = format!(r#"{{"peft_type":"LORA","r":{rank},"lora_alpha":{rank}}}"#);
    folder.write("adapter_config.json", config);
    folder.path().to_owned()
}

/// One change to a good adapter over `q_proj` [16, 16] of the reference base, and the refusal that must follow.
fn refused(id: &str, config: &str, tensors: &[(&str, [usize; 2])], rule: &str, fragment: &str) {
    let folder = Folder::new();
    let named = |(part, shape): &(&str, [usize; 2])| {
        (format!("base_model.model.model.layers.0.{part}"), factor(*shape, 0.1))
    };
    let tensors: BTreeMap<String, Stored> = tensors.iter().map(named).collect();
    folder.write("adapter_model.safetensors", packers::file(&tensors));
    folder.write("adapter_config.json", config);
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/adapters/llama-base");
    let opened = checkpoint::open_over(
        &folder.path().to_string_lossy(),
        base.to_str(),
        &Limits::default(),
        cognate::roles::counterparts,
    );
    let error = opened.expect_err(id);
    let (fault, lines) = (error.fault(), error.fault().to_lines());
    assert_eq!((error.exit_code(), fault.rule), (3, rule), "{id}\n{lines}");
    assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
    assert!(fault.file.is_some() && lines.lines().count() <= 4, "{id}\n{lines}");
}

const A: (&str, [usize; 2]) = ("self_attn.q_proj.lora_A.weight", [2, 16]);
const B: (&str, [usize; 2]) = ("self_attn.q_proj.lora_B.weight", [16, 2]);
const GOOD: &str = r#"{"peft_type":"LORA","r":2,"lora_alpha":4}"#;

/// Id, config, tensors and their shapes, rule, words of the message.
type Row = (&'static str, String, Vec<(&'static str, [usize; 2])>, &'static str, &'static str);

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let config = |more: &str| format!(r#"{{"peft_type":"LORA","r":2,"lora_alpha":4{more}}}"#);
    let plain = |text: &str| text.to_owned();
    let rows: Vec<Row> = vec![
        ("AD01", plain("{"), vec![A, B], "AD-CONFIG", "adapter_config.json is not read"),
        ("AD02", plain("[]"), vec![A, B], "AD-CONFIG", "adapter_config.json is not read"),
        ("AD03", plain(r#"{"r":2,"lora_alpha":4}"#), vec![A, B], "AD-CONFIG", "wanted: LORA"),
        (
            "AD04",
            plain(r#"{"peft_type":"LOHA","r":2,"lora_alpha":4}"#),
            vec![A, B],
            "AD-CONFIG",
            "'LOHA' are not read",
        ),
        (
            "AD05",
            plain(r#"{"peft_type":"LORA","r":2,"lora_alpha":NaN}"#),
            vec![A, B],
            "AD-CONFIG",
            "not read",
        ),
        ("AD06", plain(r#"{"peft_type":"LORA","r":2,"lora_alpha":1e999}"#), vec![A, B], "AD-CONFIG", ""),
        (
            "AD07",
            plain(r#"{"peft_type":"LORA","r":0,"lora_alpha":4}"#),
            vec![A, B],
            "AD-CONFIG",
            "a rank of 0",
        ),
        ("AD08", plain(r#"{"peft_type":"LORA","r":-2,"lora_alpha":4}"#), vec![A, B], "AD-CONFIG", "not read"),
        ("AD09", plain(r#"{"peft_type":"LORA","r":2}"#), vec![A, B], "AD-CONFIG", "no rank or no alpha"),
        ("AD10", config(r#","r":2"#), vec![A, B], "AD-CONFIG", "duplicate field"),
        ("AD11", config(r#","rank_pattern":{"q_proj":0}"#), vec![A, B], "AD-CONFIG", "a rank of 0"),
        (
            "AD12",
            config(r#","rank_pattern":{"(a+)+$":2}"#),
            vec![A, B],
            "AD-CONFIG",
            "patterns are never compiled",
        ),
        ("AD13", config(r#","layer_replication":[[0,1]]"#), vec![A, B], "AD-CONFIG", "repeat layers"),
        ("AD14", config(r#","rank_pattern":{"q_proj":3}"#), vec![A, B], "AD-FORM", "wanted: rank 3"),
        ("AD15", plain(GOOD), vec![A], "AD-FORM", "one of the two factors of this module is missing"),
        ("AD16", plain(GOOD), vec![B], "AD-FORM", "one of the two factors of this module is missing"),
        ("AD17", plain(GOOD), vec![(A.0, [3, 16]), B], "AD-FORM", "A has rank 3, B 2"),
        ("AD18", plain(GOOD), vec![(A.0, [3, 16]), (B.0, [16, 3])], "AD-FORM", "A has rank 3, B 3"),
        ("AD19", plain(GOOD), vec![(A.0, [2, 15]), B], "AD-FORM", "factors for [16, 15]"),
        ("AD20", plain(GOOD), vec![A, (B.0, [17, 2])], "AD-FORM", "factors for [17, 16]"),
        ("AD21", plain(GOOD), vec![A, ("self_attn.q_proj.lora_B.bias", [16, 1])], "AD-FORM", "a bias inside"),
        (
            "AD22",
            plain(GOOD),
            vec![A, B, ("self_attn.q_proj.lora_C.weight", [16, 2])],
            "AD-FORM",
            "not known",
        ),
        (
            "AD23",
            plain(GOOD),
            vec![A, ("self_attn.q_proj.lora_A.default.weight", [2, 16])],
            "AD-FORM",
            "two factors of one kind",
        ),
        ("AD24", plain(GOOD), vec![("self_attn.q_proj.weight", [16, 16])], "AD-EMPTY", "no factors"),
        (
            "AD25",
            plain(GOOD),
            vec![("mlp.nowhere.lora_A.weight", [2, 16]), ("mlp.nowhere.lora_B.weight", [16, 2])],
            "AD-MODULE",
            "which the base does not hold",
        ),
        (
            "AD26",
            plain(GOOD),
            vec![A, B, ("self_attn.q_proj.lora_magnitude_vector.weight", [15, 1])],
            "AD-FORM",
            "magnitudes are not one an output",
        ),
        (
            "AD27",
            plain(r#"{"peft_type":"LORA","r":2000,"lora_alpha":4}"#),
            vec![(A.0, [2000, 16]), (B.0, [16, 2000])],
            "AD-FORM",
            "wanted: 1 to 1024",
        ),
    ];
    for (id, config, tensors, rule, fragment) in rows {
        refused(id, &config, &tensors, rule, fragment);
    }
}
