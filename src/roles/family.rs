//! The shape of a family table: which names a family uses, and how each tensor is cut.

use super::{Component, Part};

/// How the rows of Q and K lie inside a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rope {
    /// Rows j and j + half rotate together, or there is no rotation.
    HalfSplit,
    /// Rows 2j and 2j + 1 rotate together. Where the config does not say how many rows rotate, it is one in this many.
    Interleaved { one_in: u64 },
}

/// Orientation of stacked experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stacked {
    /// [E, out, in] unless the hidden size says otherwise.
    OutIn,
    /// [E, in, out] unless the hidden size says otherwise.
    InOut,
}

/// How one stored tensor becomes canonical matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Stored [out, in], or a vector.
    Is(Part),
    /// The same in an always-on expert.
    Shared(Part),
    /// Stored [in, out].
    Conv1d(Part),
    /// [q; k; v].
    QkvBlocks,
    /// [q k v] side by side, stored [in, out].
    QkvColumns,
    /// Per key/value head: its query heads, k, v. One query head each where there are as many of both.
    QkvGroups,
    /// [q; k; v] where there is one key/value head, else per head.
    QkvBlocksIfOneKv,
    /// Four blocks of [q; v; k].
    QkvFour,
    /// Latent attention: per head [k_b; v_b].
    KvB,
    /// One matrix a head, stacked: [heads, out, in].
    Heads(Part),
    /// The same, each transposed: [heads, in, out].
    HeadsTransposed(Part),
    /// [gate; up].
    GateUp,
    /// [up; gate].
    UpGate,
    /// One matrix per expert.
    Experts(Part, Stacked),
    /// [gate; up] per expert.
    ExpertsGateUp(Stacked),
    /// Row 2i gate, row 2i + 1 up, per expert.
    ExpertsAlternating(Stacked),
    /// Constant by construction.
    Fixed(&'static str),
}

/// One line of a table: pattern without `.weight` or `.bias`, and the cut.
pub(super) type Rule = (&'static str, Cut);

/// One stack of a model: everything below one of the prefixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    /// Tried in order; "" where the names start at once.
    pub(super) prefixes: &'static [&'static str],
    /// Tower.
    pub(super) component: Component,
    /// Lines, in several tables that families share.
    pub(super) rules: &'static [&'static [Rule]],
}

/// A test on shapes that tells families with the same names apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Names suffice.
    Names,
    /// The MLP's first matrix is stored [in, out].
    MlpInOut,
    /// The MLP's first matrix is stored [out, in].
    MlpOutIn,
}

/// The names of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// Label in reports.
    pub(super) label: &'static str,
    /// Values of `model_type` that prefer this table where the names fit several.
    pub(super) model_types: &'static [&'static str],
    /// Stacks.
    pub(super) stacks: &'static [Stack],
    /// Row order in Q and K.
    pub(super) rope: Rope,
    /// Shape test.
    pub(super) gate: Gate,
    /// Norms multiply by 1 + γ.
    pub(super) norm_adds_one: bool,
    /// Heads carry ALiBi slopes.
    pub(super) alibi: bool,
    /// Sinusoids are added to the embeddings.
    pub(super) sinusoidal_positions: bool,
}

impl Family {
    /// A family whose names say everything: half-split rotation or none, plain norms.
    pub(super) const fn new(
        label: &'static str,
        model_types: &'static [&'static str],
        stacks: &'static [Stack],
    ) -> Family {
        Family {
            label,
            model_types,
            stacks,
            rope: Rope::HalfSplit,
            gate: Gate::Names,
            norm_adds_one: false,
            alibi: false,
            sinusoidal_positions: false,
        }
    }
}

/// A stack of the text decoder.
pub(super) const fn text(prefixes: &'static [&'static str], rules: &'static [&'static [Rule]]) -> Stack {
    Stack { prefixes, component: Component::Text, rules }
}

/// A stack of another tower.
pub(super) const fn stack(
    prefixes: &'static [&'static str],
    component: Component,
    rules: &'static [&'static [Rule]],
) -> Stack {
    Stack { prefixes, component, rules }
}
