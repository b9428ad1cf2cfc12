//! A model becomes plain tensors: one name a role, decoded, fused ones cut, transposed ones upright.
//!
//! A plan says what each new tensor is, without reading a value; [`chunks`] then gives its bytes piece by piece.

mod chunks;
mod header;
mod names;

pub use chunks::chunks;
pub use header::header;

use crate::canonical::{CanonicalPart, LeftOut, canonicalise};
use crate::checkpoint::{Checkpoint, Config, Quantisation};
use crate::roles::{self, Header, RoleMap};
use crate::stream::StoredView;
use crate::tensor::{Dtype, View};

/// One tensor to be written.
#[derive(Clone, Debug)]
pub struct NewTensor {
    /// Its name.
    pub name: String,
    /// F32, F16 or BF16, or the stored type where nothing is asked for.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Vec<u64>,
    /// Where the elements come from, in the order of the new tensor.
    pub from: StoredView,
    /// What differs from the stored tensor, in words; empty where nothing does.
    pub changes: Vec<String>,
}

impl NewTensor {
    /// Length in the new file, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.from.view.n_elements() * self.dtype.size_bits() / 8
    }
}

/// What is written and what is not.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of the file.
    pub tensors: Vec<NewTensor>,
    /// (name, why) of tensors that are no weights: constants and counters.
    pub left_out: Vec<(String, String)>,
    /// (name, why) of weights that cannot be decoded.
    pub skipped: Vec<(String, String)>,
    /// What a reader of the file has to know beside names and shapes: a layout may depend on the number of heads.
    pub config: Config,
}

/// Plans the new tensors: under canonical names where the tables read every one of them back as the same role, else as stored,
/// only decoded. `dtype`: for all of them; None: as stored, F32 where that was packed or has no such type.
#[must_use]
pub fn plan(checkpoint: &Checkpoint, roles: &RoleMap, dtype: Option<Dtype>) -> Plan {
    let model = canonicalise(checkpoint, roles);
    let (mut left_out, mut skipped) = (Vec::new(), Vec::new());
    for (idx, reason) in &model.left_out {
        let name = checkpoint.tensors[*idx].name.clone();
        match reason {
            LeftOut::Fixed(why) => left_out.push((name, (*why).to_owned())),
            LeftOut::Empty => left_out.push((name, "no elements".to_owned())),
            LeftOut::Undecodable(dtype) => skipped.push((name, format!("elements of type {}", dtype.name()))),
            LeftOut::Packed(why) => skipped.push((name, (*why).to_owned())),
            // kept whole, as stored
            LeftOut::UnknownLayout(_) => {}
        }
    }
    let renamed = names::canonical(checkpoint, &model.parts).map(|names| {
        let parts = model.parts.iter().zip(names);
        let tensors = parts.map(|(part, name)| of_part(checkpoint, &model.parts, part, name, dtype));
        tensors.chain(unknown_layouts(checkpoint, &model.left_out, dtype)).collect::<Vec<_>>()
    });
    let stored = known_facts(checkpoint, roles);
    // the names, the order of rotary rows and the layouts of another family
    let plain = Config {
        model_type: None,
        architecture: None,
        rotary_dim: None,
        flags: Vec::new(),
        ..stored.clone()
    };
    if let Some(tensors) = renamed.filter(|tensors| {
        [None, Some(&plain)].iter().all(|config| read_back_alike(tensors, &model.parts, roles, *config))
    }) {
        return Plan { tensors, left_out, skipped, config: plain };
    }
    let mut whole: Vec<usize> = model.parts.iter().map(|part| part.tensor_idx).collect();
    whole.dedup();
    let whole = whole.into_iter().map(|idx| as_stored(checkpoint, idx, dtype));
    let tensors = whole.chain(unknown_layouts(checkpoint, &model.left_out, dtype)).collect();
    Plan { tensors, left_out, skipped, config: stored }
}

/// The config, with what only a table that is not written told of the heads.
fn known_facts(checkpoint: &Checkpoint, roles: &RoleMap) -> Config {
    let config = checkpoint.config.clone().unwrap_or_default();
    let graph = &roles.graph;
    Config {
        n_heads: config.n_heads.or(graph.n_heads),
        n_kv_heads: config.n_kv_heads.or(graph.n_kv_heads),
        head_dim: config.head_dim.or(graph.head_dim),
        quantisation: Quantisation::default(),
        ..config
    }
}

fn unknown_layouts(
    checkpoint: &Checkpoint,
    left_out: &[(usize, LeftOut)],
    dtype: Option<Dtype>,
) -> Vec<NewTensor> {
    let unknown = left_out.iter().filter(|(_, reason)| matches!(reason, LeftOut::UnknownLayout(_)));
    unknown
        .filter(|(idx, _)| checkpoint.tensors[*idx].dtype.is_decodable())
        .map(|(idx, _)| as_stored(checkpoint, *idx, dtype))
        .collect()
}

/// A tensor as it is, decoded.
fn as_stored(checkpoint: &Checkpoint, idx: usize, dtype: Option<Dtype>) -> NewTensor {
    let tensor = &checkpoint.tensors[idx];
    let (file, offset) = checkpoint.elements_of(tensor);
    let view = View::whole(1, tensor.n_elements());
    let from = StoredView { file, offset, dtype: tensor.dtype, view };
    let dtype = dtype.unwrap_or(tensor.dtype);
    let changes = form_changes(checkpoint, idx, dtype);
    NewTensor { name: tensor.name.clone(), dtype, shape: tensor.shape.clone(), from, changes }
}

/// What became of the stored form.
fn form_changes(checkpoint: &Checkpoint, idx: usize, dtype: Dtype) -> Vec<String> {
    let tensor = &checkpoint.tensors[idx];
    match &tensor.encoding {
        Some(encoding) => vec![format!("decoded from {} to {}", encoding.name, dtype.name())],
        None if tensor.dtype != dtype => {
            vec![format!("cast from {} to {}", tensor.dtype.name(), dtype.name())]
        }
        None => Vec::new(),
    }
}

fn of_part(
    checkpoint: &Checkpoint,
    parts: &[CanonicalPart],
    part: &CanonicalPart,
    name: String,
    dtype: Option<Dtype>,
) -> NewTensor {
    let tensor = &checkpoint.tensors[part.tensor_idx];
    let view = part.stored.view;
    let is_whole = view.base == 0 && view.n_elements() == tensor.n_elements();
    let is_as_stored = is_whole && (view.is_contiguous() || view.n_rows.min(view.n_cols) == 1);
    let is_gathered = |dtype: &Dtype| matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::Bf16);
    let keeps = part.stored.view.is_contiguous() || is_gathered(&part.stored.dtype);
    let dtype = dtype.unwrap_or(if keeps { part.stored.dtype } else { Dtype::F32 });
    let mut changes = Vec::new();
    if name != tensor.name {
        changes.push(format!("was '{}'", tensor.name));
    }
    if parts.iter().filter(|other| other.tensor_idx == part.tensor_idx).count() > 1 {
        changes.push("cut out of a fused tensor".to_owned());
    }
    if view.n_rows > 1 && view.n_cols > 1 && view.col_stride != 1 {
        changes.push("turned to [out, in]".to_owned());
    }
    if view.row_order != crate::tensor::RowOrder::Plain {
        changes.push("rows of heads in half-split order".to_owned());
    }
    changes.extend(form_changes(checkpoint, part.tensor_idx, dtype));
    let is_vector = part.n_dimensions <= 1 || part.role.is_some_and(|role| role.is_bias);
    let shape = match is_as_stored {
        true => tensor.shape.clone(),
        false if is_vector => vec![view.n_elements()],
        false => vec![view.n_rows, view.n_cols],
    };
    NewTensor { name, dtype, shape, from: part.stored.clone(), changes }
}

/// Whether the tables give every new tensor the role that its part has, and the model the same facts.
fn read_back_alike(
    tensors: &[NewTensor],
    parts: &[CanonicalPart],
    roles: &RoleMap,
    config: Option<&Config>,
) -> bool {
    let headers: Vec<Header<'_>> = tensors
        .iter()
        .map(|tensor| Header { name: &tensor.name, shape: &tensor.shape, dtype: tensor.dtype })
        .collect();
    let read = roles::assign_headers(&headers, config);
    let same_role = |(part, (assignment, _)): (&CanonicalPart, &(roles::Assignment, roles::How))| {
        let Some(role) = part.role else { return true };
        match assignment {
            roles::Assignment::Views(views) => {
                matches!(&views[..], [(found, view)] if *found == role && view.base == 0 && view.col_stride == 1)
            }
            _ => false,
        }
    };
    read.graph.norm_adds_one == roles.graph.norm_adds_one
        && read.graph.alibi == roles.graph.alibi
        && parts.iter().zip(&read.assignments).all(same_role)
}
