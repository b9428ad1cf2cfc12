//! Parts meet by role; parts without a role by name, then by shape and order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{LayerMap, Side, TokenMatch};
use crate::canonical::{CanonicalModel, CanonicalPart, Group};
use crate::roles::{Component, Expert, Part, Role};
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
    /// Parts that could have been held against this one, where values chose: multiplies the p of a test on it.
    pub n_candidates: usize,
}

impl PairedPart {
    /// Index into the parts of one side.
    #[must_use]
    pub fn of(&self, side: Side) -> usize {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }
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

/// Pairs the parts of two models under a layer map. `by_values` holds (left, right) parts without a role or a common name that were
/// found to belong together.
#[must_use]
pub fn pair_parts(
    left: &CanonicalModel,
    right: &CanonicalModel,
    layer_map: &LayerMap,
    tokens: Option<&TokenMatch>,
    by_values: &[(usize, usize)],
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
                    n_candidates: 1,
                });
            }
            Err(reason) => {
                reasons.insert((Side::Right, right_idx), reason.clone());
                reasons.insert((Side::Left, left_idx), reason);
            }
        }
    }
    pair_rest((left, right), &mut taken_left, &mut pairs, by_values, name_of);
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

/// Whether the rows of a matrix are tokens. What embeds patches and spectra in other towers has filters for rows.
#[must_use]
pub fn is_token_table(role: &Role) -> bool {
    matches!(role.part, Part::Embed | Part::Head)
        && !role.is_bias
        && !matches!(role.component, Component::Vision | Component::Audio)
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
    if !is_token_table(role) {
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
pub type BothSides = (Vec<usize>, Vec<usize>);

/// Parts without a role that no name pairs, by shape: those shapes that both models hold.
#[must_use]
pub fn unnamed_by_shape(
    left: &CanonicalModel,
    right: &CanonicalModel,
    name_of: &NameOf<'_>,
) -> Vec<BothSides> {
    let by_name = by_name((left, right), &BTreeSet::new(), name_of);
    let (lefts, rights) = by_name.into_iter().unzip();
    let by_shape = rest_by_shape((left, right), (&lefts, &rights)).into_values();
    by_shape.filter(|(lefts, rights)| !lefts.is_empty() && !rights.is_empty()).collect()
}

/// Parts without a role: by name and shape, by values, then by shape and order where both models hold equally many, or where nothing
/// else pairs anything.
fn pair_rest(
    models: (&CanonicalModel, &CanonicalModel),
    taken_left: &mut BTreeSet<usize>,
    pairs: &mut Vec<PairedPart>,
    by_values: &[(usize, usize)],
    name_of: &NameOf<'_>,
) {
    let mut taken_right: BTreeSet<usize> = pairs.iter().map(|pair| pair.right).collect();
    let mut push = |left: usize, right: usize, taken_left: &mut BTreeSet<usize>, n_candidates: usize| {
        if !taken_left.contains(&left) && !taken_right.contains(&right) {
            taken_left.insert(left);
            taken_right.insert(right);
            pairs.push(PairedPart { left, right, group: Group::Other, rows: RowPairing::Same, n_candidates });
        }
    };
    for (left, right) in by_name(models, taken_left, name_of) {
        push(left, right, taken_left, 1);
    }
    // where neither roles, names nor values say anything, order is all there is, and shows that nothing resembles anything
    let is_all_there_is = taken_left.is_empty() && by_values.is_empty();
    let found: BTreeMap<usize, usize> = by_values.iter().map(|&(left, right)| (right, left)).collect();
    let found_left: BTreeSet<usize> = found.values().copied().collect();
    for (lefts, rights) in unnamed_by_shape(models.0, models.1, name_of) {
        let n_candidates = lefts.len().max(rights.len());
        let goes_by_order = lefts.len() == rights.len() || is_all_there_is;
        let mut by_order = lefts.into_iter().filter(|left| !found_left.contains(left));
        for right in rights {
            let left = found.get(&right).copied().or_else(|| by_order.next().filter(|_| goes_by_order));
            if let Some(left) = left {
                push(left, right, taken_left, n_candidates);
            }
        }
    }
}

fn is_unplaced(part: &CanonicalPart) -> bool {
    part.role.is_none_or(|role| role.part == Part::Other)
}

/// Rows, columns, dimensions.
type Shape = (u64, u64, usize);

fn shape(part: &CanonicalPart) -> Shape {
    (part.stored.view.n_rows, part.stored.view.n_cols, part.n_dimensions)
}

/// Parts without a role that have one name, place in their tensor and shape.
fn by_name(
    (left, right): (&CanonicalModel, &CanonicalModel),
    taken_left: &BTreeSet<usize>,
    name_of: &NameOf<'_>,
) -> Vec<(usize, usize)> {
    let key = |side: Side, part: &CanonicalPart| (name_of(side, part), part.stored.view.base);
    let lefts = left.parts.iter().enumerate();
    let left_names: HashMap<(String, u64), usize> = lefts
        .filter(|(idx, part)| is_unplaced(part) && !taken_left.contains(idx))
        .map(|(idx, part)| (key(Side::Left, part), idx))
        .collect();
    let rights = right.parts.iter().enumerate().filter(|(_, part)| is_unplaced(part));
    rights
        .filter_map(|(idx, part)| {
            let &left_idx = left_names.get(&key(Side::Right, part))?;
            (shape(&left.parts[left_idx]) == shape(part)).then_some((left_idx, idx))
        })
        .collect()
}

/// What is left of the parts without a role.
fn rest_by_shape(
    (left, right): (&CanonicalModel, &CanonicalModel),
    taken: (&BTreeSet<usize>, &BTreeSet<usize>),
) -> BTreeMap<Shape, BothSides> {
    let mut by_shape: BTreeMap<Shape, BothSides> = BTreeMap::new();
    for (idx, part) in left.parts.iter().enumerate() {
        if is_unplaced(part) && !taken.0.contains(&idx) {
            by_shape.entry(shape(part)).or_default().0.push(idx);
        }
    }
    for (idx, part) in right.parts.iter().enumerate() {
        if is_unplaced(part) && !taken.1.contains(&idx) {
            by_shape.entry(shape(part)).or_default().1.push(idx);
        }
    }
    by_shape
}
