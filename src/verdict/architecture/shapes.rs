//! The architecture axis where names say nothing: convolutional networks, and transformers with every name replaced.

use std::collections::BTreeMap;

use super::{Architecture, ArchitectureVerdict, Described, Renaming};
use crate::roles::{Assignment, Expert, Role};
use crate::tensor::View;
use crate::wording::counted;

/// Rows and columns of a canonical matrix; a vector is one row.
type Dims = (u64, u64);

/// Steps of the search for a substitution of widths; far more than any real pair takes.
const MAX_STEPS: u32 = 100_000;

/// A decoder has some ten shapes; the search goes one call deeper per shape.
const MAX_SHAPES: usize = 64;

/// Compares two models of which at least one has no roles.
pub(super) fn compare(left: &Described<'_>, right: &Described<'_>) -> Architecture {
    let (of_left, of_right) = (multiset(left), multiset(right));
    if !left.has_roles() && !right.has_roles() {
        return by_names(left, right, of_left == of_right);
    }
    let (named, nameless, is_left_named) =
        if left.has_roles() { (left, right, true) } else { (right, left, false) };
    let renamed = whole_renaming(named, nameless, is_left_named);
    if of_left == of_right {
        return Architecture { verdict: ArchitectureVerdict::SameRenamed, renamed, differences: Vec::new() };
    }
    let shapes = if is_left_named { &of_right } else { &of_left };
    let Some(fit) = Template::of(named).and_then(|template| template.fit(shapes)) else {
        let differences = vec!["shapes that do not follow from each other by depth or width".to_owned()];
        return Architecture { verdict: ArchitectureVerdict::Different, renamed, differences };
    };
    let differences = fit.differences(is_left_named);
    Architecture { verdict: ArchitectureVerdict::Compatible, renamed, differences }
}

/// How often each canonical shape occurs.
fn multiset(model: &Described<'_>) -> BTreeMap<Dims, u64> {
    let mut counts = BTreeMap::new();
    for (assignment, _) in &model.roles.assignments {
        for dims in canonical(assignment) {
            *counts.entry(dims).or_insert(0) += 1;
        }
    }
    counts
}

/// Shapes of the weights in one stored tensor.
fn canonical(assignment: &Assignment) -> Vec<Dims> {
    let dims = |view: &View| {
        if view.n_cols == 1 { (1, view.n_rows) } else { (view.n_rows, view.n_cols) }
    };
    match assignment {
        Assignment::Views(views) => views.iter().map(|(_, view)| dims(view)).collect(),
        Assignment::Unknown(view) => vec![dims(view)],
        _ => Vec::new(),
    }
}

/// One entry for all names: which is which only the data can say.
fn whole_renaming(named: &Described<'_>, nameless: &Described<'_>, is_left_named: bool) -> Vec<Renaming> {
    let mut patterns: Vec<String> = nameless.headers.iter().map(|header| digits_as_n(header.name)).collect();
    patterns.sort();
    patterns.dedup();
    let other = match patterns.as_slice() {
        [one] => one.clone(),
        _ => format!("{} other names", patterns.len()),
    };
    let all = format!("all names of {}", named.roles.family);
    let (from, to) = if is_left_named { (all, other) } else { (other, all) };
    let left = if is_left_named { named } else { nameless };
    let is_weight = |assignment: &Assignment| !canonical(assignment).is_empty();
    let count = left.roles.assignments.iter().filter(|(assignment, _)| is_weight(assignment)).count();
    vec![Renaming { from, to, count: u64::try_from(count).unwrap_or(u64::MAX) }]
}

/// Every run of digits as `N`, inside words too.
fn digits_as_n(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        match character {
            '0'..='9' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            _ => text.push(character),
        }
    }
    text
}

/// Two models without roles: by stored names and shapes.
fn by_names(left: &Described<'_>, right: &Described<'_>, has_equal_shapes: bool) -> Architecture {
    let weights = |model: &Described<'_>| -> BTreeMap<String, Vec<u64>> {
        let all = model.headers.iter().zip(&model.roles.assignments);
        all.filter(|(_, (assignment, _))| !canonical(assignment).is_empty())
            .map(|(header, _)| (header.name.to_owned(), header.shape.to_vec()))
            .collect()
    };
    let (of_left, of_right) = (weights(left), weights(right));
    let answer = |verdict, renamed, differences| Architecture { verdict, renamed, differences };
    if of_left == of_right {
        return answer(ArchitectureVerdict::Same, Vec::new(), Vec::new());
    }
    if has_equal_shapes {
        let renamed = in_order(left, right);
        return answer(ArchitectureVerdict::SameRenamed, renamed, Vec::new());
    }
    let common: Vec<_> =
        of_left.iter().filter_map(|(name, a)| Some((name, a, of_right.get(name)?))).collect();
    let n_alike = common.iter().filter(|(_, a, b)| a.len() == b.len()).count();
    let smaller = of_left.len().min(of_right.len());
    let differences = name_differences(&common, of_left.len(), of_right.len());
    // half of the smaller model's weights must have a namesake of the same rank in the other
    let is_compatible = smaller > 0 && n_alike * 2 >= smaller;
    let verdict =
        if is_compatible { ArchitectureVerdict::Compatible } else { ArchitectureVerdict::Different };
    answer(verdict, Vec::new(), differences)
}

/// Sentences about two lists of names; at most this many shapes are spelled out.
const MAX_SHAPES_SHOWN: usize = 4;

fn name_differences(
    common: &[(&String, &Vec<u64>, &Vec<u64>)],
    n_left: usize,
    n_right: usize,
) -> Vec<String> {
    let mut says = Vec::new();
    if n_left != n_right || common.len() != n_left {
        says.push(format!("weights: {n_left} and {n_right}, {} with the same name", common.len()));
    }
    let other: Vec<_> = common.iter().filter(|(_, a, b)| a != b).collect();
    for (name, a, b) in other.iter().take(MAX_SHAPES_SHOWN) {
        says.push(format!("{}: {a:?} and {b:?}", crate::tensor::escape(name)));
    }
    if other.len() > MAX_SHAPES_SHOWN {
        says.push(format!(
            "{} other shapes",
            counted(other.len() - MAX_SHAPES_SHOWN, "more weight has", "more weights have")
        ));
    }
    says
}

/// Pairs the n-th weight of each shape with the n-th of the same shape: only for the list of renamings.
fn in_order(left: &Described<'_>, right: &Described<'_>) -> Vec<Renaming> {
    let by_shape = |model: &Described<'_>| {
        let mut found: BTreeMap<Vec<u64>, Vec<String>> = BTreeMap::new();
        for (header, (assignment, _)) in model.headers.iter().zip(&model.roles.assignments) {
            if !canonical(assignment).is_empty() {
                found.entry(header.shape.to_vec()).or_default().push(crate::roles::generalised(header.name));
            }
        }
        found
    };
    let (of_left, of_right) = (by_shape(left), by_shape(right));
    let mut counts: BTreeMap<(&String, &String), u64> = BTreeMap::new();
    let pairs = of_left.iter().filter_map(|(shape, names)| Some(names.iter().zip(of_right.get(shape)?)));
    for pair in pairs.flatten().filter(|(from, to)| from != to) {
        *counts.entry(pair).or_insert(0) += 1;
    }
    let renaming = |((from, to), count): ((&String, &String), u64)| Renaming {
        from: from.clone(),
        to: to.clone(),
        count,
    };
    counts.into_iter().map(renaming).collect()
}

/// A named model as shapes: how many of each stand in every layer, and how many outside the stack.
struct Template {
    /// (shape, outside, per layer).
    groups: Vec<(Dims, u64, u64)>,
    n_layers: u64,
}

/// Another model's shapes as the template with other widths and another depth.
struct Fit {
    n_layers: (u64, u64),
    /// Width in the template, width in the other model.
    widths: BTreeMap<u64, u64>,
}

impl Template {
    /// None where layers are not alike: then only equal shapes can be recognised.
    fn of(model: &Described<'_>) -> Option<Template> {
        let mut ends: BTreeMap<Dims, u64> = BTreeMap::new();
        let mut layers: BTreeMap<u32, BTreeMap<Dims, u64>> = BTreeMap::new();
        for (assignment, _) in &model.roles.assignments {
            let roles: Vec<Option<&Role>> = match assignment {
                Assignment::Views(views) => views.iter().map(|(role, _)| Some(role)).collect(),
                _ => vec![None],
            };
            for (role, dims) in roles.into_iter().zip(canonical(assignment)) {
                if role.is_some_and(|role| matches!(role.expert, Expert::Routed(_))) {
                    return None;
                }
                let counts = match role.and_then(|role| role.layer) {
                    Some(layer) => layers.entry(layer).or_default(),
                    None => &mut ends,
                };
                *counts.entry(dims).or_insert(0) += 1;
            }
        }
        let first = layers.values().next()?.clone();
        if layers.values().any(|layer| *layer != first) {
            return None;
        }
        let mut groups: BTreeMap<Dims, (u64, u64)> = BTreeMap::new();
        for (dims, n) in ends {
            groups.entry(dims).or_default().0 = n;
        }
        for (dims, n) in first {
            groups.entry(dims).or_default().1 = n;
        }
        let groups = groups.into_iter().map(|(dims, (outside, inside))| (dims, outside, inside)).collect();
        Some(Template { groups, n_layers: u64::try_from(layers.len()).ok()? })
    }

    /// A depth and a one-to-one substitution of widths that turn the template into these shapes.
    fn fit(&self, shapes: &BTreeMap<Dims, u64>) -> Option<Fit> {
        if shapes.len() != self.groups.len() || shapes.len() > MAX_SHAPES {
            return None;
        }
        let (_, outside, inside) = *self.groups.iter().find(|(_, _, inside)| *inside > 0)?;
        let mut depths: Vec<u64> = shapes
            .values()
            .filter_map(|n| n.checked_sub(outside))
            .filter(|n| *n > 0 && n.is_multiple_of(inside))
            .map(|n| n / inside)
            .collect();
        depths.sort_unstable();
        depths.dedup();
        let mut steps = MAX_STEPS;
        depths.into_iter().find_map(|n_layers| {
            let mut free: Vec<(Dims, u64)> = shapes.iter().map(|(dims, n)| (*dims, *n)).collect();
            let mut widths = BTreeMap::from([(1, 1)]);
            self.place(0, n_layers, &mut free, &mut widths, &mut steps)
                .then_some(Fit { n_layers: (self.n_layers, n_layers), widths })
        })
    }

    /// Gives group `nth` and all after it one of the free shapes.
    fn place(
        &self,
        nth: usize,
        n_layers: u64,
        free: &mut Vec<(Dims, u64)>,
        widths: &mut BTreeMap<u64, u64>,
        steps: &mut u32,
    ) -> bool {
        let Some(((rows, cols), outside, inside)) = self.groups.get(nth).copied() else { return true };
        let Some(count) = inside.checked_mul(n_layers).and_then(|n| n.checked_add(outside)) else {
            return false;
        };
        // the shape itself first, so that what has not changed keeps its width
        free.sort_by_key(|(dims, _)| *dims != (rows, cols));
        for idx in 0..free.len() {
            *steps = steps.saturating_sub(1);
            let Some(((other_rows, other_cols), n)) = free.get(idx).copied() else { break };
            if *steps == 0 || n != count {
                continue;
            }
            let before = widths.clone();
            if substitute(widths, rows, other_rows) && substitute(widths, cols, other_cols) {
                let taken = free.remove(idx);
                if self.place(nth + 1, n_layers, free, widths, steps) {
                    return true;
                }
                free.push(taken);
                free.sort_by_key(|(dims, _)| *dims != (rows, cols));
            }
            *widths = before;
        }
        false
    }
}

/// Records that `width` became `other`; false where either has another partner already.
fn substitute(widths: &mut BTreeMap<u64, u64>, width: u64, other: u64) -> bool {
    match widths.get(&width) {
        Some(known) => *known == other,
        None => {
            let is_free = !widths.values().any(|taken| *taken == other);
            if is_free {
                widths.insert(width, other);
            }
            is_free
        }
    }
}

impl Fit {
    fn differences(&self, is_left_named: bool) -> Vec<String> {
        let both = |what: &str, named: u64, other: u64| {
            let (a, b) = if is_left_named { (named, other) } else { (other, named) };
            format!("{what}: {a} and {b}")
        };
        let layers =
            (self.n_layers.0 != self.n_layers.1).then(|| both("layers", self.n_layers.0, self.n_layers.1));
        let widths = self.widths.iter().filter(|(named, other)| named != other);
        layers.into_iter().chain(widths.map(|(named, other)| both("width", *named, *other))).collect()
    }
}
