//! Adapters against what PEFT merges (scripts/reference_values_adapters.py).

use std::collections::BTreeMap;
use std::path::Path;

use cognate::checkpoint::{self, Checkpoint, Limits};
use cognate::compare::{self, Comparison, Effort, Options, WeightsVerdict};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;

use crate::{index, open, packers, reference, values};

const ADAPTERS: [(&str, &str); 7] = [
    ("lora", "llama-base"),
    ("rslora", "llama-base"),
    ("dora", "llama-base"),
    ("patterns", "llama-base"),
    ("saved", "llama-base"),
    ("conv1d", "gpt2-base"),
    ("conv1d-dora", "gpt2-base"),
];

fn over(adapter: &Path, base: Option<&Path>) -> Checkpoint {
    let base = base.map(Path::to_string_lossy);
    checkpoint::open_over(
        &adapter.to_string_lossy(),
        base.as_deref(),
        &Limits::default(),
        cognate::roles::counterparts,
    )
    .expect("an adapter")
}

fn compared(left: &Checkpoint, right: &Checkpoint) -> Comparison {
    let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
    compare::compare(&Backend::Cpu(Cpu::detect()), left, right, &options, &|_| ()).expect("a comparison")
}

#[test]
fn an_adapter_over_its_base_is_what_peft_merges() {
    for (name, base) in ADAPTERS {
        let folder = reference("adapters").join(name);
        let base_folder = reference("adapters").join(base);
        let (base, adapted) = (open(&base_folder), over(&folder, Some(&base_folder)));
        let merged = open(&reference("adapters").join(format!("{name}.merged.safetensors")));
        assert_eq!(adapted.tensors.len(), base.tensors.len(), "{name}");
        for (idx, tensor) in adapted.tensors.iter().enumerate() {
            let found = values(&adapted, idx);
            let Some(at) = merged.tensors.iter().position(|other| other.name == tensor.name) else {
                assert_eq!(found, values(&base, index(&base, &tensor.name)), "{name}: {}", tensor.name);
                continue;
            };
            // Sums of rank + 1 ≤ 5 products in f32, in another order than torch's, of values up to 1; with magnitudes a square
            // root and a division more: (5 + 3) · 2⁻²⁴ of the largest value.
            let expected = values(&merged, at);
            let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let bound = 8.0 * 2.0_f32.powi(-24) * largest.max(1.0);
                assert!((found - expected).abs() <= bound, "{name}, {}: {found} and {expected}", tensor.name);
            }
            assert_ne!(found, values(&base, index(&base, &tensor.name)), "{name}: {}", tensor.name);
        }
        // any part is that part of the whole
        let source = adapted.tensors.iter().find_map(|tensor| tensor.encoding.as_ref()).expect("a change");
        let size = usize::try_from(source.elements.size_bytes()).expect("small");
        let mut whole = vec![0; size];
        source.elements.read_at(0, &mut whole).expect("a read");
        for start in (0..size - 71).step_by(37) {
            let mut part = [0; 71];
            source.elements.read_at(start as u64, &mut part).expect("a read");
            assert_eq!(part[..], whole[start..start + 71], "{name} from {start}");
        }
    }
}

#[test]
fn the_relation_names_the_adapter() {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo/base");
    let folder = crate::hostile::Folder::new();
    let adapter = crate::hostile_adapters::zoo_adapter(&folder, 8, 0.02);
    let found = compared(&over(&adapter, Some(&zoo)), &open(&zoo));
    assert_eq!(found.weights.verdict, Some(WeightsVerdict::Derived), "{:?}", found.weights.reasons);
    let lora = found.weights.relations.iter().find(|relation| relation.kind == "lora").expect("a relation");
    // the rank that was measured, and what the files say
    assert_eq!(
        lora.detail,
        "rank 8 in 4 changed matrices: up; layers 0 to 3; left model: lora, rank 8, 4 matrices"
    );
}

#[test]
fn without_a_base_the_changes_are_compared_and_nothing_is_concluded() {
    let folder = reference("adapters").join("lora");
    let alone = over(&folder, None);
    assert!(alone.notes.iter().any(|note| note.rule == "AD-BASE"), "{:?}", alone.notes);
    let base = reference("adapters").join("llama-base");
    let adapted = over(&folder, Some(&base));
    let (base, name) = (open(&base), "model.layers.0.self_attn.q_proj.weight");
    let under = values(&base, index(&base, name));
    let sum = values(&adapted, index(&adapted, name));
    let change = values(&alone, index(&alone, name));
    for ((under, change), sum) in under.iter().zip(&change).zip(&sum) {
        // one addition
        assert!((under + change - sum).abs() <= 2.0_f32.powi(-23) * sum.abs().max(1.0));
    }
    let other = over(&reference("adapters").join("patterns"), None);
    let found = compared(&alone, &other);
    assert_eq!(found.weights.verdict, Some(WeightsVerdict::Inconclusive), "{:?}", found.weights.reasons);
    let itself = compared(&alone, &over(&folder, None));
    assert_eq!(itself.weights.verdict, Some(WeightsVerdict::Identical), "{:?}", itself.weights.reasons);
    let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
    let failed = compare::compare(&Backend::Cpu(Cpu::detect()), &alone, &base, &options, &|_| ());
    assert!(failed.expect_err("changes are no weights").to_string().contains("--base"));
}

/// The changed matrices of an adapted model as a tool would merge them: formed in f64, rounded once.
fn merged(base: &Checkpoint, adapted: &Checkpoint, factors: &Checkpoint, scale: f64) -> Vec<u8> {
    let tensors = adapted.tensors.iter().enumerate().map(|(idx, tensor)| {
        let mut sum: Vec<f32> = values(adapted, idx);
        if tensor.encoding.is_some() {
            let of = |part: &str| {
                let stem = tensor.name.strip_suffix(".weight").expect("a matrix");
                let name = format!("base_model.model.{stem}.lora_{part}.weight");
                values(factors, index(factors, &name))
            };
            let (a, b, under) = (of("A"), of("B"), values(base, index(base, &tensor.name)));
            let (n_outs, n_ins) = (tensor.shape[0] as usize, tensor.shape[1] as usize);
            let rank = a.len() / n_ins;
            for (at, value) in sum.iter_mut().enumerate() {
                let (row, col) = (at / n_ins, at % n_ins);
                let change = |k: usize| f64::from(b[row * rank + k]) * f64::from(a[k * n_ins + col]);
                let change: f64 = (0..rank).map(change).sum();
                *value = (f64::from(under[at]) + scale * change) as f32;
            }
            assert_eq!(sum.len(), n_outs * n_ins);
        }
        let bytes: Vec<u8> = sum.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = tensor.shape.iter().map(|dim| *dim as usize).collect();
        (tensor.name.clone(), ("F32", shape, bytes))
    });
    packers::file(&tensors.collect())
}

#[test]
fn an_adapter_over_its_base_is_no_cast_of_the_merged_model() {
    let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo/base");
    let folder = crate::hostile::Folder::new();
    let adapter = crate::hostile_adapters::zoo_adapter(&folder, 8, 0.02);
    let (base, adapted, factors) = (open(&zoo), over(&adapter, Some(&zoo)), over(&adapter, None));
    let stored = open(&folder.at("adapter_model.safetensors"));
    assert_eq!(factors.tensors.len(), 4);
    let out = crate::hostile::Folder::new();
    out.write("model.safetensors", merged(&base, &adapted, &stored, 1.0));
    let found = compared(&adapted, &open(out.path()));
    let weights = &found.weights;
    assert_eq!(weights.verdict, Some(WeightsVerdict::Derived), "{:?}", weights.reasons);
    let kinds: Vec<&str> = weights.relations.iter().map(|relation| relation.kind.as_str()).collect();
    assert_eq!(kinds, ["lora"], "{:?}", weights.relations);
    let says = "the matrices that changed differ by no more than the rounding of F32";
    assert!(weights.reasons.iter().any(|reason| reason.contains(says)), "{:?}", weights.reasons);
}

#[test]
fn an_adapter_finds_the_matrices_of_its_base_under_other_names_of_the_family() {
    let (layers, hidden, width) = (2, 32, 48);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut drawn = |shape: &[usize]| -> packers::Stored {
        let bytes = (0..shape.iter().product::<usize>()).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (f32::from(u16::try_from(state >> 48).expect("16 bits")) / 65536.0 - 0.5).to_le_bytes()
        });
        ("F32", shape.to_vec(), bytes.collect())
    };
    let mut base = BTreeMap::new();
    for (name, shape) in [
        ("vit.embeddings.cls_token", &[1, 1, hidden][..]),
        ("vit.embeddings.position_embeddings", &[1, 17, hidden]),
        ("vit.embeddings.patch_embeddings.projection.weight", &[hidden, 3, 4, 4]),
        ("vit.layernorm.weight", &[hidden]),
    ] {
        base.insert(name.to_owned(), drawn(shape));
    }
    let mut factors = BTreeMap::new();
    for layer in 0..layers {
        for (part, shape) in [
            ("attention.attention.query", [hidden, hidden]),
            ("attention.attention.key", [hidden, hidden]),
            ("attention.attention.value", [hidden, hidden]),
            ("attention.output.dense", [hidden, hidden]),
            ("intermediate.dense", [width, hidden]),
            ("output.dense", [hidden, width]),
        ] {
            base.insert(format!("vit.encoder.layer.{layer}.{part}.weight"), drawn(&shape));
        }
        // as transformers 5 calls them in memory, whatever it writes
        for (part, n_outs, n_ins) in [("attention.q_proj", hidden, hidden), ("mlp.fc2", hidden, width)] {
            let stem = format!("base_model.model.vit.layers.{layer}.{part}");
            factors.insert(format!("{stem}.lora_A.weight"), drawn(&[4, n_ins]));
            factors.insert(format!("{stem}.lora_B.weight"), drawn(&[n_outs, 4]));
        }
    }
    let (base_folder, folder) = (crate::hostile::Folder::new(), crate::hostile::Folder::new());
    base_folder.write("model.safetensors", packers::file(&base));
    folder.write("adapter_model.safetensors", packers::file(&factors));
    folder.write("adapter_config.json", r#"{"peft_type":"LORA","r":4,"lora_alpha":4}"#);
    let adapted = over(folder.path(), Some(base_folder.path()));
    let changed: Vec<&str> = adapted
        .tensors
        .iter()
        .filter(|tensor| tensor.encoding.is_some())
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert_eq!(
        changed,
        [
            "vit.encoder.layer.0.attention.attention.query.weight",
            "vit.encoder.layer.0.output.dense.weight",
            "vit.encoder.layer.1.attention.attention.query.weight",
            "vit.encoder.layer.1.output.dense.weight",
        ]
    );
    // a module that no name of the family means is still refused
    let strange = crate::hostile::Folder::new();
    let renamed = factors.iter().map(|(name, stored)| (name.replace("q_proj", "r_proj"), stored.clone()));
    strange.write("adapter_model.safetensors", packers::file(&renamed.collect()));
    strange.write("adapter_config.json", r#"{"peft_type":"LORA","r":4,"lora_alpha":4}"#);
    let base = base_folder.path().to_string_lossy().into_owned();
    let error = checkpoint::open_over(
        &strange.path().to_string_lossy(),
        Some(&base),
        &Limits::default(),
        cognate::roles::counterparts,
    )
    .expect_err("no such module");
    assert_eq!(error.fault().rule, "AD-MODULE");
}
