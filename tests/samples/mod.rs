//! Comparisons written by hand, for tests of the report.

use cognate::compare::{
    Architecture, ArchitectureVerdict, Comparison, DeltaRow, Direction, Evidence, FileFacts, LayerRow,
    Measures, MergeFit, ModelFacts, NotTested, Parameter, ParentShare, Power, Relation, Renaming, Side,
    Stage, Support, Throughput, Tool, Weights, WeightsVerdict, Why,
};

/// A fine-tune of a small llama whose norms were renamed, with every field filled.
pub(crate) fn renamed_fine_tune() -> Comparison {
    Comparison {
        left: model("zoo/base"),
        right: ModelFacts {
            commit: Some("0123abc".to_owned()),
            notes: vec![("IX15".to_owned(), "total_size of the index is wrong".to_owned())],
            ..model("zoo/finetune")
        },
        architecture: Architecture {
            verdict: ArchitectureVerdict::SameRenamed,
            renamed: vec![renaming("input_layernorm", "ln1"), renaming("post_attention_layernorm", "ln2")],
            differences: vec!["vocabulary: 1024 and 1056 rows".to_owned()],
        },
        weights: weights(),
        layers: layers(),
        deltas: vec![DeltaRow {
            left: "model.layers.0.mlp.up_proj.weight".to_owned(),
            right: "model.layers.0.mlp.up_proj.weight".to_owned(),
            relative_l2: Some(0.012_345),
            slope: Some(0.999_91),
            form: "low-rank".to_owned(),
            rank: Some(4),
        }],
        merge: Some(MergeFit {
            base: Some("zoo/base".to_owned()),
            parents: vec![ParentShare {
                reference: "zoo/finetune".to_owned(),
                coefficient: 0.400_12,
                standard_error: 0.000_312,
                f: 1234.567,
                log10_p: -12.345,
            }],
            explained: 0.999_87,
            n_tensors: 39,
            n_elements: 1_000_000,
        }),
        third: None,
        not_tested: vec![
            left_out(
                "model.layers.3.mlp.extra.weight",
                Side::Right,
                Why::Unpaired,
                "no tensor of this role on the left",
            ),
            left_out("model.rotary.inv_freq", Side::Left, Why::FixedByArchitecture, "rotary table"),
            left_out("lm_head.scale", Side::Left, Why::Skipped, "2 elements are NaN"),
        ],
        shared_tokens: Some((1024, 1056)),
        throughput: throughput(),
        measures: Measures::default(),
        tool: Tool {
            version: "0.1.0".to_owned(),
            method_version: "2".to_owned(),
            map_version: "1-provisional".to_owned(),
            seed: 0,
            effort: "standard".to_owned(),
            selective: None,
        },
    }
}

fn model(reference: &str) -> ModelFacts {
    ModelFacts {
        reference: reference.to_owned(),
        format: "safetensors".to_owned(),
        commit: None,
        family: "llama".to_owned(),
        n_parameters: 1_234_567,
        size_bytes: 2_469_134,
        dtypes: vec![("BF16".to_owned(), 2_469_000), ("F32".to_owned(), 134)],
        n_layers: Some(4),
        files: vec![FileFacts {
            name: "model.safetensors".to_owned(),
            size_bytes: 2_480_000,
            blake3: Some("ab".repeat(32)),
        }],
        notes: Vec::new(),
    }
}

fn renaming(from: &str, to: &str) -> Renaming {
    Renaming { from: from.to_owned(), to: to.to_owned(), count: 4 }
}

fn weights() -> Weights {
    Weights {
        verdict: Some(WeightsVerdict::Derived),
        decided_by: vec!["trace".to_owned(), "agreement".to_owned()],
        likelihood: Some(0.99876),
        strength: Some(38.4567),
        prior: 0.5,
        support: Support { n_families: 120, n_wrong: 0, bound: 0.0247, is_provisional: false },
        log10_p: Some(-38.4567),
        log10_p_floor: Some(-40.0),
        log10_p_by_answers: None,
        z: Some(251.337),
        relations: vec![
            Relation::new("fine-tune", String::new()).with("median_change", Parameter::Number(0.012_34)),
            Relation::new("vocabulary-extended", "32 rows added".to_owned())
                .with("left_tokens", Parameter::Count(1024))
                .with("layers", Parameter::counts([0, 3])),
        ],
        direction: Some(Direction::LeftToRight),
        power: Some(Power { smallest_share: Some(0.021), alpha: 1e-6, at: "layer 3, MLP units".to_owned() }),
        coverage_total: 0.9987,
        coverage_by_component: shares(&[1.0, 0.99, 1.0, 1.0]),
        left_share: 0.982,
        right_share: 0.9513,
        inherited_by_component: shares(&[0.97, 0.98, 0.94, 1.0]),
        evidence: vec![
            evidence("trace", Some(2), 251.34, 0.0, true, "units of both models keep their order"),
            evidence("agreement", Some(1), 0.9987, 0.0028, true, "units find each other through gate and up"),
            evidence("bit-equality", None, 0.0, 0.0, false, "no tensor is bit-equal"),
        ],
        reasons: vec!["the trace test rejects independence in 8 of 8 unit families".to_owned()],
    }
}

fn shares(values: &[f64]) -> Vec<(String, f64)> {
    ["embeddings", "attention", "mlp", "norms"]
        .iter()
        .zip(values)
        .map(|(name, v)| ((*name).to_owned(), *v))
        .collect()
}

fn evidence(
    statistic: &str,
    layer: Option<u32>,
    value: f64,
    null: f64,
    is_for: bool,
    says: &str,
) -> Evidence {
    Evidence {
        statistic: statistic.to_owned(),
        component: "mlp".to_owned(),
        layer,
        value,
        null,
        says: says.to_owned(),
        is_for,
    }
}

fn layers() -> Vec<LayerRow> {
    let row = |layer: Option<u32>, component: &str, cosine: f64| LayerRow {
        left: layer,
        right: layer,
        component: component.to_owned(),
        cosine: Some(cosine),
        centred_cosine: Some(cosine - 0.001),
        relative_l2: Some(0.123_456_7),
        z: layer.map(|_| 251.337),
        agreement: None,
    };
    let mut rows = vec![row(None, "embeddings", 0.9999)];
    for layer in 0..4 {
        rows.push(row(Some(layer), "attention", 0.97));
        rows.push(LayerRow {
            agreement: Some(0.9987),
            ..row(Some(layer), "mlp", 0.5 - f64::from(layer) * 0.15)
        });
        rows.push(LayerRow { z: None, ..row(Some(layer), "norms", 0.2) });
    }
    rows
}

fn left_out(tensor: &str, model: Side, why: Why, reason: &str) -> NotTested {
    NotTested { model, tensor: tensor.to_owned(), why, reason: reason.to_owned() }
}

fn throughput() -> Throughput {
    let stage = |name: &str, seconds, bytes, flop| Stage { name: name.to_owned(), seconds, bytes, flop };
    Throughput {
        backend: "cpu".to_owned(),
        device: "2 threads".to_owned(),
        driver: String::new(),
        tier: "avx2+fma".to_owned(),
        chosen: "no real GPU was found; --backend auto took the CPU".to_owned(),
        bytes_read: 4_938_268,
        cells_examined: 17,
        page_bytes_read: 4_943_872,
        past_cache_bytes_read: 0,
        seconds: 0.0123,
        stages: vec![
            stage("open", 0.001, 0, 0),
            stage("plain", 0.0021, 4_938_268, 0),
            stage("trace", 0.0081, 0, 1_234_567_890),
        ],
    }
}
