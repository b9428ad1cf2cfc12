//! Tensor name → [`Role`]: a table per family; by shape and position where no table fits. Never sees values.

mod assign;
mod choose;
mod cut;
mod family;
mod fixed;
mod guess;
mod pattern;
mod plan;
mod stored;
mod tables;
mod tower;

use std::collections::BTreeMap;

use crate::checkpoint::{Checkpoint, Config};
use crate::tensor::{Dtype, View};

pub use guess::{ShapeClass, shape_classes};
pub(crate) use pattern::generalised;

/// Which tower or stack of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// The text decoder, or the only stack there is.
    Text,
    /// Encoder of an encoder–decoder, or of an encoder-only model.
    Encoder,
    /// Decoder of an encoder–decoder.
    Decoder,
    /// Vision tower.
    Vision,
    /// Audio tower.
    Audio,
    /// Between towers.
    Projector,
    /// Multi-token-prediction layers.
    Mtp,
}

/// Which expert of a mixture, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expert {
    /// Not part of a mixture.
    None,
    /// The e-th routed expert.
    Routed(u32),
    /// An always-on expert.
    Shared(u32),
}

/// What a tensor (or a view of it) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants name the parts of the family tables")]
pub enum Part {
    Embed,
    Pos,
    TokenType,
    EmbedNorm,
    Head,
    Norm1,
    Norm1b,
    Q,
    K,
    V,
    O,
    QNorm,
    KNorm,
    Sinks,
    CrossQ,
    CrossK,
    CrossV,
    CrossO,
    CrossNorm,
    QA,
    QANorm,
    QB,
    KvA,
    KvANorm,
    KB,
    VB,
    Norm2,
    Norm2b,
    Gate,
    Up,
    Down,
    Router,
    RouterBias,
    SharedExpertGate,
    InProj,
    Conv,
    XProj,
    DtProj,
    ALog,
    DSkip,
    OutProj,
    FinalNorm,
    /// Per-layer gate on the cross-attention of an inserted layer.
    CrossGate,
    CrossQNorm,
    CrossKNorm,
    /// Norm of the hidden state in front of a multi-token-prediction layer.
    HiddenNorm,
    /// Learned token that carries no input.
    ClassToken,
    Pooler,
    /// Dense layer in front of the token head.
    HeadTransform,
    HeadNorm,
    /// Classifier and other heads that are not the token head.
    OutputHead,
    /// A weight whose job is not known; paired by name or shape.
    Other,
}

/// Role of a view of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// Tower.
    pub component: Component,
    /// Layer index inside the component.
    pub layer: Option<u32>,
    /// Expert.
    pub expert: Expert,
    /// Job.
    pub part: Part,
    /// A bias is the same part with this set.
    pub is_bias: bool,
}

/// How the role was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// A family table knows the name.
    Table,
    /// From shape and position.
    Guessed,
    /// No role: pairs by name, then by shape and order.
    Unknown,
}

/// What one stored tensor turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// One or more canonical matrices (vectors are [1, n]) inside the tensor.
    Views(Vec<(Role, View)>),
    /// Constant by construction: mask, rotary table, position ids, … with the reason in words.
    FixedByArchitecture(&'static str),
    /// A counter or truth-value buffer (num_batches_tracked, …).
    Buffer(&'static str),
    /// A fused layout the tables do not know: listed as unpaired, never guessed.
    UnknownLayout(&'static str),
    /// A weight, or a piece of one, in a packed or scaled form that is not decoded: listed as skipped.
    Packed(&'static str),
    /// No role: compared by name, then by shape and order. View is [dim0, rest].
    Unknown(View),
}

/// Facts about the graph that the statistics need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Query heads, where known.
    pub n_heads: Option<u64>,
    /// Key/value heads, where known.
    pub n_kv_heads: Option<u64>,
    /// Rows of one head.
    pub head_dim: Option<u64>,
    /// Rows of one head in towers beside the main one, where known.
    pub tower_head_dims: BTreeMap<Component, Option<u64>>,
    /// Norms multiply by 1 + γ.
    pub norm_adds_one: bool,
    /// Heads are not exchangeable.
    pub alibi: bool,
    /// Sinusoidal positions are added: residual dimensions are not exchangeable.
    pub sinusoidal_positions: bool,
    /// The block has a gated MLP.
    pub has_glu: bool,
    /// Only the input embedding is stored, and the head is a view of it.
    pub tied_embeddings: bool,
}

impl Graph {
    /// Rows of one head in this component: a tower has heads of its own, stacks of one tower share theirs.
    #[must_use]
    pub fn head_dim_of(&self, component: Component) -> Option<u64> {
        self.tower_head_dims.get(&component).copied().unwrap_or(self.head_dim)
    }
}

/// Roles of all tensors of a model.
#[derive(Clone, Debug)]
pub struct RoleMap {
    /// Family label for the report: `llama`, `gpt2`, `unknown`, ….
    pub family: String,
    /// One per tensor of the checkpoint, same order.
    pub assignments: Vec<(Assignment, How)>,
    /// Facts of the graph.
    pub graph: Graph,
}

/// What the header of a file says about one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Name as stored.
    pub name: &'a str,
    /// Dimensions, row-major.
    pub shape: &'a [u64],
    /// Element type.
    pub dtype: Dtype,
}

/// The headers of a checkpoint, in its order.
#[must_use]
pub fn headers(checkpoint: &Checkpoint) -> Vec<Header<'_>> {
    checkpoint
        .tensors
        .iter()
        .map(|tensor| Header { name: &tensor.name, shape: &tensor.shape, dtype: tensor.dtype })
        .collect()
}

/// Roles of all tensors of a checkpoint: names and shapes only, never values.
#[must_use]
pub fn assign(checkpoint: &Checkpoint) -> RoleMap {
    assign_headers(&headers(checkpoint), checkpoint.config.as_ref())
}

/// For names that a model does not have, the indices of its tensors that do the same job, by the names of its family: an adapter calls
/// modules as they are called in memory, which may be otherwise than in the file.
#[must_use]
pub fn counterparts(names: &[&str], model: &Checkpoint) -> Vec<Option<usize>> {
    assign::counterparts(names, &headers(model), model.config.as_ref())
}

/// Roles of tensors that are known by name, shape and type, in the same order.
#[must_use]
pub fn assign_headers(headers: &[Header<'_>], config: Option<&Config>) -> RoleMap {
    assign::roles(headers, config)
}
