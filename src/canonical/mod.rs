//! Effective weights of one model: every tensor as canonical matrices, fused ones cut, with what cannot be used listed.
//!
//! Recipes over byte ranges, never copies: a [`Part`](CanonicalPart) is a role, a name and a view.

mod gain;
mod layout;
mod recurrent;

pub use gain::gain_of;
pub use layout::{laid_out_like, turn_like};

use self::recurrent::RecurrentLayers;
use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::roles::Part;
use crate::roles::{Assignment, Component, How, Role, RoleMap};
use crate::stream::StoredView;
use crate::tensor::{Dtype, View};

/// A canonical matrix [n_rows, n_cols] of a model; vectors are [1, n].
#[derive(Clone, Debug)]
pub struct CanonicalPart {
    /// Index into the checkpoint's tensors.
    pub tensor_idx: usize,
    /// What it does; None where the name says nothing.
    pub role: Option<Role>,
    /// How the role was found.
    pub how: How,
    /// Where it lies.
    pub stored: StoredView,
    /// Dimensions of the stored tensor.
    pub n_dimensions: usize,
    /// A gate of a recurrent layer: its rows are hidden units.
    pub is_gate: bool,
}

/// Why a tensor takes no part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Constant by construction, or a counter: not a weight.
    Fixed(&'static str),
    /// A weight that cannot be decoded.
    Undecodable(Dtype),
    /// A fused layout that no table knows.
    UnknownLayout(&'static str),
    /// A weight in a packed or scaled form that is not decoded.
    Packed(&'static str),
    /// No element.
    Empty,
}

/// Report group of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "words of the report")]
pub enum Group {
    Embeddings,
    Attention,
    Mlp,
    Norms,
    Other,
}

impl Group {
    /// All groups in report order.
    pub const ALL: [Group; 5] = [Group::Embeddings, Group::Attention, Group::Mlp, Group::Norms, Group::Other];

    /// The word of the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Group::Embeddings => "embeddings",
            Group::Attention => "attention",
            Group::Mlp => "mlp",
            Group::Norms => "norms",
            Group::Other => "other",
        }
    }

    /// The group of a role; parts without a role are `Other`.
    #[must_use]
    pub fn of(role: Option<&Role>) -> Group {
        let Some(role) = role else { return Group::Other };
        match role.part {
            Part::Embed | Part::Pos | Part::TokenType | Part::ClassToken | Part::Head => Group::Embeddings,
            Part::EmbedNorm
            | Part::Norm1
            | Part::Norm1b
            | Part::QNorm
            | Part::KNorm
            | Part::CrossNorm
            | Part::CrossQNorm
            | Part::CrossKNorm
            | Part::HiddenNorm
            | Part::HeadNorm
            | Part::QANorm
            | Part::KvANorm
            | Part::Norm2
            | Part::Norm2b
            | Part::FinalNorm => Group::Norms,
            Part::Q
            | Part::K
            | Part::V
            | Part::O
            | Part::Sinks
            | Part::CrossQ
            | Part::CrossK
            | Part::CrossV
            | Part::CrossO
            | Part::CrossGate
            | Part::QA
            | Part::QB
            | Part::KvA
            | Part::KB
            | Part::VB => Group::Attention,
            Part::Gate | Part::Up | Part::Down | Part::Router | Part::RouterBias | Part::SharedExpertGate => {
                Group::Mlp
            }
            _ => Group::Other,
        }
    }
}

/// One model, ready to be paired.
#[derive(Clone, Debug)]
pub struct CanonicalModel {
    /// Usable parts, in file order.
    pub parts: Vec<CanonicalPart>,
    /// (tensor index, reason) of everything else.
    pub left_out: Vec<(usize, LeftOut)>,
}

impl CanonicalModel {
    /// Towers that have a part with a role.
    #[must_use]
    pub fn components(&self) -> BTreeSet<Component> {
        self.parts.iter().filter_map(|part| part.role).map(|role| role.component).collect()
    }

    /// Layer indices of a component that hold at least one matrix, ascending.
    #[must_use]
    pub fn layers(&self, component: Component) -> Vec<u32> {
        let mut layers: Vec<u32> = self
            .parts
            .iter()
            .filter(|part| part.stored.view.n_rows > 1)
            .filter_map(|part| part.role)
            .filter(|role| role.component == component)
            .filter_map(|role| role.layer)
            .collect();
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    /// The part with exactly this role.
    #[must_use]
    pub fn find(&self, role: &Role) -> Option<usize> {
        self.parts.iter().position(|part| part.role.as_ref() == Some(role))
    }

    /// Elements of all parts.
    #[must_use]
    pub fn n_parameters(&self) -> u64 {
        self.parts.iter().map(|part| part.stored.view.n_elements()).sum()
    }
}

/// Cuts a model into canonical parts.
#[must_use]
pub fn canonicalise(checkpoint: &Checkpoint, roles: &RoleMap) -> CanonicalModel {
    let (mut parts, mut left_out) = (Vec::new(), Vec::new());
    let recurrent = RecurrentLayers::of(&checkpoint.tensors);
    for (tensor_idx, (tensor, (assignment, how))) in
        checkpoint.tensors.iter().zip(&roles.assignments).enumerate()
    {
        let reason = match assignment {
            Assignment::FixedByArchitecture(reason) | Assignment::Buffer(reason) => {
                Some(LeftOut::Fixed(reason))
            }
            Assignment::UnknownLayout(reason) => Some(LeftOut::UnknownLayout(reason)),
            Assignment::Packed(reason) => Some(LeftOut::Packed(reason)),
            _ if tensor.n_elements() == 0 => Some(LeftOut::Empty),
            _ if tensor.dtype == Dtype::Bool => Some(LeftOut::Fixed("truth values")),
            Assignment::Unknown(_) if is_buffer(tensor) => Some(LeftOut::Fixed("integer buffer")),
            _ if !tensor.dtype.is_decodable() => Some(LeftOut::Undecodable(tensor.dtype)),
            _ => None,
        };
        if let Some(reason) = reason {
            left_out.push((tensor_idx, reason));
            continue;
        }
        let mut push = |role: Option<Role>, view: View, is_gate: bool| {
            let view = role.map_or(view, |role| upright_bias(&role, view));
            let (file, offset) = checkpoint.elements_of(tensor);
            let stored = StoredView { file, offset, dtype: tensor.dtype, view };
            parts.push(CanonicalPart {
                tensor_idx,
                role,
                how: *how,
                stored,
                n_dimensions: tensor.shape.len(),
                is_gate,
            });
        };
        match assignment {
            Assignment::Views(views) => views.iter().for_each(|(role, view)| push(Some(*role), *view, false)),
            Assignment::Unknown(view) => match recurrent.gates(tensor) {
                Some(gates) => gates.into_iter().for_each(|gate| push(None, gate, true)),
                None => push(None, *view, false),
            },
            _ => {}
        }
    }
    CanonicalModel { parts, left_out }
}

/// Biases of q, k and v stand upright, [n, 1]: cut out of a fused tensor they lie in blocks, which only rows can express.
fn upright_bias(role: &Role, view: View) -> View {
    let is_qkv = matches!(role.part, Part::Q | Part::K | Part::V);
    if role.is_bias && is_qkv && view.n_rows == 1 { view.transposed().unwrap_or(view) } else { view }
}

/// Whole numbers without a role: only 8-bit ones of two dimensions can be weights (a quantised matrix).
fn is_buffer(tensor: &crate::checkpoint::TensorEntry) -> bool {
    let can_be_weights = matches!(tensor.dtype, Dtype::I8 | Dtype::U8) && tensor.shape.len() >= 2;
    !tensor.dtype.is_float() && !can_be_weights
}

/// Gives a model that stores one of `embed` and `head` the other as a view of it, where the other model stores both:
/// tying is a choice of storage.
pub fn view_tied_head(model: &mut CanonicalModel, other: &CanonicalModel) {
    let table = |model: &CanonicalModel, part: Part| {
        model.parts.iter().position(|candidate| {
            candidate.role.is_some_and(|role| role.part == part && !role.is_bias && role.layer.is_none())
        })
    };
    let (Some(embed), None) = (table(model, Part::Embed), table(model, Part::Head)) else { return };
    if table(other, Part::Head).is_none() {
        return;
    }
    let mut head = model.parts[embed].clone();
    head.role = head.role.map(|role| Role { part: Part::Head, ..role });
    model.parts.push(head);
}

#[cfg(test)]
mod tests {
    use super::{LeftOut, canonicalise};
    use crate::checkpoint::{Checkpoint, TensorEntry};
    use crate::roles;
    use crate::tensor::Dtype;

    #[test]
    fn packed_weights_are_left_out_as_packed_and_not_as_buffers() {
        let names = ["qweight", "qzeros", "weight_packed"];
        let entry = |name: &&str| TensorEntry {
            name: format!("model.layers.0.mlp.up_proj.{name}"),
            dtype: Dtype::I32,
            shape: vec![8, 16],
            file_idx: 0,
            offset: 0,
            size_bytes: 512,
            encoding: None,
        };
        let checkpoint = Checkpoint {
            reference: "gptq".into(),
            format: "safetensors",
            commit: None,
            files: Vec::new(),
            tensors: names.iter().map(entry).collect(),
            config: None,
            vocabulary: None,
            notes: Vec::new(),
            adapter: None,
        };
        let model = canonicalise(&checkpoint, &roles::assign(&checkpoint));
        assert!(model.parts.is_empty() && model.left_out.len() == names.len());
        assert!(model.left_out.iter().all(|(_, reason)| matches!(reason, LeftOut::Packed(_))));
    }
}
