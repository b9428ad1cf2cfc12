//! The waist of the program: all that a report, a gate or a script ever sees of a comparison.

pub use super::relation::{Parameter, Relation};
pub use crate::align::Side;
pub use crate::verdict::weights::{Direction, WeightsVerdict};
pub use crate::verdict::{Architecture, ArchitectureVerdict, Renaming};

/// A file that was read.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// File name.
    pub name: String,
    /// Size.
    pub size_bytes: u64,
    /// Hex digest of the whole file, on request.
    pub blake3: Option<String>,
}

/// A model in a line.
#[derive(Clone, Debug)]
pub struct ModelFacts {
    /// What the user wrote.
    pub reference: String,
    /// `safetensors`, ….
    pub format: String,
    /// Hub commit.
    pub commit: Option<String>,
    /// Family label.
    pub family: String,
    /// Elements of all weights.
    pub n_parameters: u64,
    /// Bytes of all tensors.
    pub size_bytes: u64,
    /// (dtype name, bytes), most bytes first.
    pub dtypes: Vec<(String, u64)>,
    /// Layers of the main stack.
    pub n_layers: Option<u32>,
    /// Files.
    pub files: Vec<FileFacts>,
    /// Accepted oddities of the files: (rule, sentence).
    pub notes: Vec<(String, String)>,
}

/// What the tests could have seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    /// Smallest shared share of the weights found with 90 %.
    pub smallest_share: Option<f64>,
    /// Level.
    pub alpha: f64,
    /// Where: "layer 3, MLP units".
    pub at: String,
}

/// Independent families that were held against each other when the likelihood map was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Support {
    /// Families.
    pub n_families: usize,
    /// Of these, accused of sharing weights.
    pub n_wrong: usize,
    /// How often a family never seen may be accused: upper bound at 95 %, by family.
    pub bound: f64,
    /// Too few families: the map is provisional.
    pub is_provisional: bool,
}

/// Share per component, `embeddings`, `attention`, `mlp`, `norms`, `other`, in that order where present.
pub type ByComponent = Vec<(String, f64)>;

/// One piece of evidence.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// `bit-equality`, `trace`, `agreement`, ….
    pub statistic: String,
    /// Component, `mlp`.
    pub component: String,
    /// Left layer.
    pub layer: Option<u32>,
    /// Observed.
    pub value: f64,
    /// Expected for independent weights.
    pub null: f64,
    /// One sentence.
    pub says: String,
    /// Speaks for (true) or against shared weights.
    pub is_for: bool,
}

/// The weights axis.
#[derive(Clone, Debug)]
pub struct Weights {
    /// None only under `--only`.
    pub verdict: Option<WeightsVerdict>,
    /// Names of the statistics that decided.
    pub decided_by: Vec<String>,
    /// Posterior of "shares weights" at `prior`; provisional.
    pub likelihood: Option<f64>,
    /// What the likelihood is a function of: −log10 of the strongest statistic's p or weight. Neither capped nor a probability.
    pub strength: Option<f64>,
    /// Prior probability.
    pub prior: f64,
    /// What the likelihood rests on, and may not exceed.
    pub support: Support,
    /// Combined p of the exact trace tests.
    pub log10_p: Option<f64>,
    /// The smallest value that these tests could have given.
    pub log10_p_floor: Option<f64>,
    /// log10 p of the order of units by their answers to tokens, in any residual basis; where that was tested.
    pub log10_p_by_answers: Option<f64>,
    /// Combined z of the trace tests, asymptotic.
    pub z: Option<f64>,
    /// What happened.
    pub relations: Vec<Relation>,
    /// Who is the parent.
    pub direction: Option<Direction>,
    /// What could have been seen.
    pub power: Option<Power>,
    /// Share of bytes read and tested, mean of both models.
    pub coverage_total: f64,
    /// The same per component.
    pub coverage_by_component: ByComponent,
    /// Share of the left model's parameters explained by the right one.
    pub left_share: f64,
    /// Share of the right model's parameters explained by the left one.
    pub right_share: f64,
    /// Explained share per component (of the right model).
    pub inherited_by_component: ByComponent,
    /// Strongest first, for and against.
    pub evidence: Vec<Evidence>,
    /// Why this verdict, and what could not be seen.
    pub reasons: Vec<String>,
}

/// Numbers of one component of one layer pair.
#[derive(Clone, Debug)]
pub struct LayerRow {
    /// Left layer; None outside the stack (embeddings, head).
    pub left: Option<u32>,
    /// Right layer.
    pub right: Option<u32>,
    /// `embeddings`, `attention`, `mlp`, `norms`, `other`.
    pub component: String,
    /// Cosine over all paired elements.
    pub cosine: Option<f64>,
    /// After subtracting each side's mean.
    pub centred_cosine: Option<f64>,
    /// ‖b − a‖ / ‖a‖.
    pub relative_l2: Option<f64>,
    /// Trace test.
    pub z: Option<f64>,
    /// Share of units whose partner is confirmed by the second matrix.
    pub agreement: Option<f64>,
}

/// What changed in one matrix that kept its place.
#[derive(Clone, Debug)]
pub struct DeltaRow {
    /// Tensor of the left model.
    pub left: String,
    /// Tensor of the right model.
    pub right: String,
    /// ‖b − a‖ / ‖a‖.
    pub relative_l2: Option<f64>,
    /// Least-squares slope of b on a.
    pub slope: Option<f64>,
    /// `equal`, `rounding`, `low-rank`, `white`, `broad`.
    pub form: String,
    /// Numerical rank of b − a, where it is low.
    pub rank: Option<u64>,
}

/// A parent in a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentShare {
    /// As the user wrote it.
    pub reference: String,
    /// Weight.
    pub coefficient: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// F of what it explains on held-out tensors.
    pub f: f64,
    /// log10 p of F.
    pub log10_p: f64,
}

/// The right model as a weighted sum of parents.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeFit {
    /// The model that differences are taken from; None where the weights add up to 1.
    pub base: Option<String>,
    /// One a parent, in the order given.
    pub parents: Vec<ParentShare>,
    /// Share of the squared distance explained.
    pub explained: f64,
    /// Tensors that all models hold.
    pub n_tensors: u64,
    /// Their elements.
    pub n_elements: u64,
}

/// What a third model says about the pair.
#[derive(Clone, Debug, PartialEq)]
pub struct ThirdModel {
    /// As the user wrote it.
    pub reference: String,
    /// Cosines of left and right, left and third, right and third.
    pub cosines: [f64; 3],
    /// Squared lengths of the ways from where the three part to left, right and third, in units of the squared distance of left and right.
    pub ways: [f64; 3],
    /// Both models were changed from the third, each for itself.
    pub is_parent_of_both: bool,
    /// Tensors that all three hold.
    pub n_tensors: u64,
    /// One sentence.
    pub says: String,
}

/// Why a tensor was not tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "words of the report")]
pub enum Why {
    Skipped,
    Unpaired,
    SampledOut,
    FixedByArchitecture,
}

/// A tensor that was not tested.
#[derive(Clone, Debug)]
pub struct NotTested {
    /// Whose.
    pub model: Side,
    /// Name, unescaped.
    pub tensor: String,
    /// Only `Skipped` leads to exit code 4.
    pub why: Why,
    /// One sentence.
    pub reason: String,
}

/// One stage of the work.
#[derive(Clone, Debug)]
pub struct Stage {
    /// `open`, `plain`, `trace`, `agreement`, ….
    pub name: String,
    /// Wall time.
    pub seconds: f64,
    /// Bytes read.
    pub bytes: u64,
    /// Floating-point operations of the all-pairs products.
    pub flop: u64,
}

/// How fast it was.
#[derive(Clone, Debug)]
pub struct Throughput {
    /// `cpu` or `gpu`.
    pub backend: String,
    /// Device name.
    pub device: String,
    /// Driver and version; empty on the CPU.
    pub driver: String,
    /// `avx2+fma`, `tile`, `small`, ….
    pub tier: String,
    /// Why this backend under `auto`, one sentence.
    pub chosen: String,
    /// Bytes asked of the files.
    pub bytes_read: u64,
    /// The same in whole pages.
    pub page_bytes_read: u64,
    /// Of `bytes_read` those that came past the system's cache.
    pub past_cache_bytes_read: u64,
    /// Wall time of everything.
    pub seconds: f64,
    /// Pairs of layers, MLPs and attentions that were held against each other.
    pub cells_examined: u64,
    /// Stages in order.
    pub stages: Vec<Stage>,
}

/// With what this was made.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Crate version.
    pub version: String,
    /// Version of statistics and decision rule.
    pub method_version: String,
    /// Version of the likelihood map.
    pub map_version: String,
    /// Seed of all draws.
    pub seed: u64,
    /// `quick`, `standard`, `full`.
    pub effort: String,
    /// Statistics chosen with `--only`: then there is no verdict.
    pub selective: Option<Vec<String>>,
}

/// Where in the stack a pair of layers lies (of the right model).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "words of data/controls.json")]
pub enum Depth {
    First,
    Middle,
    Last,
}

/// Units of one pair of layers that found each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `agreement`, `probes` or `heads`.
    pub statistic: String,
    /// Where.
    pub depth: Depth,
    /// Units that agree.
    pub n_agreeing: usize,
    /// Units of the smaller side.
    pub n_units: usize,
}

/// What the statistics measured, for those who measure the statistics: controls, calibration, null rates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// (kind of units, log10 p) of every trace test.
    pub traces: Vec<(String, f64)>,
    /// Every pair of layers in which units looked for partners.
    pub found: Vec<Found>,
    /// Nearness of the spans of the token tables.
    pub token_span: Option<f64>,
}

/// Two models, compared.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are their types")]
pub struct Comparison {
    pub left: ModelFacts,
    pub right: ModelFacts,
    pub architecture: Architecture,
    pub weights: Weights,
    pub layers: Vec<LayerRow>,
    pub deltas: Vec<DeltaRow>,
    pub merge: Option<MergeFit>,
    pub third: Option<ThirdModel>,
    pub not_tested: Vec<NotTested>,
    /// (shared tokens, larger vocabulary), where both have one.
    pub shared_tokens: Option<(u64, u64)>,
    pub throughput: Throughput,
    pub measures: Measures,
    pub tool: Tool,
}
