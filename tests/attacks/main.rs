//! Eighteen transforms of naming.md's table: they keep the function that they promise to keep, and no verdict flips.

#[path = "../lineage/drawn.rs"]
mod drawn;
mod forward;
#[path = "../lineage/stored.rs"]
mod stored;

use std::path::{Path, PathBuf};

use cognate::checkpoint::{self, Checkpoint, Limits};
use cognate::transforms::{self, Change, Function, Model, VARIANTS, Variant};

fn opened(folder: &Path) -> Checkpoint {
    let path = folder.to_str().expect("UTF-8");
    checkpoint::open(path, &Limits::default()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn in_memory(folder: &Path) -> Model {
    transforms::read(&opened(folder)).unwrap_or_else(|error| panic!("{error}"))
}

fn zoo(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo").join(model)
}

/// The trained models that the oracle can run, and drawn ones of other families.
fn models_with_a_forward_pass(folder: &Path) -> Vec<(&'static str, Model)> {
    let mut models = vec![("base", in_memory(&zoo("base")))];
    for layout in drawn::LAYOUTS.iter().take(3) {
        let path = folder.join(layout.name);
        drawn::draw(layout, 5, 0.0).write(&path);
        models.push((layout.name, in_memory(&path)));
    }
    models
}

/// Changes whose result the tables can read again under the names that it is written in.
fn can_be_read_again(change: Change) -> bool {
    !matches!(change, Change::Renamed | Change::Nameless | Change::Split | Change::Transposed)
}

fn variant(name: &str) -> &'static Variant {
    VARIANTS.iter().find(|variant| variant.name == name).expect("a variant of this name")
}

#[test]
fn eighteen_transforms_are_there() {
    let mut codes: Vec<&str> = VARIANTS.iter().map(|variant| variant.code).collect();
    codes.dedup();
    let wanted: Vec<String> = (1..=18).map(|number| format!("T{number}")).collect();
    assert_eq!(codes, wanted);
    let mut names: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), VARIANTS.len(), "names are folders of --keep");
}

#[test]
fn a_transform_that_keeps_the_function_keeps_every_logit() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    let mut n_checked = 0;
    for (name, model) in models_with_a_forward_pass(folder.path()) {
        let ids = forward::sentence(200, 12);
        let before = forward::logits(&model, &ids);
        // tables of other token order, or longer ones, are compared through the tokenizer elsewhere
        let keeps = |v: &&Variant| v.function == Function::Kept && v.code != "T11";
        for variant in VARIANTS.iter().filter(keeps) {
            let Ok(done) = transforms::apply(variant, &model, &[], 3) else { continue };
            // f64 all the way: about 10³ roundings of 1e-16 lie between weights and logits; a wrong order gives about 1
            let error = forward::relative_error(&before, &forward::logits(&done.model, &ids));
            if error > 1e-10 {
                wrong.push(format!("{name}, {}: {error:.1e}", variant.name));
            }
            n_checked += 1;
            if can_be_read_again(variant.change) {
                let path = folder.path().join(format!("{name}-{}", variant.name));
                let mut wide = done.model;
                wide.stored.iter_mut().for_each(|tensor| tensor.dtype = cognate::tensor::Dtype::F32);
                transforms::write(&wide, &path).expect("written");
                let again = forward::logits(&in_memory(&path), &ids);
                // each weight is rounded to 24 bits, and some thirty matrices lie on the way: 30 · 2⁻²⁴ = 2e-6, doubled
                let error = forward::relative_error(&before, &again);
                if error > 4e-6 {
                    wrong.push(format!("{name}, {}, written and read: {error:.1e}", variant.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(n_checked >= 4 * 9, "{n_checked} transforms were checked");
}
