//! `convert-weights`: what it writes is the model, and nothing is left behind when it fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cognate::checkpoint::{self, Limits};
use cognate::tensor::Dtype;

use crate::fixtures::{Fixture, fixtures};
use crate::hostile::Folder;
use crate::packers;
use crate::{open, reference, values};

fn cognate(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cognate")).args(words).output().expect("it runs")
}

fn convert(model: &Path, out: &Path, more: &[&str]) -> Output {
    let paths = [model.to_str().expect("UTF-8"), out.to_str().expect("UTF-8")];
    cognate(&[&["convert-weights"], &paths[..], more].concat())
}

fn verdict(left: &Path, right: &Path) -> String {
    let paths = [left.to_str().expect("UTF-8"), right.to_str().expect("UTF-8")];
    let out = cognate(&["compare", paths[0], paths[1], "-q", "--backend", "cpu"]);
    String::from_utf8(out.stdout).expect("UTF-8").trim().to_owned()
}

fn zoo(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo").join(name)
}

#[test]
fn what_is_written_compares_as_identical_or_as_a_cast() {
    let folder = Folder::new();
    for (name, more, weights) in [
        ("base", &[][..], "identical"),
        ("base", &["--dtype", "f32"][..], "identical"),
        ("int4", &["--dtype", "bf16"][..], "requantised"),
        ("independent-yinames", &[][..], "identical"),
    ] {
        let out = folder.at("out.safetensors");
        let ended = convert(&zoo(name), &out, more);
        assert_eq!(ended.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
        let found = verdict(&zoo(name), &out);
        assert!(found.ends_with(weights), "{name} {more:?}: {found}");
    }
    // Yi's names became Llama's
    let names = |path: &Path| open(path).tensors.into_iter().map(|tensor| tensor.name).collect::<Vec<_>>();
    assert!(
        names(&folder.at("out.safetensors")).contains(&"model.layers.0.input_layernorm.weight".to_owned())
    );
}

#[test]
fn every_form_is_written_as_it_is_read() {
    let folder = Folder::new();
    for form in ["gptq4-act", "awq", "nf4-nested", "fp8-block", "nvfp4"] {
        let (model, out) = (reference("quantised").join(form), folder.at("out.safetensors"));
        let ended = convert(&model, &out, &[]);
        assert_eq!(ended.status.code(), Some(0), "{form}: {}", String::from_utf8_lossy(&ended.stderr));
        let (before, after) = (open(&model), open(&out));
        assert_eq!(values(&before, 0), values(&after, 0), "{form}");
        let text = std::fs::read(&out).expect("a file");
        assert!(String::from_utf8_lossy(&text).contains("decoded from"), "{form}: the change is named");
    }
}

#[test]
fn fused_and_transposed_tensors_are_cut_and_turned() {
    let folder = Folder::new();
    let (model, out) = (reference("adapters").join("gpt2-base"), folder.at("out.safetensors"));
    let ended = convert(&model, &out, &[]);
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let (before, after) = (open(&model), open(&out));
    // c_attn is [in, q k v]: column 16 + j of its row i is row j, column i of k
    let fused = values(&before, crate::index(&before, "transformer.h.0.attn.c_attn.weight"));
    let k = values(&after, crate::index(&after, "model.layers.0.self_attn.k_proj.weight"));
    for (i, j) in [(0, 0), (3, 5), (15, 15), (7, 0)] {
        assert_eq!(k[j * 16 + i], fused[i * 48 + 16 + j], "({i}, {j})");
    }
    assert!(verdict(&model, &out).ends_with("identical"), "{}", verdict(&model, &out));
}

#[test]
fn an_adapter_is_written_merged() {
    let folder = Folder::new();
    let (adapter, base) = (reference("adapters").join("lora"), reference("adapters").join("llama-base"));
    let out = folder.at("merged.safetensors");
    let ended = convert(&adapter, &out, &["--base", base.to_str().expect("UTF-8")]);
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let adapted = checkpoint::open_over(
        &adapter.to_string_lossy(),
        base.to_str(),
        &Limits::default(),
        cognate::roles::counterparts,
    )
    .expect("an adapter");
    let after = open(&out);
    for (idx, tensor) in adapted.tensors.iter().enumerate() {
        assert_eq!(
            values(&adapted, idx),
            values(&after, crate::index(&after, &tensor.name)),
            "{}",
            tensor.name
        );
    }
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let folder = Folder::new();
    let model = folder.at("model");
    std::fs::create_dir(&model).expect("a folder");
    std::fs::copy(zoo("base").join("model.safetensors"), model.join("model.safetensors")).expect("copied");
    folder
        .write("packed/model.safetensors", crate::hostile::tensors(&["model.layers.0.mlp.up_proj.qweight"]));
    std::fs::write(folder.at("old.safetensors"), "old").expect("written");
    for (what, out, code) in [
        ("model", "model/model.safetensors", 2),
        ("model", "model/new.safetensors", 2),
        ("model/model.safetensors", "model/model.safetensors", 2),
        ("model", "nowhere/new.safetensors", 3),
        ("model", "model", 2),
        ("packed", "old.safetensors", 4),
        ("missing", "old.safetensors", 3),
    ] {
        let ended = convert(&folder.at(what), &folder.at(out), &[]);
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{what} to {out}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    if Path::new("/dev/full").exists() {
        let ended = convert(&model, Path::new("/dev/full"), &[]);
        assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(String::from_utf8_lossy(&ended.stderr).contains("/dev/full"));
    }
    assert_eq!(std::fs::read(folder.at("old.safetensors")).expect("there"), b"old");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .chain(std::fs::read_dir(&model).expect("a folder"))
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A folder with a model of random weights in the names and shapes of a family, and the config that the family has.
fn drawn(folder: &Folder, name: &str, fixture: &Fixture) -> PathBuf {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut value = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from(u16::try_from(state >> 48).expect("16 bits")) / 65536.0 - 0.5
    };
    let tensors: BTreeMap<String, packers::Stored> = fixture
        .tensors
        .iter()
        .map(|(name, shape, dtype, _)| {
            let n: u64 = shape.iter().product();
            let bytes: Vec<u8> = match dtype {
                Dtype::F32 => (0..n).flat_map(|_| value().to_le_bytes()).collect(),
                other => vec![0; usize::try_from(n * other.size_bits() / 8).expect("small")],
            };
            let shape = shape.iter().map(|dim| usize::try_from(*dim).expect("small")).collect();
            (name.clone(), (dtype.name(), shape, bytes))
        })
        .collect();
    folder.write(&format!("{name}/model.safetensors"), packers::file(&tensors));
    let config = &fixture.config;
    let facts = serde_json::json!({
        "model_type": config.model_type,
        "hidden_size": config.hidden_size,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "rotary_dim": config.rotary_dim,
    });
    folder.write(&format!("{name}/config.json"), facts.to_string());
    folder.at(name)
}

#[test]
fn a_model_of_any_family_is_the_same_network_and_identical_after_it_was_written() {
    let folder = Folder::new();
    let mut wrong = Vec::new();
    for (name, fixture) in fixtures() {
        let (model, out) = (drawn(&folder, &name, &fixture), folder.at("out.safetensors"));
        let ended = convert(&model, &out, &[]);
        assert_eq!(ended.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
        let found = verdict(&model, &out);
        if !matches!(found.as_str(), "same identical" | "same-renamed identical") {
            wrong.push(format!("{name}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
