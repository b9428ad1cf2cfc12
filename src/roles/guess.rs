//! Models whose names say nothing: shapes leave each tensor a few possible parts, and sometimes one.

use std::collections::BTreeMap;

use super::{Assignment, Component, Expert, Header, How, Part, Role, RoleMap, pattern};
use crate::checkpoint::Config;
use crate::tensor::View;

/// Tensors without a role that share a shape, and the parts that a decoder could use it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeClass {
    /// Rows; 1 for a vector.
    pub n_rows: u64,
    /// Columns.
    pub n_cols: u64,
    /// Indices of the tensors, in the order of the checkpoint.
    pub tensors: Vec<usize>,
    /// Parts that fit, in the order of the block; empty where the model is no plain decoder by its shapes.
    pub candidates: Vec<Part>,
}

/// Classes of equal shape among the tensors without a role, smallest shape first.
///
/// The data must decide which tensor of a class is which part of which layer; the number of ways tried multiplies p.
#[must_use]
pub fn shape_classes(roles: &RoleMap, config: Option<&Config>) -> Vec<ShapeClass> {
    let unknown =
        roles.assignments.iter().enumerate().filter_map(|(idx, (assignment, _))| match assignment {
            Assignment::Unknown(view) => Some((idx, *view)),
            _ => None,
        });
    classes(unknown, config)
}

fn classes(unknown: impl Iterator<Item = (usize, View)>, config: Option<&Config>) -> Vec<ShapeClass> {
    let mut by_shape: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
    for (idx, view) in unknown {
        by_shape.entry((view.n_rows, view.n_cols)).or_default().push(idx);
    }
    let counts = by_shape.iter().map(|(shape, tensors)| (*shape, tensors.len())).collect();
    let widths = Widths::of(&counts, config);
    by_shape
        .into_iter()
        .map(|((n_rows, n_cols), tensors)| ShapeClass {
            n_rows,
            n_cols,
            tensors,
            candidates: widths.as_ref().map_or_else(Vec::new, |widths| widths.candidates(n_rows, n_cols)),
        })
        .collect()
}

/// The widths of a decoder, read from how often its shapes occur.
struct Widths {
    hidden: u64,
    mlp: u64,
    vocabulary: Option<u64>,
    has_gate: bool,
    has_narrow_kv: bool,
}

type Counts = BTreeMap<(u64, u64), usize>;

/// A decoder has some ten shapes; far more of them are another kind of model, and take too long to try.
const MAX_SHAPES: usize = 256;

impl Widths {
    /// None unless every matrix touches one width, there are norms of it, and matrices lead to a wider one and back.
    fn of(counts: &Counts, config: Option<&Config>) -> Option<Widths> {
        if counts.len() > MAX_SHAPES {
            return None;
        }
        let count = |rows, cols| counts.get(&(rows, cols)).copied().unwrap_or(0);
        let matrices = || counts.keys().filter(|(rows, _)| *rows > 1);
        let is_hidden = |width: &u64| {
            count(1, *width) > 0 && matrices().all(|(rows, cols)| rows == width || cols == width)
        };
        let said = config.and_then(|config| config.hidden_size);
        let vectors = || counts.keys().filter(|(rows, _)| *rows == 1).map(|(_, n)| *n);
        let hidden = said.filter(is_hidden).or_else(|| vectors().find(is_hidden))?;
        // the MLP leads out and back: [x, d] once or twice for every [d, x]
        let is_mlp = |width: &u64| {
            let (out, back) = (count(*width, hidden), count(hidden, *width));
            *width != hidden && back > 0 && (out == back || out == 2 * back)
        };
        let said = config.and_then(|config| config.intermediate_size);
        let wide = || matrices().filter(|(rows, cols)| *rows == hidden && *cols > hidden).map(|(_, n)| *n);
        let mlp = said.filter(is_mlp).or_else(|| wide().find(is_mlp))?;
        let is_vocabulary = |rows: &u64| *rows != mlp && *rows > hidden && count(*rows, hidden) <= 2;
        let said = config.and_then(|config| config.vocab_size).filter(|rows| count(*rows, hidden) > 0);
        let tall = || matrices().filter(|(_, cols)| *cols == hidden).map(|(rows, _)| *rows);
        Some(Widths {
            hidden,
            mlp,
            vocabulary: said.or_else(|| tall().filter(is_vocabulary).max()),
            has_gate: count(mlp, hidden) == 2 * count(hidden, mlp),
            has_narrow_kv: tall().any(|rows| rows < hidden),
        })
    }

    fn candidates(&self, n_rows: u64, n_cols: u64) -> Vec<Part> {
        let mut parts = Vec::new();
        let hidden = self.hidden;
        if (n_rows, n_cols) == (1, hidden) {
            parts.extend([Part::Norm1, Part::Norm2, Part::FinalNorm]);
        }
        if n_rows > 1 && n_cols == hidden && Some(n_rows) == self.vocabulary {
            parts.extend([Part::Embed, Part::Head]);
        }
        if (n_rows, n_cols) == (hidden, hidden) {
            let all: &[Part] = &[Part::Q, Part::K, Part::V, Part::O];
            let wide: &[Part] = &[Part::Q, Part::O];
            parts.extend(if self.has_narrow_kv { wide } else { all });
        }
        if n_rows > 1 && n_rows < hidden && n_cols == hidden {
            parts.extend([Part::K, Part::V]);
        }
        if (n_rows, n_cols) == (self.mlp, hidden) {
            if self.has_gate {
                parts.push(Part::Gate);
            }
            parts.push(Part::Up);
        }
        if (n_rows, n_cols) == (hidden, self.mlp) {
            parts.push(Part::Down);
        }
        parts
    }
}

/// Gives a role to every tensor that shape and the one number in its name leave no choice, where no table knew any.
///
/// Numbers may count tensors instead of layers, as where every name was replaced: they are layers only where the
/// tensors of a part have one pattern of names, and their numbers count up without a gap.
pub(super) fn assign(headers: &[Header<'_>], assignments: &mut [(Assignment, How)], config: Option<&Config>) {
    let unknown = assignments.iter().enumerate().filter_map(|(idx, (assignment, _))| match assignment {
        Assignment::Unknown(view) => Some((idx, *view)),
        _ => None,
    });
    for class in classes(unknown, config) {
        let roles: Option<Vec<(usize, Option<u32>, Part)>> = match class.candidates.as_slice() {
            [part @ (Part::Down | Part::Up)] => layers_of(headers, &class.tensors)
                .map(|layers| layers.into_iter().map(|(idx, layer)| (idx, Some(layer), *part)).collect()),
            [Part::Embed, Part::Head] => match class.tensors.as_slice() {
                [idx] => Some(vec![(*idx, None, Part::Embed)]),
                _ => None,
            },
            _ => None,
        };
        for (idx, layer, part) in roles.unwrap_or_default() {
            let Some(slot) = assignments.get_mut(idx) else { continue };
            let (Assignment::Unknown(view), _) = slot else { continue };
            let role = Role { component: Component::Text, layer, expert: Expert::None, part, is_bias: false };
            *slot = (Assignment::Views(vec![(role, *view)]), How::Guessed);
        }
    }
}

/// The number in each name, where all names are one pattern with one number each and the numbers count from 0 or 1.
fn layers_of(headers: &[Header<'_>], tensors: &[usize]) -> Option<Vec<(usize, u32)>> {
    let names: Vec<&str> =
        tensors.iter().filter_map(|idx| headers.get(*idx)).map(|header| header.name).collect();
    let first = pattern::generalised(names.first()?);
    let has_one_number = first.split('.').filter(|segment| *segment == "N").count() == 1;
    if !has_one_number || names.iter().any(|name| pattern::generalised(name) != first) {
        return None;
    }
    let number = |name: &&str| name.split('.').find_map(|segment| segment.parse::<u32>().ok());
    let numbers: Vec<u32> = names.iter().filter_map(number).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let start = *sorted.first()?;
    let counts_up = start <= 1 && sorted.iter().zip(start..).all(|(found, wanted)| *found == wanted);
    (counts_up && numbers.len() == tensors.len())
        .then(|| tensors.iter().copied().zip(numbers).map(|(idx, layer)| (idx, layer - start)).collect())
}
