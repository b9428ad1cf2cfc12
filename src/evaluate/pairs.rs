//! Pairs that follow from models with families, parents and origins.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{Label, LabelledPair, Model, Split};
use crate::numerics::Rng;

/// All pairs within families, and pairs between families as far as `most_independent` goes, drawn by seed; without those that
/// are listed already.
pub(super) fn of_models(
    models: &[Model],
    splits: &BTreeMap<String, Split>,
    listed: &BTreeSet<(String, String)>,
    seed: u64,
    most_independent: usize,
) -> Vec<LabelledPair> {
    let by_name: BTreeMap<&str, &Model> =
        models.iter().map(|model| (model.reference.as_str(), model)).collect();
    let mut within = Vec::new();
    let mut between = Vec::new();
    for (at, left) in models.iter().enumerate() {
        for right in &models[at + 1..] {
            let names = |a: &Model, b: &Model| (a.reference.clone(), b.reference.clone());
            if listed.contains(&names(left, right)) || listed.contains(&names(right, left)) {
                continue;
            }
            match label(left, right, &by_name) {
                Label::Independent => between.push((left, right)),
                label => within.push(labelled(left, right, label, splits, &by_name)),
            }
        }
    }
    let drawn = Rng::new(&[seed, 0x7061_6972]).sample(between.len(), most_independent);
    within.extend(drawn.into_iter().map(|at| {
        let (left, right) = between[at];
        labelled(left, right, Label::Independent, splits, &by_name)
    }));
    within
}

fn labelled(
    left: &Model,
    right: &Model,
    label: Label,
    splits: &BTreeMap<String, Split>,
    by_name: &BTreeMap<&str, &Model>,
) -> LabelledPair {
    let is_child = |child: &Model, parent: &Model| child.parents.contains(&parent.reference);
    let relation = match (is_child(right, left), is_child(left, right)) {
        (true, _) => right.relation.clone(),
        (_, true) => left.relation.clone(),
        _ => None,
    };
    // a word of the tree is no word of the report
    let relation = relation.filter(|word| Label::ALL.iter().all(|label| label.word() != word));
    // a merge carries weights of several families: it is in a split only if all of them are
    let of_families: BTreeSet<Option<Split>> = [left, right]
        .into_iter()
        .flat_map(|model| ancestors(model, by_name))
        .filter_map(|name| by_name.get(name.as_str()))
        .map(|model| splits.get(&model.family).copied())
        .collect();
    let split = if of_families.len() == 1 { of_families.first().copied().flatten() } else { None };
    LabelledPair {
        left: left.reference.clone(),
        right: right.reference.clone(),
        label,
        family_left: left.family.clone(),
        family_right: right.family.clone(),
        relation,
        is_hard: left.is_hard || right.is_hard,
        is_trained: left.is_trained && right.is_trained,
        split,
        verdicts: Vec::new(),
        directions: Vec::new(),
        architecture: None,
    }
}

/// What the tree says of two models: weights are shared along parents; an origin is an initialisation and shares no training.
fn label(left: &Model, right: &Model, by_name: &BTreeMap<&str, &Model>) -> Label {
    let (of_left, of_right) = (ancestors(left, by_name), ancestors(right, by_name));
    let kin = of_left.intersection(&of_right).next().is_some();
    let is_part = |model: &Model, others: &BTreeSet<String>| {
        let parent = model.parents.iter().any(|parent| others.contains(parent));
        parent && model.relation.as_deref() == Some(Label::PartlyDerived.word())
    };
    if kin {
        return if is_part(left, &of_right) || is_part(right, &of_left) {
            Label::PartlyDerived
        } else {
            Label::Derived
        };
    }
    let origins = |names: &BTreeSet<String>| -> BTreeSet<String> {
        // a model that started from nothing is its own origin
        names
            .iter()
            .map(|name| {
                by_name.get(name.as_str()).and_then(|m| m.origin.clone()).unwrap_or_else(|| name.clone())
            })
            .collect()
    };
    if origins(&of_left).intersection(&origins(&of_right)).next().is_some() {
        return Label::CommonOrigin;
    }
    // members of one family without a parent in the list descend from a root that is not listed
    if left.family == right.family { Label::Derived } else { Label::Independent }
}

/// The model itself and all that it descends from, listed or not.
fn ancestors(model: &Model, by_name: &BTreeMap<&str, &Model>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![model.reference.clone()];
    while let Some(name) = open.pop() {
        if let Some(model) = by_name.get(name.as_str()) {
            open.extend(model.parents.iter().filter(|parent| !found.contains(*parent)).cloned());
        }
        found.insert(name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Label, read};

    const TREE: &str = r#"
        {"model":"a","family":"A","relation":"root"}
        {"model":"a-ft","family":"A","parents":["a"],"relation":"modified-weights"}
        {"model":"a-ft-q","family":"A","parents":["a-ft"],"relation":"quantised-copy","hard":true}
        {"model":"a2","family":"A2","origin":"a"}
        {"model":"b","family":"B"}
        {"model":"ab","family":"A","parents":["a","b"]}
        {"model":"g","family":"G","parents":["a"],"relation":"partly-derived"}
        {"model":"c","family":"C"}"#;

    fn label_of(left: &str, right: &str) -> Label {
        let listing = read(TREE, 0, 1000);
        assert!(listing.faults.is_empty());
        let found = listing.pairs.iter().find(|pair| {
            (pair.left == left && pair.right == right) || (pair.left == right && pair.right == left)
        });
        found.expect("the pair").label
    }

    #[test]
    fn the_tree_says_what_is_shared() {
        for (left, right, wanted) in [
            ("a", "a-ft-q", Label::Derived),
            ("a", "b", Label::Independent),
            ("ab", "b", Label::Derived),
            ("ab", "a-ft", Label::Derived),
            ("a", "a2", Label::CommonOrigin),
            ("a-ft", "a2", Label::CommonOrigin),
            ("a2", "b", Label::Independent),
            ("a", "g", Label::PartlyDerived),
            ("b", "c", Label::Independent),
        ] {
            assert_eq!(label_of(left, right), wanted, "{left} {right}");
        }
    }

    #[test]
    fn a_direct_child_gives_its_relation_and_a_hard_model_hard_pairs() {
        let listing = read(TREE, 0, 1000);
        let of = |left: &str, right: &str| {
            listing.pairs.iter().find(|pair| pair.left == left && pair.right == right).expect("the pair")
        };
        assert_eq!(of("a-ft", "a-ft-q").relation.as_deref(), Some("quantised-copy"));
        assert_eq!(of("a", "a-ft-q").relation, None);
        assert!(of("a-ft-q", "b").is_hard && !of("a", "a-ft").is_hard);
    }

    #[test]
    fn independent_pairs_are_drawn_and_related_ones_all_kept() {
        let all = read(TREE, 0, 1000).pairs;
        let few = read(TREE, 0, 3).pairs;
        let n = |pairs: &[super::LabelledPair], shared| {
            pairs.iter().filter(|pair| pair.label.is_shared() == shared).count()
        };
        assert_eq!(all.len(), 8 * 7 / 2);
        assert_eq!((n(&few, true), n(&few, false)), (n(&all, true), 3));
        assert_eq!(few, read(TREE, 0, 3).pairs);
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let text = "{\"model\":\"x\",\"family\":\"X\",\"parents\":[\"y\"]}\n{\"model\":\"y\",\"family\":\"X\",\"parents\":[\"x\"]}";
        assert_eq!(read(text, 0, 10).pairs[0].label, Label::Derived);
    }
}
