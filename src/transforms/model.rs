//! A model in memory: canonical matrices by role, and how they lie in stored tensors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Dense, NotApplicable};
use crate::roles::{Component, Expert, Graph, Part, Role};
use crate::tensor::Dtype;

/// How canonical rows lie in a tensor that will be written.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// Name in the file.
    pub name: String,
    /// Element type in the file.
    pub dtype: Dtype,
    /// Role and canonical row of each stored output, in stored order.
    pub rows: Vec<(Role, usize)>,
    /// Matrices stacked along a first axis; 1 where there is no such axis.
    pub n_stacked: usize,
    /// Stored [in, out].
    pub is_transposed: bool,
    /// One axis (two if stacked) only.
    pub is_vector: bool,
    /// Axes in front of the matrix that hold nothing.
    pub n_empty_axes: usize,
    /// Axes of one output (kernel height and width of a convolution); empty for a plain matrix.
    pub inner_shape: Vec<usize>,
}

/// A tensor without a role: written as it was.
#[derive(Clone, Debug)]
pub struct LooseTensor {
    /// Name in the file.
    pub name: String,
    /// Element type in the file.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Bytes as stored.
    pub bytes: Vec<u8>,
    /// Constant by construction, a counter or a mask: no weight.
    pub is_fixed: bool,
}

/// Everything that a folder of a model holds.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the user calls it.
    pub name: String,
    /// Canonical matrices; gains and biases are [n, 1].
    pub parts: BTreeMap<Role, Dense>,
    /// How they are stored.
    pub stored: Vec<StoredTensor>,
    /// What has no role.
    pub loose: Vec<LooseTensor>,
    /// Facts of the graph.
    pub graph: Graph,
    /// Rows of a head that rotate with the position, where the config says so.
    pub rotary_rows: Option<usize>,
    /// `config.json`.
    pub config: Option<Value>,
    /// `tokenizer.json`.
    pub tokenizer: Option<Value>,
    /// Files that the tensors are spread over.
    pub n_files: usize,
}

/// One MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mlp {
    /// Tower.
    pub component: Component,
    /// Layer.
    pub layer: u32,
    /// Expert.
    pub expert: Expert,
}

impl Mlp {
    /// A role inside it.
    #[must_use]
    pub fn role(&self, part: Part, is_bias: bool) -> Role {
        Role { component: self.component, layer: Some(self.layer), expert: self.expert, part, is_bias }
    }
}

/// Head counts of a layer's self-attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads.
    pub n_groups: usize,
    /// Rows of a query or key head.
    pub key_rows: usize,
    /// Rows of a value head.
    pub value_rows: usize,
}

impl Model {
    /// The matrix with this role.
    pub fn get_mut(&mut self, role: &Role) -> Option<&mut Dense> {
        self.parts.get_mut(role)
    }

    /// Roles with this part, biases apart or not.
    #[must_use]
    pub fn roles_of(&self, part: Part) -> Vec<Role> {
        self.parts.keys().filter(|role| role.part == part).copied().collect()
    }

    /// Whether any tensor has this part.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.parts.keys().any(|role| role.part == part)
    }

    /// Every MLP with `up` and `down`.
    #[must_use]
    pub fn mlps(&self) -> Vec<Mlp> {
        let of = |role: &Role| {
            let mlp = Mlp { component: role.component, layer: role.layer?, expert: role.expert };
            let whole = self.parts.contains_key(&mlp.role(Part::Down, false));
            (role.part == Part::Up && !role.is_bias && whole).then_some(mlp)
        };
        self.parts.keys().filter_map(of).collect()
    }

    /// The tower that holds the layers; of several the first.
    #[must_use]
    pub fn component(&self) -> Option<Component> {
        self.parts.keys().filter(|role| role.layer.is_some()).map(|role| role.component).min()
    }

    /// Layer numbers of [`Model::component`].
    #[must_use]
    pub fn layers(&self) -> Vec<u32> {
        let component = self.component();
        let own = self.parts.keys().filter(|role| Some(role.component) == component);
        own.filter_map(|role| role.layer).collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// A role of the stack.
    #[must_use]
    pub fn role(&self, layer: Option<u32>, part: Part, is_bias: bool) -> Role {
        let component = self.component().unwrap_or(Component::Text);
        Role { component, layer, expert: Expert::None, part, is_bias }
    }

    /// Heads of a layer's self-attention.
    ///
    /// # Errors
    /// They are not known, or the attention is of another kind.
    pub fn heads(&self, layer: u32) -> Result<Heads, NotApplicable> {
        let rows = |part| self.parts.get(&self.role(Some(layer), part, false)).map(|matrix| matrix.n_rows);
        let (Some(q), Some(k), Some(v)) = (rows(Part::Q), rows(Part::K), rows(Part::V)) else {
            return Err(NotApplicable("the attention has no plain query, key and value matrices"));
        };
        let count = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let unknown = NotApplicable("the number of heads is not known");
        let (Some(n_heads), Some(n_groups)) = (count(self.graph.n_heads), count(self.graph.n_kv_heads))
        else {
            return Err(unknown);
        };
        let fits = q.is_multiple_of(n_heads)
            && k == q / n_heads * n_groups
            && v.is_multiple_of(n_groups)
            && n_heads.is_multiple_of(n_groups);
        if !fits {
            return Err(unknown);
        }
        Ok(Heads { n_heads, n_groups, key_rows: q / n_heads, value_rows: v / n_groups })
    }

    /// Keeps these rows of a role, in this order, wherever they are stored. Rows may repeat only in tensors of one role.
    pub fn select_rows(&mut self, role: &Role, rows: &[usize]) {
        let Some(matrix) = self.parts.get_mut(role) else { return };
        let n_before = matrix.n_rows;
        *matrix = matrix.rows(rows);
        if rows.len() == n_before {
            return;
        }
        let n_after = rows.len();
        for tensor in &mut self.stored {
            let places: Vec<usize> =
                (0..tensor.rows.len()).filter(|&at| tensor.rows[at].0 == *role).collect();
            let Some(&first) = places.first() else { continue };
            if n_after <= n_before {
                // the stored pattern (groups, alternation) stays, with fewer rows
                tensor.rows.retain(|(found, row)| found != role || *row < n_after);
            } else {
                let after = places.last().map_or(first, |last| last + 1);
                tensor.rows.splice(after..after, (n_before..n_after).map(|row| (*role, row)));
            }
        }
    }

    /// Replaces a matrix that is stored alone by one of another number of columns.
    pub fn select_cols(&mut self, role: &Role, cols: &[usize]) {
        if let Some(matrix) = self.parts.get_mut(role) {
            *matrix = matrix.cols(cols);
        }
    }

    /// Adds a matrix with a tensor of its own.
    pub fn add(&mut self, role: Role, matrix: Dense, name: String, dtype: Dtype) {
        let rows = (0..matrix.n_rows).map(|row| (role, row)).collect();
        let is_vector = role.is_bias || matrix.n_cols == 1;
        self.parts.insert(role, matrix);
        self.stored.push(StoredTensor {
            name,
            dtype,
            rows,
            n_stacked: 1,
            is_transposed: false,
            is_vector,
            n_empty_axes: 0,
            inner_shape: Vec::new(),
        });
    }

    /// Element type of most tensors.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        let mut counts: BTreeMap<Dtype, usize> = BTreeMap::new();
        self.stored.iter().for_each(|tensor| *counts.entry(tensor.dtype).or_default() += tensor.rows.len());
        counts.into_iter().max_by_key(|(_, n)| *n).map_or(Dtype::F32, |(dtype, _)| dtype)
    }

    /// Gives `lm_head` a table of its own where it is a view of the embedding.
    pub fn untie_head(&mut self) {
        if self.has(Part::Head) {
            return;
        }
        let head = self.role(None, Part::Head, false);
        let Some(table) = self.parts.get(&self.role(None, Part::Embed, false)).cloned() else { return };
        self.add(head, table, "lm_head.weight".to_owned(), self.dtype());
        self.set_config(&["tie_word_embeddings"], Value::Bool(false));
    }

    /// Sets those of the keys that the config has.
    pub fn set_config(&mut self, keys: &[&str], value: Value) {
        let Some(config) = self.config.as_mut().and_then(Value::as_object_mut) else { return };
        for key in keys {
            if let Some(slot) = config.get_mut(*key) {
                *slot = value.clone();
            }
        }
    }

    /// Sets a key, whether the config has it or not.
    pub fn put_config(&mut self, key: &str, value: Value) {
        if let Some(config) = self.config.as_mut().and_then(Value::as_object_mut) {
            config.insert(key.to_owned(), value);
        }
    }
}
