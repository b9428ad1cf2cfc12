//! A model whose units lie in a random order, in memory: by construction the order says nothing, so the trace test between a model
//! and its shuffled self has the null that it claims to have.
//!
//! MLP units (rows of gate and up, columns of down), value channels (rows of v, columns of o; inside heads, and heads with heads) and
//! residual dimensions of the token tables each get an order of their own, drawn evenly from those that `measure::families`
//! takes as equally likely. The result computes nothing sensible: it is no disguise (see `transforms`), only a null.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::canonical::{CanonicalModel, canonicalise};
use crate::checkpoint::{Checkpoint, Encoding};
use crate::numerics::Rng;
use crate::roles::{self, Part, Role};
use crate::source::{Error, Source};
use crate::tensor::View;

/// A tensor's decoded bytes.
#[derive(Debug)]
struct InMemory {
    name: String,
    bytes: Vec<u8>,
}

impl Source for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.bytes.get(from..from.saturating_add(buffer.len())) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(Error::Short {
                path: self.name.clone().into(),
                first_missing: self.size_bytes(),
                wanted_end: offset.saturating_add(buffer.len() as u64),
            }),
        }
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The same model with its units in an order drawn by `labels`. Under ALiBi heads keep their places.
///
/// # Errors
/// A read failed.
pub fn shuffled(model: &Checkpoint, labels: &[u64]) -> Result<Checkpoint, Error> {
    let roles = roles::assign(model);
    let canonical = canonicalise(model, &roles);
    let mut rng = Rng::new(&[labels, &[0x7368_7566]].concat());
    let mut changed: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut move_units = |part: usize, axis: Axis, order: &[u64]| -> Result<(), Error> {
        let part = &canonical.parts[part];
        let bytes = match changed.remove(&part.tensor_idx) {
            Some(bytes) => bytes,
            None => read(model, part.tensor_idx)?,
        };
        let size = part.stored.dtype.size_bits() / 8;
        changed.insert(part.tensor_idx, reordered(bytes, &part.stored.view, axis, order, size));
        Ok(())
    };
    for (role, part) in first_of_families(&canonical) {
        let find = |part| canonical.find(&Role { part, ..role });
        let view = &canonical.parts[part].stored.view;
        match role.part {
            Part::Up => {
                let order = free(view.n_rows, &mut rng);
                for (part, axis) in
                    [(Part::Gate, Axis::Rows), (Part::Up, Axis::Rows), (Part::Down, Axis::Columns)]
                {
                    if let Some(idx) = find(part) {
                        move_units(idx, axis, &order)?;
                    }
                }
            }
            Part::V => {
                let Some(head) = roles
                    .graph
                    .head_dim_of(role.component)
                    .filter(|head| *head > 1 && view.n_rows.is_multiple_of(*head))
                else {
                    continue;
                };
                let order = in_heads(view.n_rows, head, !roles.graph.alibi, &mut rng);
                move_units(part, Axis::Rows, &order)?;
                let inputs = find(Part::O).map(|idx| (idx, canonical.parts[idx].stored.view.n_cols));
                if let Some((idx, n_inputs)) = inputs.filter(|(_, n)| n % view.n_rows == 0) {
                    move_units(idx, Axis::Columns, &spread(&order, head, n_inputs / view.n_rows))?;
                }
            }
            Part::Embed => {
                let order = free(view.n_cols, &mut rng);
                for part in [Part::Embed, Part::Head] {
                    // a tied head is a view of the same tensor and has moved with it
                    let moves = find(part).filter(|idx| {
                        part == Part::Embed
                            || find(Part::Embed).is_some_and(|e| {
                                canonical.parts[e].tensor_idx != canonical.parts[*idx].tensor_idx
                            })
                    });
                    if let Some(idx) = moves {
                        move_units(idx, Axis::Columns, &order)?;
                    }
                }
            }
            _ => {}
        }
    }
    let mut copy = model.clone();
    for (tensor_idx, bytes) in changed {
        let tensor = &mut copy.tensors[tensor_idx];
        let elements = Arc::new(InMemory { name: tensor.name.clone(), bytes });
        tensor.encoding = Some(Encoding { name: "units shuffled".to_owned(), elements, cells: None });
    }
    Ok(copy)
}

/// One matrix of every family of units.
fn first_of_families(model: &CanonicalModel) -> Vec<(Role, usize)> {
    let parts = model.parts.iter().enumerate();
    parts
        .filter_map(|(idx, part)| Some((part.role?, idx)))
        .filter(|(role, _)| !role.is_bias && matches!(role.part, Part::Up | Part::V | Part::Embed))
        .collect()
}

/// Where units lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Rows,
    Columns,
}

fn read(model: &Checkpoint, tensor_idx: usize) -> Result<Vec<u8>, Error> {
    let tensor = &model.tensors[tensor_idx];
    let (source, offset) = model.elements_of(tensor);
    let n_bytes = tensor.n_elements() * tensor.dtype.size_bits() / 8;
    let mut bytes = vec![0; usize::try_from(n_bytes).unwrap_or(0)];
    source.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

/// Place i along the axis gets what lay at `order[i]`.
fn reordered(bytes: Vec<u8>, view: &View, axis: Axis, order: &[u64], size: u64) -> Vec<u8> {
    let mut moved = bytes.clone();
    let at = |row, col| usize::try_from(view.element(row, col) * size).unwrap_or(usize::MAX);
    let size = usize::try_from(size).unwrap_or(0);
    for row in 0..view.n_rows {
        for col in 0..view.n_cols {
            let from = match axis {
                Axis::Rows => at(order[row as usize], col),
                Axis::Columns => at(row, order[col as usize]),
            };
            let to = at(row, col);
            moved[to..to + size].copy_from_slice(&bytes[from..from + size]);
        }
    }
    moved
}

/// Any order.
fn free(n: u64, rng: &mut Rng) -> Vec<u64> {
    let mut order: Vec<u64> = (0..n).collect();
    rng.shuffle(&mut order);
    order
}

/// Any order inside heads, and of heads where they may move.
fn in_heads(n: u64, head: u64, heads_move: bool, rng: &mut Rng) -> Vec<u64> {
    let mut heads: Vec<u64> = (0..n / head).collect();
    if heads_move {
        rng.shuffle(&mut heads);
    }
    heads.into_iter().flat_map(|at| free(head, rng).into_iter().map(move |c| at * head + c)).collect()
}

/// The order of what `times` query heads read of each value head.
fn spread(order: &[u64], head: u64, times: u64) -> Vec<u64> {
    let n_heads = order.len() as u64 / head;
    let mut found = Vec::with_capacity(order.len() * usize::try_from(times).unwrap_or(1));
    for group in 0..n_heads {
        for query in 0..times {
            for channel in 0..head {
                let from = order[(group * head + channel) as usize];
                found.push((from / head * times + query) * head + from % head);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_holds_every_unit_once_and_heads_stay_together() {
        let mut rng = Rng::new(&[1]);
        let order = in_heads(32, 8, true, &mut rng);
        let columns = spread(&order, 8, 3);
        for found in [&order, &columns] {
            let mut sorted = found.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..found.len() as u64).collect::<Vec<_>>());
        }
        for head in order.chunks(8) {
            assert!(head.iter().all(|unit| unit / 8 == head[0] / 8));
        }
        // query head q of group g reads value head g: both moved alike
        for (at, column) in columns.iter().enumerate() {
            let (group, channel) = (at / 24, at % 8);
            assert_eq!(order[group * 8 + channel] % 8, column % 8);
            assert_eq!(order[group * 8 + channel] / 8, column / 24);
        }
    }

    #[test]
    fn a_transposed_view_is_reordered_along_its_own_axis() {
        // stored [2 inputs, 3 outputs]; canonical [3, 2]
        let view = View { col_stride: 3, row_stride: 1, ..View::whole(3, 2) };
        let rows = reordered(vec![0, 1, 2, 10, 11, 12], &view, Axis::Rows, &[2, 0, 1], 1);
        assert_eq!(rows, [2, 0, 1, 12, 10, 11]);
        let columns = reordered(vec![0, 1, 2, 10, 11, 12], &view, Axis::Columns, &[1, 0], 1);
        assert_eq!(columns, [10, 11, 12, 0, 1, 2]);
    }
}
