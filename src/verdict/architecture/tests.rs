//! Verdicts, renamings and sentences on small networks.

use super::{Architecture, ArchitectureVerdict, Described, compare_architectures};
use crate::checkpoint::Config;
use crate::roles::{Header, assign_headers};
use crate::tensor::Dtype;

/// Names and shapes of a model.
type Tensors = Vec<(String, Vec<u64>)>;

/// A Llama of this depth, MLP width, vocabulary and rows of k and v; hidden size 32, heads of 8 rows.
fn llama(n_layers: u64, mlp: u64, vocabulary: u64, kv: u64) -> Tensors {
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocabulary, 32]),
        ("model.norm.weight".to_owned(), vec![32]),
        ("lm_head.weight".to_owned(), vec![vocabulary, 32]),
    ];
    for layer in 0..n_layers {
        for (name, shape) in [
            ("self_attn.q_proj", vec![32, 32]),
            ("self_attn.k_proj", vec![kv, 32]),
            ("self_attn.v_proj", vec![kv, 32]),
            ("self_attn.o_proj", vec![32, 32]),
            ("mlp.gate_proj", vec![mlp, 32]),
            ("mlp.up_proj", vec![mlp, 32]),
            ("mlp.down_proj", vec![32, mlp]),
            ("input_layernorm", vec![32]),
            ("post_attention_layernorm", vec![32]),
        ] {
            tensors.push((format!("model.layers.{layer}.{name}.weight"), shape));
        }
    }
    tensors
}

/// What the right model is, itself, verdict, renamings, differences.
type Case<'a> = (&'static str, Tensors, ArchitectureVerdict, &'a [&'a str], &'a [&'a str]);

fn edited(tensors: &Tensors, edit: impl Fn(&str) -> String) -> Tensors {
    tensors.iter().map(|(name, shape)| (edit(name), shape.clone())).collect()
}

fn with(mut tensors: Tensors, name: &str, shape: &[u64]) -> Tensors {
    tensors.push((name.to_owned(), shape.to_vec()));
    tensors
}

fn without(tensors: &Tensors, part: &str) -> Tensors {
    tensors.iter().filter(|(name, _)| !name.contains(part)).cloned().collect()
}

/// Every number of every name gone, the order reversed.
fn nameless(tensors: &Tensors) -> Tensors {
    let shapes = tensors.iter().rev().map(|(_, shape)| shape.clone());
    shapes.enumerate().map(|(idx, shape)| (format!("t{idx:03}"), shape)).collect()
}

fn headers(tensors: &Tensors) -> Vec<Header<'_>> {
    tensors.iter().map(|(name, shape)| Header { name, shape, dtype: Dtype::Bf16 }).collect()
}

fn compared(left: &Tensors, right: &Tensors) -> Architecture {
    let config = Config { n_heads: Some(4), head_dim: Some(8), ..Config::default() };
    let (left, right) = (headers(left), headers(right));
    let (of_left, of_right) = (assign_headers(&left, Some(&config)), assign_headers(&right, Some(&config)));
    compare_architectures(
        &Described { headers: &left, roles: &of_left, config: Some(&config) },
        &Described { headers: &right, roles: &of_right, config: Some(&config) },
    )
}

fn renamings(found: &Architecture) -> Vec<String> {
    found.renamed.iter().map(|one| format!("{} → {} ×{}", one.from, one.to, one.count)).collect()
}

#[test]
fn the_first_verdict_that_applies_is_given_with_its_reasons() {
    use ArchitectureVerdict::{Compatible, Different, Same, SameRenamed};
    let base = llama(3, 48, 100, 16);
    let yi = |tensors: &Tensors| {
        edited(tensors, |name| {
            name.replace("input_layernorm", "ln1").replace("post_attention_layernorm", "ln2")
        })
    };
    let yi_names = ["input_layernorm → ln1 ×3", "post_attention_layernorm → ln2 ×3"];
    let tied = without(&base, "lm_head");
    let biased = with(base.clone(), "model.layers.0.self_attn.q_proj.bias", &[32]);
    let wrapped = edited(&base, |name| {
        let inner = name.strip_prefix("model.").map(|rest| format!("model.language_model.{rest}"));
        inner.unwrap_or_else(|| name.to_owned())
    });
    let cases: [Case<'_>; 14] = [
        ("itself", base.clone(), Same, &[], &[]),
        ("Yi's names", yi(&base), SameRenamed, &yi_names, &[]),
        ("Yi's names and KV heads", yi(&llama(3, 48, 100, 8)), Compatible, &yi_names, &["KV heads: 2 and 1"]),
        ("tied", tied, SameRenamed, &["lm_head → model.embed_tokens (tied) ×1"], &[]),
        ("fewer layers", llama(2, 48, 100, 16), Compatible, &[], &["layers: 3 and 2"]),
        ("narrower MLP", llama(3, 40, 100, 16), Compatible, &[], &["MLP width: 48 and 40"]),
        ("more tokens", llama(3, 48, 120, 16), Compatible, &[], &["vocabulary: 100 and 120"]),
        ("a bias", biased, Different, &[], &["query bias: only on the right"]),
        ("no gate", without(&base, "gate_proj"), Different, &[], &["gated MLP and plain MLP"]),
        ("wrapped", wrapped, SameRenamed, &["model → model.language_model ×29"], &[]),
        ("nameless", nameless(&base), SameRenamed, &["all names of llama → tN ×30"], &[]),
        (
            "nameless, deeper",
            nameless(&llama(5, 48, 100, 16)),
            Compatible,
            &["all names of llama → tN ×30"],
            &["layers: 3 and 5"],
        ),
        (
            "nameless, narrower",
            nameless(&llama(3, 40, 100, 16)),
            Compatible,
            &["all names of llama → tN ×30"],
            &["width: 48 and 40"],
        ),
        (
            "nameless, another block",
            nameless(&without(&base, "gate_proj")),
            Different,
            &["all names of llama → tN ×30"],
            &["shapes that do not follow from each other by depth or width"],
        ),
    ];
    for (says, other, verdict, renamed, differences) in cases {
        let found = compared(&base, &other);
        assert_eq!(found.verdict, verdict, "{says}: {found:?}");
        assert_eq!(renamings(&found), renamed, "{says}");
        assert_eq!(found.differences, differences, "{says}");
        assert_eq!(compared(&other, &base).verdict, verdict, "{says}, the other way round");
    }
}

#[test]
fn fused_matrices_are_a_renaming_and_experts_another_network() {
    let base = llama(2, 48, 100, 16);
    let mut fused = without(&without(&without(&base, "q_proj"), "k_proj"), "v_proj");
    let mut mixture = without(&base, "mlp");
    for layer in 0..2 {
        fused.push((format!("model.layers.{layer}.self_attn.qkv_proj.weight"), vec![64, 32]));
        let moe = format!("model.layers.{layer}.block_sparse_moe");
        mixture.push((format!("{moe}.gate.weight"), vec![3, 32]));
        for expert in 0..3 {
            for (name, shape) in [("w1", vec![48, 32]), ("w3", vec![48, 32]), ("w2", vec![32, 48])] {
                mixture.push((format!("{moe}.experts.{expert}.{name}.weight"), shape));
            }
        }
    }
    fused.retain(|(name, _)| !name.contains("gate_proj") && !name.contains("up_proj"));
    for layer in 0..2 {
        fused.push((format!("model.layers.{layer}.mlp.gate_up_proj.weight"), vec![96, 32]));
    }
    let found = compared(&base, &fused);
    assert_eq!(found.verdict, ArchitectureVerdict::SameRenamed, "{found:?}");
    let wanted = ["q_proj + k_proj + v_proj → qkv_proj ×6", "gate_proj + up_proj → gate_up_proj ×4"];
    assert_eq!(renamings(&found), wanted);
    let found = compared(&base, &mixture);
    assert_eq!(found.verdict, ArchitectureVerdict::Different);
    assert_eq!(found.differences, ["dense and mixture of 3 experts"]);
}

#[test]
fn networks_without_roles_are_compared_by_names_and_shapes() {
    use ArchitectureVerdict::{Compatible, Different, Same, SameRenamed};
    let net = |prefix: &str, width: u64, n_classes: u64| -> Tensors {
        vec![
            (format!("{prefix}.0.conv.weight"), vec![width, 3, 3, 3]),
            (format!("{prefix}.0.bn.weight"), vec![width]),
            (format!("{prefix}.1.conv.weight"), vec![2 * width, width, 3, 3]),
            (format!("{prefix}.1.bn.weight"), vec![2 * width]),
            (format!("{prefix}.head.weight"), vec![n_classes, 2 * width]),
        ]
    };
    let base = net("model", 8, 10);
    for (says, other, verdict) in [
        ("itself", base.clone(), Same),
        ("another prefix", net("backbone", 8, 10), SameRenamed),
        ("another class count", net("model", 8, 3), Compatible),
        ("twice as wide", net("model", 16, 10), Compatible),
        ("another network", net("features", 12, 10), Different),
        ("nothing", Vec::new(), Different),
    ] {
        assert_eq!(compared(&base, &other).verdict, verdict, "{says}");
        assert_eq!(compared(&other, &base).verdict, verdict, "{says}, the other way round");
    }
}
