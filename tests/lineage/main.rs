//! Small families with a known tree: the verdicts, and what must not change them.

#[path = "../schemas/bounds.rs"]
mod bounds;
mod drawn;
mod parts;
mod relations;
#[path = "../schemas/mod.rs"]
mod schemas;
mod stored;

use std::path::{Path, PathBuf};

use cognate::checkpoint::{self, Limits};
use cognate::compare::{Comparison, Direction, Effort, Options, WeightsVerdict, Why, compare};
use cognate::cpu::Cpu;
use cognate::gpu::{self, Gpu};
use cognate::kernels::Backend;
use cognate::numerics::Rng;
use cognate::report::{wire, words};
use rayon::prelude::*;
use serde_json::Value;
use stored::Model;

fn zoo(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo").join(model)
}

fn options(effort: Effort) -> Options {
    Options { effort, seed: 0, prior: 0.5, only: None, digest: false }
}

fn compared_on(backend: &Backend, left: &Path, right: &Path, effort: Effort) -> Comparison {
    let open = |path: &Path| {
        let path = path.to_str().expect("UTF-8");
        checkpoint::open(path, &Limits::default()).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    compare(backend, &open(left), &open(right), &options(effort), &|_| {})
        .unwrap_or_else(|error| panic!("{} ~ {}: {error}", left.display(), right.display()))
}

fn compared(left: &Path, right: &Path) -> Comparison {
    compared_on(&Backend::Cpu(Cpu::detect()), left, right, Effort::Standard)
}

fn verdict(comparison: &Comparison) -> WeightsVerdict {
    comparison.weights.verdict.expect("no --only")
}

/// The drawn layout whose name begins so.
fn layout(begin: &str) -> &'static drawn::Layout {
    drawn::LAYOUTS.iter().find(|layout| layout.name.starts_with(begin)).expect("listed")
}

fn is_accusation(verdict: WeightsVerdict) -> bool {
    !matches!(verdict, WeightsVerdict::NoEvidence | WeightsVerdict::Inconclusive)
}

/// The JSON document without the block of times.
fn document(comparison: &Comparison) -> Value {
    let text = serde_json::to_string(&wire::Comparison::new(comparison, 0, None)).expect("JSON");
    assert_eq!(schemas::check("compare", &text), Ok(()));
    let mut value: Value = serde_json::from_str(&text).expect("JSON");
    value.as_object_mut().expect("an object").remove("throughput");
    value
}

/// One line of zoo/expected.json.
#[derive(Clone)]
struct Expected {
    left: String,
    right: String,
    kind: String,
    weights: Vec<String>,
    architecture: String,
    directions: Vec<String>,
}

impl Expected {
    fn name(&self) -> String {
        format!("{} ~ {}", self.left, self.right)
    }

    fn compared(&self) -> Comparison {
        compared(&zoo(&self.left), &zoo(&self.right))
    }
}

fn expected() -> Vec<Expected> {
    let text = std::fs::read_to_string(zoo("expected.json")).expect("the table");
    let table: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let words = |value: &Value| value.as_array().expect("words").iter().map(word).collect();
    let rows = table.iter().map(|row| Expected {
        left: word(&row["left"]),
        right: word(&row["right"]),
        kind: word(&row["kind"]),
        weights: words(&row["weights"]),
        architecture: word(&row["architecture"]),
        directions: words(&row["directions"]),
    });
    let rows: Vec<Expected> = rows.collect();
    assert_eq!(rows.len(), 21, "every pair of seven models");
    rows
}

/// What is wrong with any pair, all at once.
fn complaints(pairs: &[Expected], complain: impl Fn(&Expected, &mut Vec<String>) + Sync) {
    let found: Vec<String> = pairs
        .par_iter()
        .flat_map_iter(|pair| {
            let mut wrong = Vec::new();
            complain(pair, &mut wrong);
            wrong.into_iter().map(|what| format!("{}: {what}", pair.name())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_pair_of_the_zoo_gets_its_verdict_from_either_side() {
    complaints(&expected(), |pair, wrong| {
        let found = pair.compared();
        let word = words::weights_word(verdict(&found));
        if !pair.weights.iter().any(|allowed| allowed == word) {
            wrong.push(format!("weights are {word}, expected {:?}", pair.weights));
        }
        let architecture = words::architecture_word(found.architecture.verdict);
        if architecture != pair.architecture {
            wrong.push(format!("architecture is {architecture}, expected {}", pair.architecture));
        }
        let direction = found.weights.direction.unwrap_or(Direction::Undetermined);
        if !pair.directions.iter().any(|allowed| allowed == words::direction_word(direction)) {
            wrong.push(format!("direction is {direction:?}, expected {:?}", pair.directions));
        }
        let log10_p = found.weights.log10_p.expect("tests were made");
        if pair.kind == "independent" && log10_p <= -3.0 {
            wrong.push(format!("log10 p {log10_p} of independent models"));
        }
        let by_partners = found.weights.decided_by.iter().any(|by| by == "probes" || by == "agreement");
        if pair.kind == "related" && log10_p > -6.0 && !by_partners {
            wrong.push(format!("log10 p {log10_p}, decided by {:?}", found.weights.decided_by));
        }
        let mut once = found.weights.decided_by.clone();
        once.dedup();
        if once != found.weights.decided_by {
            wrong.push(format!("decided by {:?}", found.weights.decided_by));
        }

        let swapped = compared(&zoo(&pair.right), &zoo(&pair.left));
        let mirrored = match direction {
            Direction::LeftToRight => Direction::RightToLeft,
            Direction::RightToLeft => Direction::LeftToRight,
            Direction::Undetermined => Direction::Undetermined,
        };
        if verdict(&swapped) != verdict(&found) {
            wrong.push(format!("{:?}, swapped {:?}", verdict(&found), verdict(&swapped)));
        }
        if swapped.weights.direction != found.weights.direction.map(|_| mirrored) {
            wrong.push(format!("{direction:?}, swapped {:?}", swapped.weights.direction));
        }
        if swapped.architecture.verdict != found.architecture.verdict {
            wrong.push("another architecture when swapped".to_owned());
        }
    });
}

#[test]
fn quick_effort_accuses_no_independent_pair() {
    let pairs: Vec<Expected> = expected().into_iter().filter(|pair| pair.kind == "independent").collect();
    assert_eq!(pairs.len(), 6);
    complaints(&pairs, |pair, wrong| {
        let cpu = Backend::Cpu(Cpu::detect());
        let found = compared_on(&cpu, &zoo(&pair.left), &zoo(&pair.right), Effort::Quick);
        if is_accusation(verdict(&found)) {
            wrong.push(format!("{:?}", verdict(&found)));
        }
    });
}

#[test]
fn renamed_norms_are_named() {
    let found = compared(&zoo("base"), &zoo("independent-yinames"));
    let renamed = &found.architecture.renamed;
    for (from, to) in [("input_layernorm", "ln1"), ("post_attention_layernorm", "ln2")] {
        assert!(renamed.iter().any(|r| r.from == from && r.to == to && r.count == 4), "{renamed:?}");
    }
    assert_eq!(renamed.len(), 2, "{renamed:?}");
}

#[test]
fn relations_say_what_happened() {
    for (right, detail) in [("layer-dropped", "[0, 1, 3]"), ("int4", "int4, groups of 32")] {
        let relations = compared(&zoo("base"), &zoo(right)).weights.relations;
        assert!(relations.iter().any(|relation| relation.detail.contains(detail)), "{right}: {relations:?}");
    }
}

#[test]
fn the_document_does_not_depend_on_the_number_of_threads() {
    for (left, right) in [("base", "lora"), ("finetune", "layer-dropped"), ("base", "disguised")] {
        let on_threads = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            pool.install(|| document(&compared(&zoo(left), &zoo(right))).to_string())
        };
        assert_eq!(on_threads(1), on_threads(2), "{left} ~ {right}");
    }
}

#[test]
fn copies_in_other_clothes_are_identical() {
    let base = Model::read(&zoo("base"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    base.renamed(|_, name| name.replacen("model.", "backbone.", 1)).write(&path("renamed"));
    base.write_sharded(&path("sharded"));
    let mut wide = base.clone();
    wide.tensors.values_mut().for_each(|stored| *stored = stored.widened());
    wide.write(&path("wide"));
    for name in ["renamed", "sharded", "wide"] {
        for found in [compared(&zoo("base"), &path(name)), compared(&path(name), &zoo("base"))] {
            assert_eq!(verdict(&found), WeightsVerdict::Identical, "{name}: {:?}", found.weights.reasons);
        }
    }
}

#[test]
fn nameless_shuffled_tensors_do_not_hide_a_fine_tune() {
    let finetune = Model::read(&zoo("finetune"));
    let n_tensors = finetune.tensors.len();
    // 17 and the number of tensors share no factor, so every number is given once
    assert_ne!(n_tensors % 17, 0);
    let mut nameless = finetune.renamed(|at, _| format!("t{:03}", at * 17 % n_tensors));
    nameless.config = None;
    let folder = tempfile::tempdir().expect("a folder");
    nameless.write(folder.path());
    let found = compared(&zoo("base"), folder.path());
    assert_eq!(verdict(&found), WeightsVerdict::Derived, "{:?}", found.weights.reasons);
}

#[test]
fn a_disguise_does_not_hide_dropped_layers() {
    let found = compared(&zoo("disguised"), &zoo("layer-dropped"));
    assert_eq!(verdict(&found), WeightsVerdict::Derived, "{:?}", found.weights.reasons);
    // truth.json: layer 2 of 4 is gone
    assert_eq!(relation(&found, "depth-pruned"), "right layers continue left layers [0, 1, 3] of 4");
}

#[test]
fn a_disguise_without_names_is_seen_through_and_a_stranger_without_names_is_not_accused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (model, wanted) in
        [("disguised", WeightsVerdict::Derived), ("independent-yinames", WeightsVerdict::NoEvidence)]
    {
        let named = Model::read(&zoo(model));
        let n_tensors = named.tensors.len();
        assert_ne!(n_tensors % 17, 0);
        let path = folder.path().join(model);
        named.renamed(|at, _| format!("t{:03}", at * 17 % n_tensors)).write(&path);
        std::fs::copy(zoo(model).join("tokenizer.json"), path.join("tokenizer.json")).expect("a vocabulary");
        for (left, right) in [(&zoo("finetune"), &path), (&path, &zoo("finetune"))] {
            let found = compared(left, right);
            assert_eq!(verdict(&found), wanted, "{model}: {:?}", found.weights.reasons);
        }
    }
}

#[test]
fn a_token_table_taken_over_in_another_basis_is_inconclusive() {
    let folder = tempfile::tempdir().expect("a folder");
    // base's tables, rotated and rescaled, over an independent trunk
    let (mut model, disguised) = (Model::read(&zoo("independent-yinames")), Model::read(&zoo("disguised")));
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
        model.tensors.insert(name.to_owned(), disguised.tensors[name].clone());
    }
    model.write(folder.path());
    let found = compared(&zoo("base"), folder.path());
    assert_eq!(verdict(&found), WeightsVerdict::Inconclusive, "{:?}", found.weights.reasons);
    assert!(found.weights.evidence.iter().any(|item| item.statistic == "token-span" && item.is_for));
    let found = compared(&zoo("base"), &zoo("independent-yinames"));
    assert_eq!(verdict(&found), WeightsVerdict::NoEvidence, "{:?}", found.weights.reasons);
    assert!(found.weights.evidence.iter().any(|item| item.statistic == "token-span" && !item.is_for));
}

#[test]
fn experts_copied_from_a_dense_model_are_found_under_a_disguise() {
    let folder = tempfile::tempdir().expect("a folder");
    for (dense, wanted) in
        [("base", WeightsVerdict::Derived), ("independent-yinames", WeightsVerdict::NoEvidence)]
    {
        let path = folder.path().join(dense);
        up_cycled(&Model::read(&zoo(dense))).write(&path);
        let found = compared(&zoo("disguised"), &path);
        assert_eq!(verdict(&found), wanted, "{dense}: {:?}", found.weights.reasons);
        if wanted == WeightsVerdict::Derived {
            let says = relation(&found, "up-cycled");
            assert_eq!(
                says,
                "experts 0, 1, 2 of right layers [0, 1, 2, 3] continue the MLPs of left layers [0, 1, 2, 3]"
            );
            let by_component = &found.weights.inherited_by_component;
            assert!(
                by_component.iter().any(|(name, share)| name == "mlp" && *share > 0.9),
                "{by_component:?}"
            );
        }
    }
}

#[test]
fn a_disguise_leaves_the_spectral_profile_near() {
    let names = ["base", "disguised", "finetune", "independent-yinames"];
    let profiles: Vec<_> = names
        .iter()
        .map(|name| {
            let path = zoo(name);
            let model = checkpoint::open(path.to_str().expect("UTF-8"), &Limits::default()).expect("opens");
            cognate::compare::profile(&model, 0).expect("read")
        })
        .collect();
    let found: Vec<f64> = cognate::compare::profile_distances(&profiles)
        .into_iter()
        .map(|distance| distance.expect("one design"))
        .collect();
    let (disguised, fine_tuned, stranger) = (found[0], found[1], found[2]);
    assert!(2.0 * disguised < stranger && 2.0 * fine_tuned < stranger, "{found:?}");
}

/// A mixture of three copies of every MLP, in Mixtral's names.
fn up_cycled(dense: &Model) -> Model {
    let as_mixtral = |name: &str| {
        name.replace(".ln1.", ".input_layernorm.").replace(".ln2.", ".post_attention_layernorm.")
    };
    let dense = dense.renamed(|_, name| as_mixtral(name));
    let mut moe = dense.clone();
    for (name, stored) in &dense.tensors {
        for (part, expert_part) in [("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2")] {
            let Some(layer) = name.strip_suffix(&format!("mlp.{part}.weight")) else { continue };
            moe.tensors.remove(name);
            for expert in 0..3 {
                let name = format!("{layer}block_sparse_moe.experts.{expert}.{expert_part}.weight");
                moe.tensors.insert(name, stored.clone());
            }
        }
    }
    moe.config = dense.config.map(|config| {
        config.replace("LlamaForCausalLM", "MixtralForCausalLM").replace("\"llama\"", "\"mixtral\"")
    });
    moe
}

/// What a relation of this kind says.
fn relation(found: &Comparison, kind: &str) -> String {
    let relations = &found.weights.relations;
    let of_kind = relations.iter().find(|relation| relation.kind == kind);
    of_kind.unwrap_or_else(|| panic!("{relations:?}")).detail.clone()
}

#[test]
fn a_tensor_with_one_nan_is_reported_as_skipped() {
    let mut broken = Model::read(&zoo("finetune"));
    let name = "model.layers.1.mlp.up_proj.weight";
    let stored = broken.tensors.get_mut(name).expect("the tensor");
    // element 5 becomes the quiet NaN of bf16, 0x7fc0
    stored.bytes[10..12].copy_from_slice(&[0xc0, 0x7f]);
    let folder = tempfile::tempdir().expect("a folder");
    broken.write(folder.path());
    let found = compared(&zoo("base"), folder.path());
    let skipped: Vec<&str> = found
        .not_tested
        .iter()
        .filter(|tensor| tensor.why == Why::Skipped)
        .map(|tensor| tensor.tensor.as_str())
        .collect();
    assert!(skipped.contains(&name), "{skipped:?}");
    assert_eq!(verdict(&found), WeightsVerdict::Derived, "the rest still speaks");
}

#[test]
fn noise_on_a_drawn_model_is_found_and_another_draw_is_not_accused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wrong = Vec::new();
    for (number, layout) in drawn::LAYOUTS.iter().enumerate() {
        let write = |name: &str, seed: u64, noise: f64| {
            let path = folder.path().join(format!("{number}-{name}"));
            drawn::draw(layout, seed, noise).write(&path);
            path
        };
        let base = write("base", 1, 0.0);
        let found = verdict(&compared(&base, &write("child", 1, 0.05)));
        // nothing was trained: that only a draw is shared is a right answer as well
        if !matches!(found, WeightsVerdict::Derived | WeightsVerdict::CommonOrigin) {
            wrong.push(format!("{}: child {found:?}", layout.name));
        }
        for seed in 2..6 {
            let found = compared(&base, &write(&format!("stranger-{seed}"), seed, 0.0));
            if is_accusation(verdict(&found)) {
                wrong.push(format!("{}: stranger {seed} {:?}", layout.name, found.weights.reasons));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The first difference, `path: left, right`.
fn difference(path: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| difference(&format!("{path}.{key}"), value, &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            (a.iter().zip(b).enumerate()).find_map(|(at, (a, b))| difference(&format!("{path}[{at}]"), a, b))
        }
        (Value::Number(a), Value::Number(b)) if a != b => {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
            // a value next to a rounding edge may fall on either side of it: one unit of the last decimal that the
            // schema promises (values above 1 of an item of evidence have two), and half a unit for what f64 cannot hold
            let decimals = if path.contains(".evidence[") && a.abs() > 1.0 {
                Some(2)
            } else {
                bounds::decimals_at("compare", path)
            };
            let bound = decimals.map_or(0.0, |decimals| 1.5 * 10_f64.powi(-decimals));
            ((a - b).abs() > bound).then(|| format!("{path}: {a}, {b}"))
        }
        _ => (left != right).then(|| format!("{path}: {left}, {right}")),
    }
}

#[test]
fn cpu_and_software_vulkan_write_the_same_document() {
    let gpu = match Gpu::open(&gpu::Choice::Named("llvmpipe".to_owned())) {
        Ok(gpu) => Backend::Gpu(gpu),
        Err(error) if std::env::var_os("COGNATE_REQUIRE_GPU").is_some_and(|value| value == "1") => {
            panic!("COGNATE_REQUIRE_GPU=1, but {error}")
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: {error}");
            }
            return;
        }
    };
    let cpu = Backend::Cpu(Cpu::detect());
    let mut wrong = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let (net, moved) = (folder.path().join("net"), folder.path().join("moved"));
    let convolutions = drawn::draw(layout("convolutions"), 1, 0.0);
    convolutions.write(&net);
    with_channels(&convolutions, &|n| (0..n).rev().collect()).write(&moved);
    let of_zoo = ["finetune", "independent-yinames", "int4", "layer-dropped", "disguised"];
    let pairs = of_zoo.map(|right| (zoo("base"), zoo(right)));
    for (left, right) in pairs.into_iter().chain([(net, moved)]) {
        let on = |backend| document(&compared_on(backend, &left, &right, Effort::Standard));
        let found = difference("$", &on(&cpu), &on(&gpu));
        wrong.extend(found.map(|found| format!("{} ~ {}: {found}", left.display(), right.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every tensor of a model under another name.
fn with_prefix(model: &Model, prefix: &str) -> Model {
    let tensors = model.tensors.iter().map(|(name, stored)| (format!("{prefix}{name}"), stored.clone()));
    Model { tensors: tensors.collect(), config: model.config.clone() }
}

#[test]
fn a_net_without_known_names_is_found_inside_a_file_of_two() {
    let layout = layout("convolutions");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, model: &Model| -> PathBuf {
        let path = folder.path().join(name);
        model.write(&path);
        path
    };
    let (net, other) = (drawn::draw(layout, 1, 0.0), drawn::draw(layout, 2, 0.0));
    // the other net comes first, so that order alone would pair it
    let mut both = with_prefix(&other, "else__");
    both.tensors.extend(with_prefix(&net, "then__").tensors);
    let both = write("both", &both);
    let related = compared(&both, &write("net", &with_prefix(&drawn::draw(layout, 1, 0.3), "model.")));
    assert_eq!(verdict(&related), WeightsVerdict::Derived, "{:?}", related.weights.reasons);
    let independent = compared(&both, &write("third", &with_prefix(&drawn::draw(layout, 3, 0.0), "model.")));
    assert!(!is_accusation(verdict(&independent)), "{:?}", independent.weights.reasons);
}

/// Only some units of each convolution, in the given order, in every tensor that holds or reads them.
fn with_channels(net: &Model, channels: &dyn Fn(usize) -> Vec<usize>) -> Model {
    let mut tensors = net.tensors.clone();
    for layer in 1..=4 {
        let units = channels(net.tensors[&format!("conv{layer}.weight")].shape[0]);
        let norm = ["weight", "bias", "running_mean", "running_var"].map(|kind| format!("bn{layer}.{kind}"));
        for name in norm.into_iter().chain([format!("conv{layer}.weight")]) {
            let stored = tensors.get_mut(&name).expect("in the layout");
            *stored = stored.taken(0, &units);
        }
        let reader = if layer == 4 { "fc.weight".to_owned() } else { format!("conv{}.weight", layer + 1) };
        let stored = tensors.get_mut(&reader).expect("in the layout");
        *stored = stored.taken(1, &units);
    }
    Model { tensors, config: net.config.clone() }
}

#[test]
fn channels_in_another_order_and_channels_that_were_cut_do_not_hide_a_net() {
    let layout = layout("convolutions");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, model: &Model| -> PathBuf {
        let path = folder.path().join(name);
        model.write(&path);
        path
    };
    let net = write("net", &drawn::draw(layout, 1, 0.0));
    let shuffled = |n: usize| {
        let mut units: Vec<usize> = (0..n).collect();
        Rng::new(&[n as u64]).shuffle(&mut units);
        units
    };
    let kept = |n: usize| shuffled(n)[..n * 3 / 4].to_vec();
    for (what, channels, kind) in [
        ("order", &shuffled as &dyn Fn(usize) -> Vec<usize>, "units-permuted"),
        ("cut", &kept, "width-pruned"),
    ] {
        let of = |seed| with_channels(&drawn::draw(layout, seed, 0.3), channels);
        let related = compared(&net, &write(what, &of(1)));
        assert_eq!(verdict(&related), WeightsVerdict::Derived, "{what}: {:?}", related.weights.reasons);
        assert_eq!(related.weights.decided_by, ["unit-chain"], "{what}");
        assert_eq!(related.weights.relations[0].kind, kind, "{what}");
        assert!(related.weights.right_share > 0.9, "{what}: {}", related.weights.right_share);
        let independent = compared(&net, &write("other", &of(2)));
        assert!(!is_accusation(verdict(&independent)), "{what}: {:?}", independent.weights.reasons);
    }
}

#[test]
fn each_tower_is_tested_with_heads_of_its_own_size() {
    let folder = tempfile::tempdir().unwrap();
    // heads of 16 rows in the text tower, of 10 in the vision tower: 40 is no multiple of 16
    let towers = [("text_model", 64, 2), ("vision_model", 40, 3)];
    let config = r#"{"model_type": "clip",
        "text_config": {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96},
        "vision_config": {"hidden_size": 40, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 80}}"#;
    let clip = |seed: u64| -> PathBuf {
        let mut rng = Rng::new(&[seed]);
        let mut tensors = std::collections::BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| {
            let n = shape.iter().product();
            let values: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
            tensors.insert(name, stored::Stored::of_f32(shape, &values));
        };
        for (tower, hidden, n_layers) in towers {
            for layer in 0..n_layers {
                let stem = format!("{tower}.encoder.layers.{layer}");
                for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    add(format!("{stem}.self_attn.{part}.weight"), &[hidden, hidden]);
                }
                add(format!("{stem}.mlp.fc1.weight"), &[2 * hidden, hidden]);
                add(format!("{stem}.mlp.fc2.weight"), &[hidden, 2 * hidden]);
                add(format!("{stem}.layer_norm1.weight"), &[hidden]);
                add(format!("{stem}.layer_norm2.weight"), &[hidden]);
            }
        }
        add("text_model.embeddings.token_embedding.weight".to_owned(), &[200, 64]);
        add("vision_model.embeddings.patch_embedding.weight".to_owned(), &[40, 3, 4, 4]);
        let path = folder.path().join(seed.to_string());
        Model { tensors, config: Some(config.to_owned()) }.write(&path);
        path
    };
    let found = compared(&clip(1), &clip(2));
    let n_tested = found.measures.traces.iter().filter(|(kind, _)| kind == "value channels").count();
    assert_eq!(n_tested, 5, "{:?}", found.measures.traces);
    assert!(!is_accusation(verdict(&found)), "{:?}", found.weights.reasons);
}

#[test]
fn beyond_the_bound_of_pairs_by_values_order_pairs() {
    let folder = tempfile::tempdir().unwrap();
    // 3,000 × 3,000 vectors of one shape are more than 2^20 pairs, and two vectors of 2^20 + 1 elements are longer than any that is held
    // against others; the matrices are few enough
    let model = |name: &str, n_vectors: usize, length: usize, order: &dyn Fn(usize) -> usize| -> PathBuf {
        let mut tensors = std::collections::BTreeMap::new();
        let mut add = |name: String, shape: &[usize], label: u64| {
            let mut rng = Rng::new(&[label, shape[0] as u64]);
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
            tensors.insert(name, stored::Stored::of_f32(shape, &values));
        };
        for at in 0..n_vectors {
            add(format!("{name}{at:04}"), &[length], order(at) as u64);
        }
        for at in 0..4 {
            add(format!("{name}m{at}"), &[32, 24], at);
        }
        let path = folder.path().join(format!("{name}{n_vectors}"));
        Model { tensors, config: None }.write(&path);
        path
    };
    let reversed = |n: usize| move |at: usize| n - 1 - at;
    for (n_vectors, length, is_by_values) in [(40, 16, true), (3000, 16, false), (2, (1 << 20) + 1, false)] {
        let left = model("a", n_vectors, length, &|at| at);
        let right = model("b", n_vectors, length, &reversed(n_vectors));
        let found = compared(&left, &right);
        // in reversed order each vector meets itself by its values alone
        let is_found = verdict(&found) == WeightsVerdict::Identical;
        assert_eq!(is_found, is_by_values, "{n_vectors} of {length}: {:?}", found.weights.reasons);
        assert!(found.not_tested.iter().all(|tensor| tensor.why != Why::Unpaired), "{n_vectors}");
    }
}

/// Rows and columns exchanged.
fn turned(stored: &stored::Stored) -> stored::Stored {
    let [n_rows, n_cols] = stored.shape[..] else { panic!("a matrix") };
    let elements: Vec<&[u8]> = stored.bytes.chunks_exact(4).collect();
    let places = (0..n_cols).flat_map(|col| (0..n_rows).map(move |row| row * n_cols + col));
    let bytes = places.flat_map(|place| elements[place].iter().copied()).collect();
    stored::Stored { dtype: stored.dtype, shape: vec![n_cols, n_rows], bytes }
}

#[test]
fn matrices_stored_the_other_way_round_under_their_names_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let shapes = [("in", 96, 64), ("square", 96, 96), ("down", 64, 96), ("square2", 64, 64), ("out", 16, 64)];
    // the square ones are turned only where every other matrix is
    let write = |seed: u64, is_turned: &dyn Fn(&str) -> bool| -> PathBuf {
        let tensors = (0_u64..).zip(shapes).map(|(label, (name, n_rows, n_cols))| {
            let mut rng = Rng::new(&[seed, label]);
            let values: Vec<f32> = (0..n_rows * n_cols).map(|_| rng.normal() as f32).collect();
            let stored = stored::Stored::of_f32(&[n_rows, n_cols], &values);
            (name.to_owned(), if is_turned(name) { turned(&stored) } else { stored })
        });
        let n_turned = shapes.iter().filter(|shape| is_turned(shape.0)).count();
        let path = folder.path().join(format!("{seed}-{n_turned}"));
        Model { tensors: tensors.collect(), config: None }.write(&path);
        path
    };
    let upright = write(1, &|_: &str| false);
    for is_turned in [(&|_: &str| true) as &dyn Fn(&str) -> bool, &|name: &str| name == "in" || name == "out"]
    {
        for seed in [1, 2] {
            let found = compared(&upright, &write(seed, is_turned));
            let is_same = verdict(&found) == WeightsVerdict::Identical;
            assert_eq!(is_same, seed == 1, "{:?}", found.weights.reasons);
            assert!(is_same || !is_accusation(verdict(&found)), "{:?}", found.weights.reasons);
        }
    }
}

#[test]
fn pixels_of_a_patch_embedding_are_no_residual_dimensions() {
    let folder = tempfile::tempdir().unwrap();
    for (begin, is_tested) in [("vit", false), ("llama", true)] {
        let write = |seed: u64| {
            let path = folder.path().join(format!("{begin}{seed}"));
            drawn::draw(layout(begin), seed, 0.0).write(&path);
            path
        };
        let found = compared(&write(1), &write(2));
        let tests = found.measures.traces.iter().filter(|(kind, _)| kind == "residual dimensions");
        assert_eq!(tests.count() > 0, is_tested, "{begin}: {:?}", found.measures.traces);
    }
}
