//! Tensor name → [`Role`]: a table per family; by shape and position where no table fits. Never sees values.

use crate::tensor::View;

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

/// What a tensor (or a view of it) does; naming.md section 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are the table of docs/naming.md")]
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
    /// Pooler, classifier and other heads that are not the token head.
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
    /// Norms multiply by 1 + γ.
    pub norm_adds_one: bool,
    /// Heads are not exchangeable.
    pub alibi: bool,
    /// Sinusoidal positions are added: residual dimensions are not exchangeable.
    pub sinusoidal_positions: bool,
    /// The block has a gated MLP.
    pub has_glu: bool,
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

/// Roles of all tensors of a checkpoint: names and shapes only, never values.
#[must_use]
pub fn assign(_checkpoint: &crate::checkpoint::Checkpoint) -> RoleMap {
    todo!()
}
