//! Parts meet by role; parts without a role by name, then by shape and order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{LayerMap, Side, TokenMatch};
use crate::canonical::{CanonicalModel, CanonicalPart, Group};
use crate::roles::{Expert, Part, Role};
use crate::stream::RowPairing;

/// A part of the left model and the part of the right model it is compared with.
#[derive(Clone, Debug)]
pub struct PairedPart {
    /// Index into the left model's parts.
    pub left: usize,
    /// Index into the right model's parts.
    pub right: usize,
    /// Report group.
    pub group: Group,
    /// Which rows belong together.
    pub rows: RowPairing,
}

/// A part that has no partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaired {
    /// Whose.
    pub side: Side,
    /// Index into that model's parts.
    pub part: usize,
    /// One sentence.
    pub reason: String,
}

/// Name of the tensor behind a part.
pub type NameOf<'a> = dyn Fn(Side, &CanonicalPart) -> String + 'a;

/// Pairs the parts of two models under a layer map.
#[must_use]
pub fn pair_parts(
    left: &CanonicalModel,
    right: &CanonicalModel,
    layer_map: &LayerMap,
    tokens: Option<&TokenMatch>,
    name_of: &NameOf<'_>,
) -> (Vec<PairedPart>, Vec<Unpaired>) {
    let mut taken_left = BTreeSet::new();
    let mut pairs = Vec::new();
    let mut reasons: HashMap<(Side, usize), String> = HashMap::new();
    let by_role: HashMap<Role, usize> = left
        .parts
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(idx, part)| part.role.map(|role| (role, idx)))
        .filter(|(role, _)| role.part != Part::Other)
        .collect();
    for (right_idx, part) in right.parts.iter().enumerate() {
        let Some(role) = part.role.filter(|role| role.part != Part::Other) else { continue };
        let left_layer = match role.layer {
            Some(layer) => match layer_map.left(role.component, layer) {
                Some(layer) => Some(layer),
                None => {
                    reasons
                        .insert((Side::Right, right_idx), "no layer of the other model fits this one".into());
                    continue;
                }
            },
            None => None,
        };
        let wanted = Role { layer: left_layer, ..role };
        let Some(&left_idx) = by_role.get(&wanted) else {
            reasons.insert((Side::Right, right_idx), absent(&role));
            continue;
        };
        match rows_of(&left.parts[left_idx], part, &role, tokens) {
            Ok(rows) => {
                taken_left.insert(left_idx);
                pairs.push(PairedPart {
                    left: left_idx,
                    right: right_idx,
                    group: Group::of(Some(&role)),
                    rows,
                });
            }
            Err(reason) => {
                reasons.insert((Side::Right, right_idx), reason.clone());
                reasons.insert((Side::Left, left_idx), reason);
            }
        }
    }
    pair_rest(left, right, &mut taken_left, &mut pairs, name_of);
    pairs.sort_by_key(|pair| pair.right);
    let taken_right: BTreeSet<usize> = pairs.iter().map(|pair| pair.right).collect();
    let mut unpaired = Vec::new();
    for (side, model, taken) in [(Side::Left, left, &taken_left), (Side::Right, right, &taken_right)] {
        for part in (0..model.parts.len()).filter(|idx| !taken.contains(idx)) {
            let reason = reasons.remove(&(side, part)).unwrap_or_else(|| match &model.parts[part].role {
                Some(role) => absent(role),
                None => "no tensor of this name or shape in the other model".into(),
            });
            unpaired.push(Unpaired { side, part, reason });
        }
    }
    (pairs, unpaired)
}

fn absent(role: &Role) -> String {
    match role.expert {
        Expert::Routed(_) => "the other model has no such expert".into(),
        _ if role.layer.is_some() => "the other model has no such part in the layer held against it".into(),
        _ => "the other model has no such part".into(),
    }
}

/// How the rows of two parts of one role meet, or why they do not.
fn rows_of(
    left: &CanonicalPart,
    right: &CanonicalPart,
    role: &Role,
    tokens: Option<&TokenMatch>,
) -> Result<RowPairing, String> {
    let (l, r) = (&left.stored.view, &right.stored.view);
    if l.n_cols != r.n_cols {
        return Err(format!("shapes differ: {}×{} and {}×{}", l.n_rows, l.n_cols, r.n_rows, r.n_cols));
    }
    let is_vocabulary = matches!(role.part, Part::Embed | Part::Head) && !role.is_bias;
    if !is_vocabulary {
        return if l.n_rows == r.n_rows && l.n_cols == r.n_cols {
            Ok(RowPairing::Same)
        } else {
            Err(format!("shapes differ: {}×{} and {}×{}", l.n_rows, l.n_cols, r.n_rows, r.n_cols))
        };
    }
    match tokens {
        Some(tokens) if !(tokens.same_ids && l.n_rows == r.n_rows) => {
            let shared = tokens.left.iter().zip(tokens.right.iter());
            let rows: Vec<(u64, u64)> = shared
                .filter(|(left_id, right_id)| **left_id < l.n_rows && **right_id < r.n_rows)
                .map(|(left_id, right_id)| (*left_id, *right_id))
                .collect();
            if rows.is_empty() {
                return Err("the vocabularies share no token".into());
            }
            Ok(RowPairing::Listed {
                left: rows.iter().map(|row| row.0).collect(),
                right: rows.iter().map(|row| row.1).collect(),
            })
        }
        _ if l.n_rows == r.n_rows => Ok(RowPairing::Same),
        _ => {
            // no tokenizer on one side: ids are all there is
            let rows: std::sync::Arc<[u64]> = (0..l.n_rows.min(r.n_rows)).collect();
            Ok(RowPairing::Listed { left: rows.clone(), right: rows })
        }
    }
}

/// Part indices of the left and of the right model.
type BothSides = (Vec<usize>, Vec<usize>);

/// Parts without a role: by name and shape, then by shape and order where both models hold equally many.
fn pair_rest(
    left: &CanonicalModel,
    right: &CanonicalModel,
    taken_left: &mut BTreeSet<usize>,
    pairs: &mut Vec<PairedPart>,
    name_of: &NameOf<'_>,
) {
    let unplaced = |part: &CanonicalPart| part.role.is_none_or(|role| role.part == Part::Other);
    let shape = |part: &CanonicalPart| (part.stored.view.n_rows, part.stored.view.n_cols, part.n_dimensions);
    let mut taken_right: BTreeSet<usize> = pairs.iter().map(|pair| pair.right).collect();
    let left_names: HashMap<String, usize> = left
        .parts
        .iter()
        .enumerate()
        .filter(|(idx, part)| unplaced(part) && !taken_left.contains(idx))
        .map(|(idx, part)| (name_of(Side::Left, part), idx))
        .collect();
    let mut push = |left_idx: usize, right_idx: usize, taken_left: &mut BTreeSet<usize>| {
        taken_left.insert(left_idx);
        taken_right.insert(right_idx);
        pairs.push(PairedPart {
            left: left_idx,
            right: right_idx,
            group: Group::Other,
            rows: RowPairing::Same,
        });
    };
    for (right_idx, part) in right.parts.iter().enumerate().filter(|(_, part)| unplaced(part)) {
        if let Some(&left_idx) = left_names.get(&name_of(Side::Right, part))
            && shape(&left.parts[left_idx]) == shape(part)
            && !taken_left.contains(&left_idx)
        {
            push(left_idx, right_idx, taken_left);
        }
    }
    let mut by_shape: BTreeMap<(u64, u64, usize), BothSides> = BTreeMap::new();
    for (idx, part) in left.parts.iter().enumerate() {
        if unplaced(part) && !taken_left.contains(&idx) {
            by_shape.entry(shape(part)).or_default().0.push(idx);
        }
    }
    for (idx, part) in right.parts.iter().enumerate() {
        if unplaced(part) && !taken_right.contains(&idx) {
            by_shape.entry(shape(part)).or_default().1.push(idx);
        }
    }
    for (lefts, rights) in by_shape.into_values().filter(|(lefts, rights)| lefts.len() == rights.len()) {
        for (left_idx, right_idx) in lefts.into_iter().zip(rights) {
            taken_left.insert(left_idx);
            pairs.push(PairedPart {
                left: left_idx,
                right: right_idx,
                group: Group::Other,
                rows: RowPairing::Same,
            });
        }
    }
}
