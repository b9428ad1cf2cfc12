//! `cognate.compare/1`: the document of `compare --format json`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Rounded;
use crate::compare as core;
use crate::report::{rates, words};

/// Version of the document; raised when a key changes its meaning.
pub const COMPARE_VERSION: &str = "cognate.compare/1";

/// Two models, compared, as printed.
#[derive(Debug, Serialize)]
pub struct Comparison<'a> {
    schema_version: &'static str,
    left: Model<'a>,
    right: Model<'a>,
    architecture: Architecture<'a>,
    weights: Weights<'a>,
    layers: Vec<Layer<'a>>,
    deltas: Vec<Delta<'a>>,
    merge: Option<Merge<'a>>,
    third: Option<Third<'a>>,
    not_tested: Vec<NotTested<'a>>,
    throughput: Throughput<'a>,
    tool: Tool<'a>,
    shared_tokens: Option<SharedTokens>,
    exit_code: u8,
    gate: Option<&'a str>,
}

impl<'a> Comparison<'a> {
    /// The document of a comparison; `exit_code` is this pair's own, and `gate` says why it is not 0.
    #[must_use]
    pub fn new(comparison: &'a core::Comparison, exit_code: u8, gate: Option<&'a str>) -> Comparison<'a> {
        Comparison {
            schema_version: COMPARE_VERSION,
            left: Model::new(&comparison.left),
            right: Model::new(&comparison.right),
            architecture: Architecture::new(&comparison.architecture),
            weights: Weights::new(&comparison.weights),
            layers: comparison.layers.iter().map(Layer::new).collect(),
            deltas: comparison.deltas.iter().map(Delta::new).collect(),
            merge: comparison.merge.as_ref().map(Merge::new),
            third: comparison.third.as_ref().map(Third::new),
            not_tested: comparison.not_tested.iter().map(NotTested::new).collect(),
            throughput: Throughput::new(&comparison.throughput),
            tool: Tool::new(&comparison.tool),
            shared_tokens: comparison
                .shared_tokens
                .map(|(shared, larger_vocabulary)| SharedTokens { shared, larger_vocabulary }),
            exit_code,
            gate,
        }
    }
}

/// Pairs written as one object, in their order.
#[derive(Debug)]
pub(super) struct Map<'a, T>(pub(super) Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Map<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

fn shares(by_component: &[(String, f64)]) -> Map<'_, Rounded<4>> {
    Map(by_component.iter().map(|(component, share)| (component.as_str(), Rounded::from(*share))).collect())
}

#[derive(Debug, Serialize)]
pub(super) struct Model<'a> {
    reference: &'a str,
    format: &'a str,
    family: &'a str,
    parameters: u64,
    bytes: u64,
    dtypes: Map<'a, u64>,
    files: Vec<File<'a>>,
    layers: Option<u32>,
    commit: Option<&'a str>,
    notes: Vec<Note<'a>>,
}

impl<'a> Model<'a> {
    pub(super) fn new(model: &'a core::ModelFacts) -> Model<'a> {
        Model {
            reference: &model.reference,
            format: &model.format,
            family: &model.family,
            parameters: model.n_parameters,
            bytes: model.size_bytes,
            dtypes: Map(model.dtypes.iter().map(|(name, size_bytes)| (name.as_str(), *size_bytes)).collect()),
            files: model
                .files
                .iter()
                .map(|file| File { name: &file.name, bytes: file.size_bytes, blake3: file.blake3.as_deref() })
                .collect(),
            layers: model.n_layers,
            commit: model.commit.as_deref(),
            notes: model.notes.iter().map(|(rule, says)| Note { rule, says }).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct File<'a> {
    name: &'a str,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Note<'a> {
    rule: &'a str,
    says: &'a str,
}

#[derive(Debug, Serialize)]
struct Architecture<'a> {
    verdict: &'static str,
    renamed: Vec<Renaming<'a>>,
    differences: &'a [String],
}

impl<'a> Architecture<'a> {
    fn new(architecture: &'a core::Architecture) -> Architecture<'a> {
        Architecture {
            verdict: words::architecture_word(architecture.verdict),
            renamed: architecture
                .renamed
                .iter()
                .map(|renaming| Renaming { from: &renaming.from, to: &renaming.to, count: renaming.count })
                .collect(),
            differences: &architecture.differences,
        }
    }
}

#[derive(Debug, Serialize)]
struct Renaming<'a> {
    from: &'a str,
    to: &'a str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Weights<'a> {
    verdict: Option<&'static str>,
    decided_by: &'a [String],
    likelihood: Rounded<4>,
    prior: f64,
    false_positive_bound: Bound,
    log10_p: Rounded<2>,
    log10_p_floor: Rounded<2>,
    log10_p_by_answers: Rounded<2>,
    z: Rounded<2>,
    relations: Vec<Relation<'a>>,
    direction: Option<&'static str>,
    power: Option<Power<'a>>,
    coverage: Coverage<'a>,
    inherited: Inherited<'a>,
    evidence: Vec<Evidence<'a>>,
    reasons: &'a [String],
}

impl<'a> Weights<'a> {
    fn new(weights: &'a core::Weights) -> Weights<'a> {
        Weights {
            verdict: weights.verdict.map(words::weights_word),
            decided_by: &weights.decided_by,
            likelihood: Rounded(weights.likelihood),
            prior: weights.prior,
            false_positive_bound: Bound {
                upper_bound: Rounded::from(weights.support.bound),
                families: weights.support.n_families,
                families_wrong: weights.support.n_wrong,
                provisional: weights.support.is_provisional,
            },
            log10_p: Rounded(weights.log10_p),
            log10_p_floor: Rounded(weights.log10_p_floor),
            log10_p_by_answers: Rounded(weights.log10_p_by_answers),
            z: Rounded(weights.z),
            relations: weights
                .relations
                .iter()
                .map(|relation| Relation {
                    kind: &relation.kind,
                    detail: &relation.detail,
                    parameters: Map(relation
                        .parameters
                        .iter()
                        .map(|(name, value)| (*name, Parameter(value)))
                        .collect()),
                })
                .collect(),
            direction: weights.direction.map(words::direction_word),
            power: weights.power.as_ref().map(|power| Power {
                smallest_share: Rounded(power.smallest_share),
                alpha: power.alpha,
                at: &power.at,
            }),
            coverage: Coverage {
                total: Rounded::from(weights.coverage_total),
                by_component: shares(&weights.coverage_by_component),
            },
            inherited: Inherited {
                left_share: Rounded::from(weights.left_share),
                right_share: Rounded::from(weights.right_share),
                by_component: shares(&weights.inherited_by_component),
            },
            evidence: weights.evidence.iter().map(Evidence::new).collect(),
            reasons: &weights.reasons,
        }
    }
}

#[derive(Debug, Serialize)]
struct Bound {
    upper_bound: Rounded<4>,
    families: usize,
    families_wrong: usize,
    provisional: bool,
}

#[derive(Debug, Serialize)]
struct Relation<'a> {
    kind: &'a str,
    detail: &'a str,
    parameters: Map<'a, Parameter<'a>>,
}

/// Whole numbers as they are, others with 4 decimals.
#[derive(Debug)]
struct Parameter<'a>(&'a core::Parameter);

impl Serialize for Parameter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            core::Parameter::None => serializer.serialize_none(),
            core::Parameter::Count(count) => serializer.serialize_u64(*count),
            core::Parameter::Number(number) => Rounded::<4>::from(*number).serialize(serializer),
            core::Parameter::Text(text) => serializer.serialize_str(text),
            core::Parameter::List(list) => serializer.collect_seq(list.iter().map(Parameter)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Power<'a> {
    smallest_share: Rounded<4>,
    alpha: f64,
    at: &'a str,
}

#[derive(Debug, Serialize)]
struct Coverage<'a> {
    total: Rounded<4>,
    by_component: Map<'a, Rounded<4>>,
}

#[derive(Debug, Serialize)]
struct Inherited<'a> {
    left_share: Rounded<4>,
    right_share: Rounded<4>,
    by_component: Map<'a, Rounded<4>>,
}

#[derive(Debug, Serialize)]
struct Evidence<'a> {
    statistic: &'a str,
    component: &'a str,
    layer: Option<u32>,
    value: Observed,
    null: Observed,
    says: &'a str,
    speaks: &'static str,
}

impl<'a> Evidence<'a> {
    fn new(evidence: &'a core::Evidence) -> Evidence<'a> {
        Evidence {
            statistic: &evidence.statistic,
            component: &evidence.component,
            layer: evidence.layer,
            value: Observed(evidence.value),
            null: Observed(evidence.null),
            says: &evidence.says,
            speaks: if evidence.is_for { "for" } else { "against" },
        }
    }
}

/// A number of any statistic: with 4 decimals up to 1 (cosines, shares), with 2 above (z, log10 p).
#[derive(Debug)]
struct Observed(f64);

impl Serialize for Observed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.abs() <= 1.0 {
            Rounded::<4>::from(self.0).serialize(serializer)
        } else {
            Rounded::<2>::from(self.0).serialize(serializer)
        }
    }
}

#[derive(Debug, Serialize)]
struct Layer<'a> {
    left: Option<u32>,
    right: Option<u32>,
    component: &'a str,
    cosine: Rounded<5>,
    centred_cosine: Rounded<5>,
    relative_l2: Rounded<5>,
    z: Rounded<2>,
    agreement: Rounded<4>,
}

impl<'a> Layer<'a> {
    fn new(row: &'a core::LayerRow) -> Layer<'a> {
        Layer {
            left: row.left,
            right: row.right,
            component: &row.component,
            cosine: Rounded(row.cosine),
            centred_cosine: Rounded(row.centred_cosine),
            relative_l2: Rounded(row.relative_l2),
            z: Rounded(row.z),
            agreement: Rounded(row.agreement),
        }
    }
}

#[derive(Debug, Serialize)]
struct Delta<'a> {
    left: &'a str,
    right: &'a str,
    relative_l2: Rounded<4>,
    slope: Rounded<4>,
    form: &'a str,
    rank: Option<u64>,
}

impl<'a> Delta<'a> {
    fn new(row: &'a core::DeltaRow) -> Delta<'a> {
        Delta {
            left: &row.left,
            right: &row.right,
            relative_l2: Rounded(row.relative_l2),
            slope: Rounded(row.slope),
            form: &row.form,
            rank: row.rank,
        }
    }
}

#[derive(Debug, Serialize)]
struct Merge<'a> {
    base: Option<&'a str>,
    parents: Vec<Parent<'a>>,
    explained: Rounded<4>,
    tensors: u64,
    elements: u64,
}

#[derive(Debug, Serialize)]
struct Parent<'a> {
    reference: &'a str,
    coefficient: Rounded<4>,
    standard_error: Rounded<6>,
    f: Rounded<2>,
    log10_p: Rounded<2>,
}

impl<'a> Merge<'a> {
    fn new(fit: &'a core::MergeFit) -> Merge<'a> {
        let parent = |parent: &'a core::ParentShare| Parent {
            reference: &parent.reference,
            coefficient: Rounded::from(parent.coefficient),
            standard_error: Rounded::from(parent.standard_error),
            f: Rounded::from(parent.f),
            log10_p: Rounded::from(parent.log10_p),
        };
        Merge {
            base: fit.base.as_deref(),
            parents: fit.parents.iter().map(parent).collect(),
            explained: Rounded::from(fit.explained),
            tensors: fit.n_tensors,
            elements: fit.n_elements,
        }
    }
}

#[derive(Debug, Serialize)]
struct Third<'a> {
    reference: &'a str,
    cosines: [Rounded<4>; 3],
    ways: [Rounded<4>; 3],
    is_parent_of_both: bool,
    tensors: u64,
    says: &'a str,
}

impl<'a> Third<'a> {
    fn new(third: &'a core::ThirdModel) -> Third<'a> {
        Third {
            reference: &third.reference,
            cosines: third.cosines.map(Rounded::from),
            ways: third.ways.map(Rounded::from),
            is_parent_of_both: third.is_parent_of_both,
            tensors: third.n_tensors,
            says: &third.says,
        }
    }
}

#[derive(Debug, Serialize)]
struct NotTested<'a> {
    model: &'static str,
    tensor: &'a str,
    why: &'static str,
    reason: &'a str,
}

impl<'a> NotTested<'a> {
    fn new(tensor: &'a core::NotTested) -> NotTested<'a> {
        NotTested {
            model: words::side_word(tensor.model),
            tensor: &tensor.tensor,
            why: words::why_word(tensor.why),
            reason: &tensor.reason,
        }
    }
}

#[derive(Debug, Serialize)]
struct Throughput<'a> {
    backend: &'a str,
    device: &'a str,
    driver: &'a str,
    tier: &'a str,
    bytes_read: u64,
    seconds: Rounded<6>,
    read_gb_per_s: Rounded<4>,
    compute_tflop_per_s: Rounded<6>,
    stages: Vec<Stage<'a>>,
    cells_examined: u64,
    page_bytes_read: u64,
    past_cache_bytes_read: u64,
    chosen: &'a str,
}

impl<'a> Throughput<'a> {
    fn new(throughput: &'a core::Throughput) -> Throughput<'a> {
        Throughput {
            backend: &throughput.backend,
            device: &throughput.device,
            driver: &throughput.driver,
            tier: &throughput.tier,
            bytes_read: throughput.bytes_read,
            seconds: Rounded::from(throughput.seconds),
            read_gb_per_s: Rounded(rates::read_gb_per_s(throughput)),
            compute_tflop_per_s: Rounded(rates::compute_tflop_per_s(throughput)),
            stages: throughput
                .stages
                .iter()
                .map(|stage| Stage {
                    name: &stage.name,
                    seconds: Rounded::from(stage.seconds),
                    bytes: stage.bytes,
                    flop: stage.flop,
                })
                .collect(),
            cells_examined: throughput.cells_examined,
            page_bytes_read: throughput.page_bytes_read,
            past_cache_bytes_read: throughput.past_cache_bytes_read,
            chosen: &throughput.chosen,
        }
    }
}

#[derive(Debug, Serialize)]
struct Stage<'a> {
    name: &'a str,
    seconds: Rounded<6>,
    bytes: u64,
    flop: u64,
}

#[derive(Debug, Serialize)]
struct Tool<'a> {
    version: &'a str,
    method_version: &'a str,
    map_version: &'a str,
    seed: u64,
    effort: &'a str,
    selective: Option<&'a [String]>,
}

impl<'a> Tool<'a> {
    fn new(tool: &'a core::Tool) -> Tool<'a> {
        Tool {
            version: &tool.version,
            method_version: &tool.method_version,
            map_version: &tool.map_version,
            seed: tool.seed,
            effort: &tool.effort,
            selective: tool.selective.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct SharedTokens {
    shared: u64,
    larger_vocabulary: u64,
}
