//! Attention heads in another order, inner basis or residual basis, and models that hold a part of another.

use std::path::{Path, PathBuf};

use cognate::checkpoint::{self, Limits};
use cognate::compare::{Comparison, Effort, WeightsVerdict};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;
use cognate::numerics::Rng;
use cognate::transforms::{self, VARIANTS};

use crate::relations::{mixed, stranger};
use crate::stored::{Model, Stored};
use crate::{compared, compared_on, is_accusation, verdict, zoo};

/// Channels of a head of the models of `zoo/`.
const HEAD_ROWS: usize = 16;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    /// The base model of the zoo after these transforms.
    fn transformed(&self, names: &[&str]) -> PathBuf {
        self.transformed_from(&zoo("base"), names)
    }

    fn transformed_from(&self, model: &Path, names: &[&str]) -> PathBuf {
        let base = checkpoint::open(model.to_str().expect("UTF-8"), &Limits::default()).expect("opens");
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
fn query_heads_that_moved_over_keys_and_values_in_place_are_found() {
    let folder = Folder::new();
    // the base model with one head of keys and values for all of its six query heads
    let mut single = Model::read(&zoo("base"));
    single.config = single
        .config
        .map(|config| config.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 1"));
    let of_head = |head: usize| head * HEAD_ROWS..(head + 1) * HEAD_ROWS;
    let first: Vec<usize> = of_head(0).collect();
    let moved: Vec<usize> = [3, 0, 1, 5, 2, 4].into_iter().flat_map(of_head).collect();
    for (name, stored) in &mut single.tensors {
        if name.ends_with("k_proj.weight") || name.ends_with("v_proj.weight") {
            *stored = stored.taken(0, &first);
        }
    }
    // in half of the layers: most attention matrices are in place
    let mut permuted = single.clone();
    for (name, stored) in &mut permuted.tensors {
        if !name.contains(".layers.0.") && !name.contains(".layers.1.") {
            continue;
        }
        if name.ends_with("q_proj.weight") {
            *stored = stored.taken(0, &moved);
        } else if name.ends_with("o_proj.weight") {
            *stored = stored.taken(1, &moved);
        }
    }
    let paths = [("single", &single), ("permuted", &permuted)].map(|(name, model)| {
        let path = folder.0.path().join(name);
        model.write(&path);
        std::fs::copy(zoo("base").join("tokenizer.json"), path.join("tokenizer.json")).expect("copied");
        path
    });
    let found = compared(&paths[0], &paths[1]);
    assert_eq!(relations(&found), ["heads-permuted"], "{:?}", found.weights.relations);
    assert!(inherited(&found, "attention") > 0.99, "{:?}", found.weights.inherited_by_component);
}

#[test]
fn value_channels_of_other_lengths_are_named_under_a_rotation() {
    let folder = Folder::new();
    let path = folder.transformed(&["residual-rotated", "heads-permuted"]);
    assert!(!relations(&compared(&zoo("base"), &path)).contains(&"units-rescaled"));
    let mut rescaled = Model::read(&path);
    // a factor for each channel of a head, the same for all heads: rows of v, taken back by columns of o
    let factor = |channel: usize| 2.0_f64.powf(((channel % HEAD_ROWS * 7) % 5) as f64 / 2.0 - 1.0);
    for (name, stored) in &mut rescaled.tensors {
        let [n_rows, n_cols] = stored.shape[..] else { continue };
        let values = stored.values();
        let scaled = |of: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..n_rows * n_cols).map(|at| values[at] * of(at / n_cols, at % n_cols)).collect()
        };
        if name.ends_with("v_proj.weight") {
            *stored = Stored::of_bf16(&[n_rows, n_cols], &scaled(&|row, _| factor(row)));
        } else if name.ends_with("o_proj.weight") {
            *stored = Stored::of_bf16(&[n_rows, n_cols], &scaled(&|_, col| 1.0 / factor(col)));
        }
    }
    rescaled.write(&path);
    let found = compared(&zoo("base"), &path);
    for kind in ["units-rescaled", "heads-permuted", "residual-rotated"] {
        assert!(relations(&found).contains(&kind), "{kind}: {:?}", found.weights.relations);
    }
}

#[test]
fn every_part_of_a_model_is_found_under_invented_names_and_all_disguises_at_once() {
    let folder = Folder::new();
    let path = folder.transformed(&["together-int8-renamed"]);
    let found = compared(&zoo("base"), &path);
    assert_eq!(verdict(&found), WeightsVerdict::Derived, "{:?}", found.weights.reasons);
    for kind in ["units-permuted", "units-rescaled", "heads-permuted", "residual-rotated"] {
        assert!(relations(&found).contains(&kind), "{kind}: {:?}", found.weights.relations);
    }
    // int8 with a scale per 32 inputs keeps all but 1e-4 of the variance, and its cosines
    for component in ["embeddings", "attention", "mlp"] {
        let share = inherited(&found, component);
        assert!(share > 0.99, "{component}: {:?}", found.weights.inherited_by_component);
    }
    let stranger = compared(&zoo("independent-yinames"), &path);
    assert!(!is_accusation(verdict(&stranger)), "{:?}", stranger.weights.reasons);
}

/// What the trace test says in place, and by answers to tokens.
fn log10_p(found: &Comparison) -> (f64, f64) {
    (found.weights.log10_p.expect("tested"), found.weights.log10_p_by_answers.expect("tested"))
}

#[test]
fn a_small_share_under_a_rotation_has_an_exact_p_by_answers() {
    let folder = Folder::new();
    let (base, stranger) = (Model::read(&zoo("base")), stranger());
    // a sixth of base: too little for partners in S4
    let merged = folder.0.path().join("merged");
    mixed(&[(1.0 / 6.0, &base), (5.0 / 6.0, &stranger)]).write(&merged);
    std::fs::copy(zoo("base").join("tokenizer.json"), merged.join("tokenizer.json")).expect("copied");
    let rotated = folder.transformed_from(&merged, &["residual-rotated"]);
    let found = compared(&zoo("base"), &rotated);
    let (in_place, by_answers) = log10_p(&found);
    assert!(in_place > -3.0 && by_answers < -6.0, "{in_place} {by_answers}");
    assert!(
        found.weights.decided_by.iter().any(|name| name == "answer-trace"),
        "{:?}",
        found.weights.reasons
    );
    assert!(is_accusation(verdict(&found)), "{:?}", found.weights.reasons);
    // all of it, and none of it
    let (in_place, by_answers) = log10_p(&compared(&zoo("base"), &folder.transformed(&["residual-rotated"])));
    assert!(in_place > -3.0 && by_answers < -100.0, "{in_place} {by_answers}");
    let unrelated = compared(&zoo("base"), &zoo("independent-yinames"));
    let (_, by_answers) = log10_p(&unrelated);
    assert!(by_answers > -3.0 && !is_accusation(verdict(&unrelated)), "{by_answers}");
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

/// A text and a vision tower, each drawn from a seed of its own and shifted by a tenth of its spread where it is said to be trained on;
/// a tower without a seed is left out.
fn towers(folder: &Folder, name: &str, seeds: [Option<u64>; 2], is_trained_on: bool) -> PathBuf {
    let config = r#"{"model_type": "clip",
        "text_config": {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 128},
        "vision_config": {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 96}}"#;
    let mut tensors = std::collections::BTreeMap::new();
    for ((tower, hidden), seed) in [("text_model", 64), ("vision_model", 48)].into_iter().zip(seeds) {
        let Some(seed) = seed else { continue };
        let (mut rng, mut later) = (Rng::new(&[seed]), Rng::new(&[seed, 1]));
        let mut add = |name: String, shape: &[usize], mean: f64| {
            let drawn = |_| {
                let value = mean + 0.1 * rng.normal();
                (value + if is_trained_on { 0.01 * later.normal() } else { 0.0 }) as f32
            };
            let values: Vec<f32> = (0..shape.iter().product()).map(drawn).collect();
            tensors.insert(name, Stored::of_f32(shape, &values));
        };
        for layer in 0..3 {
            let stem = format!("{tower}.encoder.layers.{layer}");
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                add(format!("{stem}.self_attn.{part}.weight"), &[hidden, hidden], 0.0);
            }
            add(format!("{stem}.mlp.fc1.weight"), &[2 * hidden, hidden], 0.0);
            add(format!("{stem}.mlp.fc2.weight"), &[hidden, 2 * hidden], 0.0);
            add(format!("{stem}.layer_norm1.weight"), &[hidden], 1.0);
            add(format!("{stem}.layer_norm2.weight"), &[hidden], 1.0);
        }
        if tower == "text_model" {
            add("text_model.embeddings.token_embedding.weight".to_owned(), &[200, 64], 0.0);
        }
    }
    let path = folder.0.path().join(name);
    Model { tensors, config: Some(config.to_owned()) }.write(&path);
    path
}

#[test]
fn a_tower_taken_over_is_named_and_does_not_speak_for_the_other_one() {
    let folder = Folder::new();
    let model = |name: &str, seeds, is_trained_on| towers(&folder, name, seeds, is_trained_on);
    let both = model("both", [Some(1), Some(2)], false);
    for (name, seeds, wanted, says) in [
        (
            "vision",
            [Some(3), Some(2)],
            WeightsVerdict::PartlyDerived,
            "nothing is shared in attention of the text tower and mlp of the text tower,",
        ),
        ("text", [Some(1), Some(4)], WeightsVerdict::PartlyDerived, "nothing is shared in the vision tower,"),
        (
            "alone",
            [None, Some(2)],
            WeightsVerdict::PartlyDerived,
            "the text tower of the left model has no counterpart",
        ),
        (
            "child",
            [Some(1), Some(2)],
            WeightsVerdict::Derived,
            "the text tower, the vision tower share weights",
        ),
        ("stranger", [Some(3), Some(4)], WeightsVerdict::NoEvidence, "no more alike"),
    ] {
        let found = compared(&both, &model(name, seeds, true));
        let reasons = &found.weights.reasons;
        assert_eq!(verdict(&found), wanted, "{name}: {reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains(says)), "{name}: {reasons:?}");
        if name == "vision" {
            // of 3 × (4 · 48² + 2 · 2 · 48²) and 3 × (4 · 64² + 2 · 2 · 64²) elements; noise of a tenth leaves 1/1.01
            let share = 48.0 * 48.0 / (48.0 * 48.0 + 64.0 * 64.0);
            for component in ["attention", "mlp"] {
                assert!(
                    (inherited(&found, component) - share).abs() < 0.02,
                    "{:?}",
                    found.weights.inherited_by_component
                );
            }
        }
    }
}

#[test]
fn what_happened_to_layers_and_lengths_in_place_is_named() {
    let folder = Folder::new();
    for (name, kind) in [("layers-doubled", "up-scaled"), ("units-rescaled", "units-rescaled")] {
        let path = folder.transformed(&[name]);
        for (left, right) in [(zoo("base"), path.clone()), (path.clone(), zoo("base"))] {
            let found = compared(&left, &right);
            // every number of the doubled model is one of the base, and it is no copy
            assert_eq!(verdict(&found), WeightsVerdict::Derived, "{name}: {:?}", found.weights.reasons);
            assert_eq!(relations(&found), [kind], "{name}");
        }
    }
}
