//! What a rival sees of a pair: whole matrices by role, token rows that both know.

use super::linear::Dense;
use crate::canonical::{self, CanonicalModel};
use crate::checkpoint::Checkpoint;
use crate::roles::{self, Component, Expert, Graph, Part, Role};
use crate::stream::{Error, ReadMeter, read_rows};

/// Matrices above this many elements are left out: the rivals hold them whole, as f32. 512 MiB each.
const MOST_ELEMENTS: u64 = 1 << 27;

/// One model.
pub struct Model<'a> {
    checkpoint: &'a Checkpoint,
    canonical: CanonicalModel,
    /// Facts of the graph.
    pub(super) graph: Graph,
    component: Component,
}

impl<'a> Model<'a> {
    /// Roles by name; nothing is read.
    #[must_use]
    pub fn new(checkpoint: &'a Checkpoint) -> Model<'a> {
        let roles = roles::assign(checkpoint);
        let canonical = canonical::canonicalise(checkpoint, &roles);
        let main =
            [Component::Text, Component::Decoder, Component::Encoder, Component::Vision, Component::Audio];
        let component = main
            .into_iter()
            .max_by_key(|component| (canonical.layers(*component).len(), std::cmp::Reverse(*component)))
            .unwrap_or(Component::Text);
        Model { checkpoint, canonical, graph: roles.graph, component }
    }

    /// Layers of the main stack.
    pub(super) fn layers(&self) -> Vec<u32> {
        self.canonical.layers(self.component)
    }

    /// A matrix [out, in] of a layer (of expert 0 in a mixture), or of the whole model.
    pub(super) fn matrix(
        &self,
        layer: Option<u32>,
        part: Part,
        meter: &ReadMeter,
    ) -> Result<Option<Dense>, Error> {
        let role = |expert| Role { component: self.component, layer, expert, part, is_bias: false };
        let found = self
            .canonical
            .find(&role(Expert::None))
            .or_else(|| self.canonical.find(&role(Expert::Routed(0))));
        match found {
            Some(idx) => self.read(idx, meter),
            None => Ok(None),
        }
    }

    /// Every part with a role, read one at a time.
    pub(super) fn roles(&self) -> impl Iterator<Item = (Role, usize)> {
        self.canonical.parts.iter().enumerate().filter_map(|(idx, part)| Some((part.role?, idx)))
    }

    /// The part of a role.
    pub(super) fn find(&self, role: &Role) -> Option<usize> {
        self.canonical.find(role)
    }

    /// (rows, columns) of a part.
    pub(super) fn shape(&self, idx: usize) -> (u64, u64) {
        let view = &self.canonical.parts[idx].stored.view;
        (view.n_rows, view.n_cols)
    }

    /// A part in memory; None where it is too large.
    pub(super) fn read(&self, idx: usize, meter: &ReadMeter) -> Result<Option<Dense>, Error> {
        let stored = &self.canonical.parts[idx].stored;
        let view = &stored.view;
        if view.n_elements() > MOST_ELEMENTS {
            return Ok(None);
        }
        let rows: Vec<u64> = (0..view.n_rows).collect();
        Ok(Some(Dense::of(&read_rows(stored, &rows, 0..view.n_cols, meter)?)))
    }

    fn embedding(&self) -> Option<usize> {
        self.canonical
            .parts
            .iter()
            .position(|part| part.role.is_some_and(|role| role.part == Part::Embed && !role.is_bias))
    }
}

/// A pair, and the tokens that both know.
pub struct Context<'a> {
    pub(super) left: &'a Model<'a>,
    pub(super) right: &'a Model<'a>,
    pub(super) meter: &'a ReadMeter,
}

impl<'a> Context<'a> {
    /// A pair.
    #[must_use]
    pub fn new(left: &'a Model<'a>, right: &'a Model<'a>, meter: &'a ReadMeter) -> Context<'a> {
        Context { left, right, meter }
    }

    /// Embedding rows of shared tokens, in the same order, at most `most`; None with fewer than 16.
    pub(super) fn tokens(&self, most: usize) -> Result<Option<(Dense, Dense)>, Error> {
        let (Some(left), Some(right)) = (self.left.embedding(), self.right.embedding()) else {
            return Ok(None);
        };
        let (n_left, n_right) = (self.left.shape(left).0, self.right.shape(right).0);
        let shared: Vec<(u64, u64)> =
            match (&self.left.checkpoint.vocabulary, &self.right.checkpoint.vocabulary) {
                (Some(a), Some(b)) => {
                    let mut ids = Vec::new();
                    let mut right = b.tokens.iter().peekable();
                    // both lists are sorted by token
                    for (token, id) in &a.tokens {
                        while right.next_if(|(other, _)| other < token).is_some() {}
                        if let Some((_, other)) = right.next_if(|(other, _)| other == token) {
                            ids.push((*id, *other));
                        }
                    }
                    ids.sort_unstable();
                    ids
                }
                _ => (0..n_left.min(n_right)).map(|id| (id, id)).collect(),
            };
        let (ids_l, ids_r): (Vec<u64>, Vec<u64>) =
            shared.into_iter().filter(|(l, r)| *l < n_left && *r < n_right).take(most).unzip();
        if ids_l.len() < 16 {
            return Ok(None);
        }
        let rows = |model: &Model<'_>, idx: usize, ids: &[u64]| -> Result<Dense, Error> {
            let stored = &model.canonical.parts[idx].stored;
            Ok(Dense::of(&read_rows(stored, ids, 0..stored.view.n_cols, self.meter)?))
        };
        Ok(Some((rows(self.left, left, &ids_l)?, rows(self.right, right, &ids_r)?)))
    }

    /// Layers of both in order, as many as both have.
    pub(super) fn layers(&self) -> Vec<(u32, u32)> {
        self.left.layers().into_iter().zip(self.right.layers()).collect()
    }
}
