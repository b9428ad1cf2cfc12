//! A zoo model in every form, against its source, its fine-tune and an independent twin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cognate::compare::{self, Comparison, Effort, Options, WeightsVerdict};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;

use crate::hostile::Folder;
use crate::packers::{self, Parts, Stored};
use crate::{open, values};

type Packer = fn(&[f32], usize, usize) -> Parts;

const FORMS: [(&str, Packer); 7] = [
    ("gptq int4", packers::gptq),
    ("awq int4", packers::awq),
    ("packed int4", packers::compressed),
    ("bitsandbytes int8", packers::int8),
    ("bitsandbytes nf4", packers::nf4),
    ("fp8 e4m3", packers::fp8),
    ("mxfp4", packers::mxfp4),
];

fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo").join(name)
}

/// The model with the matrices of its layers packed; 256 inputs of `down_proj` and 96 of the others.
fn quantised(name: &str, pack: Packer) -> Folder {
    let source = zoo(name);
    let model = open(&source);
    let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
    for (idx, tensor) in model.tensors.iter().enumerate() {
        let weight = values(&model, idx);
        match &tensor.shape[..] {
            [n_outs, n_ins] if tensor.name.contains(".layers.") => {
                let stem = tensor.name.strip_suffix(".weight").expect("a weight");
                let dims = [n_outs, n_ins].map(|dim| usize::try_from(*dim).expect("small"));
                for (part, stored) in pack(&weight, dims[0], dims[1]) {
                    let separator = if part.starts_with('_') { "" } else { "." };
                    tensors.insert(format!("{stem}{separator}{part}"), stored);
                }
            }
            shape => {
                let shape = shape.iter().map(|dim| usize::try_from(*dim).expect("small")).collect();
                let bytes = weight.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.insert(tensor.name.clone(), ("F32", shape, bytes));
            }
        }
    }
    let folder = Folder::new();
    folder.write("model.safetensors", packers::file(&tensors));
    for beside in ["config.json", "tokenizer.json"] {
        folder.write(beside, std::fs::read(source.join(beside)).expect("a file of the zoo"));
    }
    folder
}

fn compared(left: &Path, right: &Path) -> Comparison {
    let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
    let backend = Backend::Cpu(Cpu::detect());
    compare::compare(&backend, &open(left), &open(right), &options, &|_| ()).expect("a comparison")
}

#[test]
fn a_copy_in_any_form_is_requantised_and_its_grid_is_named() {
    for (form, pack) in FORMS {
        let copy = quantised("base", pack);
        let found = compared(&zoo("base"), copy.path());
        assert_eq!(
            found.weights.verdict,
            Some(WeightsVerdict::Requantised),
            "{form}: {:?}",
            found.weights.reasons
        );
        let relation = found.weights.relations.iter().find(|relation| relation.kind == "quantised-copy");
        assert!(relation.is_some_and(|relation| relation.detail.contains(form)), "{form}: {relation:?}");
        assert!(found.not_tested.is_empty(), "{form}: {:?}", found.not_tested);
    }
}

#[test]
fn a_fine_tune_in_any_form_is_derived_and_not_a_copy() {
    for (form, pack) in FORMS {
        let found = compared(&zoo("base"), quantised("finetune", pack).path());
        assert_eq!(
            found.weights.verdict,
            Some(WeightsVerdict::Derived),
            "{form}: {:?}",
            found.weights.reasons
        );
    }
}

#[test]
fn an_independent_model_in_any_form_is_no_evidence() {
    for (form, pack) in FORMS {
        let found = compared(&zoo("independent-yinames"), quantised("base", pack).path());
        assert_eq!(
            found.weights.verdict,
            Some(WeightsVerdict::NoEvidence),
            "{form}: {:?}",
            found.weights.reasons
        );
    }
}
