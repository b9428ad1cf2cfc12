//! Systematic renamings: which name pattern of one model carries the roles of which pattern of the other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Described, Renaming};
use crate::roles::{Assignment, Component, Expert, Part, Role};

/// A role in any layer and any expert: (tower, 0 outside a mixture, 1 routed, 2 shared, part, bias).
type Kind = (Component, u8, Part, bool);

fn kind(role: &Role) -> Kind {
    let expert = match role.expert {
        Expert::None => 0,
        Expert::Routed(_) => 1,
        Expert::Shared(_) => 2,
    };
    (role.component, expert, role.part, role.is_bias)
}

/// A tensor name with layer and expert indices generalised, and whether it is stored transposed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    /// Lowest role first, so that q stands before k and v.
    kinds: BTreeSet<Kind>,
    name: String,
    is_transposed: bool,
}

/// Every name pattern of a model with the number of its tensors.
fn patterns(model: &Described<'_>) -> BTreeMap<String, (Pattern, u64)> {
    let mut found: BTreeMap<String, (Pattern, u64)> = BTreeMap::new();
    for (header, (assignment, _)) in model.headers.iter().zip(&model.roles.assignments) {
        let Assignment::Views(views) = assignment else { continue };
        let name = crate::roles::generalised(header.name);
        let entry = found
            .entry(name.clone())
            .or_insert_with(|| (Pattern { kinds: BTreeSet::new(), name, is_transposed: false }, 0));
        entry.1 += 1;
        for (role, view) in views {
            entry.0.kinds.insert(kind(role));
            let is_matrix = view.n_rows > 1 && view.n_cols > 1;
            entry.0.is_transposed |= is_matrix && view.col_stride != 1;
        }
    }
    found
}

/// Renamings between two models whose roles are known, in the order of the left roles.
pub(super) fn by_role(left: &Described<'_>, right: &Described<'_>) -> Vec<Renaming> {
    let (of_left, of_right) = (patterns(left), patterns(right));
    let mut groups = join(of_left.into_values().collect(), of_right.into_values().collect());
    groups.sort_by(|a, b| a.left.iter().min().cmp(&b.left.iter().min()));
    let mut renamed: Vec<Renaming> = Vec::new();
    for group in groups {
        let Some((from, to)) = group.names() else { continue };
        match renamed.iter_mut().find(|known| known.from == from && known.to == to) {
            Some(known) => known.count += group.count,
            None => renamed.push(Renaming { from, to, count: group.count }),
        }
    }
    let tied = [left, right].map(|model| model.roles.graph.tied_embeddings);
    let stored = |model: &Described<'_>, part| {
        let has = |assignment: &Assignment| matches!(assignment, Assignment::Views(views) if views.iter().any(|(role, _)| role.part == part && role.layer.is_none() && !role.is_bias));
        let mut all = model.headers.iter().zip(&model.roles.assignments);
        all.find(|(_, (assignment, _))| has(assignment)).map(|(header, _)| shown(header.name))
    };
    let tie = |name: String| format!("{name} (tied)");
    let pair = match tied {
        [true, false] => stored(left, Part::Embed).map(tie).zip(stored(right, Part::Head)),
        [false, true] => stored(left, Part::Head).zip(stored(right, Part::Embed).map(tie)),
        _ => None,
    };
    renamed.extend(pair.map(|(from, to)| Renaming { from, to, count: 1 }));
    renamed
}

fn shown(name: &str) -> String {
    name.strip_suffix(".weight").unwrap_or(name).to_owned()
}

/// Patterns of both sides that carry the same roles.
struct Group {
    left: Vec<Pattern>,
    right: Vec<Pattern>,
    /// Tensors of the left model.
    count: u64,
}

/// Connects the patterns that share a role, until nothing more joins.
fn join(left: Vec<(Pattern, u64)>, right: Vec<(Pattern, u64)>) -> Vec<Group> {
    let mut groups: Vec<(BTreeSet<Kind>, Group)> = Vec::new();
    let all =
        left.into_iter().map(|found| (true, found)).chain(right.into_iter().map(|found| (false, found)));
    for (is_left, (pattern, count)) in all {
        let (touching, apart) = groups.into_iter().partition(|(kinds, _)| !kinds.is_disjoint(&pattern.kinds));
        groups = apart;
        let mut kinds = pattern.kinds.clone();
        let mut merged = Group { left: Vec::new(), right: Vec::new(), count: 0 };
        let touching: Vec<(BTreeSet<Kind>, Group)> = touching;
        for (more, group) in touching {
            kinds.extend(more);
            merged.left.extend(group.left);
            merged.right.extend(group.right);
            merged.count += group.count;
        }
        if is_left {
            merged.count += count;
            merged.left.push(pattern);
        } else {
            merged.right.push(pattern);
        }
        groups.push((kinds, merged));
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

impl Group {
    /// Both sides in words; None where they are named alike, or one of them is empty.
    fn names(&self) -> Option<(String, String)> {
        let names = |side: &[Pattern]| {
            let mut side: Vec<&Pattern> = side.iter().collect();
            side.sort();
            side.iter().map(|pattern| pattern.name.clone()).collect::<Vec<_>>()
        };
        let (left, right) = (names(&self.left), names(&self.right));
        let turned = |side: &[Pattern]| side.iter().any(|pattern| pattern.is_transposed);
        let is_turned = turned(&self.left) != turned(&self.right);
        if left.is_empty() || right.is_empty() || (left == right && !is_turned) {
            return None;
        }
        let (left, right) = if left == right { (left, right) } else { shorten(left, right) };
        let text = |names: Vec<String>, is_marked: bool| {
            let joined = names.join(" + ");
            if is_marked { format!("{joined} (transposed)") } else { joined }
        };
        Some((text(left, is_turned && turned(&self.left)), text(right, is_turned && turned(&self.right))))
    }
}

/// Drops the segments that all names share at either end, and keeps at least one of each.
fn shorten(left: Vec<String>, right: Vec<String>) -> (Vec<String>, Vec<String>) {
    let mut split: Vec<Vec<&str>> = left.iter().chain(&right).map(|name| name.split('.').collect()).collect();
    while let Some(last) = split.first().and_then(|name| name.last().copied())
        && split.iter().all(|name| name.len() > 1 && name.last() == Some(&last))
    {
        split.iter_mut().for_each(|name| name.truncate(name.len() - 1));
    }
    while let Some(first) = split.first().and_then(|name| name.first().copied())
        && split.iter().all(|name| name.len() > 1 && name.first() == Some(&first))
    {
        for name in &mut split {
            name.remove(0);
        }
    }
    let mut joined = split.into_iter().map(|name| name.join("."));
    let left: Vec<String> = joined.by_ref().take(left.len()).collect();
    (left, joined.collect())
}
