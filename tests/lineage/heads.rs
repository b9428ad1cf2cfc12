//! Attention heads in another order, inner basis or residual basis, and models that hold a part of another.

use std::path::PathBuf;

use cognate::checkpoint::{self, Limits};
use cognate::compare::{Comparison, Effort, WeightsVerdict};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;
use cognate::transforms::{self, VARIANTS};

use crate::stored::Model;
use crate::{compared, compared_on, is_accusation, verdict, zoo};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    /// The base model of the zoo after these transforms.
    fn transformed(&self, names: &[&str]) -> PathBuf {
        let base = checkpoint::open(zoo("base").to_str().expect("UTF-8"), &Limits::default()).expect("opens");
        let mut model = transforms::read(&base).expect("fits");
        for name in names {
            let variant = VARIANTS.iter().find(|variant| variant.name == *name).expect("a transform");
            model = transforms::apply(variant, &model, &[], 7).expect("applies").model;
        }
        let path = self.0.path().join(names.join("+"));
        transforms::write(&model, &path).expect("written");
        path
    }

    /// Tensors of the base model where `is_of_base` says so, else of another model of its config.
    fn mixed(&self, name: &str, is_of_base: &dyn Fn(&str) -> bool) -> PathBuf {
        let (base, mut mixed) = (Model::read(&zoo("base")), Model::read(&zoo("base")));
        let mut other = Model::read(&zoo("independent-yinames"));
        for (name, stored) in &mut mixed.tensors {
            if is_of_base(name) {
                stored.clone_from(&base.tensors[name]);
            } else {
                let theirs =
                    name.replace("input_layernorm", "ln1").replace("post_attention_layernorm", "ln2");
                *stored = other.tensors.remove(&theirs).expect("the same network");
            }
        }
        let path = self.0.path().join(name);
        mixed.write(&path);
        std::fs::copy(zoo("base").join("tokenizer.json"), path.join("tokenizer.json")).expect("copied");
        path
    }
}

fn relations(found: &Comparison) -> Vec<&str> {
    found.weights.relations.iter().map(|relation| relation.kind.as_str()).collect()
}

fn inherited(found: &Comparison, component: &str) -> f64 {
    let of_component = found.weights.inherited_by_component.iter().find(|(name, _)| name == component);
    of_component.expect("compared").1
}

#[test]
fn heads_in_another_order_or_basis_are_found_and_named() {
    let folder = Folder::new();
    for (names, wanted) in [
        (&["heads-permuted"][..], &["heads-permuted"][..]),
        (&["heads-rotated"], &["heads-rotated"]),
        (&["heads-permuted", "heads-rotated"], &["heads-permuted", "heads-rotated"]),
        (&["residual-permuted", "heads-permuted"], &["heads-permuted", "residual-permuted"]),
        (&["residual-rotated", "heads-rotated"], &["heads-rotated", "residual-rotated"]),
    ] {
        let path = folder.transformed(names);
        let found = compared(&zoo("base"), &path);
        assert_eq!(verdict(&found), WeightsVerdict::Derived, "{names:?}: {:?}", found.weights.reasons);
        assert!(found.weights.decided_by.iter().any(|name| name == "heads"), "{names:?}");
        assert_eq!(relations(&found), wanted, "{names:?}");
        // what is rounded to bf16 after a rotation differs by 2⁻⁹ an element, and squares of cosines by less
        assert!(
            inherited(&found, "attention") > 0.99,
            "{names:?}: {:?}",
            found.weights.inherited_by_component
        );
        let stranger = compared(&zoo("independent-yinames"), &path);
        assert!(!is_accusation(verdict(&stranger)), "{names:?}: {:?}", stranger.weights.reasons);
        assert!(!stranger.weights.evidence.iter().any(|found| found.statistic == "heads" && found.is_for));
    }
}

#[test]
fn attention_that_moved_alone_is_found_where_it_is_all_that_is_shared() {
    let folder = Folder::new();
    // attention of the base model, its heads in another order, under token tables and MLPs of another model
    let moved = Model::read(&folder.transformed(&["heads-permuted"]));
    let path = folder.mixed("attention", &|_| false);
    let mut mixed = Model::read(&path);
    for (name, stored) in &mut mixed.tensors {
        if name.contains("self_attn") {
            stored.clone_from(&moved.tensors[name]);
        }
    }
    mixed.write(&path);
    let found = compared(&zoo("base"), &path);
    assert_eq!(verdict(&found), WeightsVerdict::PartlyDerived, "{:?}", found.weights.reasons);
    assert!(relations(&found).contains(&"heads-permuted"), "{:?}", found.weights.relations);
    assert!(inherited(&found, "attention") > 0.99 && inherited(&found, "mlp") < 0.05);
}

#[test]
fn parts_of_another_model_are_named_as_parts() {
    let folder = Folder::new();
    let is_block = |name: &str| name.contains(".layers.");
    for (what, is_of_base, own) in [
        (
            "attention",
            &(|name: &str| name.contains("self_attn")) as &dyn Fn(&str) -> bool,
            "embeddings and mlp",
        ),
        ("mlp", &|name: &str| name.contains(".mlp."), "embeddings and attention"),
        ("block", &is_block, "embeddings"),
    ] {
        let path = folder.mixed(what, is_of_base);
        let found = compared(&zoo("base"), &path);
        assert_eq!(verdict(&found), WeightsVerdict::PartlyDerived, "{what}: {:?}", found.weights.reasons);
        let says = format!("nothing is shared in {own},");
        assert!(
            found.weights.reasons.iter().any(|reason| reason.contains(&says)),
            "{what}: {:?}",
            found.weights.reasons
        );
        // nothing was looked for elsewhere
        let quick = compared_on(&Backend::Cpu(Cpu::detect()), &zoo("base"), &path, Effort::Quick);
        assert_ne!(verdict(&quick), WeightsVerdict::PartlyDerived, "{what}");
    }
    // half of the layers are a part of every component
    let half = folder.mixed("layers", &|name| name.contains(".layers.0.") || name.contains(".layers.1."));
    let found = compared(&zoo("base"), &half);
    assert_eq!(relations(&found), ["replaced"], "{:?}", found.weights.reasons);
}
